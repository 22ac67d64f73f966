"""Regularization: ``f(x) + α/2 ‖x‖₂²`` and ``f(x) + α ‖x‖₁``, the second as a smooth problem in more variables.

The 1-norm has a kink where solutions lie. With x = u − v it is linear ([GBC16] §7.1.2, [NW06] §17.2):

```
min f(x) + Σ α_i |x_i|,  l <= x <= u      ⇔      min f(u − v) + Σ α_i (u_i + v_i),   0 <= u <= max(u, 0),
                                                                                     0 <= v <= max(−l, 0)
```

For α > 0 one of u_i, v_i is zero at every minimum (lowering both lowers the objective), so the KKT points of the two
are the same: at x_i = 0 the multipliers of u_i >= 0 and v_i >= 0 say −α <= ∂f/∂x_i <= α, which is 0 ∈ ∂(f + α|x|).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.errors import ProblemError
from karush.core.precision import as_float64
from karush.core.pytrees import Door
from karush.core.selection import Selector, flat_indices, select

Weight = Any
"""number, array that broadcasts to the part, or function of params that returns one"""


@dataclass(frozen=True, eq=False)
class Regularization:
    """One term; made by `l1` or `l2`."""

    norm: int
    """1 or 2"""
    weight: Weight
    of: Selector = None

    def weights(self, params: Any) -> Any:
        """The weight at the values of params, maybe in a trace."""
        return self.weight(params) if callable(self.weight) else self.weight


def l2(weight: Weight, *, of: Selector = None) -> Regularization:
    """The term ``weight/2 · Σ x_i²`` (weight decay, ridge).

    Parameters
    ----------
    weight
        At least 0: a number, an array that broadcasts to the part of x, or a function of the problem's params.
    of
        Part of x: None for all, a function that picks it (``lambda x: x["weights"]``), or the name of a leaf.
    """
    return _term(2, weight, of)


def l1(weight: Weight, *, of: Selector = None) -> Regularization:
    """The term ``weight · Σ |x_i|`` (lasso), without a kink: see `docs/regularization.md`.

    Parameters
    ----------
    weight
        At least 0: a number, an array that broadcasts to the part of x, or a function of the problem's params, whose
        values must be positive.
    of
        As for `l2`.
    """
    return _term(1, weight, of)


def _term(norm: int, weight: Weight, of: Selector) -> Regularization:
    name = f"l{norm}"
    if not callable(weight):
        weight = as_float64(weight, f"{name}(weight)")
        _require_nonnegative(weight, f"{name}(weight)", allow_zero=True)
    if of is not None and not (callable(of) or isinstance(of, str)):
        raise ProblemError(f"{name}(..., of={of!r:.60}); give a function such as lambda x: x['name'], or a leaf's name")
    return Regularization(norm, weight, of)


def _require_nonnegative(weight: np.ndarray, argument: str, allow_zero: bool) -> None:
    fine = (weight >= 0) if allow_zero else (weight > 0)
    if not np.all(np.isfinite(weight) & fine):
        bad = np.ravel(weight)[~np.ravel(np.isfinite(weight) & fine)][0]
        least = "at least 0" if allow_zero else "above 0"
        raise ProblemError(f"{argument} is {bad}; weights must be finite and {least}: a negative one rewards size")


def as_terms(given: Any) -> tuple[Regularization, ...]:
    """The terms of ``Problem(regularization=...)``: one or many."""
    if given is None:
        return ()
    terms: tuple[Any, ...] = tuple(given) if isinstance(given, Sequence) else (given,)
    for index, term in enumerate(terms):
        if not isinstance(term, Regularization):
            raise ProblemError(
                f"regularization[{index}] is {type(term).__name__} {term!r:.60}; make it with "
                "karush.l1(weight, of=...) or karush.l2(weight, of=...)"
            )
    return terms


@dataclass(frozen=True, eq=False)
class SplitDoor(Door):
    """The door of a problem whose variables are (x with u in place of its split entries, v)."""

    split: np.ndarray
    """(k,) indices of the entries of x that are split"""

    @property
    def _partner(self) -> np.ndarray:
        """(n,) place of v_i among the variables, and one past the last for entries without."""
        place = np.full(self.size, self.size + self.split.size)
        place[self.split] = self.size + np.arange(self.split.size)
        return place

    def enter(self, flat: np.ndarray) -> np.ndarray:
        """u = max(x, 0), v = max(−x, 0)."""
        u = flat.copy()
        u[self.split] = np.maximum(flat[self.split], 0.0)
        return np.concatenate((u, np.maximum(-flat[self.split], 0.0)))

    def join(self, variables: Any) -> Any:
        """x = u − v."""
        library = np if isinstance(variables, np.ndarray) else jnp
        if self.split.size == self.size:
            return variables[: self.size] - variables[self.size :]
        none = library.zeros((1, *variables.shape[1:]), variables.dtype)
        return variables[: self.size] - library.concatenate((variables, none))[self._partner]

    def join_transposed(self, cotangent: np.ndarray) -> np.ndarray:
        return np.concatenate((cotangent, -cotangent[self.split]))

    def unravel(self, flat: Any) -> Any:
        return Door.unravel(self, self.join(flat))

    def ravel(self, tree: Any, argument: str) -> np.ndarray:
        return self.enter(Door.ravel(self, tree, argument))

    def broadcast(self, prefix: Any, argument: str, missing: float) -> np.ndarray:
        values = Door.broadcast(self, prefix, argument, missing)
        return np.concatenate((values, values[self.split]))

    def bound_multipliers(self, values: np.ndarray, z: np.ndarray) -> np.ndarray:
        """An upper limit of u is x's upper bound, one of v its lower; the zero lower limits are no bounds of x."""
        out = values[: self.size].copy()
        shape = (-1, *(1,) * (values.ndim - 1))
        up, down = (z[self.split] > 0).reshape(shape), (z[self.size :] > 0).reshape(shape)
        out[self.split] = np.where(up, out[self.split], 0.0) - np.where(down, values[self.size :], 0.0)
        return out

    def bound_multipliers_transposed(self, cotangent: np.ndarray, z: np.ndarray) -> np.ndarray:
        u = cotangent.copy()
        u[self.split] = np.where(z[self.split] > 0, u[self.split], 0.0)
        return np.concatenate((u, np.where(z[self.size :] > 0, -cotangent[self.split], 0.0)))


