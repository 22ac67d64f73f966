"""Other people's bounds of a network's Lipschitz constant; each says what it needs installed.

A peer gets weights, biases, the activation, the radius of the box around 0 and the norm, and returns its upper bound,
or NaN where it fails. Nothing here is verified: solvers' numbers are taken as they are.
"""

import contextlib
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SMALL = 80
"""variables up to which the interior-point solver is used; above, the first-order one"""
SCS_OPTIONS = {"eps_abs": 1e-6, "eps_rel": 1e-6, "max_iters": 20000, "time_limit_secs": 100.0}
Arrays = list[np.ndarray]


@dataclass(frozen=True)
class Peer:
    """A bound."""

    bound: Callable[[Arrays, Arrays, str, float, float], float]
    needs: tuple[str, ...] = ()
    """modules"""
    local: bool = False
    """whether it depends on the activation and the box"""
    both_norms: bool = False
    """whether it treats the max norm itself"""


def product(W: Arrays, b: Arrays, activation: str, radius: float, norm: float) -> float:
    """``Π ‖W‖``."""
    return math.prod(float(np.linalg.norm(A, norm)) for A in W)


def lipsdp(W: Arrays, b: Arrays, activation: str, radius: float, norm: float) -> float:
    """LipSDP-Neuron with slopes in [0, 1], by a conic solver."""
    import cvxpy as cp

    sizes = [W[0].shape[1], *[A.shape[0] for A in W[:-1]]]
    starts = np.cumsum([0, *sizes])
    total, inner = int(starts[-1]), int(starts[-1] - sizes[0])
    Z = np.zeros((inner, total))
    for k, A in enumerate(W[:-1]):
        Z[starts[k + 1] - sizes[0] : starts[k + 2] - sizes[0], starts[k] : starts[k + 1]] = A
    E = np.eye(inner, total, sizes[0])
    out = np.zeros((1, total))
    out[:, starts[-2] :] = W[-1]
    t, q = cp.Variable(inner, nonneg=True), cp.Variable(1 if norm == 2 else sizes[0], nonneg=True)
    head = cp.hstack([q] * sizes[0]) if norm == 2 else q
    top = cp.diag(cp.hstack([head, np.zeros(inner)]))
    T = cp.diag(t)
    half = Z.T @ T @ E
    F = top + 2.0 * E.T @ T @ E - half - half.T - out.T @ out
    problem = cp.Problem(cp.Minimize(cp.sum(q)), [(F + F.T) / 2.0 >> 0])
    with contextlib.suppress(cp.error.SolverError):
        if total <= SMALL:
            problem.solve(solver=cp.CLARABEL)
        else:
            problem.solve(solver=cp.SCS, **SCS_OPTIONS)
    return math.sqrt(float(problem.value)) if problem.status in ("optimal", "optimal_inaccurate") else math.nan


def eclipse(method: str) -> Callable[[Arrays, Arrays, str, float, float], float]:
    """ECLipsE of eclipse-nn, with slopes in [0, 1]."""

    def bound(W: Arrays, b: Arrays, activation: str, radius: float, norm: float) -> float:
        import torch
        from eclipse_nn.LipConstEstimator import LipConstEstimator

        tensors = [torch.tensor(A, dtype=torch.float64) for A in W]
        with contextlib.redirect_stdout(io.StringIO()):
            return float(LipConstEstimator(weights=tensors).estimate(method))

    return bound


def eclipse_local(method: str) -> Callable[[Arrays, Arrays, str, float, float], float]:
    """ECLipsE-Gen-Local of eclipse-nn, on the ball of the 2-norm that holds the box."""

    def bound(W: Arrays, b: Arrays, activation: str, radius: float, norm: float) -> float:
        import torch
        from eclipse_nn.LipConstEstimator import LipConstEstimator

        tensors, shifts = ([torch.tensor(A, dtype=torch.float64) for A in arrays] for arrays in (W, b))
        n = W[0].shape[1]
        with contextlib.redirect_stdout(io.StringIO()):
            estimator = LipConstEstimator(weights=tensors, biases=shifts)
            value, _, code = estimator.estimate_gen_local(np.zeros(n), radius * math.sqrt(n), activation, method)
        return float(value) if code == 0 else math.nan

    return bound


def auto_lirpa(W: Arrays, b: Arrays, activation: str, radius: float, norm: float) -> float:
    """The norm of auto_LiRPA's bounds of the Jacobian, in float32, by CROWN without its optimization of slopes.

    With it a network of two inputs took 70 to 127 s a box.
    """
    import torch
    from auto_LiRPA import BoundedModule, BoundedTensor
    from auto_LiRPA.jacobian import JacobianOP
    from auto_LiRPA.perturbations import PerturbationLpNorm

    layers: list[Any] = []
    for k, (A, c) in enumerate(zip(W, b, strict=True)):
        linear = torch.nn.Linear(A.shape[1], A.shape[0])
        linear.weight.data, linear.bias.data = torch.tensor(A).float(), torch.tensor(c).float()
        layers += [linear, *([{"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[activation]()] if k < len(W) - 1 else [])]
    plain = torch.nn.Sequential(*layers)

    class Jacobian(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plain = plain

        def forward(self, x: Any) -> Any:
            return JacobianOP.apply(self.plain(x), x)

    x = torch.zeros(1, W[0].shape[1], dtype=torch.float32)
    model = BoundedModule(Jacobian(), x, verbose=0)
    box = BoundedTensor(x, PerturbationLpNorm(norm=np.inf, eps=radius))
    low, high = model.compute_jacobian_bounds(box, optimize=False)
    sizes = torch.maximum(low.abs(), high.abs()).detach().numpy().ravel()
    return float(np.linalg.norm(sizes, 2 if norm == 2 else 1))


PEERS = {
    "product": Peer(product, both_norms=True),
    "LipSDP": Peer(lipsdp, ("cvxpy",), both_norms=True),
    "ECLipsE": Peer(eclipse("ECLipsE"), ("eclipse_nn", "torch")),
    "ECLipsE-Fast": Peer(eclipse("ECLipsE_Fast"), ("eclipse_nn", "torch")),
    "ECLipsE-Gen-Local": Peer(eclipse_local("Fast"), ("eclipse_nn", "torch"), local=True),
    "auto_LiRPA": Peer(auto_lirpa, ("auto_LiRPA", "torch"), local=True, both_norms=True),
}

__all__ = ["PEERS", "Peer"]
