"""The checker: from a witness to the theorems that it supports. It searches nothing and trusts nothing but balls.

A witness names an active set, a point, two radii per unknown and weights. All that is claimed is computed here again:

1. Krawczyk's test on the small box: the KKT system of the active set has exactly one zero in it, and G' is
   nonsingular, so the active gradients are linearly independent (LICQ).
2. On what the test encloses: inactive limits hold strictly, multipliers have their signs. So the zero is a KKT point.
3. ``H + Jᵀ W J`` is positive definite, J the rows with multipliers strictly of their sign or equalities, on the
   variables whose bounds do not hold them strictly. Then dᵀHd > 0 on the critical cone: a strict local minimum
   ([NW06], theorem 12.6).
4. Krawczyk's test on the wide box, with strict signs all over it: no other KKT point with multipliers in the box.
5. Convexity (see `karush.proofs.convex`): the minimum is global.
"""

from dataclasses import dataclass

import numpy as np
from flint import arb, ctx

from karush.arithmetic.ball_numbers import Undecided, around, balls
from karush.arithmetic.ball_reductions import product
from karush.problem.flat import FlatProblem
from karush.proofs.convex import why_convex
from karush.proofs.definite import positive_definite
from karush.proofs.dependent import implied
from karush.proofs.exact import exact_multipliers
from karush.proofs.functions import Functions
from karush.proofs.krawczyk import approximate_inverse, krawczyk
from karush.proofs.system import ActiveSet, Curved, Point, System

SINGULAR = "the KKT matrix is singular: active constraint gradients are dependent, or the minimum is degenerate"
KKT_POINT, STRICT_MINIMUM, GLOBAL_MINIMUM, INFEASIBLE = "KKT point", "strict minimum", "global minimum", "infeasible"


Key = tuple[str, int]
"""``("row", i)`` or ``("bound", i)``"""


@dataclass(frozen=True, eq=False)
class Witness:
    """What a search hands to the checker; no number of it is believed."""

    active: ActiveSet
    middle: np.ndarray
    """(size,) unknowns (x_F, y_A), exact balls"""
    radius: np.ndarray
    """(size,) float64: the small box, on which existence is tested"""
    wide: np.ndarray
    """(size,) float64 >= radius: the box on which uniqueness is tested"""
    weights: np.ndarray | None
    """(number of active rows,) W of the second-order test, or None: not claimed"""
    exact: bool = False
    """whether x is claimed to be the middle exactly, with multipliers in rational numbers (`karush.proofs.exact`)"""


@dataclass(frozen=True, eq=False)
class Verified:
    """What holds of the witness; balls as object arrays."""

    theorems: tuple[str, ...]
    x: np.ndarray
    """(n,) encloses the KKT point"""
    y: np.ndarray
    """(m,)"""
    z: np.ndarray
    """(n,)"""
    value: arb
    """of the minimised objective"""
    isolated: bool
    """whether there is no other KKT point in some neighbourhood"""
    alone: np.ndarray | None
    """(n,) the box of x in which no other KKT point lies, its multipliers within the wide box; None: not claimed"""
    weak: tuple[str, ...]
    """names of active inequalities whose multiplier is exactly 0; where there are any, uniqueness is not claimed"""
    shortfall: str
    """why not more is claimed; empty if all is"""
    why_global: str


def verify(functions: Functions, witness: Witness) -> Verified:
    """The theorems that `witness` supports.

    Raises
    ------
    Undecided
        where it supports none, with the reason.
    """
    with ctx.workprec(functions.precision):
        return _verified(functions, witness)


