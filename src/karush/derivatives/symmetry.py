"""Whether a Hessian is symmetric, where the theory promises it and where it does not.

Second partials that are continuous at x commute: ``H_ij = H_ji`` (Schwarz). Automatic differentiation differentiates
the piece of f that x lies in, so away from the operations that switch (``jaxprs/kinks.py``) it must return a symmetric
matrix up to rounding; if it does not, a derivative rule of the user's own is inconsistent. At a switch nothing is
promised, and the matrix of one piece says nothing about f: there the second partials are measured,

    d/dx_j (df/dx_i)  ≈  (∂_i f(x + t e_j) − ∂_i f(x − t e_j)) / 2t .
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.jaxprs.function import FlatFunction, trace
from karush.jaxprs.kinks import Kink, kinks
from karush.jaxprs.margins import kink_margins

EPS = float(np.finfo(np.float64).eps)
ROUNDING = 2.0**20
"""Roundings, in units of eps times the norm of a row of H, that an entry of exact arithmetic may have gathered."""
NEAR = EPS**0.5
"""Margin of a switch, a relative change of x, below which x counts as lying on it."""
PROBES = 4
"""Random directions u in which ``H u`` and ``Hᵀ u`` are compared; they miss an asymmetric row with probability 0."""
SEED = 20133
STEP = 2.0**-13
"""t of the quotients, next to max(|x_j|, 1): their rounding errors eps/t and their own t² are both below 2e-8."""
OF_QUOTIENTS = 2.0**-10
"""Difference of two quotients, next to their size, that t may be the cause of."""
MEASURED_UP_TO = 200
"""Variables up to which second partials are measured at a switch: one pair of gradients each."""


@dataclass(frozen=True)
class SymmetryReport:
    """What was found at one point; ``print`` shows it as a sentence."""

    ok: bool
    """whether the second partials commute, to within `bound`"""
    asymmetry: float
    """``|H_ij − H_ji|`` where it is largest next to its bound"""
    bound: float
    """what rounding, or the step of the quotients, can account for there"""
    where: tuple[str, str]
    """names of x_i and x_j"""
    values: tuple[float, float]
    """``H_ij`` = d/dx_j (df/dx_i) and ``H_ji``"""
    promised: bool
    """whether no operation of f switches at x, so that the second partials are continuous there"""
    switches: tuple[Kink, ...]
    """the operations that do"""
    measured: bool
    """whether the values are difference quotients of the gradient, not JAX's Hessian"""

    def __str__(self) -> str:
        i, j = self.where
        size = f"|H_ij - H_ji| = {self.asymmetry:.2g} {'<=' if self.ok else '>'} {self.bound:.2g}"
        pair = f"for {i} and {j}: d/d{j} (df/d{i}) = {self.values[0]:.6g}, d/d{i} (df/d{j}) = {self.values[1]:.6g}"
        how = "by difference quotients of the gradient" if self.measured else "of JAX's Hessian"
        lines = [f"{'symmetric' if self.ok else 'not symmetric'}: {size} {how}, {pair}"]
        if self.promised and not self.ok:
            lines.append("no operation of f switches here: a custom derivative rule is inconsistent, or digits cancel")
        lines += [f"not promised here, x lies on a switch: {kink}" for kink in self.switches]
        if self.switches and not self.measured:
            lines.append(f"second partials are measured there only up to {MEASURED_UP_TO} variables")
        return "\n".join(lines)


def symmetry(f: Any, x: Any) -> SymmetryReport:
    """Compare ``H_ij`` with ``H_ji`` at x, in float64.

    Raises
    ------
    TraceError
        for an f that does not return one number of shape ().
    """
    function, flat = trace(f, x, "f")
    if not function.is_scalar:
        raise TraceError(f"f returned shape {', '.join(map(str, function.out.shapes))}; a Hessian needs one number")
    found = kinks(function.closed_jaxpr)
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        margins = np.asarray(jax.jit(kink_margins(function.closed_jaxpr))(flat))
        near = tuple(kink for kink, margin in zip(found, margins, strict=True) if not margin > NEAR)
        if near and flat.size <= MEASURED_UP_TO:
            i, j, values, bound = _of_quotients(function, flat)
        else:
            i, j, values, bound = _of_products(function, flat)
    names = function.door.names()
    asymmetry = abs(values[0] - values[1])
    return SymmetryReport(
        ok=bool(asymmetry <= bound),
        asymmetry=asymmetry,
        bound=bound,
        where=(names[i], names[j]),
        values=values,
        promised=not near,
        switches=near,
        measured=bool(near) and flat.size <= MEASURED_UP_TO,
    )


def _of_products(function: FlatFunction, x: np.ndarray) -> tuple[int, int, tuple[float, float], float]:
    """The worst pair by ``H u − Hᵀ u``: its row from random u, its column from u = e_i."""

    @jax.jit
    def both(directions: Any) -> tuple[Any, Any]:
        slope = jax.grad(function.scalar)
        _, back = jax.vjp(slope, x)
        return jax.vmap(lambda u: jax.jvp(slope, (x,), (u,))[1])(directions), jax.vmap(lambda u: back(u)[0])(directions)

    random = np.random.default_rng(SEED).standard_normal((PROBES, x.size))
    forward, reverse = map(np.asarray, both(random))
    sizes = np.maximum(np.abs(forward), np.abs(reverse)).max(axis=0)
    gap = _gap(forward, reverse).max(axis=0)
    i = _worst(gap, sizes)
    unit = np.zeros((PROBES, x.size))
    unit[:, i] = 1.0
    column, row = (np.asarray(part)[0] for part in both(unit))
    j = _worst(_gap(column, row), np.maximum(np.abs(column), np.abs(row)).max(initial=0.0) + np.zeros(x.size))
    return i, j, (float(row[j]), float(column[j])), ROUNDING * EPS * float(max(sizes[i], sizes[j]))


def _gap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # a NaN is reported, as what it is
        return np.abs(one - other)


def _worst(gap: np.ndarray, sizes: np.ndarray) -> int:
    """Place of the largest gap next to its size; of a NaN, if there is one."""
    with np.errstate(invalid="ignore"):
        ratio = np.where(gap == 0, 0.0, gap / np.where(sizes > 0, sizes, 1.0))
    return int(np.argmax(np.where(np.isnan(ratio), np.inf, ratio)))


def _of_quotients(function: FlatFunction, x: np.ndarray) -> tuple[int, int, tuple[float, float], float]:
    """The worst pair by difference quotients of the gradient."""
    steps = STEP * np.maximum(np.abs(x), 1.0)
    slopes = jax.jit(jax.vmap(jax.grad(function.scalar)))
    moved = np.diag(steps)
    # Row j holds d/dx_j of the gradient.
    by_variable = np.asarray((slopes(jnp.asarray(x + moved)) - slopes(jnp.asarray(x - moved))) / (2 * steps[:, None]))
    gap = _gap(by_variable, by_variable.T)
    sizes = np.maximum(np.abs(by_variable), np.abs(by_variable.T))
    i, j = np.unravel_index(_worst(gap.ravel(), sizes.ravel()), gap.shape)
    slope = np.abs(np.asarray(slopes(jnp.asarray(x[None])))[0]).max()
    bound = OF_QUOTIENTS * float(sizes[i, j]) + ROUNDING * EPS * float(slope) / float(steps.min())
    return int(i), int(j), (float(by_variable[j, i]), float(by_variable[i, j])), bound


__all__ = ["SymmetryReport", "symmetry"]
