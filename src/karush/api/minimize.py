"""`minimize`, `maximize`, `prepare` and `certify`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from karush.api.options import Options, read_options
from karush.api.prepared import Prepared, as_problem
from karush.api.stabilized import read_stabilize, with_stable_functions
from karush.certificates import Certificate
from karush.core.errors import ProblemError
from karush.problem.problem import Problem
from karush.solvers.result import Result


def prepare(problem: Problem | Callable[..., Any], x0: Any = None, **parts: Any) -> Prepared:
    """Trace a problem's functions and compile their derivatives, once, for any number of solves.

    Parameters
    ----------
    problem, x0, parts
        A `Problem`, with x0 in place of its own start if one is given; or an objective, a start and the other fields
        of a `Problem` by keyword.

    Notes
    -----
    Computes in float64 by a local switch; JAX's global setting is not touched.
    """
    if isinstance(problem, Problem) and x0 is not None:
        problem = replace(problem, x0=x0)
    return Prepared(as_problem(problem, x0, parts))


def minimize(problem: Problem | Callable[..., Any], x0: Any = None, **arguments: Any) -> Result:
    """Find a local minimum and certify it: ``min f(x)  s.t.  bounds and constraints``.

    Parameters
    ----------
    problem
        A `Problem`, or an objective ``f(x)`` to go with `x0` and the fields of a `Problem` (``bounds``,
        ``constraints``, ``params``, ``scales``, ``convex``) by keyword.
    x0
        Start; with a `Problem`, used instead of its own.
    arguments
        Fields of a `Problem`, and the fields of `Options`: ``method``, ``tol``, ``max_iterations``, ``time_limit``,
        ``callback``, ``progress``, ``driver``, ``polish``, ``backend_options``. ``stabilize=True``: the
        functions are first repaired by `karush.stabilize` on the box of the bounds, and the certificate is theirs.

    Returns
    -------
    Result
        Always, whatever happened; `Result.success` only if the certificate says minimum.

    Raises
    ------
    ProblemError, OptionError, BackendMissing
        for bad input, naming the argument, its value and the cure.

    Notes
    -----
    Computes in float64 by a local switch; JAX's global setting is not touched.
    """
    options = {name: arguments.pop(name) for name in list(arguments) if name in Options.__dataclass_fields__}
    read_options(options)
    repaired = with_stable_functions if read_stabilize(arguments) else lambda given: given
    if isinstance(problem, Problem):
        return Prepared(repaired(as_problem(problem, None, arguments))).solve(x0, **options)
    return Prepared(repaired(as_problem(problem, x0, arguments))).solve(**options)


def maximize(problem: Problem | Callable[..., Any], x0: Any = None, **arguments: Any) -> Result:
    """`minimize` with the objective's sign turned; values, multipliers and prices are of the objective as given."""
    if isinstance(problem, Problem):
        return minimize(replace(problem, maximize=True), x0, **arguments)
    return minimize(problem, x0, maximize=True, **arguments)


def certify(
    problem: Problem, x: Any, multipliers: Mapping[str, Any] | None = None, *, tol: float = 1e-8
) -> Certificate:
    """What the point x is, by whatever solver it was found: recomputed from the problem's own functions.

    Parameters
    ----------
    problem
        The problem.
    x
        Point in the structure of ``problem.x0``.
    multipliers
        As in `Result.multipliers`: constraint name -> array of its rows' shape, and ``"bounds"`` -> structure of x.
        What is left out is estimated by sign-constrained least squares.
    tol
        Bound on the dimensionless entries.
    """
    if not isinstance(problem, Problem):
        raise ProblemError(f"certify needs a karush.Problem, got {type(problem).__name__} {problem!r:.60}")
    return Prepared(problem).certify(x, multipliers, tol=tol)
