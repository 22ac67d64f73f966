"""The cross-entropy method, for functions without useful derivatives: sec. 5.1 of [RK04].

Samples of a Gaussian, truncated to the bounds; the best of them, the elite, give the next Gaussian:

```
x_k ~ N(μ, diag σ²)  within [lower, upper]         k = 1 .. N
μ ← α mean(elite) + (1 − α) μ
σ ← β std(elite) + (1 − β) σ
```

This minimises the cross-entropy, the Kullback–Leibler distance, between the Gaussian and the elite's distribution.
The small β keeps σ from collapsing before the right valley is found. When σ has shrunk, the method starts anew with
twice the samples, until two runs in a row end at the same value.
"""

from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from karush.core.errors import OptionError
from karush.solvers.prepared import Prepared
from karush.solvers.state import EVALUATION_FAILED, RUNNING, STEP_FAILED
from karush.unconstrained.method import Algorithm, Method, Progress, Task, chosen, first_progress, objective

ALPHA, BETA = 0.8, 0.3
"""smoothing of the mean and of the deviations. A β_t = 0.9 (1 − (1 − 1/t)^7) that falls, also of [RK04], shrinks σ so
late that 500 generations of Rastrigin's function of 10 variables found the minimum for 8 seeds of 20."""
LEAST_SAMPLES, SAMPLES_PER_VARIABLE = 100, 20
"""default batch"""
SHRUNK = 1e-3
"""a run ends where every deviation is below this part of the first"""
BLIND = 20
"""generations without a sample that has a value, after which the function is given up"""
AGREE = 1e-6
"""two runs end at the same value if it differs by less than this part of the objective's typical size"""
DOUBLINGS = 4
"""of the samples"""
WIDE = 4.0
"""first deviation of a variable without bounds on both sides, in typical sizes"""


@dataclass(frozen=True)
class CrossEntropy(Method):
    """Cross-entropy method with a diagonal Gaussian. No derivative is computed by it.

    Its answer is no success by itself: what the point is, the certificate says from derivatives.
    """

    samples: int | None = None
    """of the first run's generations; default max(100, 20 n)"""
    elite: float = 0.1
    """share of the samples that give the next Gaussian"""
    seed: int = 0

    name: ClassVar[str] = "cross-entropy"
    takes_bounds: ClassVar[bool] = True
    derivative_free: ClassVar[bool] = True
    end: ClassVar[str] = "The samples have shrunk; derivatives were not looked at."

    def __post_init__(self) -> None:
        if self.samples is not None and (not isinstance(self.samples, Integral) or self.samples < 2):
            raise OptionError(f"samples is {self.samples!r}; give an integer above 1, or None")
        if not isinstance(self.elite, Real) or not 0.0 < self.elite < 1.0:
            raise OptionError(f"elite is {self.elite!r}; give a share between 0 and 1")
        if not isinstance(self.seed, Integral):
            raise OptionError(f"seed is {self.seed!r}; give an integer")

    def batch(self, n: int) -> int:
        """Samples of one batch."""
        return int(self.samples or max(LEAST_SAMPLES, SAMPLES_PER_VARIABLE * n))

    def evaluations_per_iteration(self, n: int) -> int:
        """At most, for the limit of the drivers."""
        return self.batch(n) * 2**DOUBLINGS

    def random_seed(self) -> int:
        """`seed`."""
        return int(self.seed)

    def unseeded(self) -> Method:
        """The method with the first seed."""
        return replace(self, seed=0)

    def algorithm(self, parts: Prepared) -> Algorithm:
        """Its `init` and `step`."""
        f = objective(parts)
        batch = self.batch(parts.flat.n)
        elite = max(2, round(self.elite * batch))

        def step(task: Task, state: State, *params: Any) -> State:
            state, x = _samples(task, state, batch)
            values = jax.vmap(lambda x: f(x, *params))(x)
            return _advance(task, state, x, jnp.where(jnp.isnan(values), jnp.inf, values), elite)

        return Algorithm(lambda task, x: _init(task, x, elite), step)


class State(NamedTuple):
    """Between two batches."""

    progress: Progress
    key: Any
    mean: Any
    """(n,) μ"""
    deviation: Any
    """(n,) σ"""
    generation: Any
    """t, from 1 in each run"""
    batches: Any
    """of this generation so far"""
    doublings: Any
    """r: a generation has 2^r batches"""
    pool: Any
    """(P, n) the best samples of this generation"""
    pool_values: Any
    """(P,) ascending, inf where there is none yet"""
    run_value: Any
    """the least of this run"""
    last_value: Any
    """of the run before"""


