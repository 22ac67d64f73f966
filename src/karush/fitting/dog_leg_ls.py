"""Powell's dog leg for least squares: from the steepest-descent step to the Gauss–Newton step ([Pow70]).

With the singular values s of J D⁻¹ and h = Uᵀr, gradient ``g = s h``: the path goes from 0 to the Cauchy point
``t g``, ``t = gᵀg / ‖s g‖²``, and on to the Gauss–Newton step ``h / s``; the step is where it leaves the ball of
radius Δ.
"""

from typing import Any

from karush.linalg.ops import Ops


def coefficients(ops: Ops, s: Any, h: Any, radius: Any) -> Any:
    """a (k,), ``‖a‖ <= Δ``; the scaled step is −V a."""
    np = ops.np
    newton = np.where(s > 0, h / np.where(s > 0, s, 1.0), 0.0)
    gradient = s * h
    bent = np.sum((s * gradient) ** 2)
    cauchy = gradient * np.where(bent > 0, np.sum(gradient**2) / np.where(bent > 0, bent, 1.0), 0.0)
    short = np.linalg.norm(cauchy)
    leg = newton - cauchy
    # ‖cauchy + τ leg‖ = Δ, its root in [0, 1] written without cancellation.
    a, b, c = np.sum(leg**2), np.sum(cauchy * leg), radius**2 - short**2
    root = np.sqrt(np.maximum(b * b + a * c, 0.0))
    along = np.where(b + root > 0, c / np.where(b + root > 0, b + root, 1.0), 0.0)
    bend = cauchy + along * leg
    straight = cauchy * (radius / np.where(short > 0, short, 1.0))
    inside = np.linalg.norm(newton) <= radius
    return np.where(inside, newton, np.where(short >= radius, straight, bend))
