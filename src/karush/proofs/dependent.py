"""Active rows that the other active rows imply: affine, with gradients and limits dependent in rational numbers."""

from collections.abc import Sequence

import numpy as np
from flint import fmpq_mat

from karush.arithmetic.ball_numbers import Undecided, balls, floats
from karush.jaxprs.degree import AFFINE, degrees
from karush.proofs.system import ActiveSet, Curved, Limit, System

RANK = 1.0e-10
"""singular value, of rows of unit length, below which a row is taken to depend on the others; checked afterwards"""


def without_dependent(system: System, u: np.ndarray) -> ActiveSet:
    """The active set with affine rows dropped that seem to depend on others; rows with large multipliers are kept."""
    active, flat = system.active, system.flat
    _, row_degrees = degrees(flat.closed_jaxpr)
    affine = [limit for limit in active.rows if row_degrees[limit.at] <= AFFINE]
    if len(affine) < 2:
        return active
    y = np.abs(floats(u[system.free.size :]))
    size = {limit: (limit.side == 0, y[k]) for k, limit in enumerate(active.rows)}
    jacobian = floats(system.curved(u).jacobian[np.ix_(1 + system.rows, system.free)])
    gradient = dict(zip(active.rows, jacobian, strict=True))
    kept: list[Limit] = []
    dropped: list[Limit] = []
    for limit in sorted(affine, key=lambda limit: size[limit], reverse=True):
        lines = np.array([gradient[other] for other in (*kept, limit)])
        length = np.maximum(np.linalg.norm(lines, axis=1), np.finfo(float).tiny)
        independent = (
            len(lines) <= lines.shape[1] and np.linalg.svd(lines / length[:, None], compute_uv=False)[-1] > RANK
        )
        (kept if independent else dropped).append(limit)
    rows = tuple(limit for limit in active.rows if limit not in dropped)
    return ActiveSet(rows, active.bounds, (*active.dropped, *dropped))


def implied(system: System, dropped: Sequence[Limit], curved: Curved) -> None:
    """Check that each dropped row equals its limit wherever the active affine rows and bounds equal theirs.

    With the affine rows ``a_iᵀx + b_i`` on the free variables: ``[a_d, b_d − limit_d]`` is a rational combination of
    the ``[a_i, b_i − limit_i]``.

    Raises
    ------
    Undecided
        where that is not so, or not exactly known.
    """
    if not dropped:
        return
    flat = system.flat
    _, row_degrees = degrees(flat.closed_jaxpr)
    kept = [limit for limit in system.active.rows if row_degrees[limit.at] <= AFFINE]
    at_held = balls(np.zeros(flat.n))
    at_held[system.held] = balls(system.held_at)
    constants = system.functions.values(at_held)[0][1:]
    lines = {limit: _line(system, limit, curved, constants) for limit in (*kept, *dropped)}
    for limit in dropped:
        name = flat.row_names[limit.at]
        if row_degrees[limit.at] > AFFINE:
            raise Undecided(f"{name} is dropped, but is not affine")
        if _rank([lines[other] for other in kept]) != _rank([*[lines[other] for other in kept], lines[limit]]):
            raise Undecided(f"{name} is dropped, but is not implied by the other active constraints")


def _line(system: System, limit: Limit, curved: Curved, constants: np.ndarray) -> list:
    """Gradient on the free variables and constant of one row, as exact rational numbers."""
    flat = system.flat
    at = flat.row_upper[limit.at] if limit.side >= 0 else flat.row_lower[limit.at]
    entries = [*curved.jacobian[1 + limit.at, system.free], constants[limit.at] - balls(at).item()]
    if not all(entry.is_exact() for entry in entries):
        raise Undecided(f"the coefficients of {flat.row_names[limit.at]} are not exactly known")
    return [entry.fmpq() for entry in entries]


def _rank(lines: list[list]) -> int:
    return fmpq_mat(lines).rank() if lines else 0


__all__ = ["implied"]