@dataclass(frozen=True, eq=False)
class Laid:
    """Regularization terms laid out on the flat x: what they add, and which entries are split."""

    terms: tuple[tuple[Regularization, np.ndarray, Any, np.ndarray], ...]
    """term, flat indices, shapes, sign of |x_i| = sign · x_i (0 where it is split)"""
    door: Door
    takes_params: bool

    def penalty(self, variables: Any, params: Any) -> Any:
        """The sum of the terms, in a trace."""
        x = self.door.join(variables)
        total = 0.0
        for term, index, shapes, sign in self.terms:
            weight = _flat_weight(term.weights(params), shapes, jnp)
            if term.norm == 2:
                total = total + 0.5 * jnp.sum(weight * x[index] ** 2)
                continue
            if np.any(sign != 0):
                total = total + jnp.sum(weight * sign * x[index])
            if isinstance(self.door, SplitDoor) and np.any(sign == 0):
                part = np.flatnonzero(sign == 0)
                v = self.door._partner[index[part]]
                total = total + jnp.sum(weight[part] * (variables[index[part]] + variables[v]))
        return total

    def require_weights(self, params: Any) -> None:
        """Refuse weights that are no weights at these values of params."""
        for term, _, shapes, _ in self.terms:
            if callable(term.weight):
                label = f"weight of l{term.norm} at params"
                if params is None:
                    raise ProblemError(
                        f"the weight of l{term.norm} is a function of params, and there are none; "
                        "give Problem(..., params=...), or a number"
                    )
                values = np.asarray(_flat_weight(term.weights(params), shapes, np), dtype=np.float64)
                _require_nonnegative(values, label, allow_zero=term.norm == 2)


def lay_out(terms: Sequence[Regularization], door: Door, lower: np.ndarray, upper: np.ndarray) -> Laid:
    """Read `terms` against the structure of x; bounds tell which entries can change sign and have to be split."""
    laid = []
    split = np.zeros(door.size, dtype=bool)
    for number, term in enumerate(terms):
        picked = select(door, term.of, f"of, in regularization[{number}]")
        index = flat_indices(picked, f"of, in regularization[{number}]")
        shapes = [np.shape(leaf) for leaf in jax.tree.leaves(picked)]
        sign = np.where(lower[index] >= 0, 1.0, np.where(upper[index] <= 0, -1.0, 0.0))
        if not callable(term.weight):
            weight = _flat_weight(term.weight, shapes, np)
            sign = np.where(weight == 0, 1.0, sign)
        if term.norm == 1:
            split[index[sign == 0]] = True
        laid.append((term, index, shapes, sign))
    if split.any():
        door = SplitDoor(door.treedef, door.shapes, door.leaf_names, np.flatnonzero(split))
    return Laid(tuple(laid), door, any(callable(term.weight) for term in terms))


def split_bounds(door: Door, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of (x with u, v): see the formula above."""
    if not isinstance(door, SplitDoor):
        return lower, upper
    low, up = lower.copy(), upper.copy()
    low[door.split] = 0.0
    return np.concatenate((low, np.zeros(door.split.size))), np.concatenate((up, -lower[door.split]))


def split_names(door: Door) -> tuple[str, ...]:
    """Names of the solver's variables: ``w[3] (positive part)``, ``w[3] (negative part)``."""
    names = list(Door.names(door))
    if not isinstance(door, SplitDoor):
        return tuple(names)
    negative = [f"{names[i]} (negative part)" for i in door.split]
    for i in door.split:
        names[i] += " (positive part)"
    return (*names, *negative)


def _flat_weight(weight: Any, shapes: Sequence[tuple[int, ...]], library: Any) -> Any:
    """Weights (q,) of the part whose leaves have `shapes`."""
    parts = []
    for shape in shapes:
        if not _fits(np.shape(weight), shape):
            raise ProblemError(
                f"weight has shape {np.shape(weight)}, which does not broadcast to the part's shape {shape}; give a "
                "number, or one term for each array"
            )
        parts.append(library.ravel(library.broadcast_to(library.asarray(weight), shape)))
    return library.concatenate(parts)


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    return len(shape) <= len(target) and all(a in (1, b) for a, b in zip(shape[::-1], target[::-1], strict=False))
