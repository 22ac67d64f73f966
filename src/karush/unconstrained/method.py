"""What the methods for problems without constraint rows share: their state's common part, the test that ends them.

```
minimise f(x)   subject to   lower <= x <= upper
```

A method is a frozen dataclass of its own few options. `Method.algorithm` makes of it two pure functions over a frozen
state, `init` and `step`, where one step evaluates the user's function in one traced place; `drive.py` runs them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from karush.certificates.kkt import DISTANT
from karush.core.errors import OptionError
from karush.problem.flat import FlatProblem
from karush.solvers.drivers import TRIALS
from karush.solvers.prepared import Prepared
from karush.solvers.start import LEAST_WEIGHT
from karush.solvers.state import CONVERGED, DIVERGED, EVALUATION_FAILED, RUNNING, STEP_FAILED

DIVERGENCE = 1e18
"""a run ends as unbounded where the objective, in its typical sizes, falls below minus this"""
FEW = 10_000
"""variables up to which a task's vectors are left whole: reading them costs nothing beside starting an operation"""


class Task(NamedTuple):
    """The numbers of a problem that a step needs; the functions are compiled in. (1,) stands for n equal entries."""

    lower: Any
    """(n,)"""
    upper: Any
    """(n,)"""
    x_unit: Any
    """(n,) typical sizes of the variables, s"""
    f_unit: Any
    """typical size of the objective, s_f"""
    weight: Any
    """(n,) s / s_f: a slope times this is dimensionless, as in the certificate"""
    strict_weight: Any
    """(n,) max(2 s / s_f, 0.1): what a run brings below tol where rounding allows, as the interior point does"""
    tol: Any
    seed: Any = np.int64(0)
    """of a method that draws random numbers"""


class Progress(NamedTuple):
    """The common part of every method's state: the best point so far, and where the run stands."""

    x: Any
    """(n,) within the bounds"""
    value: Any
    """f(x)"""
    gradient: Any
    """(n,) ∇f(x); NaN where a method does not compute it"""
    error: Any
    """`stationarity` at x in the certificate's units; the verdict asks for <= tol"""
    strict_error: Any
    """the same with `Task.strict_weight`"""
    length: Any
    """of the last step: the factor α of its direction, or a trust region's radius"""
    status: Any
    """a code of `karush.solvers.state`"""
    iterations: Any
    evaluations: Any


class Algorithm(NamedTuple):
    """A method for one problem: pure functions over a frozen state with a field `progress`, a `Progress`."""

    init: Callable[..., Any]
    """``(task, x) -> state`` before the first evaluation; x (n,) lies within the bounds"""
    step: Callable[..., Any]
    """``(task, state, *params) -> state`` with one evaluation more; an iteration may take several"""


@dataclass(frozen=True)
class Method:
    """Base of the methods: options as fields, the algorithm as a function of a prepared problem."""

    name: ClassVar[str]
    """by which `minimize` knows it"""
    takes_bounds: ClassVar[bool] = False
    instead: ClassVar[str] = "'l-bfgs' or 'interior-point'"
    """methods to name to somebody whose problem has bounds that this one does not take"""

    derivative_free: ClassVar[bool] = False
    """whether its answer is to be polished by a method that takes derivatives"""
    end: ClassVar[str] = ""
    """message of a run that ends where no step leads further; "" for the usual one"""

    def evaluations_per_iteration(self, n: int) -> int:
        """Evaluations that count as one iteration of the limit: at a kink every line search takes many."""
        return TRIALS

    def random_seed(self) -> int:
        """Seed of a method that draws random numbers."""
        return 0

    def unseeded(self) -> "Method":
        """What the compiled program depends on: the method without the seed, which comes with the task."""
        return self

    def algorithm(self, parts: Prepared) -> Algorithm:
        """The pure functions of this method for the problem of `parts`."""
        raise NotImplementedError

    def check(self, flat: FlatProblem) -> None:
        """Refuse what the method cannot solve.

        Raises
        ------
        OptionError
            for constraint rows, and for bounds where the method takes none.
        """
        if flat.m:
            raise OptionError(
                f"method is {self.name!r}, which takes no constraint rows, and the problem has {flat.m} "
                f"({flat.constraint_names[0]!r} first); use method='interior-point', or 'auto'"
            )
        bounded = np.flatnonzero(np.isfinite(flat.lower) | np.isfinite(flat.upper))
        if bounded.size and not self.takes_bounds:
            raise OptionError(
                f"method is {self.name!r}, which takes no bounds, and {flat.variable_names[bounded[0]]} has some; "
                f"use method={self.instead}, or leave the bounds out"
            )


