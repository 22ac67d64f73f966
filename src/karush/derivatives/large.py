"""Values, gradients and Hessian products of an objective of many variables, without a matrix of order n.

```
f(x),   ∇f(x) (n,),   ∇²f(x) v (n,)   and, where a sparsity pattern pays, the entries of ∇²f(x)
```
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from karush.core.precision import float64
from karush.derivatives import band
from karush.derivatives.evaluator import Evaluation, Evaluator
from karush.derivatives.products import has_loops, products
from karush.derivatives.sparsity import Pattern, detect

DENSE_UP_TO = 1500
"""Variables up to which a dense Hessian is formed where it is not sparse; its eigenvalues then take seconds."""
SPARSE_FROM = 100
"""Variables from which a Hessian whose pattern is sparse is kept as its entries."""
PATTERN_UP_TO = 200_000
"""Variables up to which a pattern is looked for: beyond, that alone takes longer than a solve by products."""
LANCZOS_STEPS = 5
"""steps of one compiled call"""
POWERS = 20
"""products at most that bound the change of a Hessian"""
CG_RESIDUAL, CG_STEPS = 1e-3, 1000
"""relative residual and steps at which `Curved.solve` ends"""
PROBES = 4
"""random directions that show the size of a Hessian known by products alone"""


class Curved:
    """``∇²f`` at one point, dimensionless: ``S ∇²f S / s_f``; ``@`` multiplies, nothing of order n² is kept."""

    def __init__(self, evaluator: "LargeEvaluator", x: np.ndarray, scale: np.ndarray | None = None, unit: float = 1.0):
        self.evaluator, self.x, self.unit = evaluator, x, unit
        self.scale = np.ones(x.size) if scale is None else scale

    def in_units(self, scale: np.ndarray, unit: float) -> "Curved":
        """The same for typical sizes `scale` (n,) of x and `unit` of f."""
        return Curved(self.evaluator, self.x, scale, unit)

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        return self.evaluator.product(self.x, v * self.scale) * self.scale / self.unit

    def _run(self, function: Callable[..., Any], free: np.ndarray, *arguments: Any) -> Any:
        # What changes nothing is left out of the products: a pass over n numbers costs as much as a simple gradient.
        scale = None if np.all(self.scale == 1.0) else self.scale
        return self.evaluator.run(function, self.there, scale, self.unit, None if free.all() else free, *arguments)

    @cached_property
    def there(self) -> Any:
        """x (n,) on the device."""
        return self.evaluator.run(lambda *_: jnp.asarray(self.x))

    def lanczos(self, free: np.ndarray, carry: tuple[Any, Any, Any]) -> tuple[tuple[Any, Any, Any], np.ndarray]:
        """LANCZOS_STEPS steps on the variables `free` (n,) bool from ``(q before, q, β)``; α and β of each (k, 2)."""
        carry, found = self._run(self.evaluator.lanczos, free, carry)
        return carry, np.asarray(found)

    def solve(self, free: np.ndarray, right: np.ndarray) -> np.ndarray:
        """H⁻¹ `right` on the variables `free`, by conjugate gradients to a rough residual; H positive definite."""
        return np.asarray(self._run(self.evaluator.solve, free, right))

    def powers(self, moved: "Curved", free: np.ndarray, start: np.ndarray, limits: np.ndarray) -> np.ndarray:
        """``‖A v_k‖``, v_k = A v_{k−1} / ‖A v_{k−1}‖, A the change of the Hessian from here to `moved`.

        Ends with the first k whose product of norms so far is at most ``limits[k]``, (POWERS,); −1 beyond.
        """
        return np.asarray(self._run(self.evaluator.powers, free, moved.there, start, limits))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The full matrix, for what needs one; of moderate order only."""
        if self.x.size > DENSE_UP_TO:
            raise MemoryError(f"a Hessian of order {self.x.size} is not formed; its products are, by @")
        if self.entries is not None:
            return np.asarray(self.entries.toarray(), dtype=dtype)
        return np.array([self @ e for e in np.eye(self.x.size)], dtype=dtype)

    @cached_property
    def entries(self) -> scipy.sparse.csc_array | None:
        """The matrix, where its pattern pays."""
        if self.evaluator.pattern is None:
            return None
        matrix = self.evaluator.entries(self.x)
        units = scipy.sparse.diags_array(self.scale)
        return scipy.sparse.csc_array(units @ matrix @ units / self.unit)

    @cached_property
    def band(self) -> np.ndarray | None:
        """(b+1, n) ``band[d, j] = H[j + d, j]``, where H is zero beyond few diagonals."""
        if self.evaluator.bandwidth(self.there) is None:
            return None
        return np.asarray(self._run(self.evaluator.diagonals, np.ones(1, dtype=bool)))

    @cached_property
    def norm(self) -> float:
        """An upper bound of ‖H‖₂, or, of a matrix known by products alone, its size as random directions show it."""
        if self.band is not None:
            return band.norm(self.band)
        if self.entries is not None:
            return float(abs(self.entries).sum(axis=0).max(initial=0.0))
        generator = np.random.default_rng(0)
        norms = []
        for _ in range(PROBES):
            v = self @ generator.choice((-1.0, 1.0), self.x.size)
            length = float(np.linalg.norm(v))
            norms.append(float(np.linalg.norm(self @ (v / length))) if length > 0 else 0.0)
        return float(np.max(norms))

    def largest(self) -> float:
        """The largest entry in size; where only products are known, what random signs show of it."""
        if self.band is not None:
            return float(np.max(np.abs(self.band)))
        if self.entries is not None:
            return float(np.max(np.abs(self.entries.data), initial=0.0))
        generator = np.random.default_rng(0)
        signs = (generator.choice((-1.0, 1.0), self.x.size) for _ in range(PROBES))
        return float(np.max([np.max(np.abs(self @ v)) for v in signs]))


