"""`Point` and `Kkt` of the step-by-step judge in one, as a JAX function of an answer: nothing in it has dimensions."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from karush.certificates.scaled import Scaled


class Answer(NamedTuple):
    """A point within the bounds, its multipliers, and the functions there, in the problem's units."""

    x: Any
    """(n,)"""
    y: Any
    """(m,)"""
    z: Any
    """(n,)"""
    values: Any
    """(1+m,) f and c"""
    jacobian: Any
    """(1+m, n) the gradient of f above the Jacobian of c"""
    hessian: Any
    """(n, n) of f + yᵀc"""


class TracedPoint(NamedTuple):
    """`Answer` in units of its scales."""

    u: Any
    y: Any
    z: Any
    value: Any
    rows: Any
    gradient: Any
    jacobian: Any
    hessian: Any
    to_lower: Any
    to_upper: Any
    slope: Any
    terms: Any
    residual: Any


def dimensionless(scaled: Scaled, answer: Answer) -> TracedPoint:
    """`answer` in units of its scales, as `Scaled.point` and `kkt.first_order` have it."""
    scales, m = scaled.scales, scaled.flat.m
    u, rows = answer.x / scales.x, answer.values[1:] / scales.rows
    y, z = answer.y / scaled.row_price, answer.z / scaled.bound_price
    gradient = answer.jacobian[0] / scaled.bound_price
    jacobian = answer.jacobian[1:] * scales.x / scales.rows[:, None]
    limited = jnp.concatenate([rows, u])
    slope, terms = gradient, jnp.abs(gradient)
    if m:
        slope, terms = slope + y @ jacobian, terms + jnp.abs(y) @ jnp.abs(jacobian)
    return TracedPoint(
        u=u,
        y=y,
        z=z,
        value=answer.values[0] / scales.f,
        rows=rows,
        gradient=gradient,
        jacobian=jacobian,
        hessian=answer.hessian * scales.x / scaled.bound_price[:, None],
        to_lower=limited - scaled.lower,
        to_upper=scaled.upper - limited,
        slope=slope,
        terms=terms,
        residual=jnp.abs(slope + z),
    )


def moved(scaled: Scaled, point: TracedPoint, move: Any) -> tuple[Any, Any]:
    """x (n,) within the bounds near ``u + move``, and the dimensionless way there."""
    x = jnp.clip((point.u + move) * scaled.scales.x, scaled.flat.lower, scaled.flat.upper)
    return x, x / scaled.scales.x - point.u