def _first_gaussian(task: Task, x: Any) -> tuple[Any, Any]:
    """(n,) μ and σ: nearly uniform where there are two bounds, else wide around x."""
    both = jnp.isfinite(task.lower) & jnp.isfinite(task.upper)
    width = jnp.where(both, task.upper - task.lower, 1.0)
    middle = jnp.where(both, task.lower + 0.5 * width, x)
    return middle, jnp.broadcast_to(jnp.where(both, width, WIDE * task.x_unit), x.shape)


def _init(task: Task, x: Any, elite: int) -> State:
    progress = first_progress(x)
    mean, deviation = _first_gaussian(task, x)
    size = elite * 2**DOUBLINGS
    count = progress.iterations
    infinite = progress.value
    return State(
        progress=progress,
        key=jax.random.key(task.seed),
        mean=mean,
        deviation=deviation,
        generation=count + 1,
        batches=count,
        doublings=count,
        pool=jnp.zeros((size, x.shape[0]), dtype=x.dtype) + x,
        pool_values=jnp.full(size, jnp.inf),
        run_value=infinite,
        last_value=infinite,
    )


def _samples(task: Task, state: State, batch: int) -> tuple[State, Any]:
    """(N, n) samples of the truncated Gaussian; the start is the very first of them."""
    key, now = jax.random.split(state.key)
    scale = jnp.where(state.deviation > 0, state.deviation, 1.0)
    low, high = (task.lower - state.mean) / scale, (task.upper - state.mean) / scale
    z = jax.random.truncated_normal(now, low, high, (batch, state.mean.size), dtype=state.mean.dtype)
    x = jnp.clip(state.mean + z * state.deviation, task.lower, task.upper)
    first = state.progress.evaluations == 0
    x = x.at[0].set(jnp.where(first, state.progress.x, x[0]))
    return state._replace(key=key), x


def _advance(task: Task, state: State, x: Any, values: Any, elite: int) -> State:
    """The pool with a batch more; at the end of a generation the next Gaussian."""
    progress = state.progress
    pool_values = jnp.concatenate([state.pool_values, values])
    order = jnp.argsort(pool_values)[: state.pool_values.size]
    pool, pool_values = jnp.concatenate([state.pool, x])[order], pool_values[order]
    better = pool_values[0] < progress.value
    progress = progress._replace(
        x=jnp.where(better, pool[0], progress.x),
        value=jnp.where(better, pool_values[0], progress.value),
        evaluations=progress.evaluations + values.size,
    )
    state = state._replace(progress=progress, pool=pool, pool_values=pool_values, batches=state.batches + 1)
    complete = state.batches >= 2**state.doublings
    return chosen(complete, _generation(task, state, elite), state)


def _generation(task: Task, state: State, elite: int) -> State:
    """The elite's Gaussian, smoothed; where it has shrunk, the next run or the end."""
    member = (jnp.arange(state.pool_values.size) < elite * 2**state.doublings) & jnp.isfinite(state.pool_values)
    count = jnp.maximum(jnp.sum(member), 1)
    weights = jnp.where(member, 1.0 / count, 0.0)
    mean = weights @ state.pool
    deviation = jnp.sqrt(weights @ (state.pool - mean) ** 2)
    known = jnp.any(member)
    mean = jnp.where(known, ALPHA * mean + (1.0 - ALPHA) * state.mean, state.mean)
    deviation = jnp.where(known, BETA * deviation + (1.0 - BETA) * state.deviation, state.deviation)

    start, width = _first_gaussian(task, state.progress.x)
    length = jnp.max(jnp.where(width > 0, deviation / width, 0.0))
    ended = length <= SHRUNK
    run_value = jnp.minimum(state.run_value, state.pool_values[0])
    same = jnp.abs(run_value - state.last_value) <= AGREE * task.f_unit
    over = ended & (same | (state.doublings >= DOUBLINGS))
    status = jnp.where(over, STEP_FAILED, RUNNING)
    blind = ~jnp.isfinite(state.progress.value) & (state.generation >= BLIND)
    status = jnp.where(blind, EVALUATION_FAILED, status)
    return state._replace(
        progress=state.progress._replace(
            iterations=state.progress.iterations + 1,
            length=length,
            status=status.astype(state.progress.status.dtype),
        ),
        mean=jnp.where(ended, start, mean),
        deviation=jnp.where(ended, width, deviation),
        generation=jnp.where(ended, 1, state.generation + 1),
        batches=jnp.zeros_like(state.batches),
        doublings=jnp.where(ended, jnp.minimum(state.doublings + 1, DOUBLINGS), state.doublings),
        pool_values=jnp.full_like(state.pool_values, jnp.inf),
        run_value=jnp.where(ended, jnp.inf, run_value),
        last_value=jnp.where(ended, run_value, state.last_value),
    )
