"""Other starts for a fit whose first run is in doubt: differential evolution over the nonlinear parameters.

A parameter is searched on a signed logarithmic scale around its start, ``β = sign(t) |β₀| 10^(6|t| − 3)``, so three
orders of magnitude either way and both signs; between two finite bounds it is searched uniformly. Parameters that r is
affine in are eliminated, so that neither their start nor their size matters. Every generation is one vectorised
evaluation ([SP97]); the random numbers are the same in every run.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.precision import float64
from karush.fitting import loss
from karush.fitting.problem import Fit

DECADES = 3.0
"""orders of magnitude either way"""
PER_PARAMETER, BASE, GENERATIONS = 30, 30, 70
"""Size of the population, ``PER_PARAMETER q + BASE``, and generations of one round."""
DIFFERENT = 0.03
"""Distance in t from which two members count as different."""
FLIPPED = 0.1
"""share of first members whose sign is not that of the start"""
GREEDY = 0.2
"""Half of the trials move towards one of this best share of the population; the other half explores."""
TOGETHER = 1_000_000
"""Residuals evaluated at one time: more members than that allows wait, lest many observations fill the memory."""
DEPENDENT = 1.0e-12
"""Part of a column of Φ left by those before it, below which it is dependent on them."""


class Population:
    """Members t (k, q) in [−1, 1] with their costs; evolves in place."""

    def __init__(self, fit: Fit, seed: int):
        self.fit = fit
        self.generator = np.random.default_rng(seed)
        q = fit.rest.size
        start = fit.x0[fit.rest]
        self.unit = np.where(start != 0, np.abs(start), 1.0)
        self.lower, self.upper = fit.lower[fit.rest], fit.upper[fit.rest]
        self.boxed = np.isfinite(self.lower) & np.isfinite(self.upper)
        self.evaluations = 0
        t = self.generator.random((PER_PARAMETER * q + BASE, q))
        flip = self.generator.random(t.shape) < FLIPPED
        self.t = np.where(self.boxed, 2.0 * t - 1.0, t * np.where(start < 0, -1.0, 1.0) * np.where(flip, -1.0, 1.0))
        self._cost = fit.fused.setdefault("reduced", jax.jit(_of_many(fit)))
        self.costs = self._evaluate(self.t)

    def beta(self, t: np.ndarray) -> np.ndarray:
        """Parameters (k, q) of members t (k, q)."""
        logarithmic = np.sign(t) * self.unit * 10.0 ** (2.0 * DECADES * np.abs(t) - DECADES)
        with np.errstate(invalid="ignore"):
            uniform = self.lower + (self.upper - self.lower) * 0.5 * (t + 1.0)
        return np.clip(np.where(self.boxed, uniform, logarithmic), self.lower, self.upper)

    def member(self, beta: np.ndarray) -> np.ndarray:
        """t (q,) of parameters (q,), the nearest there is."""
        size = np.log10(np.maximum(np.abs(beta) / self.unit, 10.0**-DECADES))
        logarithmic = np.where(beta < 0, -1.0, 1.0) * np.clip((size + DECADES) / (2.0 * DECADES), 0.0, 1.0)
        with np.errstate(invalid="ignore"):
            uniform = 2.0 * (beta - self.lower) / (self.upper - self.lower) - 1.0
        return np.where(self.boxed, uniform, logarithmic)

    def evolve(self, deadline: float) -> None:
        """One round of generations, up to `deadline` on the clock; a member is replaced only by a better one."""
        for _ in range(GENERATIONS):
            if time.perf_counter() > deadline:
                break
            trial = self._trial()
            costs = self._evaluate(trial)
            better = costs < self.costs
            self.t = np.where(better[:, None], trial, self.t)
            self.costs = np.where(better, costs, self.costs)

    def insert(self, betas: list[np.ndarray]) -> None:
        """Put refined parameters in place of the worst members."""
        if not betas:
            return
        worst = np.argsort(self.costs)[::-1][: len(betas)]
        self.t[worst] = [self.member(beta) for beta in betas]
        self.costs = self._evaluate(self.t)

    def best(self, count: int) -> np.ndarray:
        """Parameters (<= count, q) of the best members that differ from each other."""
        chosen: list[int] = []
        for i in np.argsort(self.costs):
            apart = all(np.max(np.abs(self.t[i] - self.t[j])) > DIFFERENT for j in chosen)
            if apart and np.isfinite(self.costs[i]):
                chosen.append(int(i))
            if len(chosen) == count:
                break
        return self.beta(self.t[chosen])

    def _trial(self) -> np.ndarray:
        generator, t = self.generator, self.t
        k, q = t.shape
        leaders = np.argsort(self.costs)[: max(2, int(GREEDY * k))]
        leader = t[generator.choice(leaders, k)]
        first, second, third = (t[generator.integers(k, size=k)] for _ in range(3))
        factor = generator.uniform(0.3, 1.0, (k, 1))
        greedy = t + factor * (leader - t) + factor * (first - second)
        exploring = third + factor * (first - second)
        trial = np.where((np.arange(k) % 2 == 0)[:, None], greedy, exploring)
        # Few parameters at a time where the function is separable, nearly all where it is not.
        rate = generator.choice([0.3, 0.9], (k, 1))
        crossed = generator.random((k, q)) < rate
        crossed |= np.arange(q) == generator.integers(q, size=(k, 1))
        trial = np.where(crossed, trial, t)
        reflected = np.sign(trial) * (2.0 - np.abs(trial))
        return np.clip(np.where(np.abs(trial) > 1.0, reflected, trial), -1.0, 1.0)

    def _evaluate(self, t: np.ndarray) -> np.ndarray:
        self.evaluations += t.shape[0]
        with float64():
            costs = np.asarray(self._cost(self.beta(t)))
        return np.where(np.isfinite(costs), costs, np.inf)


def _of_many(fit: Fit) -> Callable[..., Any]:
    """β (k, q) -> costs (k,), as many at a time as memory allows."""
    cost, together = _reduced(fit), max(1, TOGETHER // (fit.m * (1 + fit.linear.size)))
    return lambda betas: jax.lax.map(cost, betas, batch_size=min(together, betas.shape[0]))


def _reduced(fit: Fit) -> Callable[..., Any]:
    """β (q,) -> the cost with the best α, by Gram–Schmidt; good enough to rank members."""

    def cost(beta: Any) -> Any:
        r, phi = fit.projection(beta)
        basis: list[Any] = []
        for k in range(fit.linear.size):
            column = phi[:, k] / jnp.maximum(jnp.linalg.norm(phi[:, k]), jnp.finfo(jnp.float64).tiny)
            for _ in range(2):
                for other in basis:
                    column = column - other * jnp.vdot(other, column)
            left = jnp.linalg.norm(column)
            basis.append(jnp.where(left > DEPENDENT, column / jnp.where(left > 0, left, 1.0), 0.0))
            r = r - basis[-1] * jnp.vdot(basis[-1], r)
        return loss.cost(jnp, fit.loss, fit.loss_scale, r)

    return cost
