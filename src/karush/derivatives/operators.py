"""Derivatives as objects: compiled at the first call for each structure of x, with products and patterns."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import tree_util
from jax.experimental.sparse import BCOO
from jax.extend.core import jaxprs_in_params

from karush.core.errors import ProblemError
from karush.core.precision import float64
from karush.core.pytrees import ravel_traced
from karush.derivatives.compressed import entries
from karush.derivatives.detection import Found, find
from karush.derivatives.index_sets import CAPACITY, TooFullError
from karush.derivatives.inputs import Point, handed_back, like, opened, outputs, setting, size_of
from karush.derivatives.pattern import SparsityPattern, jacobian_pattern, symmetric_pattern
from karush.derivatives.symmetry import SymmetryReport, symmetry
from karush.jaxprs.function import call_user

Function = Callable[[Any], Any]
REVERSE_ONLY = "custom_lin"
"""what JAX leaves in a forward product in place of a custom_vjp rule; it can be transposed, but not computed"""


class Derivative:
    """A derivative of f, compiled at the first call for each structure of x and kept."""

    scalar = False
    """whether f must return one number"""

    def __init__(self, f: Any):
        if not callable(f):
            raise ProblemError(f"f must be a JAX function of x, got {type(f).__name__} {f!r:.60}")
        self.f = f
        self._compiled: dict[str, Callable[..., Any]] = {}
        self._outputs: dict[Any, Any] = {}

    def _opened(self, x: Any, *, scalar: bool) -> tuple[Point, Any]:
        """x at the door, and the shapes of f's output there."""
        point = opened(x, "x")
        key = point.key, scalar
        if key not in self._outputs:
            with setting(point):
                self._outputs[key] = outputs(self.f, point, scalar=scalar)
        return point, self._outputs[key]

    def _run(self, name: str, compute: Callable[..., Any], point: Point, *arguments: Any, static: Any = ()) -> Any:
        """``compute(x, *arguments, *static)``, compiled; inside a user's own trace a part of it."""
        if point.traced:
            return compute(point.tree, *arguments, *static)
        if name not in self._compiled:
            first = 1 + len(arguments)
            self._compiled[name] = jax.jit(compute, static_argnums=tuple(range(first, first + len(static))))
        with setting(point):
            return self._compiled[name](point.tree, *arguments, *static)

    def _called(self, x: Any) -> Any:
        return call_user(self.f, (x,), "f")

    def _flat(self, model: Any) -> Callable[[Any], Any]:
        """F: R^n -> R^k for x of the structure of `model`, in a trace."""
        leaves, treedef = tree_util.tree_flatten(model)
        ends = np.cumsum([leaf.size for leaf in leaves])[:-1]

        def flat(vector: Any) -> Any:
            parts = jnp.split(vector, ends) if len(leaves) > 1 else [vector]
            shaped = [part.reshape(leaf.shape).astype(leaf.dtype) for part, leaf in zip(parts, leaves, strict=True)]
            return _raveled(self._called(treedef.unflatten(shaped)))

        return flat


class Gradient(Derivative):
    """``∇f(x)``, in the structure of x; made by `karush.gradient`."""

    def __call__(self, x: Any) -> Any:
        """The gradient at x."""
        point, _ = self._opened(x, scalar=True)
        return handed_back(self._run("gradient", jax.grad(self._called), point), point)


