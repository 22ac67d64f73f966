"""`laplace`: from a negative log density, a problem or a result to its normal approximation."""

from collections.abc import Callable
from typing import Any

from karush.api.minimize import minimize
from karush.fitting.laplace import Laplace, Method, laplace_at
from karush.problem.problem import Problem
from karush.solvers.result import Result


def laplace(
    negative_log_density: Callable[..., Any] | Problem | Result,
    x0: Any = None,
    *,
    method: Method = "auto",
    probes: int = 32,
    steps: int = 64,
    seed: int = 0,
    **arguments: Any,
) -> Laplace:
    """Laplace approximation of a posterior: ``N(x*, H⁻¹)`` and ``log p(data) ≈ −f(x*) + n/2 log 2π − 1/2 log det H``.

    Parameters
    ----------
    negative_log_density
        ``f(x) = −log p(x, data)``, normalised constants included if the evidence is to be right; a `Problem` with it
        as objective; or the `Result` of minimising one.
    x0
        Start of the search for the mode.
    method
        How H is handled: ``"dense"``, ``"sparse"`` (pattern and coloring, sparse factorization), ``"products"``
        (Hessian products alone; log det H with a standard error), or ``"auto"``.
    probes, steps, seed
        Of stochastic Lanczos quadrature, for ``"products"``.
    arguments
        Further fields of a `Problem` and options of `minimize` but ``method``.

    Raises
    ------
    SensitivityError
        where the mode is no certified minimum, lies on a limit, or has a singular Hessian.
    OptionError
        for an unknown method, or numbers that cannot be.

    Notes
    -----
    Computes in float64 by a local switch. Sources: [Mac92], [KR95]; log det by [UCS17].
    """
    result = negative_log_density
    if not isinstance(result, Result):
        result = minimize(result, x0, **arguments)
    return laplace_at(result, method=method, probes=probes, steps=steps, seed=seed)
