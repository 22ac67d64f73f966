"""Theorems about the constraints on a box: no point of it meets them, or one does. The checker of both.

**Infeasible.** The box is bisected into leaves. On a leaf X, weights λ show that no x in X is feasible:

```
λᵀc(x) ∈ R  for all x in X,        λᵀc ∈ S = Σ_i λ_i [l_i, u_i]  where c is within its limits,        R ∩ S = ∅
```

R is λᵀc in balls over X, or its mean value form ``λᵀc(m) + ∇(λᵀc)(X)ᵀ (X − m)``; for linear rows that is Farkas' lemma.

**Feasible.** The rows H hold with equality, on the affine piece ``x = m + A w``, w in a box W:

```
K(W) = −Y G(0) + (I − Y G'(W)) W ⊂ int W,   G(w) = c_H(m + A w) − limit_H     ⟹     G has a zero in W
```

and on ``m + A W`` all other rows and all bounds are within their limits. Without H, m itself is feasible.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from flint import arb, ctx

from karush.arithmetic.ball_numbers import Undecided, around, balls, middles
from karush.arithmetic.ball_reductions import product
from karush.problem.flat import FlatProblem
from karush.proofs.functions import Functions
from karush.proofs.krawczyk import approximate_inverse, magnitude
from karush.proofs.system import Limit

INFEASIBLE, FEASIBLE_POINT = "infeasible", "feasible point"
DEEPEST = 400
"""bisections above one leaf: more than the bits of float64 that a box can lose in a few variables"""


class Split(NamedTuple):
    """A bisection: first the part below `at`, then the part above."""

    variable: int
    at: float


class Leaf(NamedTuple):
    """Weights (row, λ_i) that prove a part of the box infeasible."""

    weights: tuple[tuple[int, float], ...]
    mean_value: bool


@dataclass(frozen=True, eq=False)
class Covering:
    """Witness of infeasibility: the tree of bisections in preorder."""

    lower: np.ndarray
    """(n,) the box"""
    upper: np.ndarray
    nodes: tuple[Split | Leaf, ...]


@dataclass(frozen=True, eq=False)
class NearPoint:
    """Witness of a feasible point."""

    lower: np.ndarray
    """(n,) the box in which it is claimed"""
    upper: np.ndarray
    middle: np.ndarray
    """(n,) m, float64"""
    held: tuple[Limit, ...]
    """the rows H"""
    directions: np.ndarray
    """(n, k) A"""
    radius: float
    """of W, in each of its k variables"""


def verify_covering(functions: Functions, witness: Covering) -> None:
    """Check that no point of the box is feasible.

    Raises
    ------
    Undecided
        where the witness does not prove that.
    """
    flat = functions.flat
    _require_box(flat, witness.lower, witness.upper)
    todo = [(witness.lower, witness.upper, 0)]
    with ctx.workprec(functions.precision):
        for node in witness.nodes:
            if not todo:
                raise Undecided("the tree of bisections has more nodes than it needs")
            lower, upper, depth = todo.pop()
            if isinstance(node, Leaf):
                if not excluded(functions, lower, upper, node):
                    raise Undecided("a part of the box is not proved to be infeasible")
                continue
            if depth >= DEEPEST or not 0 <= node.variable < flat.n:
                raise Undecided("the tree of bisections is malformed")
            if not lower[node.variable] <= node.at <= upper[node.variable]:
                raise Undecided("a bisection lies outside its box")
            below, above = parts(lower, upper, node)
            todo += [(*above, depth + 1), (*below, depth + 1)]
    if todo:
        raise Undecided("the tree of bisections does not cover the box")


def parts(
    lower: np.ndarray, upper: np.ndarray, split: Split
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The two halves of a box."""
    left, right = upper.copy(), lower.copy()
    left[split.variable] = right[split.variable] = split.at
    return (lower, left), (right, upper)


def excluded(functions: Functions, lower: np.ndarray, upper: np.ndarray, leaf: Leaf) -> bool:
    """Whether the weights of `leaf` prove that the box holds no feasible point."""
    flat = functions.flat
    chosen = dict(leaf.weights)
    if not chosen or len(chosen) < len(leaf.weights) or not all(0 <= row < flat.m for row in chosen):
        return False
    if not np.all(np.isfinite(list(chosen.values()))):
        return False
    x = box_balls(lower, upper)
    try:
        reached = _mean_value(functions, x, chosen) if leaf.mean_value else _natural(functions, x, chosen)
    except Undecided:
        return False
    low, high = arb(0), arb(0)
    for row, weight in chosen.items():
        ends = flat.row_lower[row] * np.sign(weight), flat.row_upper[row] * np.sign(weight)
        size = arb(abs(float(weight)))
        low = low + size * arb(float(min(ends))) if weight else low
        high = high + size * arb(float(max(ends))) if weight else high
    return bool(reached > high) or bool(reached < low)


def _natural(functions: Functions, x: np.ndarray, weights: dict[int, float]) -> arb:
    values = functions.values(x)[0]
    return sum((arb(float(weight)) * values[1 + row] for row, weight in weights.items()), start=arb(0))


