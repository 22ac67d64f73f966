"""`karush.curvature`: the second-order shape of a function at a point."""

from typing import Any, NamedTuple

import numpy as np

from karush.core.errors import OptionError, ProblemError, TraceError
from karush.core.pytrees import Door
from karush.curvature import dense
from karush.curvature.dense import Pairs
from karush.curvature.extremes import Extremes, extremes
from karush.curvature.neighbourhood import curvature_gap, slope_gap
from karush.curvature.noise import gradient_error
from karush.curvature.program import Derivatives, Product, computing
from karush.curvature.result import Curvature
from karush.curvature.slope import Slope, parts_of, slope
from karush.curvature.step import best_step
from karush.curvature.verdict import Facts, judge
from karush.jaxprs.function import trace

DENSE_UP_TO = 1000
"""Variables up to which the Hessian is formed unless told otherwise: eight megabytes, and a second for all of it."""


def curvature(
    f: Any,
    x: Any,
    *,
    matrix_free: bool | None = None,
    pairs: int = 3,
    rtol: float = 1e-6,
    max_products: int = 1000,
    tol: float = 1e-6,
    seed: int = 0,
) -> Curvature:
    """``H(f)(x)_ij = ∂²f/∂x_i∂x_j`` and what it says: eigenvalues, condition number, best step, minimum or saddle.

    Everything is computed in float64 and *checked*: errors of eigenvalues are the residuals of the eigenvectors plus
    the measured rounding of the derivatives. They are estimates of floating point, no proofs.

    Parameters
    ----------
    f
        JAX function of one pytree of floating-point arrays, returning one number.
    x
        The point, finite.
    matrix_free
        Never form H; find its extreme eigenpairs by products. Default: above 1000 variables.
    pairs
        Eigenpairs wanted at either end of the spectrum, matrix-free.
    rtol
        Residual wanted for each of them, relative to its eigenvalue, or to a thousandth of the largest.
    max_products
        Hessian–vector products for them at most.
    tol
        x counts as stationary where the quadratic model of f is stationary within this distance, relative to
        ``max(|x|, 1)``.
    seed
        of the random vectors; the same seed gives the same answer.

    Raises
    ------
    ProblemError
        for an x that is not finite or holds no numbers.
    TraceError
        for a function that JAX cannot trace or that returns more than one number.
    PrecisionError
        for a function that computes in less than float64.
    OptionError
        for an option outside its range.
    """
    _check_options(pairs, rtol, max_products, tol)
    derivatives, start = _opened(f, x)
    # What is not finite fails closed below; NumPy need not say so as well.
    with np.errstate(invalid="ignore", over="ignore"):
        return _measured(derivatives, start, matrix_free, pairs, rtol, max_products, tol, seed)


def _measured(
    derivatives: Derivatives,
    start: np.ndarray,
    matrix_free: bool | None,
    pairs: int,
    rtol: float,
    max_products: int,
    tol: float,
    seed: int,
) -> Curvature:
    rng = np.random.default_rng(seed)
    value, gradient = derivatives.value_and_gradient(start)
    gap = slope_gap(derivatives, start, value, gradient)
    error = max(gradient_error(derivatives, start, gradient, rng), gap)
    point = Point(derivatives, start, value, gradient, error, tol)
    large = derivatives.n > DENSE_UP_TO if matrix_free is None else matrix_free
    measured = _by_products(point, pairs, rtol, max_products, rng) if large else _by_matrix(point, rng)
    return _result(point, measured, gap, seed)


def _opened(f: Any, x: Any) -> tuple[Derivatives, np.ndarray]:
    """Derivatives of f, and x as a flat array (n,); refused if there is no one number or no finite point."""
    with computing():
        flat, start = trace(f, x, "f")
    if not flat.is_scalar:
        shapes = ", ".join(str(shape) for shape in flat.out.shapes)
        raise TraceError(
            f"f returns shape {shapes}, but curvature is that of a function whose value is one number, of shape (); "
            "return one entry, or a sum"
        )
    if not np.isfinite(start).all():
        where = int(np.flatnonzero(~np.isfinite(start))[0])
        raise ProblemError(f"x is {start[where]} at {flat.door.names()[where]}; give finite numbers")
    return Derivatives.of(flat), start