class Matrix(Derivative):
    """What a Jacobian and a Hessian have in common."""

    def __init__(self, f: Any, *, sparse: bool = False):
        super().__init__(f)
        self.sparse = sparse
        self._patterns: dict[Any, SparsityPattern] = {}
        self._places: dict[Any, tuple[Any, Any, Any]] = {}

    def _pattern_at(self, point: Point) -> SparsityPattern:
        raise NotImplementedError

    def _columns(self, flat: Function, x: Any, kind: str) -> Callable[[Any], Any]:
        """v -> M v, or w -> Mᵀ w where rows are colored, at flat x, in a trace."""
        raise NotImplementedError

    def pattern(self, x: Any) -> SparsityPattern:
        """Entries that can be nonzero for an x of these shapes (its values do not matter), and their coloring.

        ``print`` shows it as text, ``pattern.plot()`` as a picture.
        """
        return self._prepared(self._opened(x, scalar=self.scalar)[0])

    def _prepared(self, point: Point) -> SparsityPattern:
        if point.key not in self._patterns:
            try:
                with setting(point):
                    self._patterns[point.key] = self._pattern_at(point)
            except TooFullError as error:
                name = type(self).__name__.lower()
                raise ProblemError(
                    f"the {name} of f has more than {CAPACITY} entries that can be nonzero, or takes as many on the "
                    f"way; it is not sparse: use karush.{name}(f).product(x, v), which needs no matrix"
                ) from error
        return self._patterns[point.key]

    def _sparse(self, point: Point) -> BCOO:
        """The matrix of raveled outputs and inputs from compressed products."""
        pattern = self._prepared(point)
        return self._run(
            f"sparse {pattern.kind}",
            self._matrix,
            point,
            *self._arrays(point, pattern),
            static=(pattern.color_count, pattern.kind, pattern.shape),
        )

    def _arrays(self, point: Point, pattern: SparsityPattern) -> tuple[Any, Any, Any]:
        """Colors, positions and indices as arrays that stay on the device; in a trace they are constants of it."""
        if not point.traced and point.key in self._places:
            return self._places[point.key]
        narrow = np.int32 if pattern.coloring.positions.max(initial=0) <= np.iinfo(np.int32).max else np.int64
        arrays = (
            pattern.colors.astype(np.int32),
            pattern.coloring.positions.astype(narrow),
            np.stack([pattern.rows, pattern.cols], axis=1),
        )
        if not point.traced:
            with setting(point):
                arrays = self._places[point.key] = tuple(map(jnp.asarray, arrays))
        return arrays

    def _matrix(
        self, x: Any, colors: Any, positions: Any, indices: Any, count: int, kind: str, shape: tuple[int, int]
    ) -> BCOO:
        vector = _raveled(x)
        if positions.size:
            product = self._columns(self._flat(x), vector, kind)
            data = entries(product, colors, positions, count, vector.dtype)
        else:
            data = jnp.zeros(0, vector.dtype)
        return BCOO((data, jnp.asarray(indices)), shape=shape, indices_sorted=True, unique_indices=True)


class Jacobian(Matrix):
    """``J_ij = ∂f_i/∂x_j`` and its products; made by `karush.jacobian`."""

    def __call__(self, x: Any) -> Any:
        """The Jacobian at x: a pytree of arrays as of `jax.jacobian`, or a BCOO matrix (k, n)."""
        point, _ = self._opened(x, scalar=False)
        if self.sparse:
            return self._sparse(point)
        return handed_back(self._run("dense", self._dense, point), point)

    def product(self, x: Any, v: Any) -> Any:
        """``J(x) v``, in the structure of f's output; v has the structure of x. One forward sweep (jvp)."""
        point, _ = self._opened(x, scalar=False)
        v = like(opened(v, "v").tree, point.tree, "v", "x")
        return handed_back(self._run("product", lambda x, v: jax.jvp(self._called, (x,), (v,))[1], point, v), point)

    def transposed_product(self, x: Any, w: Any) -> Any:
        """``J(x)ᵀ w``, in the structure of x; w has the structure of f's output. One reverse sweep (vjp)."""
        point, out = self._opened(x, scalar=False)
        w = like(opened(w, "w").tree, out, "w", "f(x)")
        return handed_back(self._run("back", lambda x, w: jax.vjp(self._called, x)[1](w)[0], point, w), point)

    def _dense(self, x: Any) -> Any:
        forward, reverse = _modes(self._called, x)
        out = jax.eval_shape(self._called, x)
        columns = forward and (not reverse or size_of(x) <= size_of(out))
        return (jax.jacfwd if columns else jax.jacrev)(self._called)(x)

    def _pattern_at(self, point: Point) -> SparsityPattern:
        flat, x = self._flat(point.shapes), _flat_shape(point)
        k = jax.eval_shape(flat, x).shape[0]
        modes = _modes(self._called, point.shapes)
        if modes[0]:
            found = _found(lambda x, v: jax.jvp(flat, (x,), (v,))[1], x, x)
        else:
            back = _found(lambda x, w: jax.vjp(flat, x)[1](w)[0], x, jax.eval_shape(flat, x))
            order = np.lexsort((back.rows, back.cols))
            found = Found(back.cols[order], back.rows[order], back.assumed)
        return jacobian_pattern(found, (k, x.shape[0]), modes)

    def _columns(self, flat: Function, x: Any, kind: str) -> Callable[[Any], Any]:
        if kind == "columns":
            return lambda v: jax.jvp(flat, (x,), (v,))[1]
        value, back = jax.vjp(flat, x)
        return lambda w: back(w.astype(value.dtype))[0]


