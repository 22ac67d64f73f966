"""`Sensitivity`: the derivative of a solution as a linear map, and as the pytrees that JAX's Jacobians would be."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from karush.core.errors import ProblemError
from karush.core.precision import as_float64
from karush.core.table import Cell, Section, measured, to_text
from karush.sensitivity.conditions import STRICT, Conditions
from karush.sensitivity.point import Exact
from karush.sensitivity.programs import Programs
from karush.sensitivity.system import System
from karush.solvers.result import BOUNDS


class Change(NamedTuple):
    """First-order change of a solution."""

    x: Any
    """structure of x"""
    multipliers: dict[str, Any]
    """as `Result.multipliers`"""
    value: float


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity:
    """``d(x, λ, value) / dp`` at a solution, and ``dx / d limit``.

    Nothing but the factored KKT matrix is stored: `product` and `transposed` cost one solve and one product with the
    program's derivative in p, whatever the number of params.
    """

    exact: Exact
    """the solution, polished"""
    system: System
    conditions: Conditions
    """what was measured: independence, strictness, curvature, conditioning"""
    programs: Programs
    picked: Any
    """pytree of the params that were asked for, with their places in p"""
    indices: np.ndarray
    """(q,) the same, flat"""

    def product(self, dp: Any) -> Change:
        """Change of the solution, to first order, when params change by `dp` (structure of the params asked for)."""
        dx, dual, dvalue = self._forward(self._ravel(dp)[None])
        return Change(self._tree(dx[0]), self._duals(dual[0]), float(dvalue[0]))

    def transposed(self, x: Any = None, multipliers: Mapping[str, Any] | None = None, value: float = 0.0) -> Any:
        """Gradient in params of any function of the solution, from its gradients in x, multipliers and value.

        Parameters
        ----------
        x
            Structure of x; None is zero.
        multipliers
            Some of the names of `Result.multipliers`; None is zero.
        value
            One number.
        """
        flat = self.exact.scaled.flat
        cx = np.zeros(flat.n) if x is None else flat.door.join_transposed(flat.door.ravel_joined(x, "x"))
        cdual = np.zeros(flat.m + flat.n)
        for name, part in (multipliers or {}).items():
            cdual += self._cotangent(name, part)
        row = self._adjoint(cx[None], cdual[None], np.array([float(value)]))[0]
        return self._spread(row[None], lambda block: block[0])

    @cached_property
    def x(self) -> Any:
        """dx/dp: structure of x, each leaf in the structure of the params, of shape ``x leaf + params leaf``."""
        return self._over_params(self._dense[0])

    @cached_property
    def multipliers(self) -> dict[str, Any]:
        """dλ/dp by name, of shape ``rows + params leaf``; under ``"bounds"`` in the structure of x."""
        flat, dual = self.exact.scaled.flat, self._dense[1]
        out: dict[str, Any] = {}
        for k, name in enumerate(flat.constraint_names):
            rows = dual[: flat.m][flat.row_owner == k]
            shape = flat.row_shapes[k]
            out[name] = self._spread(rows, lambda block, shape=shape: block.reshape((*shape, *block.shape[1:])))
        out[BOUNDS] = self._over_params(self._bounds(dual[flat.m :]), joined=True)
        return out

    @cached_property
    def value(self) -> Any:
        """d value / dp of the user's own objective, in the structure of the params."""
        return self.transposed(value=1.0)

    @cached_property
    def limits(self) -> dict[str, Any]:
        """dx / d limit of each constraint by name: structure of x, each leaf of shape ``x leaf + rows``.

        Zero for inactive rows. The derivative of the value in the same limits is `Result.prices`.
        """
        flat = self.exact.scaled.flat
        dx = self._by_limits
        out = {}
        for k, name in enumerate(flat.constraint_names):
            block = flat.door.join(dx[:, : flat.m][:, flat.row_owner == k])
            out[name] = self._leaves_of_x(
                block, lambda leaf, k=k: leaf.reshape((*leaf.shape[:-1], *flat.row_shapes[k]))
            )
        return out

    @property
    def active(self) -> tuple[str, ...]:
        """Names of the constraint rows and variables held at a limit."""
        return tuple(self.exact.names[k] for k in self.exact.working.nonzero()[0])

    def __repr__(self) -> str:
        return f"Sensitivity({self.indices.size} params, {self.exact.x.size} variables, {len(self.active)} active)"

    def __str__(self) -> str:
        c = self.conditions
        rows = (
            ("independence", c.independence, "smallest singular value of the active gradients"),
            ("strictness", c.strictness, f"least multiplier or distance, > {measured(STRICT)}"),
            ("curvature", c.curvature, "least eigenvalue on the tangent space, > 0"),
            ("conditioning", c.conditioning, "smallest over largest singular value of the KKT matrix"),
        )
        cells = tuple((Cell(name), Cell(measured(value), right=True), Cell(what, "dim")) for name, value, what in rows)
        return to_text([Section(repr(self), cells)])

    # Flat linear algebra: tangents and cotangents are rows, in the units of the problem, of the minimised objective.

    def _forward(self, dp: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """dx (b, n), dλ (b, k) and d value (b,) of the user's objective, for changes dp (b, q)."""
        scaled, exact, flat = self.exact.scaled, self.exact, self.exact.scaled.flat
        y = exact.multipliers[: flat.m] * scaled.row_price
        directions = np.zeros((dp.shape[0], self.programs.flat(flat.param_leaves).size))
        directions[:, self.indices] = dp
        slope, rows, value = self.programs.forward(exact.x, y, flat.param_leaves, directions)
        moved = np.concatenate((rows / scaled.scales.rows, np.zeros((dp.shape[0], flat.n))), axis=1)
        active = exact.working.nonzero()[0]
        du, dual = self.system.solve(-(slope / scaled.bound_price).T, -moved[:, active].T)
        return du.T * scaled.scales.x, self._in_units(dual.T), self._sign * (value + rows @ y)

    def _adjoint(self, cx: np.ndarray, cdual: np.ndarray, cvalue: np.ndarray) -> np.ndarray:
        """(b, q) for cotangents (b, n), (b, k) and (b,); the KKT matrix is symmetric."""
        scaled, exact, flat = self.exact.scaled, self.exact, self.exact.scaled.flat
        y = exact.multipliers[: flat.m] * scaled.row_price
        active = exact.working.nonzero()[0]
        prices = np.concatenate((scaled.row_price, scaled.bound_price))
        top, bottom = self.system.solve((cx * scaled.scales.x).T, (cdual * prices)[:, active].T)
        dual = np.zeros((cx.shape[0], flat.m + flat.n))
        dual[:, active] = bottom.T
        weight = self._sign * cvalue
        on_rows = weight[:, None] * y - dual[:, : flat.m] / scaled.scales.rows
        cotangents = (-top.T / scaled.bound_price, on_rows, weight)
        return self.programs.adjoint(exact.x, y, flat.param_leaves, cotangents)[:, self.indices]

    @cached_property
    def _dense(self) -> tuple[np.ndarray, np.ndarray]:
        """dx/dp (n, q) and dλ/dp (k, q), of the user's multipliers: by the shorter of columns and rows."""
        self._require_params()
        flat, q = self.exact.scaled.flat, self.indices.size
        k = flat.n + flat.m
        if q <= flat.n + k:
            dx, dual, _ = self._forward(np.eye(q))
            return dx.T, self._sign * dual.T
        rows = self._adjoint(np.eye(flat.n + k, flat.n), np.eye(flat.n + k, k, -flat.n), np.zeros(flat.n + k))
        return rows[: flat.n], self._sign * rows[flat.n :]

    @cached_property
    def _by_limits(self) -> np.ndarray:
        """(n, k) dx / d limit; zero columns for inactive ones."""
        scaled, exact, flat = self.exact.scaled, self.exact, self.exact.scaled.flat
        active = exact.working.nonzero()[0]
        du, _ = self.system.solve(np.zeros((flat.n, active.size)), np.eye(active.size))
        units = np.concatenate((scaled.scales.rows, scaled.scales.x))
        out = np.zeros((flat.n, flat.m + flat.n))
        out[:, active] = du * scaled.scales.x[:, None] / units[active]
        return out

    @property
    def _sign(self) -> float:
        return -1.0 if self.exact.scaled.flat.maximize else 1.0

    def _in_units(self, dual: np.ndarray) -> np.ndarray:
        """(b, k) from multipliers (b, w) of the working set, dimensionless."""
        scaled = self.exact.scaled
        full = np.zeros((dual.shape[0], scaled.flat.m + scaled.flat.n))
        full[:, self.exact.working.nonzero()[0]] = dual
        return full * np.concatenate((scaled.row_price, scaled.bound_price))

    # Pytrees.

    def _require_params(self) -> None:
        if self.picked is None:
            raise ProblemError(
                "params is None: the problem has no params to differentiate in; state it as Problem(f, x0, params=p) "
                "with functions f(x, p). The derivative in the limits is in .limits"
            )

    def _ravel(self, dp: Any) -> np.ndarray:
        """(q,) of a pytree in the structure of the params asked for."""
        self._require_params()
        leaves, treedef = jax.tree.flatten(dp)
        wanted, structure = jax.tree.flatten(self.picked)
        if treedef != structure:
            raise ProblemError(f"dp has structure {treedef}, but the params asked for have {structure}")
        parts = []
        for leaf, place in zip(leaves, wanted, strict=True):
            part = as_float64(leaf, "dp")
            if part.shape != np.shape(place):
                raise ProblemError(f"dp has a leaf of shape {part.shape}, where the params have {np.shape(place)}")
            parts.append(part.ravel())
        return np.concatenate([np.zeros(0), *parts])

    def _spread(self, block: np.ndarray, shaped: Any) -> Any:
        """Columns (r, q) as a pytree over the params, each leaf (r, *shape) handed to `shaped`."""
        self._require_params()
        leaves, treedef = jax.tree.flatten(self.picked)
        out, start = [], 0
        for leaf in leaves:
            stop = start + np.size(leaf)
            out.append(shaped(block[:, start:stop].reshape(block.shape[0], *np.shape(leaf))))
            start = stop
        return treedef.unflatten(out)

    def _over_params(self, block: np.ndarray, joined: bool = False) -> Any:
        """(n, q) as structure of x over structure of the params."""
        door = self.exact.scaled.flat.door
        block = block if joined else door.join(block)
        return self._leaves_of_x(block, lambda leaf: self._spread_leaf(leaf))

    def _spread_leaf(self, leaf: np.ndarray) -> Any:
        shape = leaf.shape[:-1]
        return self._spread(leaf.reshape(-1, leaf.shape[-1]), lambda part: part.reshape((*shape, *part.shape[1:])))

    def _leaves_of_x(self, block: np.ndarray, shaped: Any) -> Any:
        """(n, r) as a pytree of x, each leaf (*shape, r) handed to `shaped`."""
        door = self.exact.scaled.flat.door
        leaves, start = [], 0
        for shape in door.shapes:
            stop = start + int(np.prod(shape))
            leaves.append(shaped(block[start:stop].reshape(*shape, block.shape[1])))
            start = stop
        return door.treedef.unflatten(leaves)

    def _tree(self, dx: np.ndarray) -> Any:
        return self.exact.scaled.flat.door.unravel(dx)

    def _bounds(self, dz: np.ndarray) -> np.ndarray:
        """Multipliers of the bounds of x from those of the flat variables; see `Door.bound_multipliers`."""
        scaled = self.exact.scaled
        flat = scaled.flat
        z = self.exact.multipliers[flat.m :] * scaled.bound_price
        return flat.door.bound_multipliers(dz, z)

    def _duals(self, dual: np.ndarray) -> dict[str, Any]:
        flat = self.exact.scaled.flat
        dual = self._sign * dual
        out: dict[str, Any] = {
            name: dual[: flat.m][flat.row_owner == k].reshape(flat.row_shapes[k])
            for k, name in enumerate(flat.constraint_names)
        }
        block = self._bounds(dual[flat.m :])
        out[BOUNDS] = self._leaves_of_x(block[:, None], lambda leaf: leaf[..., 0])
        return out

    def _cotangent(self, name: str, part: Any) -> np.ndarray:
        """(k,) cotangent of the flat multipliers for one named part."""
        flat = self.exact.scaled.flat
        out = np.zeros(flat.m + flat.n)
        if name == BOUNDS:
            z = self.exact.multipliers[flat.m :]
            out[flat.m :] = flat.door.bound_multipliers_transposed(flat.door.ravel_joined(part, BOUNDS), z)
        elif name in flat.constraint_names:
            k = flat.constraint_names.index(name)
            given = np.asarray(part, dtype=np.float64)
            if given.shape != flat.row_shapes[k]:
                raise ProblemError(f"multipliers[{name!r}] has shape {given.shape}; its rows have {flat.row_shapes[k]}")
            out[: flat.m][flat.row_owner == k] = given.ravel()
        else:
            raise ProblemError(f"multipliers names {name!r}; the names are {(*flat.constraint_names, BOUNDS)}")
        return self._sign * out