def _mean_value(functions: Functions, x: np.ndarray, weights: dict[int, float]) -> arb:
    w = balls(np.zeros(1 + functions.flat.m))
    for row, weight in weights.items():
        w[1 + row] = arb(float(weight))
    middle = middles(x)
    _, gradient = functions.first(x, w)
    values = functions.values(middle)[0]
    at_middle = sum((w[1 + row] * values[1 + row] for row in weights), start=arb(0))
    return sum((g * (a - m) for g, a, m in zip(gradient, x, middle, strict=True)), start=at_middle)


def box_balls(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Balls (n,) that hold the box."""
    out = np.empty(lower.shape, dtype=object)
    out[:] = [arb(float(a)).union(arb(float(b))) if a < b else arb(float(a)) for a, b in zip(lower, upper, strict=True)]
    return out


def _require_box(flat: FlatProblem, lower: np.ndarray, upper: np.ndarray) -> None:
    fits = lower.shape == upper.shape == (flat.n,)
    if not fits or not np.all(np.isfinite(lower) & np.isfinite(upper) & (lower <= upper)):
        raise Undecided("the box of the witness is no finite box of this problem")


def verify_point(functions: Functions, witness: NearPoint) -> np.ndarray:
    """Balls (n,) within the box that hold a feasible point.

    Raises
    ------
    Undecided
        where the witness does not prove that.
    """
    flat = functions.flat
    _require_box(flat, witness.lower, witness.upper)
    _require_held(flat, witness)
    with ctx.workprec(functions.precision):
        x = _reached(functions, witness)
        values = functions.values(x)[0][1:]
        known = {limit.at for limit in witness.held}
        for i in range(flat.m):
            if i not in known and not _within(values[i], flat.row_lower[i], flat.row_upper[i]):
                raise Undecided(f"{flat.row_names[i]} is not certainly within its limits: {values[i].str(6)}")
        low, high = np.maximum(witness.lower, flat.lower), np.minimum(witness.upper, flat.upper)
        for i in range(flat.n):
            if not _within(x[i], low[i], high[i]):
                raise Undecided(f"{flat.variable_names[i]} is not certainly within its limits: {x[i].str(6)}")
        return x


def _require_held(flat: FlatProblem, witness: NearPoint) -> None:
    rows = [limit.at for limit in witness.held]
    if len(set(rows)) < len(rows) or not all(0 <= row < flat.m for row in rows):
        raise Undecided("the witness names a row twice, or one that there is not")
    sizes = witness.middle.shape == (flat.n,) and witness.directions.shape == (flat.n, len(rows))
    if not sizes or not np.all(np.isfinite(witness.middle)) or not np.all(np.isfinite(witness.directions)):
        raise Undecided("the point of the witness does not fit the problem")
    if not all(np.isfinite(_limit(flat, limit)) for limit in witness.held) or (rows and not witness.radius > 0):
        raise Undecided("a row of the witness is held at a limit that there is not, or its radius is not positive")


def _limit(flat: FlatProblem, limit: Limit) -> float:
    return float(flat.row_upper[limit.at] if limit.side >= 0 else flat.row_lower[limit.at])


def _reached(functions: Functions, witness: NearPoint) -> np.ndarray:
    """``m + A K(W)``, or m where no row is held."""
    middle = balls(witness.middle)
    rows = [1 + limit.at for limit in witness.held]
    if not rows:
        return middle
    A = balls(witness.directions)
    radius = balls(np.full(len(rows), witness.radius))
    none = balls(np.zeros(1 + functions.flat.m))
    spread = middle + product(A, around(0 * radius, radius)[:, None])[:, 0]
    at_middle, jacobian, _ = functions.second(middle, none)
    Y = approximate_inverse(product(jacobian[rows], A))
    if Y is None:
        raise Undecided("the gradients of the held rows are dependent")
    limits = balls([_limit(functions.flat, limit) for limit in witness.held])
    _, over_box, _ = functions.second(spread, none)
    defect = -product(Y, product(over_box[rows], A))
    diagonal = np.arange(len(rows))
    defect[diagonal, diagonal] = 1 + defect[diagonal, diagonal]
    newton = product(Y, (at_middle[rows] - limits)[:, None])[:, 0]
    reach = magnitude(magnitude(newton) + product(magnitude(defect), radius[:, None])[:, 0])
    if not all(bool(a < b) for a, b in zip(reach, radius, strict=True)):
        raise Undecided("the Krawczyk test fails for the held rows")
    return middle + product(A, around(0 * radius, reach)[:, None])[:, 0]


def _within(ball: arb, lower: float, upper: float) -> bool:
    """Whether every member is; infinite limits are none."""
    return bool(ball >= arb(float(lower)) and ball <= arb(float(upper)))


__all__ = [
    "FEASIBLE_POINT",
    "INFEASIBLE",
    "Covering",
    "Leaf",
    "NearPoint",
    "Split",
    "excluded",
    "parts",
    "verify_covering",
    "verify_point",
]