class Hessian(Matrix):
    """``H_ij = ∂²f/∂x_i∂x_j``, the Jacobian of the gradient, and its products; made by `karush.hessian`."""

    scalar = True

    def __call__(self, x: Any) -> Any:
        """The Hessian at x: a pytree of pytrees as of `jax.hessian`, or a BCOO matrix (n, n)."""
        point, _ = self._opened(x, scalar=self.sparse)
        if self.sparse:
            return self._sparse(point)
        return handed_back(self._run("dense", jax.hessian(self._called), point), point)

    def product(self, x: Any, v: Any) -> Any:
        """``H(x) v``, in the structure of x; v has it too. One forward sweep over the gradient."""
        point, _ = self._opened(x, scalar=True)
        v = like(opened(v, "v").tree, point.tree, "v", "x")
        slope = jax.grad(self._called)
        return handed_back(self._run("product", lambda x, v: jax.jvp(slope, (x,), (v,))[1], point, v), point)

    def symmetry(self, x: Any) -> SymmetryReport:
        """Whether H is symmetric at x, as it must be where the second partials are continuous; see the report."""
        return symmetry(self.f, x)

    def _pattern_at(self, point: Point) -> SparsityPattern:
        flat, x = self._flat(point.shapes), _flat_shape(point)
        slope = jax.grad(lambda x: flat(x)[0])
        return symmetric_pattern(_found(lambda x, v: jax.jvp(slope, (x,), (v,))[1], x, x), x.shape[0])

    def _columns(self, flat: Function, x: Any, kind: str) -> Callable[[Any], Any]:
        slope = jax.grad(lambda x: flat(x)[0])
        return lambda v: jax.jvp(slope, (x,), (v,))[1]


def _raveled(tree: Any) -> Any:
    leaves = [jnp.asarray(leaf) for leaf in tree_util.tree_leaves(tree)]
    widest = jnp.result_type(*leaves)
    return ravel_traced([leaf.astype(widest) for leaf in leaves])


def _flat_shape(point: Point) -> jax.ShapeDtypeStruct:
    leaves = tree_util.tree_leaves(point.shapes)
    return jax.ShapeDtypeStruct((size_of(leaves),), jnp.result_type(*(leaf.dtype for leaf in leaves)))


def _found(linear: Callable[[Any, Any], Any], x: Any, v: Any) -> Found:
    program = jax.make_jaxpr(linear)(x, v)
    with float64():  # positions are 64-bit numbers
        return find(program, v.shape[0])


def _modes(f: Function, x: Any) -> tuple[bool, bool]:
    """Whether f has forward and reverse products: no forward ones with a custom_vjp rule, no reverse ones through a
    while loop.
    """
    forward = jax.make_jaxpr(lambda x: jax.jvp(f, (x,), (x,)))(x)
    try:
        jax.eval_shape(lambda x: jax.vjp(f, x)[1](f(x)), x)
    except ValueError:
        return True, False
    return not _has_primitive(forward.jaxpr, REVERSE_ONLY), True


def _has_primitive(jaxpr: Any, name: str) -> bool:
    for equation in jaxpr.eqns:
        if equation.primitive.name == name:
            return True
        if any(_has_primitive(inner, name) for inner in jaxprs_in_params(equation.params)):
            return True
    return False
