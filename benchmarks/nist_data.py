"""The 27 nonlinear regression problems of the NIST StRD: data from the files, models as JAX functions."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

FOLDER = Path(__file__).resolve().parent / "data" / "nist"
NUMBER = r"[-+]?\d*\.?\d+(?:[EeDd][-+]?\d+)?"
DATA_FROM = 60
"""Lines of a file before its data."""


def _gauss(b: Any, x: Any) -> Any:
    first = b[2] * jnp.exp(-((x[0] - b[3]) ** 2) / b[4] ** 2)
    second = b[5] * jnp.exp(-((x[0] - b[6]) ** 2) / b[7] ** 2)
    return b[0] * jnp.exp(-b[1] * x[0]) + first + second


def _lanczos(b: Any, x: Any) -> Any:
    return b[0] * jnp.exp(-b[1] * x[0]) + b[2] * jnp.exp(-b[3] * x[0]) + b[4] * jnp.exp(-b[5] * x[0])


def _chwirut(b: Any, x: Any) -> Any:
    return jnp.exp(-b[0] * x[0]) / (b[1] + b[2] * x[0])


def _cubic_ratio(b: Any, x: Any) -> Any:
    x = x[0]
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1.0 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def _enso(b: Any, x: Any) -> Any:
    turn = 2.0 * jnp.pi * x[0]
    year = b[1] * jnp.cos(turn / 12.0) + b[2] * jnp.sin(turn / 12.0)
    first = b[4] * jnp.cos(turn / b[3]) + b[5] * jnp.sin(turn / b[3])
    return b[0] + year + first + b[7] * jnp.cos(turn / b[6]) + b[8] * jnp.sin(turn / b[6])


MODELS: dict[str, Callable[[Any, Any], Any]] = {
    "Bennett5": lambda b, x: b[0] * (b[1] + x[0]) ** (-1.0 / b[2]),
    "BoxBOD": lambda b, x: b[0] * (1.0 - jnp.exp(-b[1] * x[0])),
    "Chwirut1": _chwirut,
    "Chwirut2": _chwirut,
    "DanWood": lambda b, x: b[0] * x[0] ** b[1],
    "ENSO": _enso,
    "Eckerle4": lambda b, x: b[0] / b[1] * jnp.exp(-0.5 * ((x[0] - b[2]) / b[1]) ** 2),
    "Gauss1": _gauss,
    "Gauss2": _gauss,
    "Gauss3": _gauss,
    "Hahn1": _cubic_ratio,
    "Kirby2": lambda b, x: (b[0] + b[1] * x[0] + b[2] * x[0] ** 2) / (1.0 + b[3] * x[0] + b[4] * x[0] ** 2),
    "Lanczos1": _lanczos,
    "Lanczos2": _lanczos,
    "Lanczos3": _lanczos,
    "MGH09": lambda b, x: b[0] * (x[0] ** 2 + x[0] * b[1]) / (x[0] ** 2 + x[0] * b[2] + b[3]),
    "MGH10": lambda b, x: b[0] * jnp.exp(b[1] / (x[0] + b[2])),
    "MGH17": lambda b, x: b[0] + b[1] * jnp.exp(-x[0] * b[3]) + b[2] * jnp.exp(-x[0] * b[4]),
    "Misra1a": lambda b, x: b[0] * (1.0 - jnp.exp(-b[1] * x[0])),
    "Misra1b": lambda b, x: b[0] * (1.0 - (1.0 + b[1] * x[0] / 2.0) ** -2),
    "Misra1c": lambda b, x: b[0] * (1.0 - (1.0 + 2.0 * b[1] * x[0]) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x[0] / (1.0 + b[1] * x[0]),
    "Nelson": lambda b, x: b[0] - b[1] * x[0] * jnp.exp(-b[2] * x[1]),
    "Rat42": lambda b, x: b[0] / (1.0 + jnp.exp(b[1] - b[2] * x[0])),
    "Rat43": lambda b, x: b[0] / (1.0 + jnp.exp(b[1] - b[2] * x[0])) ** (1.0 / b[3]),
    "Roszman1": lambda b, x: b[0] - b[1] * x[0] - jnp.arctan(b[2] / (x[0] - b[3])) / jnp.pi,
    "Thurber": _cubic_ratio,
}
LOG_RESPONSE = frozenset({"Nelson"})
"""Sets whose model is of log y."""


@dataclass(frozen=True)
class DataSet:
    """One regression problem with its certified answer."""

    name: str
    y: np.ndarray
    """(m,) response, its logarithm for `LOG_RESPONSE`"""
    x: tuple[np.ndarray, ...]
    """predictors, (m,) each"""
    starts: np.ndarray
    """(2, n)"""
    certified: np.ndarray
    """(n,)"""
    deviations: np.ndarray
    """(n,) certified standard deviations of the parameters"""
    sum_of_squares: float

    def residual(self, b: Any) -> Any:
        """model − y, (m,)."""
        return MODELS[self.name](b, self.x) - self.y


def load(name: str) -> DataSet:
    """The data set `name` from its file."""
    lines = (FOLDER / f"{name}.dat").read_text(encoding="ascii").splitlines()
    rows = [re.findall(NUMBER, line.split("=", 1)[1]) for line in lines if re.match(rf"\s*b\d+ =\s+{NUMBER}", line)]
    table = np.array([[float(entry) for entry in row] for row in rows])
    data = np.array([[float(entry) for entry in line.split()] for line in lines[DATA_FROM:] if line.strip()])
    total = next(line for line in lines if line.startswith("Residual Sum of Squares"))
    y = np.log(data[:, 0]) if name in LOG_RESPONSE else data[:, 0]
    return DataSet(
        name=name,
        y=y,
        x=tuple(data[:, k] for k in range(1, data.shape[1])),
        starts=table[:, :2].T.copy(),
        certified=table[:, 2],
        deviations=table[:, 3],
        sum_of_squares=float(total.split(":")[1]),
    )


def digits(found: np.ndarray, certified: np.ndarray) -> float:
    """Smallest number of agreeing significant digits, ``−log10 |found − certified| / |certified|``, at most 11."""
    with np.errstate(all="ignore"):
        error = np.max(np.abs(found - certified) / np.abs(certified))
    if not np.isfinite(error):
        return 0.0
    return float(np.clip(-np.log10(max(error, 1e-11)), 0.0, 11.0))
