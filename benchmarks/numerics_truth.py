"""Exact values and derivatives of the stable functions, by Arb power series of length two.

A formula takes a list of series and returns one; only `+ − × ÷`, exp, log, sqrt, sin, cos and erfc occur, at a
precision that holds every sum of two floats exactly, so no formula needs to be stable.
"""

from collections.abc import Callable
from typing import Any

import flint
import numpy as np
from flint import arb, arb_series

BITS = {np.dtype(np.float32): 700, np.dtype(np.float64): 2600}
"""working precision: more than twice the exponent range"""
SERIES_LENGTH = 2
"""value and first derivative"""
Formula = Callable[[list[Any]], Any]


def gradient(formula: Formula, point: np.ndarray, moved: int = -1, by: float = 0.0) -> list[arb]:
    """Value and partial derivatives of the formula at a point, one entry of which may be `moved`."""
    flint.ctx.prec, flint.ctx.cap = BITS[point.dtype], SERIES_LENGTH
    place = [arb(float(v)) + (arb(by) if j == moved else 0) for j, v in enumerate(point)]
    parts = []
    for i in range(point.size):
        series = formula([arb_series([v, int(i == j)]) for j, v in enumerate(place)])
        parts.append((series[0], series[1]))
    return [parts[0][0], *(slope for _, slope in parts)]


def conditioning(formula: Formula, point: np.ndarray, exact: list[arb]) -> list[arb]:
    """How far half an ulp of change of each entry, one after the other, moves value and partial derivatives."""
    change = [arb(0)] * len(exact)
    for j, v in enumerate(point):
        half = 0.5 * float(np.spacing(max(abs(v), np.finfo(point.dtype).tiny)))
        ends = [gradient(formula, point, j, end) for end in (-half, half)]
        moves = zip(*([abs((a - b).mid()) for a, b in zip(end, exact)] for end in ends), strict=True)
        change = [total + max(pair, key=float) for total, pair in zip(change, moves, strict=True)]
    return change


def value(series: Any) -> float:
    """Nearest float64 of the value of a series: decides which branch of a formula is taken."""
    return float(series[0].mid())


def largest(x: list[Any]) -> Any:
    return max(x, key=value)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + (-x).exp()) if value(x) > 0 else x.exp() / (1 + x.exp())


def softplus(x: Any) -> Any:
    return x + (1 + (-x).exp()).log() if value(x) > 0 else (1 + x.exp()).log()


def logcosh(x: Any) -> Any:
    size = x if value(x) > 0 else -x
    return size + (1 + (-2 * size).exp()).log() - arb(2).log()


def tanh(x: Any) -> Any:
    e = (-2 * x if value(x) > 0 else 2 * x).exp()
    return (1 - e) / (1 + e) if value(x) > 0 else (e - 1) / (1 + e)


def log_ndtr(x: Any) -> Any:
    return ((-x / arb(2).sqrt()).erfc() / 2).log()


def sinc(x: Any) -> Any:
    return (arb.pi() * x).sin() / (arb.pi() * x)


def logsumexp(x: list[Any]) -> Any:
    m = largest(x)
    return m + sum(((v - m).exp() for v in x), start=arb(0)).log()


def log_softmax(x: list[Any]) -> list[Any]:
    total = logsumexp(x)
    return [v - total for v in x]


def softmax(x: list[Any]) -> list[Any]:
    return [v.exp() for v in log_softmax(x)]


def entropy(x: list[Any]) -> Any:
    return -sum((v * v.exp() for v in log_softmax(x)), start=arb(0))


def kl(x: list[Any]) -> Any:
    half = len(x) // 2
    p, q = log_softmax(x[:half]), log_softmax(x[half:])
    return sum((a.exp() * (a - b) for a, b in zip(p, q)), start=arb(0))


def bce(x: list[Any]) -> Any:
    logit, y = x
    return (1 - y) * softplus(logit) + y * softplus(-logit)


def dot(x: list[Any]) -> Any:
    half = len(x) // 2
    return sum((a * b for a, b in zip(x[:half], x[half:])), start=arb(0))


def norm(x: list[Any]) -> Any:
    return sum((v * v for v in x), start=arb(0)).sqrt()


def cosine(x: list[Any]) -> Any:
    half = len(x) // 2
    return dot(x) / (norm(x[:half]) * norm(x[half:]))


def variance(x: list[Any]) -> Any:
    mean = sum(x, start=arb(0)) / len(x)
    return sum(((v - mean) * (v - mean) for v in x), start=arb(0)) / len(x)


def standardize(x: list[Any]) -> Any:
    mean = sum(x, start=arb(0)) / len(x)
    return (x[0] - mean) / variance(x).sqrt()


def smaller_root(x: list[Any]) -> Any:
    a, b, c = x
    root = (b * b - 4 * a * c).sqrt()
    pair = ((-b - root) / (2 * a), (-b + root) / (2 * a))
    return min(pair, key=value)


def squared_distance(x: list[Any]) -> Any:
    half = len(x) // 2
    return sum(((a - b) * (a - b) for a, b in zip(x[:half], x[half:])), start=arb(0))
