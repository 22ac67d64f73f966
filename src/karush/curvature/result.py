"""What `karush.curvature` returns."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from karush.core.errors import OptionError, ProblemError
from karush.core.table import to_text
from karush.curvature import density as spectral
from karush.curvature.dense import Pairs
from karush.curvature.density import Density, Trace
from karush.curvature.plot import draw
from karush.curvature.program import Product
from karush.curvature.step import BestStep
from karush.curvature.verdict import Classification, Deciding
from karush.curvature.words import describe

PROBES = 32
"""Random vectors of a trace, unless told otherwise."""
DENSITY_PROBES = 4
"""Random starts of a spectral density."""
DENSITY_STEPS = 64
"""Products from each."""


class Inertia(NamedTuple):
    """Numbers of eigenvalues; where the spectrum is not complete they are lower bounds and do not add up to n."""

    positive: int
    negative: int
    zero: int
    """not told from zero: within their error of it"""


class Condition(NamedTuple):
    """``max |λ| / min |λ|``, and the range that the errors of the eigenvalues leave."""

    value: float
    """of an incomplete spectrum: of the eigenvalues found"""
    lower: float
    upper: float
    """inf where an eigenvalue is not told from zero, or not all are known"""


@dataclass(frozen=True, eq=False)
class Curvature:
    """Second-order shape of ``f: R^n -> R`` at one point, float64, *checked*: errors are measured, not proved."""

    value: float
    """f(x)"""
    gradient: Any
    """∇f(x) in the structure of x"""
    gradient_norm: float
    gradient_error: float
    """estimated error of `gradient_norm`"""
    eigenvalues: np.ndarray
    """(k,) ascending; all n of them, or those found at the two ends"""
    errors: np.ndarray
    """(k,) each eigenvalue lies within its error of a true one"""
    eigenvectors: np.ndarray
    """(n, k) orthonormal columns, over the raveled x"""
    hessian: np.ndarray | None
    """(n, n) over the raveled x; None if it was not formed"""
    asymmetry: float
    """‖H − Hᵀ‖ / ‖H‖ as computed; rounding where the second partials are continuous"""
    classification: Classification
    reason: str
    """of the classification, in words"""
    deciding: Deciding | None
    """the number that decided, with its error; None where nothing could be computed"""
    best_step: BestStep
    """``gᵀg / gᵀHg`` along −∇f, and what it is predicted to gain"""
    reach: tuple[float, float]
    """between these lie all eigenvalues; of an incomplete spectrum with probability 1 − 1e-6 over the random start"""
    converged: bool
    """whether all residuals of an incomplete spectrum met the tolerance; the errors hold in any case"""
    products: int
    """Hessian–vector products spent; 0 where H was formed"""
    names: tuple[str, ...] = field(repr=False)
    """(n,) of the variables"""
    _door: Any = field(repr=False)
    _product: Product = field(repr=False)
    _seed: int = field(repr=False)

    @property
    def n(self) -> int:
        """Number of variables."""
        return self.eigenvectors.shape[0]

    @property
    def complete(self) -> bool:
        """Whether all n eigenvalues are there."""
        return self.eigenvalues.size == self.n

    @property
    def inertia(self) -> Inertia:
        """How many eigenvalues are positive, negative, not told from zero."""
        positive = int(np.count_nonzero(self.eigenvalues > self.errors))
        negative = int(np.count_nonzero(self.eigenvalues < -self.errors))
        # One that is within its error of 0 says nothing on inertia unless all are known.
        return Inertia(positive, negative, self.n - positive - negative if self.complete else 0)

    @property
    def condition(self) -> Condition:
        """Condition number ``max |λ| / min |λ|``."""
        sizes = np.abs(self.eigenvalues)
        most, least = int(np.argmax(sizes)), int(np.argmin(sizes))
        below, above = float(sizes[least] - self.errors[least]), float(sizes[least] + self.errors[least])
        lower = max(float(sizes[most] - self.errors[most]) / above, 1.0) if above > 0 else np.inf
        if not below > 0:
            return Condition(np.inf, lower, np.inf)
        upper = float(sizes[most] + self.errors[most]) / below if self.complete else np.inf
        return Condition(float(sizes[most] / sizes[least]), lower, upper)

    def along(self, direction: Any, *, unit: bool = False) -> float:
        """Curvature ``dᵀ H d``: the second derivative of ``f(x + t d)`` at t = 0.

        Parameters
        ----------
        direction
            d, a pytree of the structure of x.
        unit
            Divide by ``dᵀ d``: the curvature per unit of length, a weighted mean of the eigenvalues.

        Raises
        ------
        ProblemError
            for a d of another structure, not finite, or zero.
        """
        d = self._door.ravel(direction, "direction")
        if not np.isfinite(d).all():
            raise ProblemError(f"direction is {d[~np.isfinite(d)][0]} at {self._name(d)}; give finite numbers")
        size = float(np.abs(d).max())
        if size == 0:
            raise ProblemError("direction is zero everywhere, and no direction; give one with an entry other than 0")
        scaled = d / size  # of its own size dᵀd may overflow
        curvature = float(scaled @ self._product(scaled))
        return curvature / float(scaled @ scaled) if unit else curvature * size * size

    def eigenvector(self, index: int) -> Any:
        """Eigenvector of `eigenvalues[index]`, of length 1, in the structure of x."""
        if not -self.eigenvalues.size <= index < self.eigenvalues.size:
            raise OptionError(f"index is {index}, but {self.eigenvalues.size} eigenvectors are known")
        return self._door.unravel(self.eigenvectors[:, index])

    def trace(self, *, probes: int = PROBES) -> Trace:
        """Sum of all eigenvalues: exact where they are known, else by random vectors with a standard error.

        Parameters
        ----------
        probes
            Random vectors, at least 2; one product each.
        """
        if self.complete:
            return Trace(float(self.eigenvalues.sum()), float(self.errors.sum()), 0)
        _at_least("probes", probes, 2)
        found = Pairs(self.eigenvalues, self.eigenvectors, self.errors)
        return spectral.trace(self._product, self.n, found, probes, np.random.default_rng(self._seed))

    def density(self, *, probes: int = DENSITY_PROBES, steps: int = DENSITY_STEPS) -> Density:
        """Distribution of the eigenvalues: where they are not all known by stochastic Lanczos quadrature.

        Parameters
        ----------
        probes
            Random starts, at least 1.
        steps
            Products from each; as many nodes.
        """
        if self.complete:
            return Density(self.eigenvalues, np.full(self.n, 1.0 / self.n), 0)
        _at_least("probes", probes, 1)
        _at_least("steps", steps, 2)
        return spectral.density(self._product, self.n, probes, steps, np.random.default_rng(self._seed))

    def plot(self, ax: Any = None) -> Any:
        """Draw the spectrum: all eigenvalues in order, or the density with the eigenvalues found. Needs matplotlib.

        Returns the axes, `ax` or new ones.
        """
        return draw(self.eigenvalues, self.errors, None if self.complete else self.density(), self.n, ax)

    def _name(self, d: np.ndarray) -> str:
        return self.names[int(np.flatnonzero(~np.isfinite(d))[0])]

    def __str__(self) -> str:
        return to_text(describe(self))


def _at_least(name: str, value: Any, least: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise OptionError(f"{name} is {value!r}; give an integer of at least {least}")


__all__ = ["Condition", "Curvature", "Inertia"]
