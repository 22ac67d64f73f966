"""Levenberg and Marquardt: ``(JᵀJ + λ D²) d = −Jᵀr``, λ such that ``‖D d‖ = Δ`` (Moré [Mor78]).

With the singular values s of J D⁻¹ and h = Uᵀr the step is ``D d = −V a(λ)``, ``a = s h / (s² + λ)``, and
``‖a(λ)‖ = Δ`` is solved by Newton's method on ``1/‖a‖``, which is nearly straight in λ.
"""

from typing import Any

from karush.linalg.ops import Ops

RADIUS = 0.1
"""‖D d‖ may miss Δ by this part of it: λ is not worth more work [Mor78]."""
MOST = 30
SHORTEST = 1.0e-3
"""First λ, and the least step towards zero, as parts of the upper bound of λ."""


def coefficients(ops: Ops, s: Any, h: Any, radius: Any) -> Any:
    """a (k,) with ``‖a‖ <= 1.1 Δ``; entries where s is 0 are 0."""
    np = ops.np

    def at(damping: Any) -> Any:
        return np.where(s > 0, s * h / np.where(s > 0, s * s + damping, 1.0), 0.0)

    def excess(damping: Any) -> Any:
        return np.linalg.norm(at(damping)) - radius

    def going(state: Any) -> Any:
        damping, _, _, count = state
        return (np.abs(excess(damping)) > RADIUS * radius) & (count < MOST)

    def newton(state: Any) -> Any:
        damping, low, high, count = state
        a = at(damping)
        size = np.linalg.norm(a)
        slope = -np.sum(np.where(s > 0, a * a / np.where(s > 0, s * s + damping, 1.0), 0.0)) / size
        low, high = np.where(size > radius, damping, low), np.where(size > radius, high, damping)
        # Newton's step on 1/‖a‖ − 1/Δ.
        moved = damping - (size - radius) / radius * size / slope
        inside = (moved > low) & (moved < high)
        safe = np.maximum(np.sqrt(low * high), SHORTEST * high)
        return np.where(inside, moved, safe), low, high, count + 1

    def damped(_: Any) -> Any:
        high = np.linalg.norm(s * h) / radius
        return at(ops.while_loop(going, newton, (SHORTEST * high, 0.0 * high, high, 0))[0])

    full = at(0.0)
    return ops.cond(np.linalg.norm(full) <= (1.0 + RADIUS) * radius, lambda _: full, damped, full)