class LargeEvaluator(Evaluator):
    """An `Evaluator` of a problem without rows whose Hessian comes as a `Curved`.

    Parameters
    ----------
    known
        The pattern, where it was looked for already.
    """

    def __init__(self, closed_jaxpr: Any, param_leaves: list[Any], known: Pattern | None = None):
        self.closed_jaxpr = closed_jaxpr
        self.param_leaves = param_leaves
        self.n = closed_jaxpr.in_avals[0].shape[0]
        self.m = 0
        self.calls = 0
        self.fused_options = None
        self._value_calls = 0
        self._last = None
        self._known = known
        self._dense = jax.jit(self.derivatives)
        self._sparse = jax.jit(self.compressed)
        self._values = jax.jit(self.program)
        self._first = jax.jit(self._value_and_gradient)
        self._product = jax.jit(self._along)
        self._entries = jax.jit(self._hessian_entries)
        self.lanczos = jax.jit(self._lanczos)
        self.solve = jax.jit(self._solve)
        self.powers = jax.jit(self._powers)
        self.diagonals = jax.jit(self._diagonals)
        self._banded: tuple[int | None] | None = None
        self._loops = has_loops(closed_jaxpr)

    @cached_property
    def pattern(self) -> Pattern | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The colored pattern of the Hessian, looked for when it is first asked for; None where it does not pay."""
        if self._known is not None or self.n > PATTERN_UP_TO:
            return self._known
        return detect(self.program, self.n, 0, self.param_leaves)

    def bandwidth(self, x: Any) -> int | None:
        """b with H_ij = 0 for |i − j| > b, if that is small, looked for when first asked for; x (n,) is any point."""
        if self._banded is None:
            found = None
            if self._known is not None:
                width = band.width_of(self._known.hessian.rows, self._known.hessian.cols)
                found = width if width <= band.WIDEST else None
            elif band.looks_banded(lambda v: self._run(self._product, x, v), self.n):
                found = band.bandwidth(self._along, self.n, self.param_leaves)
            self._banded = (found,)
        return self._banded[0]

    def _value_and_gradient(self, x: Any, *params: Any) -> Any:
        value, gradient = jax.value_and_grad(lambda x: self.program(x, *params)[0])(x)
        return jnp.concatenate([value[None], gradient])

    def _along(self, x: Any, v: Any, *params: Any) -> Any:
        return jax.jvp(jax.grad(lambda x: self.program(x, *params)[0]), (x,), (v,))[1]

    def _hessian_entries(self, x: Any, *params: Any) -> Any:
        assert self.pattern is not None
        return self.pattern.hessian_data(lambda x: self.program(x, *params)[0], x)

    def _on_free(self, x: Any, scale: Any, unit: Any, free: Any, params: tuple[Any, ...]) -> Callable[[Any], Any]:
        """The product with the dimensionless Hessian, restricted."""
        along = products(jax.grad(lambda x: self.program(x, *params)[0]), x, self._loops)

        def product(v: Any) -> Any:
            w = along(v) / unit if scale is None else along(v * scale) * (scale / unit)
            return w if free is None else jnp.where(free, w, 0.0)

        return product

    def _diagonals(self, x: Any, scale: Any, unit: Any, free: Any, *params: Any) -> Any:
        width = self.bandwidth(x)
        assert width is not None
        return band.lower_diagonals(self._on_free(x, scale, unit, free, params), self.n, width)

    def _powers(
        self, x: Any, scale: Any, unit: Any, free: Any, there: Any, start: Any, limits: Any, *params: Any
    ) -> Any:
        here, after = (self._on_free(point, scale, unit, free, params) for point in (x, there))

        def going(state: Any) -> Any:
            *_, reached, count = state
            return (count < POWERS) & ~(reached <= limits[jnp.maximum(count - 1, 0)]) | (count == 0)

        def step(state: Any) -> Any:
            v, norms, reached, count = state
            w = after(v) - here(v)
            norm = jnp.sqrt(jnp.vdot(w, w))
            return w / jnp.where(norm > 0, norm, 1.0), norms.at[count].set(norm), reached * norm, count + 1

        nothing = jnp.full(POWERS, -1.0)
        return jax.lax.while_loop(going, step, (start, nothing, jnp.ones(()), 0))[1]

    def _lanczos(self, x: Any, scale: Any, unit: Any, free: Any, carry: Any, *params: Any) -> Any:
        product = self._on_free(x, scale, unit, free, params)

        def step(carry: Any, _: None) -> Any:
            before, q, beta = carry
            w = product(q)
            alpha = jnp.vdot(q, w)
            w = w - alpha * q - beta * before
            beta = jnp.sqrt(jnp.vdot(w, w))
            return (q, w / jnp.where(beta > 0, beta, 1.0), beta), jnp.stack([alpha, beta])

        return jax.lax.scan(step, carry, length=LANCZOS_STEPS)

    def _solve(self, x: Any, scale: Any, unit: Any, free: Any, right: Any, *params: Any) -> Any:
        product = self._on_free(x, scale, unit, free, params)

        def going(state: Any) -> Any:
            _, _, _, square, count = state
            return (square > CG_RESIDUAL**2 * jnp.vdot(right, right)) & (count < CG_STEPS)

        def step(state: Any) -> Any:
            p, r, d, square, count = state
            Hd = product(d)
            alpha = square / jnp.vdot(d, Hd)
            r = r - alpha * Hd
            new = jnp.vdot(r, r)
            return p + alpha * d, r, r + (new / square) * d, new, count + 1

        start = (jnp.zeros_like(right), right, right, jnp.vdot(right, right), 0)
        return jax.lax.while_loop(going, step, start)[0]

    def __call__(self, x: np.ndarray, y: np.ndarray, weight: float = 1.0) -> Evaluation:
        """f and ∇f at x (n,), and ∇²f as a `Curved`; `y` is empty."""
        key = x.tobytes()
        if self._last is None or self._last[0] != key:
            self.calls += 1
            packed = self._run(self._first, x)
            empty = np.zeros((0, self.n))
            self._last = key, Evaluation(float(packed[0]), packed[1:], np.zeros(0), empty, Curved(self, np.array(x)))
        return self._last[1]

    def values(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """f(x), and no rows."""
        return self(x, np.zeros(0)).value, np.zeros(0)

    def product(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """``∇²f(x) v`` (n,)."""
        return self._run(self._product, x, v)

    def entries(self, x: np.ndarray) -> scipy.sparse.csc_array:
        """``∇²f(x)`` as a sparse matrix (n, n)."""
        assert self.pattern is not None
        where = self.pattern.hessian
        data = self._run(self._entries, x)
        return scipy.sparse.csc_array((data, (where.rows, where.cols)), shape=(self.n, self.n))

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A compiled function of this evaluator with its parameters."""
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return function(*arguments, *self.param_leaves)

    def _run(self, function: Callable[..., Any], *arguments: Any) -> np.ndarray:
        return np.asarray(self.run(function, *arguments))


def evaluator_of(closed_jaxpr: Any, param_leaves: list[Any], m: int) -> Evaluator:
    """The evaluator that a problem's size asks for."""
    n = closed_jaxpr.in_avals[0].shape[0]
    if m or n < SPARSE_FROM:
        return Evaluator(closed_jaxpr, param_leaves, m)
    if n > DENSE_UP_TO:
        return LargeEvaluator(closed_jaxpr, param_leaves)
    dense = Evaluator(closed_jaxpr, param_leaves, m)
    return dense if dense.pattern is None else LargeEvaluator(closed_jaxpr, param_leaves, dense.pattern)
