"""Which backends there are, which are installed, and which one `method="auto"` takes."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from karush.backends import ipopt, pounce, slsqp, trust_constr, uno
from karush.backends.answer import BackendAnswer, BackendOptions
from karush.core.errors import BackendMissing, OptionError
from karush.derivatives.evaluator import Evaluator
from karush.linalg.kkt_system import system_size
from karush.problem.flat import FlatProblem

OWN = "interior-point"
"""karush's own solver: dense, in the compiler."""
OWN_UP_TO = 600
"""n + m up to which `choose` takes karush's own solver; its dense factorization costs (n + m)³."""


@dataclass(frozen=True)
class Backend:
    """One solver of other people."""

    solve: Callable[..., BackendAnswer]
    package: str
    """the name it is imported by"""
    distributions: tuple[str, ...]
    """the names it is installed by, the one of our extra first"""
    extra: str | None
    """karush's optional extra that installs it; None where karush itself needs the package"""

    @property
    def version(self) -> str | None:
        """Version of the installed package, None where there is none."""
        if find_spec(self.package) is None:
            return None
        for distribution in self.distributions:
            try:
                return importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                continue
        return "unknown"


BACKENDS: dict[str, Backend] = {
    "pounce": Backend(pounce.solve, "pounce", ("pounce-solver",), "pounce"),
    "ipopt": Backend(ipopt.solve, "cyipopt", ("cyipopt-wheels", "cyipopt"), "ipopt"),
    "uno": Backend(uno.solve, "unopy", ("unopy",), "uno"),
    "slsqp": Backend(slsqp.solve, "scipy", ("scipy",), None),
    "trust-constr": Backend(trust_constr.solve, "scipy", ("scipy",), None),
}
SPARSE = ("pounce", "ipopt", "uno")
"""The order in which `choose` looks for a sparse solver."""


def available() -> dict[str, str | None]:
    """Version of every backend's package by method name; None where it is not installed."""
    return {name: backend.version for name, backend in BACKENDS.items()}


def choose(flat: FlatProblem, evaluator: Evaluator) -> tuple[str, str]:
    """Method name for ``method="auto"`` and the reason in one sentence."""
    size = system_size(flat.n, flat.row_lower == flat.row_upper)
    counted = f"{flat.n} variables and {flat.m} constraint rows"
    if size <= OWN_UP_TO:
        return OWN, f"{counted} make a system of order {size}; up to {OWN_UP_TO} karush's own dense solver is taken."
    for name in SPARSE:
        if BACKENDS[name].version is not None:
            filled = evaluator.jacobian_pattern[0].size + evaluator.hessian_pattern[0].size
            return name, (
                f"{counted} make a system of order {size} > {OWN_UP_TO}, and {name} is the first sparse solver found "
                f"({filled} nonzero derivatives)."
            )
    return OWN, (
        f"{counted} make a system of order {size} > {OWN_UP_TO}, but no sparse solver is installed "
        f"(pip install 'karush[{SPARSE[0]}]')."
    )


def solve(
    method: str,
    flat: FlatProblem,
    evaluator: Evaluator,
    x0: np.ndarray,
    y0: np.ndarray | None = None,
    z0: np.ndarray | None = None,
    options: BackendOptions | None = None,
) -> BackendAnswer:
    """Run the backend `method` from x0 (n,), and from y0 (m,), z0 (n,) where it can start warm.

    Raises
    ------
    OptionError
        for an unknown `method`, or an option that the solver refuses.
    BackendMissing
        where the solver's package is not installed.
    """
    backend = BACKENDS.get(method)
    if backend is None:
        known = ", ".join(repr(name) for name in ("auto", OWN, *BACKENDS))
        raise OptionError(f"method is {method!r}; the methods are {known}")
    if backend.version is None:
        raise BackendMissing(
            f"method={method!r} needs the package {backend.package!r}, which is not installed: "
            f"pip install 'karush[{backend.extra}]', or use method='auto'"
        )
    return backend.solve(flat, evaluator, x0, y0, z0, options or BackendOptions())