def objective(parts: Prepared) -> Callable[..., Any]:
    """``(x, *params) -> f(x)`` to be traced; for `maximize` it is the negative of the user's."""
    return lambda x, *params: parts.evaluator.program(x, *params)[0]


def task_of(parts: Prepared, tol: float) -> Task:
    """The task in NumPy float64 arrays; for many variables equal entries are one, of shape (1,)."""
    flat, scales = parts.flat, parts.scales
    weight = scales.x / scales.f
    return Task(
        lower=_once(flat.lower),
        upper=_once(flat.upper),
        x_unit=_once(scales.x),
        f_unit=np.float64(scales.f),
        weight=_once(weight),
        strict_weight=_once(np.maximum(2.0 * weight, LEAST_WEIGHT)),
        tol=np.float64(tol),
    )


def _once(vector: np.ndarray) -> np.ndarray:
    """One entry for all where they are equal and many: each step reads every vector of a task several times."""
    return vector[:1] if vector.size > FEW and np.all(vector == vector[0]) else vector


def first_progress(x: Any) -> Progress:
    """Progress at the start x (n,), before its evaluation."""
    unknown = jnp.asarray(jnp.inf, dtype=x.dtype)
    count = jnp.zeros((), dtype=jnp.int64)
    return Progress(x, unknown, jnp.full_like(x, jnp.nan), unknown, unknown, unknown * 0.0 + 0.0, count, count, count)


def stationarity(task: Task, x: Any, gradient: Any) -> tuple[Any, Any]:
    """``max_i |g_i| w_i min(1, d_i / s_i)`` with both weights w of the task.

    d_i is the distance from x_i to the bound that −g points to, ∞ without one: either the slope is small, or its
    multiplier −g_i times the distance to the bound is, as in the certificate. Far out it counts more, as there.
    """
    distance = jnp.where(gradient > 0, x - task.lower, task.upper - x) / task.x_unit
    reach = jnp.maximum(jnp.abs(x / task.x_unit) / DISTANT, 1.0)
    slope = jnp.abs(gradient) * jnp.minimum(reach, distance)
    # max() of a NaN is NaN, and no comparison with it holds.
    return jnp.max(slope * task.weight), jnp.max(slope * task.strict_weight)


def moved(task: Task, before: Progress, x: Any, value: Any, gradient: Any, length: Any) -> Progress:
    """Progress after an accepted point, whose value and gradient (n,) are finite, with the test that ends a run.

    The first evaluation of a run makes its first iterate, and no iteration.
    """
    first = before.evaluations == 0
    error, strict_error = stationarity(task, x, gradient)
    finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
    diverged = value < -DIVERGENCE * task.f_unit
    status = jnp.where(strict_error <= task.tol, CONVERGED, jnp.where(diverged, DIVERGED, RUNNING))
    return Progress(
        x=x,
        value=value,
        gradient=gradient,
        error=error,
        strict_error=strict_error,
        length=length,
        status=jnp.where(finite, status, EVALUATION_FAILED).astype(before.status.dtype),
        iterations=jnp.where(first, before.iterations, before.iterations + 1),
        evaluations=before.evaluations + 1,
    )


def stuck(task: Task, progress: Progress) -> Progress:
    """Progress where no step leads further: converged if the certificate's measure is met, else a failed step."""
    code = jnp.where(progress.error <= task.tol, CONVERGED, STEP_FAILED)
    return progress._replace(status=code.astype(progress.status.dtype))


def chosen(condition: Any, first: Any, second: Any) -> Any:
    """`first` where the scalar `condition` holds, else `second`; pytrees of one structure."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), first, second)
