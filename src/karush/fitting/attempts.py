"""The default's way to a fit: one run from the start; more starts only where its answer is in doubt.

1. Levenberg–Marquardt from the start, parameters that r is affine in eliminated.
2. If there is doubt (`doubt`): rounds of differential evolution (`search`), each followed by runs from its best
   members, until an answer is beyond doubt and a further round finds no better one.
3. Parameters that can be exchanged for each other are put into the order that they have at the start.
"""

import time
from collections.abc import Callable
from itertools import combinations

import numpy as np

from karush.core.status import Status
from karush.core.table import measured
from karush.fitting import run as runs
from karush.fitting.doubt import doubts
from karush.fitting.options import FitOptions
from karush.fitting.problem import Fit
from karush.fitting.run import Effort, Run
from karush.fitting.search import Population

ROUNDS, REFINED, REFINING = 6, 8, 60
"""Rounds of the search, members refined after each, and iterations of each refinement."""
SEARCHED = 12
"""nonlinear parameters up to which a search makes sense"""
SAME = 1.0e-10
"""Relative difference of costs below which an exchange of parameters changed nothing."""
BETTER = 1.0e-6
"""A fit counts as better if its cost is lower by this part: others are the same minimum once more."""


def solve(fit: Fit, options: FitOptions, effort: Effort) -> tuple[Run, str, str, tuple[str, ...]]:
    """The run, the method, why it was chosen, and notes on what was tried beside it."""
    loop = runs.fused_loop if options.driver == "fused" else runs.python_loop
    if options.method != "auto":
        run = loop(fit, fit.x0, options.method, options.tol, effort, options.max_iterations)
        return run, options.method, "asked for", ()
    method = "levenberg-marquardt"
    run = loop(fit, fit.x0, method, options.tol, effort, options.max_iterations)
    why = "the default for residuals"
    if fit.linear.size:
        names = fit.function.door.names()
        listed = ", ".join(names[i] for i in fit.linear[:6]) + (" and more" if fit.linear.size > 6 else "")
        why = f"the residuals are affine in {listed}, which are eliminated"
    notes: tuple[str, ...] = ()
    reasons = doubts(fit, run, fit.x0)
    if reasons and effort.stopped is None and 0 < fit.rest.size <= SEARCHED:
        run, notes = _elsewhere(fit, options, effort, run, reasons, loop)
    return _in_order(fit, run, effort, options, loop), method, why, notes


def _elsewhere(
    fit: Fit, options: FitOptions, effort: Effort, first: Run, reasons: list[str], loop: Callable[..., Run]
) -> tuple[Run, tuple[str, ...]]:
    population = Population(fit, seed=0)
    best = first
    for _ in range(ROUNDS):
        population.evolve(effort.deadline)
        if time.perf_counter() > effort.deadline:
            effort.stopped = Status.TIME_LIMIT
            break
        before, refined = best, []
        for beta in population.best(REFINED):
            x = np.zeros(fit.n)
            x[fit.rest] = beta
            limit = min(REFINING, options.max_iterations)
            run = loop(fit, x, "levenberg-marquardt", options.tol, effort, limit)
            if np.isfinite(run.cost):
                refined.append(run.x[fit.rest])
            if _better(fit, run, best):
                best = run
            if effort.stopped is not None:
                break
        if effort.stopped is not None or (best is before and not doubts(fit, best, None)):
            break
        population.insert(refined)
    effort.residuals += population.evaluations
    effort.columns += population.evaluations * fit.linear.size
    tried = "other starts were tried" + (f" until {effort.stopped.value}" if effort.stopped is not None else "")
    said = f"the run from the start was in doubt ({'; '.join(reasons)}), so {tried}: "
    if best is first:
        return best, (said + "none led to a better fit",)
    return best, (said + f"the cost went from {measured(first.cost)} to {measured(best.cost)}",)


def _better(fit: Fit, run: Run, best: Run) -> bool:
    if not np.isfinite(run.cost):
        return False
    if not np.isfinite(best.cost):
        return True
    # A lower cost at parameters that cannot be told apart, or on the way to infinity, is no better fit.
    arrived = run.status is Status.CONVERGED or run.status is Status.STEP_FAILED
    return arrived and run.cost < best.cost * (1.0 - BETTER)


def _in_order(fit: Fit, run: Run, effort: Effort, options: FitOptions, loop: Callable[..., Run]) -> Run:
    """Exchange pairs of nonlinear parameters that stand the other way round than at the start, if nothing changes."""
    if not (fit.linear.size and np.isfinite(run.cost)) or effort.stopped is not None or fit.rest.size > SEARCHED:
        return run
    projected = runs.reduced_cost(fit)
    for i, j in combinations(fit.rest, 2):
        if (fit.x0[i] - fit.x0[j]) * (run.x[i] - run.x[j]) >= 0:
            continue
        x = run.x.copy()
        x[[i, j]] = x[[j, i]]
        effort.residuals += 1
        effort.columns += fit.linear.size
        if abs(projected(x[fit.rest]) - run.cost) <= SAME * run.cost:
            run = loop(fit, x, "levenberg-marquardt", options.tol, effort, options.max_iterations)
    return run