def _verified(functions: Functions, witness: Witness) -> Verified:
    flat = functions.flat
    _well_formed(flat, witness)
    system = System(functions, witness.active)
    if not np.all(witness.wide >= witness.radius) or not np.all(witness.radius > 0):
        raise Undecided("the radii of the witness must be positive, the wide ones at least as large")
    at_middle = system.at(witness.middle)
    small, curved, Y = _tested(system, witness.middle, witness.radius, at_middle, None)
    # `curved` holds on all of [middle ± radius], `small` is what the test left of it.
    point = system.at(small)
    x, y, z = _spread(system, small, point)
    if witness.exact:
        found = exact_multipliers(system, witness.middle)
        if found is None:
            raise Undecided(
                "the point is claimed to be exact, but its derivatives or multipliers are not exactly known"
            )
        y, z = found
        # Within the tested box: there is one zero in it, and the exact point is one.
        tested = around(witness.middle, balls(witness.radius))[system.free.size :]
        if not all(box.contains(a) for box, a in zip(tested, y[system.rows], strict=True)):
            raise Undecided("the multipliers of the exact point lie outside the box")
        x, point = system.spread(witness.middle)[0], at_middle
    touching = _inside_limits(system, x, point)
    implied(system, witness.active.dropped, curved)
    weak = _signs(system, y, z)
    names = tuple(_name(flat, key) for key in (*sorted(weak), *touching))
    shortfall = (
        f"{', '.join(names)}: at the limit with multiplier 0, so no box of uniqueness is claimed" if names else ""
    )
    theorems = [KKT_POINT]
    if witness.weights is None or not positive_definite(_second_order(system, curved, witness.weights, weak)):
        shortfall = "the Hessian of the Lagrangian could not be proved positive definite on the critical cone"
    else:
        theorems.append(STRICT_MINIMUM)
    _tested(system, witness.middle, witness.wide, at_middle, Y)
    alone = None
    if not names and not witness.active.dropped:
        wide = around(witness.middle, balls(witness.wide))
        require_strict(system, wide)
        alone = system.spread(wide)[0]
    strict = STRICT_MINIMUM in theorems and not witness.active.dropped
    isolated = alone is not None or (strict and _independent(system, curved, touching))
    why_global = why_convex(functions)
    if why_global:
        theorems.append(GLOBAL_MINIMUM)
    return Verified(tuple(theorems), x, y, z, point.values[0], isolated, alone, names, shortfall, why_global)


def _well_formed(flat: FlatProblem, witness: Witness) -> None:
    """Every limit of the active set exists, is named once, and has side 0 exactly where its two ends are equal."""
    active = witness.active
    for limits, lower, upper in (
        ((*active.rows, *active.dropped), flat.row_lower, flat.row_upper),
        (active.bounds, flat.lower, flat.upper),
    ):
        indices = [limit.at for limit in limits]
        if len(set(indices)) < len(indices) or not all(0 <= index < lower.size for index in indices):
            raise Undecided("the active set of the witness names a limit twice, or one that there is not")
        for index, side in limits:
            both = lower[index] == upper[index]
            if side not in (-1, 0, 1) or (side == 0) != both or not np.isfinite((lower, upper)[side >= 0][index]):
                raise Undecided(f"the active set of the witness has side {side} for a limit of another kind")


def _tested(
    system: System, middle: np.ndarray, radius: np.ndarray, at_middle: Point, Y: np.ndarray | None
) -> tuple[np.ndarray, Curved, np.ndarray]:
    """The enclosure of the zero by Krawczyk's test on ``[middle ± radius]``, derivatives there, and the Y used."""
    exact = balls(radius)
    if Y is None:
        Y = approximate_inverse(system.matrix(system.curved(middle)))
    if Y is None:
        raise Undecided(SINGULAR)
    tested = krawczyk(system, middle, exact, Y, at_middle)
    if not tested.holds:
        raise Undecided("the Krawczyk test fails: the box is not mapped into its interior")
    return around(middle, tested.reach), tested.curved, Y


