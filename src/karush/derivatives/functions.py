"""``gradient``, ``directional``, ``jacobian``, ``hessian``: first and second derivatives of functions of pytrees."""

from typing import Any

import jax

from karush.core.errors import ProblemError
from karush.derivatives.inputs import handed_back, like, opened, outputs, setting
from karush.derivatives.operators import Gradient, Hessian, Jacobian


class _ByIdentity:
    """A function that equals itself only, so that what was compiled for it is found again."""

    def __init__(self, f: Any):
        self.f = f

    def __hash__(self) -> int:
        return id(self.f)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self.f is other.f


def _along(f: _ByIdentity, x: Any, v: Any) -> Any:
    return jax.jvp(f.f, (x,), (v,))[1]


_along_compiled = jax.jit(_along, static_argnums=0)


def gradient(f: Any) -> Gradient:
    """``∇f = (∂f/∂x_1, …, ∂f/∂x_n)``: the direction of steepest ascent, and how steep it is.

    Parameters
    ----------
    f
        JAX function of one pytree of floating-point arrays, returning one number of shape ().

    Returns
    -------
    Gradient
        a callable: ``gradient(f)(x)`` has the structure of x. It is compiled at the first call for each structure of
        x and can be used inside a user's own ``jit``, ``vmap`` and ``grad``.

    Raises
    ------
    ProblemError
        at the call, for an x that is not real floating point.
    TraceError
        at the call, for an f that JAX cannot trace or that returns anything but one number.

    Notes
    -----
    Exact up to rounding, by one reverse sweep, about the cost of three evaluations of f. It is computed in the dtype
    of x: Python numbers and NumPy float64 arrays in float64, whatever JAX's global setting; float32 stays float32.
    Without JAX arrays in x the result holds NumPy arrays. At a kink it is the gradient of one of the pieces, and at an
    x that is not finite it is what floating-point arithmetic makes of it.
    """
    return Gradient(f)


def directional(f: Any, x: Any, v: Any) -> Any:
    """``∇_v f(x) = d/dt f(x + t v) at t = 0 = J(x) v``: how f changes per unit of t along v.

    Parameters
    ----------
    f
        JAX function of one pytree, returning any pytree of floating-point arrays.
    x
        Where.
    v
        The direction, in the structure of x; it is not normalised.

    Returns
    -------
    Any
        in the structure of f's output; for a scalar f the number ``∇f(x) · v``.

    Raises
    ------
    ProblemError
        for a v of another structure or shape than x.

    Notes
    -----
    Exact up to rounding, by one forward sweep, about the cost of two evaluations of f, however many variables there
    are. Compiled once for each f and structure of x. For the dtype see `karush.gradient`.
    """
    if not callable(f):
        raise ProblemError(f"f must be a JAX function of x, got {type(f).__name__} {f!r:.60}")
    point = opened(x, "x")
    v = like(opened(v, "v").tree, point.tree, "v", "x")
    with setting(point):
        outputs(f, point, scalar=False)
        slope = (_along if point.traced else _along_compiled)(_ByIdentity(f), point.tree, v)
    return handed_back(slope, point)


def jacobian(f: Any, *, sparse: bool = False) -> Jacobian:
    """``J_ij = ∂f_i/∂x_j``, k × n: all slopes of a function with n inputs and k outputs.

    Parameters
    ----------
    f
        JAX function of one pytree, returning any pytree of floating-point arrays.
    sparse
        Return a BCOO matrix (k, n) of the raveled outputs and inputs, computed by compressed products: columns that
        share no row are found together by one product ``J v``, or rows that share no column by one ``Jᵀ w``.

    Returns
    -------
    Jacobian
        ``jacobian(f)(x)`` is what `jax.jacobian` returns: the structure of f's output, each leaf of it the structure
        of x, with the shapes joined. Further ``.product(x, v)`` = J v, ``.transposed_product(x, w)`` = Jᵀ w, for
        functions too large for a matrix, and ``.pattern(x)``, the entries that can be nonzero.

    Raises
    ------
    ProblemError
        at the call, for an x that is not real floating point, and with `sparse` for a matrix of more than 3e7 entries
        that can be nonzero.

    Notes
    -----
    Pattern and coloring are found once for each structure of x, from the traced program and never from values, so
    no entry is missed at a point where it happens to vanish. An operation whose structure is not known is read as if
    each of its outputs depended on every input: the result stays right, the pattern says where. For the dtype see
    `karush.gradient`. A float64 BCOO matrix made while JAX's 64-bit mode is off keeps its digits in ``.data``; do
    arithmetic with it in NumPy, or under ``jax.enable_x64(True)``.
    """
    return Jacobian(f, sparse=sparse)


def hessian(f: Any, *, sparse: bool = False) -> Hessian:
    """``H_ij = ∂²f/∂x_i∂x_j``, the Jacobian of the gradient: the curvature of f.

    Parameters
    ----------
    f
        JAX function of one pytree, returning one number of shape (); dense Hessians of several outputs are returned
        as by `jax.hessian`.
    sparse
        Return a BCOO matrix (n, n) of the raveled input, computed by compressed products ``H v``. The coloring uses
        the symmetry: of the entries (i, j) and (j, i) one is computed, and both hold it.

    Returns
    -------
    Hessian
        ``hessian(f)(x)`` is what `jax.hessian` returns: the structure of x, each leaf of it the structure of x.
        Further ``.product(x, v)`` = H v, for functions too large for a matrix, ``.pattern(x)``, and
        ``.symmetry(x)``, which says whether second partials commute at x.

    Raises
    ------
    ProblemError, TraceError
        as for `karush.jacobian`; a sparse Hessian needs a scalar f.

    Notes
    -----
    For the dtype see `karush.gradient`, for patterns and the precision of a BCOO matrix `karush.jacobian`. The dense
    matrix is never symmetrised: where it is not symmetric, ``.symmetry(x)`` says where and by how much.
    """
    return Hessian(f, sparse=sparse)


__all__ = ["directional", "gradient", "hessian", "jacobian"]
