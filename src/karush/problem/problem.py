"""`Problem`: what the user states, checked as far as it can be without tracing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karush.core.errors import ProblemError
from karush.problem.constraints import Constraint
from karush.problem.regularization import Regularization, as_terms


@dataclass(frozen=True, kw_only=True)
class Scales:
    """Typical sizes, positive; None leaves the choice to karush (see `karush.certificates.scales`)."""

    x: Any = None
    """prefix pytree of x"""
    objective: float | None = None
    constraints: Mapping[str, Any] | None = None
    """constraint name -> scalar or one number per row"""


@dataclass(frozen=True)
class Problem:
    """minimise ``objective(x)`` subject to ``bounds`` and ``constraints``.

    Parameters
    ----------
    objective
        JAX function ``f(x) -> scalar``, or ``f(x, params)`` if `params` is given.
    x0
        Start: any pytree of floating-point arrays. Its structure is the structure of x everywhere.
    bounds
        ``(lower, upper)``, each a prefix pytree of x0, a scalar or None; ±inf allowed, equal bounds fix a variable.
        ``scipy.optimize.Bounds`` and SciPy's list of ``(low, high)`` pairs are understood too.
    constraints
        `equal`, `between` and `linear` constraints.
    params
        Pytree handed to every function as its second argument; solving again with other values traces nothing anew.
    scales
        Typical sizes (`Scales`), used to make the certificate dimensionless.
    convex
        The user's promise that the problem is convex; recorded as *assumed* in the certificate.
    maximize
        Whether the objective is to be maximised.
    regularization
        Terms added to the objective (subtracted where it is maximised): `l1`, `l2`, or a list of them.
    """

    objective: Callable[..., Any]
    x0: Any
    bounds: Any = None
    constraints: Sequence[Constraint] | Constraint = ()
    params: Any = None
    scales: Scales | None = None
    convex: bool = False
    maximize: bool = False
    name: str | None = None
    regularization: Sequence[Regularization] | Regularization = ()

    def __post_init__(self) -> None:
        if not callable(self.objective):
            raise ProblemError(
                f"objective must be a JAX function of x, got {type(self.objective).__name__} {self.objective!r:.60}"
            )
        if self.x0 is None:
            raise ProblemError("x0 is None; give a start: an array or a pytree of floating-point arrays")
        for argument in ("convex", "maximize"):
            if not isinstance(getattr(self, argument), bool):
                raise ProblemError(f"{argument} is {getattr(self, argument)!r:.60}; give True or False")
        constraints = _constraints(self.constraints)
        if self.scales is not None and not isinstance(self.scales, Scales):
            raise ProblemError(
                f"scales is {self.scales!r:.60}; give karush.Scales(x=..., objective=..., constraints=...)"
            )
        names = [f"constraint {i}" if c.name is None else c.name for i, c in enumerate(constraints)]
        if "bounds" in names:
            raise ProblemError(
                "constraint name 'bounds' is taken by the multipliers of the variables' bounds; change it"
            )
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ProblemError(f"constraint name {sorted(repeated)[0]!r} is used twice; names must differ")
        object.__setattr__(self, "constraints", constraints)
        object.__setattr__(self, "regularization", as_terms(self.regularization))


def _constraints(given: Any) -> tuple[Constraint, ...]:
    """One constraint or many, as a tuple."""
    if given is None:
        return ()
    many = isinstance(given, Iterable) and not isinstance(given, Mapping)
    constraints: tuple[Any, ...] = tuple(given) if many else (given,)
    for index, constraint in enumerate(constraints):
        if not isinstance(constraint, Constraint):
            raise ProblemError(
                f"constraints[{index}] is {type(constraint).__name__} {constraint!r:.60}; make it with karush.equal, "
                "karush.between or karush.linear (SciPy's {'type': 'ineq', 'fun': g} is between(g, lower=0.0))"
            )
        if constraint.name is not None and not (isinstance(constraint.name, str) and constraint.name):
            raise ProblemError(f"name of constraints[{index}] is {constraint.name!r}; give text, or leave it out")
    return constraints