class Point(NamedTuple):
    """What is known at x (n,) before its Hessian."""

    derivatives: Derivatives
    x: np.ndarray
    value: float
    gradient: np.ndarray
    gradient_error: float
    tol: float

    def slope(self, values: np.ndarray, vectors: np.ndarray, known: float) -> Slope:
        """Whether the gradient vanishes, by curvatures along vectors that span it."""
        return slope(self.x, self.gradient, self.gradient_error, values, vectors, known, self.tol)

    def hessian_gap(self, pairs: Pairs) -> float:
        """By how much the curvature at the two ends of the spectrum is off beside x, where it is told from zero."""
        told = [end for end in (0, -1) if abs(pairs.values[end]) > pairs.errors[end]]
        return max(
            (
                curvature_gap(self.derivatives, self.x, pairs.vectors[:, end], pairs.values[end], self.gradient_error)
                for end in told
            ),
            default=0.0,
        )


class Measured(NamedTuple):
    """The spectrum and the slope, whichever way they were found."""

    found: Extremes
    slope: Slope
    gap: float
    """of the Hessian beside x"""
    product: Product
    hessian: np.ndarray | None
    asymmetry: float


def _by_matrix(point: Point, rng: np.random.Generator) -> Measured:
    """All eigenpairs of the formed Hessian."""
    matrix = dense.hessian(point.derivatives, point.x)
    pairs = dense.decompose(point.derivatives, point.x, matrix, rng)
    gap = point.hessian_gap(pairs)
    pairs = pairs.widened(gap)
    judged = point.slope(pairs.values, pairs.vectors, float(pairs.errors.max()))
    reach = (float(pairs.values[0] - pairs.errors[0]), float(pairs.values[-1] + pairs.errors[-1]))
    symmetric = (matrix + matrix.T) / 2
    found = Extremes(pairs, True, 0, reach)
    return Measured(found, judged, gap, lambda v: symmetric @ v, matrix, dense.asymmetry(matrix))


def _by_products(point: Point, pairs: int, rtol: float, max_products: int, rng: np.random.Generator) -> Measured:
    """The eigenpairs at both ends, and the gradient in a Krylov space of its own."""
    derivatives, x = point.derivatives, point.x
    product = derivatives.product(x)
    found = extremes(derivatives, x, product, pairs, rtol, max_products, rng)
    gap = point.hessian_gap(found.pairs)
    found = found._replace(pairs=found.pairs.widened(gap))
    values, vectors, spent = parts_of(point.gradient, product, rng)
    judged = point.slope(values, vectors, float(found.pairs.errors.max()))
    probe = rng.standard_normal(x.size)
    image, other = product(probe), derivatives.independent_product(x, probe)  # H v and Hᵀ v
    size = float(np.linalg.norm(image))
    asymmetry = float(np.linalg.norm(image - other)) / size if size > 0 else 0.0
    return Measured(found._replace(products=found.products + spent), judged, gap, product, None, asymmetry)


def _result(point: Point, measured: Measured, gradient_gap: float, seed: int) -> Curvature:
    derivatives, x, value, gradient = point[:4]
    pairs: Pairs = measured.found.pairs
    complete = pairs.values.size == x.size
    gaps = (gradient_gap, measured.gap)
    kink = derivatives.nearest_kink(x)
    judgement = judge(
        Facts(derivatives, x, value, gradient, measured.slope, pairs, complete, measured.asymmetry, gaps, kink)
    )
    door: Door = derivatives.flat.door
    return Curvature(
        value=value,
        gradient=door.unravel(gradient),
        gradient_norm=measured.slope.norm,
        gradient_error=measured.slope.error,
        eigenvalues=pairs.values,
        errors=pairs.errors,
        eigenvectors=pairs.vectors,
        hessian=measured.hessian,
        asymmetry=measured.asymmetry,
        classification=judgement.classification,
        reason=judgement.reason,
        deciding=judgement.deciding,
        best_step=best_step(derivatives, x, gradient, measured.product),
        reach=measured.found.reach,
        converged=measured.found.converged,
        products=measured.found.products,
        names=door.names(),
        _door=door,
        _product=measured.product,
        _seed=seed,
    )


def _check_options(pairs: Any, rtol: Any, max_products: Any, tol: Any) -> None:
    for name, count in (("pairs", pairs), ("max_products", max_products)):
        if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < 1:
            raise OptionError(f"{name} is {count!r}; give an integer of at least 1")
    for name, number in (("rtol", rtol), ("tol", tol)):
        if not isinstance(number, (int, float, np.floating)) or not 0 < number < 1:
            raise OptionError(f"{name} is {number!r}; give a number between 0 and 1")


__all__ = ["DENSE_UP_TO", "curvature"]
