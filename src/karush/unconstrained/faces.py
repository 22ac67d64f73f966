"""A trust region's step within bounds: projected gradient first, then the faces that it leads to, after [LM99].

```
minimise  q(s) = gᵀs + ½ sᵀHs    subject to   lower <= u + s <= upper
Cauchy point      s = P(u − α g) − u    with   q(s) <= 0.01 gᵀs
on a face         w minimises q(s + w) in the variables strictly inside at u + s;   s ← P(u + s + β w) − u
```
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

DECREASE = 0.01
"""part of the slope's promise that a projected step must keep"""
FACES = 4
"""faces visited in one step at most"""
HALVINGS = 30


class Box(NamedTuple):
    """Where s may go: the distances of u to its bounds."""

    lower: Any
    """(n,) lower − u, <= 0"""
    upper: Any
    """(n,) upper − u, >= 0"""


def bounded_step(
    g: Any, product: Callable[[Any], Any], box: Box, radius: Any, on_face: Callable[[Any, Any, Any], tuple[Any, Any]]
) -> tuple[Any, Any, Any]:
    """s (n,), q(s), and whether the model is convex on the first face.

    Parameters
    ----------
    g, product
        Gradient (n,) of the model, and ``v -> H v``.
    on_face
        ``(gradient, free, radius) -> (w, convex)``: a minimum of the model in the variables `free` (n,) bool.
    """
    s, Hs = _cauchy(g, product, box, radius)

    def going(state: tuple[Any, ...]) -> Any:
        *_, count, more, _ = state
        return more & (count < FACES)

    def face(state: tuple[Any, ...]) -> tuple[Any, ...]:
        s, Hs, count, _, convex = state
        free = (s > box.lower) & (s < box.upper)
        slope = g + Hs
        w, convex_here = on_face(jnp.where(free, slope, 0.0), free, radius)
        moved, Hm = _projected_search(s, Hs, w, slope, product, box)
        smaller = jnp.any(free & ((moved <= box.lower) | (moved >= box.upper)))
        return moved, Hm, count + 1, smaller, jnp.where(count == 0, convex_here, convex)

    s, Hs, _, _, convex = lax.while_loop(going, face, (s, Hs, 0, True, True))
    return s, jnp.vdot(g, s) + 0.5 * jnp.vdot(s, Hs), convex


def _cauchy(g: Any, product: Callable[[Any], Any], box: Box, radius: Any) -> tuple[Any, Any]:
    """A point along the projected gradient that keeps DECREASE of the slope's promise, and H times it."""
    stuck = ((g > 0) & (box.lower >= 0)) | ((g < 0) & (box.upper <= 0))
    down = jnp.where(stuck, 0.0, -g)
    square = jnp.vdot(down, down)
    bend = jnp.vdot(down, product(down))
    longest = radius / jnp.sqrt(jnp.maximum(square, jnp.finfo(g.dtype).tiny))
    alpha = jnp.where(bend > 0, jnp.minimum(square / jnp.where(bend > 0, bend, 1.0), longest), longest)

    def at(alpha: Any) -> Any:
        return jnp.clip(alpha * down, box.lower, box.upper)

    def too_far(state: tuple[Any, ...]) -> Any:
        _, s, Hs, count = state
        slope = jnp.vdot(g, s)
        return (slope + 0.5 * jnp.vdot(s, Hs) > DECREASE * slope) & (count < HALVINGS)

    def shorter(state: tuple[Any, ...]) -> tuple[Any, ...]:
        alpha, _, _, count = state
        s = at(0.5 * alpha)
        return 0.5 * alpha, s, product(s), count + 1

    s = at(alpha)
    _, s, Hs, _ = lax.while_loop(too_far, shorter, (alpha, s, product(s), 0))
    return s, Hs


def _projected_search(s: Any, Hs: Any, w: Any, slope: Any, product: Callable[[Any], Any], box: Box) -> tuple[Any, Any]:
    """``s + P(β w)`` for the first of β = 1, ½, ... that lowers the model enough; s itself where none does."""

    def at(beta: Any) -> tuple[Any, Any]:
        moved = jnp.clip(s + beta * w, box.lower, box.upper)
        return moved, product(moved)

    def poor(moved: Any, Hm: Any) -> Any:
        step = moved - s
        promise = jnp.vdot(slope, step)
        return ~((promise + 0.5 * jnp.vdot(step, Hm - Hs) <= DECREASE * promise) & (promise <= 0.0))

    def too_far(state: tuple[Any, ...]) -> Any:
        _, moved, Hm, count = state
        return poor(moved, Hm) & (count < HALVINGS)

    def shorter(state: tuple[Any, ...]) -> tuple[Any, ...]:
        beta, _, _, count = state
        return 0.5 * beta, *at(0.5 * beta), count + 1

    _, moved, Hm, _ = lax.while_loop(too_far, shorter, (jnp.ones_like(s[0]), *at(1.0), 0))
    failed = poor(moved, Hm)
    return jnp.where(failed, s, moved), jnp.where(failed, Hs, Hm)