def _spread(system: System, u: np.ndarray, point: Point) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y, z on the box u."""
    x, weights = system.spread(u)
    z = balls(np.zeros(system.flat.n))
    z[system.held] = -point.gradient[system.held]
    return x, weights[1:], z


def _inside_limits(system: System, x: np.ndarray, point: Point) -> tuple[Key, ...]:
    """Check that the limits outside the active set hold on the box; those that hold with exact equality."""
    flat, active = system.flat, system.active
    known = {limit.at for limit in (*active.rows, *active.dropped)}
    values, touching = point.values[1:], []
    rest: list[Key] = [("row", i) for i in range(flat.m) if i not in known]
    for key in (*rest, *[("bound", int(i)) for i in system.free]):
        kind, i = key
        ball = values[i] if kind == "row" else x[i]
        low, high = (flat.row_lower, flat.row_upper) if kind == "row" else (flat.lower, flat.upper)
        low, high = arb(float(low[i])), arb(float(high[i]))
        if not (ball >= low and ball <= high):
            text = ball.str(6)
            raise Undecided(f"{_name(flat, key)} is not in the active set, nor certainly within its limits: {text}")
        if ball in (low, high):  # equality of balls: both exact, and the same number
            touching.append(key)
    return tuple(touching)


def _signs(system: System, y: np.ndarray, z: np.ndarray) -> frozenset[Key]:
    """Active inequalities whose multiplier is exactly 0; the other signs hold strictly."""
    weak = set()
    for key, signed in _inequalities(system, y, z):
        if signed > 0:
            continue
        if not signed.is_zero():
            name = _name(system.flat, key)
            raise Undecided(f"the multiplier of {name} is not certainly of its sign: {signed.str(6)}, >= 0 is needed")
        weak.add(key)
    return frozenset(weak)


def _inequalities(system: System, y: np.ndarray, z: np.ndarray) -> list[tuple[Key, arb]]:
    """Multipliers of the active inequalities, with the sign that makes them >= 0."""
    rows = [(("row", limit.at), y[limit.at] * limit.side) for limit in system.active.rows if limit.side]
    return rows + [(("bound", limit.at), z[limit.at] * limit.side) for limit in system.active.bounds if limit.side]


def _name(flat: FlatProblem, key: Key) -> str:
    kind, index = key
    return flat.row_names[index] if kind == "row" else f"the bound of {flat.variable_names[index]}"


def require_strict(system: System, wide: np.ndarray) -> None:
    """Strict signs and strict inactivity on the wide box: no other active set has a KKT point in it."""
    point = system.at(wide)
    x, y, z = _spread(system, wide, point)
    touching = _inside_limits(system, x, point)
    if touching:
        raise Undecided(f"{_name(system.flat, touching[0])} is at its limit without being in the active set")
    for key, signed in _inequalities(system, y, z):
        if not signed > 0:
            raise Undecided(f"the multiplier of {_name(system.flat, key)} may change its sign in the box of uniqueness")


def _independent(system: System, curved: Curved, touching: tuple[Key, ...]) -> bool:
    """LICQ with the limits that are only just active: ``J Jᵀ`` is positive definite, J on the variables off bounds.

    With the second-order condition on the larger space that `_second_order` tests, the KKT point is strongly regular
    [Rob80], so isolated.
    """
    off = [i for i in system.free if ("bound", int(i)) not in touching]
    rows = [*system.rows, *[i for kind, i in touching if kind == "row"]]
    J = curved.jacobian[np.ix_([1 + int(i) for i in rows], off)]
    return positive_definite(product(J, J.T)) if off else not rows


def _second_order(system: System, curved: Curved, weights: np.ndarray, weak: frozenset[Key]) -> np.ndarray:
    """``H + Jᵀ W J`` on the variables that no bound holds strictly, J the rows that hold strictly."""
    active = system.active
    loose = [limit.at for limit in active.bounds if ("bound", limit.at) in weak]
    variables = np.sort(np.concatenate([system.free, np.array(loose, dtype=int)]))
    matrix = curved.hessian[np.ix_(variables, variables)]
    for limit, weight in zip(active.rows, weights, strict=True):
        if ("row", limit.at) in weak:
            continue
        gradient = curved.jacobian[1 + limit.at, variables]
        matrix = matrix + arb(float(weight)) * gradient[:, None] * gradient[None, :]
    return matrix


__all__ = ["GLOBAL_MINIMUM", "INFEASIBLE", "KKT_POINT", "STRICT_MINIMUM", "Verified", "Witness", "verify"]
