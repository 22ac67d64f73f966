"""`sensitivity`: the derivative of a solution, or why there is none."""

from typing import Any

import jax
import numpy as np

from karush.certificates.kkt import limit_gradients
from karush.certificates.scaled import Scaled
from karush.core.errors import ProblemError
from karush.core.pytrees import Door, path_name
from karush.core.selection import Selector, flat_indices, select
from karush.problem.flat import FlatProblem
from karush.sensitivity.conditions import require_regular, require_smooth, require_success
from karush.sensitivity.derivative import Sensitivity
from karush.sensitivity.point import exact_point
from karush.sensitivity.programs import programs
from karush.sensitivity.system import System
from karush.solvers.result import Result


def sensitivity(result: Result, params: Selector = None) -> Sensitivity:
    """Derivative of a solution in the problem's params and limits, by the implicit function theorem.

    ```
    ⎡ H  Aᵀ ⎤ ⎡ dx ⎤     ⎡ ∂_p ∇_x L dp         ⎤
    ⎢       ⎥ ⎢    ⎥ = − ⎢                      ⎥        d value = ∂_p L dp
    ⎣ A  0  ⎦ ⎣ dλ ⎦     ⎣ ∂_p c dp − d limit   ⎦
    ```

    with H the Hessian of the Lagrangian and A the gradients of the active constraints and bounds.

    Parameters
    ----------
    result
        What `minimize` returned; the params are the ones that it was solved with.
    params
        Which of the problem's params: None for all, a function that picks some (``lambda p: p["demand"][:3]``), or the
        name of a leaf.

    Returns
    -------
    Sensitivity
        ``.x``, ``.multipliers``, ``.value`` as JAX's Jacobians would be; ``.product(dp)`` and ``.transposed(...)``
        for many params; ``.limits`` for the derivative of x in the constraints' limits.

    Raises
    ------
    SensitivityError
        where the derivative does not exist: no certified minimum, a kink, LICQ, strict complementarity or the
        second-order condition fails; with the measured value, its bound and the constraint.
    ProblemError
        for params that do not exist or are integers.

    Notes
    -----
    The answer is first polished by Newton's method on its active set. Dense: n plus the number of active constraints
    up to some thousands. Computes in float64 by a local switch. Source: [NW06], [Fia83].
    """
    if not isinstance(result, Result):
        raise ProblemError(
            f"result is {type(result).__name__} {result!r:.60}; give what karush.minimize returned for a problem"
        )
    flat = result.flat
    if flat.closed_jaxpr is None:
        raise ProblemError("result was stored and read back, without its functions; solve the problem again")
    certificate = result.certificate
    require_success(certificate.verdict, certificate.success, certificate.sentence)
    compiled = programs(flat)
    picked, indices = _picked(flat, params)
    scaled = Scaled(flat, compiled.evaluator, certificate.scales)
    with np.errstate(all="ignore"):
        exact = exact_point(scaled, result.x_flat, result.y_flat, result.z_flat, certificate.evidence.tol)
        require_smooth(compiled, exact)
        active = exact.working.nonzero()[0]
        system = System.of(exact.point.hessian, limit_gradients(exact.point, active))
        conditions = require_regular(exact, system)
    return Sensitivity(exact, system, conditions, compiled, picked, indices)


def _picked(flat: FlatProblem, params: Selector) -> tuple[Any, np.ndarray]:
    """Pytree of indices into the real entries of params, and the same flat (q,)."""
    if flat.params is None:
        if params is not None:
            raise ProblemError(
                f"params is {params!r:.60}, but the problem has none; state it as Problem(f, x0, params=p) with "
                "functions f(x, p)"
            )
        return None, np.zeros(0, int)
    paths, treedef = jax.tree_util.tree_flatten_with_path(flat.params)
    names = [path_name(path).replace("x", "params", 1) if not path else path_name(path) for path, _ in paths]
    shapes = tuple(np.shape(leaf) for _, leaf in paths)
    door = Door(treedef, shapes, tuple(name.removeprefix("x") if name[:2] == "x[" else name for name in names))
    real = np.concatenate(
        [np.zeros(0, bool), *(np.full(int(np.prod(np.shape(leaf))), leaf.dtype == np.float64) for _, leaf in paths)]
    )
    picked = select(door, params, "params")
    indices = flat_indices(picked, "params")
    if not real[indices].all():
        first = int(indices[~real[indices]][0])
        entry = door.names()[first]
        dtype = paths[int(np.searchsorted(np.cumsum([int(np.prod(s)) for s in shapes]), first, "right"))][1].dtype
        raise ProblemError(
            f"params at {entry} is {dtype}, and has no derivative; give it as floating point, or pick the others, for "
            "example sensitivity(result, lambda p: p['name'])"
        )
    # Positions among the real entries, which alone make up the p of `Programs`.
    position = np.cumsum(real) - 1
    return jax.tree.map(lambda leaf: position[leaf], picked), position[indices]
