"""`least_squares`: the front door of fitting."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from karush.backends.answer import BackendAnswer
from karush.certificates import typical_scales
from karush.core.errors import OptionError
from karush.core.precision import float64
from karush.core.status import Status
from karush.core.table import iteration_line
from karush.fitting import attempts
from karush.fitting.options import FitOptions, read_options
from karush.fitting.problem import Fit, read_fit
from karush.fitting.result import LeastSquaresResult
from karush.fitting.run import Effort, Run
from karush.fitting.sparse import SparseJacobian, sparse_jacobian, sparse_loop
from karush.solvers import strategies
from karush.solvers.prepared import Prepared
from karush.solvers.run import Limits

MESSAGES = {
    Status.CONVERGED: "The residuals are orthogonal to the tangent space, to the tolerance or to rounding.",
    Status.ITERATION_LIMIT: "The iteration limit was reached.",
    Status.TIME_LIMIT: "The time limit was reached.",
    Status.INTERRUPTED: "Interrupted; this is the best point so far.",
    Status.STOPPED: "The callback asked to stop; this is the best point so far.",
    Status.EVALUATION_FAILED: "The residuals are not finite at the start.",
    Status.STEP_FAILED: "No step makes further progress.",
}
SPARSE_METHOD = "levenberg-marquardt"
ENDS = (Status.TIME_LIMIT, Status.INTERRUPTED, Status.STOPPED, Status.EVALUATION_FAILED)
"""nothing more is tried after these"""


def least_squares(
    residual: Callable[..., Any],
    x0: Any,
    *,
    bounds: Any = None,
    params: Any = None,
    weights: Any = None,
    **options: Any,
) -> LeastSquaresResult:
    """Fit parameters to data: ``min ½ Σ C² ρ(w r(x)²/C²)  s.t.  lower <= x <= upper``, certified.

    Parameters
    ----------
    residual
        JAX function ``r(x)``, or ``r(x, params)`` if `params` is given, of any pytree x, returning any pytree of
        arrays: the residuals themselves, not their squares.
    x0
        Start: any pytree of floating-point arrays, whose structure is that of x everywhere.
    bounds
        As for a `Problem`.
    params
        Pytree handed to `residual` as its second argument.
    weights
        ``w >= 0`` of the squares, a prefix pytree of the residuals: 1/σ² for observations of standard deviation σ.
    options
        ``method`` (``"auto"``, ``"levenberg-marquardt"``, ``"dog-leg"``, ``"gauss-newton"``), ``loss`` (``"linear"``,
        ``"huber"``, ``"soft_l1"``, ``"cauchy"``, ``"arctan"``, as SciPy defines them), ``loss_scale`` (C), ``sparse``,
        and as for `minimize` ``tol``, ``max_iterations``, ``time_limit``, ``callback``, ``progress``, ``driver``.

    Returns
    -------
    LeastSquaresResult
        Always, whatever happened; ``success`` only if the certificate says minimum.

    Raises
    ------
    ProblemError, OptionError
        for bad input, naming the argument, its value and the cure.

    Notes
    -----
    Parameters that the residuals are affine in are found by reading the program, and eliminated. ``method="auto"``
    looks for other starts where the fit from x0 is in doubt, and says so in ``notes``. Computes in float64 by a local
    switch; JAX's global setting is not touched.
    """
    began = time.perf_counter()
    chosen = read_options(options)
    fit = read_fit(residual, x0, bounds, params, weights, chosen.loss, chosen.loss_scale)
    effort = Effort(
        max_iterations=chosen.max_iterations,
        deadline=began + chosen.time_limit if chosen.time_limit is not None else np.inf,
        callback=_callback(chosen),
    )
    sparse = None if chosen.driver == "fused" else sparse_jacobian(fit, chosen.sparse)
    found = attempts.solve(fit, chosen, effort) if sparse is None else _sparse(fit, sparse, chosen, effort)
    run, method, why, notes = found
    if np.any(np.clip(fit.x0, fit.lower, fit.upper) != fit.x0):
        notes = ("the start was outside its bounds and was projected onto them", *notes)
    return _judged(fit, run, chosen, effort, (method, why, notes), sparse, began)


def _sparse(
    fit: Fit, jacobian: SparseJacobian, options: FitOptions, effort: Effort
) -> tuple[Run, str, str, tuple[str, ...]]:
    if options.method not in ("auto", SPARSE_METHOD):
        raise OptionError(
            f"method is {options.method!r}, but a sparse Jacobian is solved by {SPARSE_METHOD!r} only; leave method "
            "out, or give sparse=False"
        )
    run = sparse_loop(fit, jacobian, fit.x0, options.tol, effort, options.max_iterations)
    why = f"sparse Jacobian, {jacobian.rows.size} entries in {jacobian.colors} colors"
    return run, SPARSE_METHOD, why, ()


def _judged(
    fit: Fit,
    run: Run,
    options: FitOptions,
    effort: Effort,
    told: tuple[str, str, tuple[str, ...]],
    sparse: SparseJacobian | None,
    began: float,
) -> LeastSquaresResult:
    method, why, notes = told
    parts = Prepared.of(fit.problem)
    parts.scales = _scales(parts, run.x, *_at(fit, run.x, sparse))
    answer = BackendAnswer(
        x=np.clip(run.x, fit.lower, fit.upper),
        y=np.zeros(0),
        z=np.zeros(fit.n),
        status=run.status,
        message=MESSAGES[run.status],
        iterations=effort.iterations,
        evaluations=effort.residuals,
        history=tuple(effort.history),
    )
    certificate = parts.judged(answer.x, None, None, options.tol)
    if not certificate.success and run.status not in ENDS:
        # The exact second-order term, which Gauss and Newton leave out, decides where residuals are large.
        limits = Limits(max_iterations=options.max_iterations, deadline=effort.deadline, callback=effort.callback)
        called = parts.evaluator.calls
        better = strategies.improve(parts, answer, tol=options.tol, limits=limits)
        effort.residuals += parts.evaluator.calls - called
        effort.columns += (parts.evaluator.calls - called) * fit.n
        if better.certificate.success:
            answer, certificate = better.answer, better.certificate
            notes += ("finished by karush.minimize's methods, with exact second derivatives",)
    r, jacobian = _at(fit, answer.x, sparse)
    y, z = certificate.multipliers
    return LeastSquaresResult(
        flat=parts.flat,
        x_flat=answer.x,
        y_flat=y,
        z_flat=z,
        rows_flat=np.zeros(0),
        value=parts.evaluator(answer.x, y).value,
        status=answer.status,
        message=answer.message or MESSAGES[answer.status],
        certificate=certificate,
        method=method,
        why_method=why,
        history=tuple(effort.history),
        iterations=effort.iterations,
        evaluations=effort.residuals,
        notes=notes,
        seconds=time.perf_counter() - began,
        name="least squares",
        fit=fit,
        residual_flat=r,
        jacobian=jacobian,
        residual_evaluations=effort.residuals,
        jacobian_evaluations=effort.columns / fit.n,
    )


def _scales(parts: Prepared, x: np.ndarray, r: np.ndarray, jacobian: Any) -> Any:
    """Typical sizes at the fit: a start is a guess, often wrong by orders of magnitude; 0 keeps the start's.

    An estimate of 1e-9 ± 1 is a zero, and its size is 1: the change that moves the residuals by their own size.
    """
    squares = jacobian.multiply(jacobian) if scipy.sparse.issparse(jacobian) else jacobian**2
    lengths = np.sqrt(np.asarray(squares.sum(axis=0)).ravel())
    sizes = np.divide(np.linalg.norm(r) / np.sqrt(r.size), lengths, out=np.zeros(x.size), where=lengths > 0)
    reference = np.where(np.isfinite(x) & (x != 0), x, parts.flat.x0)
    reference = np.where(np.isfinite(sizes) & (np.abs(reference) < sizes), np.copysign(sizes, reference), reference)
    flat = replace(parts.flat, x0=reference)
    return typical_scales(flat, parts.evaluator(flat.projected(reference), np.zeros(0)), parts.evaluator)


def _at(fit: Fit, x: np.ndarray, sparse: SparseJacobian | None) -> tuple[np.ndarray, Any]:
    """Unweighted residuals (m,), and the Jacobian (m, n) of the weighted ones."""
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        r = np.asarray(fit.function(jnp.asarray(x)))
        return r, np.asarray(fit.compiled[1](x)[1]) if sparse is None else sparse(x)[1]


def _callback(options: FitOptions) -> Callable[[dict[str, Any]], Any] | None:
    if not options.progress:
        return options.callback
    given = options.callback

    def show(record: dict[str, Any]) -> Any:
        sys.stdout.write(iteration_line(record) + "\n")
        return given(record) if given is not None else None

    return show
