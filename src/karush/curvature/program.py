"""Value, gradient, Hessian and Hessian products of one traced function, compiled.

```
H Q     columns  H q_j     by forward-over-reverse differentiation, a few columns at a time
v ↦ H v                    from one linearisation of ∇f at x: the passes over x are not repeated
v ↦ ∇(∇f(x)ᵀ v)            the same product by reverse-over-reverse, an independent program
```
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.core.precision import float64
from karush.jaxprs.function import FlatFunction
from karush.jaxprs.kinks import Kink, kinks
from karush.jaxprs.margins import kink_margins

AT_ONCE = 64
"""Columns of H computed together: enough to fill vector units, few enough for the memory of a large function."""

Product = Callable[[np.ndarray], np.ndarray]
"""``v (n,) -> H v (n,)``"""


@contextmanager
def computing() -> Iterator[None]:
    """Float64 and JAX's default promotion, in which users write, whatever the surroundings are set to."""
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@dataclass(frozen=True, eq=False)
class Derivatives:
    """What is evaluated of ``f: R^n -> R``; every method takes and returns NumPy arrays."""

    flat: FlatFunction
    _value_and_gradient: Callable[..., Any]
    _columns: Callable[..., Any]
    _linearize: Callable[..., Any]
    _apply: Callable[..., Any]
    _twice_reverse: Callable[..., Any]

    @classmethod
    def of(cls, flat: FlatFunction) -> "Derivatives":
        """Derivatives of a `flat` function that is scalar; compiled at the first use of each."""
        gradient = jax.grad(flat.scalar)

        def columns(x: Any, directions: Any) -> Any:
            product = jax.linearize(gradient, x)[1]
            return lax.map(product, directions, batch_size=AT_ONCE)

        return cls(
            flat,
            jax.jit(jax.value_and_grad(flat.scalar)),
            jax.jit(columns),
            jax.jit(lambda x: jax.linearize(gradient, x)[1]),
            jax.jit(lambda product, v: product(v)),
            jax.jit(lambda x, v: jax.grad(lambda y: jnp.vdot(gradient(y), v))(x)),
        )

    @property
    def n(self) -> int:
        return self.flat.n

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """f(x) and ∇f(x) (n,)."""
        with computing():
            value, gradient = self._value_and_gradient(x)
        return float(value), np.asarray(gradient)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """∇f(x) (n,)."""
        return self.value_and_gradient(x)[1]

    def columns(self, x: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """H d for every row d of `directions` (k, n), as the columns of an (n, k) array."""
        with computing():
            return np.asarray(self._columns(x, directions)).T

    def product(self, x: np.ndarray) -> Product:
        """``v -> H(x) v`` from one linearisation."""
        with computing():
            linear = self._linearize(x)

        def product(v: np.ndarray) -> np.ndarray:
            with computing():
                return np.asarray(self._apply(linear, v))

        return product

    def independent_product(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """H(x) v (n,) by reverse-over-reverse differentiation."""
        with computing():
            return np.asarray(self._twice_reverse(x, v))

    def nearest_kink(self, x: np.ndarray) -> tuple[float, Kink] | None:
        """Margin (relative change of x to first order) of the nearest kink and what it is; None without any.

        A margin that cannot be computed counts as 0.
        """
        found = kinks(self.flat.closed_jaxpr)
        if not found:
            return None
        with computing():
            margins = np.nan_to_num(np.asarray(jax.jit(kink_margins(self.flat.closed_jaxpr))(x)), posinf=np.inf)
        nearest = int(np.argmin(margins))
        return float(margins[nearest]), found[nearest]


__all__ = ["Derivatives", "Product", "computing"]
