"""Is this the fit, or only a place where the run got stuck? Reasons to look elsewhere.

None of this decides what a point is, the certificate does; it decides whether more starts are tried. With the
response y = r − Φα where parameters enter linearly, else with what the strongest parameter explains:

```
unexplained   Σ r² / Σ (y − mean)²
roughness     Σ (rᵢ₊₁ − rᵢ)² / (2 Σ r²)     near 1 for independent errors in their order, near 0 for a smooth misfit
```

The second is von Neumann's ratio [Neu41], halved. With a loss other than the linear one r stands for ``√ρ' r``, so that
a wild observation is no reason for doubt.
"""

import numpy as np

from karush.core.status import Status
from karush.core.table import measured
from karush.fitting import loss as losses
from karush.fitting.problem import Fit
from karush.fitting.run import Run

UNEXPLAINED = 0.5
"""The model explains less than half of what a constant leaves."""
SMOOTH = 0.25
"""Roughness below which residuals form a pattern."""
NEGLIGIBLE = 1.0e-4
"""Unexplained share below which a pattern is the model's own small error, and no reason to look elsewhere."""
RANK = 1.0e-13
"""Smallest singular value of J with columns of length 1 below which parameters cannot be told apart."""
UNSETTLED = 1.0e-4
"""Cosine above which a run that stopped has not arrived."""
FAR = 1.0e3
"""A parameter that moved by this factor has left the order of magnitude that the start gave it."""
MOVED, ROUGH = 8.0, 0.7
"""A run that changed a parameter by MOVED needs rougher residuals to be believed: the start was no good guess."""
FEWEST = 3
"""Observations below which nothing can be said of their pattern."""


def doubts(fit: Fit, run: Run, started: np.ndarray | None) -> list[str]:
    """Reasons, in words, not to believe that `run` found the best fit; empty for none.

    `started` (n,) is where it started from; None if that was no guess of the user's.
    """
    if not np.isfinite(run.cost):
        return ["the residuals are not finite there"]
    with np.errstate(all="ignore"):
        # Far out, columns of J overflow; what is not finite there raises a doubt.
        return _reasons(fit, run, started)


def _reasons(fit: Fit, run: Run, started: np.ndarray | None) -> list[str]:
    reasons = []
    if run.status is not Status.CONVERGED and not run.cosine <= UNSETTLED:
        reasons.append(f"the run did not arrive: {run.status.value}")
    length = np.linalg.norm(run.jacobian, axis=0)
    if fit.m >= fit.n and not _least(run.jacobian / np.where(length > 0, length, 1.0)) > RANK:
        reasons.append("parameters cannot be told apart there: the Jacobian is rank deficient")
    share, rough = _shares(fit, run)
    if share > UNEXPLAINED:
        reasons.append(f"the model explains little: {measured(share)} of the variation is left")
    elif rough < SMOOTH and share > NEGLIGIBLE:
        reasons.append(f"the residuals form a pattern (roughness {measured(rough)})")
    if started is not None and not reasons:
        given, found = np.abs(started[fit.rest]), np.abs(run.x[fit.rest])
        known = given > 0
        factor = np.max(
            np.maximum(found[known] / given[known], given[known] / np.maximum(found[known], 1e-300)), initial=1
        )
        if factor > FAR:
            reasons.append(f"a parameter moved by a factor {measured(float(factor))} from the start")
        elif factor > MOVED and rough < ROUGH and share > NEGLIGIBLE:
            reasons.append(f"a parameter moved by a factor {measured(float(factor))}, and the residuals form a pattern")
    return reasons


def _least(unit: np.ndarray) -> float:
    return float(np.linalg.svd(unit, compute_uv=False)[-1])


def _shares(fit: Fit, run: Run) -> tuple[float, float]:
    """Unexplained share and roughness of the residuals."""
    # What the loss takes from a residual is taken from the observation: from residual and response alike.
    share = np.sqrt(losses.LOSSES[fit.loss](np, (run.r / fit.loss_scale) ** 2)[1])
    whole, jacobian = share * run.r, share[:, None] * run.jacobian
    r = whole[fit.root_weights > 0]
    total = float(r @ r)
    if r.size < FEWEST or not total > 0:
        return 0.0, 1.0
    rough = float(np.sum(np.diff(r) ** 2)) / (2.0 * total)
    if fit.linear.size:
        response = whole - jacobian[:, fit.linear] @ run.x[fit.linear]
        around = float(np.sum((response - response.mean()) ** 2))
    else:
        parts = jacobian * run.x
        around = total + float(np.max(np.sum((parts - parts.mean(axis=0)) ** 2, axis=0)))
    return total / around if around > 0 else 1.0, rough
