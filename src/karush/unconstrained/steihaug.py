"""The truncated step of a trust region by conjugate gradients, after Steihaug and Toint [Ste83].

```
CG on  H p = −g  from p = 0, until  ‖r‖ <= η ‖g‖,  |r| <= r_end,  dᵀHd <= 0,  or ‖p‖ reaches Δ
η = min(½, max(√(‖g‖/√n), 10⁻³)),    r_end: what the end of the run asks for, entry by entry
```

The iterates grow in length, so the first one outside the ball is cut off at its surface; along negative curvature the
step goes to the surface too. Only products ``H v`` are needed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

LARGEST_RESIDUAL = 0.5
"""η in ‖r‖ <= η ‖g‖ far from the minimum; √‖g‖ makes the method converge faster than linearly, section 7.1 of [NW06]"""
LEAST_RESIDUAL = 1e-3
"""η near the minimum: exacter steps cost more products than they save iterations"""
MOST_STEPS = 2.0
"""products per variable at most: rounding delays CG beyond the n steps of exact arithmetic"""
FEWEST_STEPS, LARGEST_STEPS = 20, 2000
"""bounds of that number"""


class _State(NamedTuple):
    p: Any
    r: Any
    d: Any
    square: Any
    """rᵀr"""
    pp: Any
    """pᵀp; like pᵀd and dᵀd by recurrence, for r is orthogonal to p and d (section 7.5.1 of [CGT00])"""
    pd: Any
    dd: Any
    count: Any
    done: Any
    convex: Any


def truncated_step(
    g: Any, product: Callable[[Any], Any], free: Any, radius: Any, going: Any = True, end: Any = 0.0
) -> tuple[Any, Any, Any]:
    """p (n,), H p (n,) as the residual has it, and whether no direction of negative curvature was met.

    Parameters
    ----------
    g, product
        Gradient (n,) of the model, zero where not `free`, and ``v -> H v``.
    free
        (n,) bool: the variables that move; None for all.
    going
        False: no product is computed and p is 0.
    end
        r_end; products beyond it sharpen an answer that is sharp enough, as in section 6.3 of [Kel95].
    """
    n = g.size
    most = int(min(max(MOST_STEPS * n, FEWEST_STEPS), LARGEST_STEPS))
    size = jnp.sqrt(jnp.vdot(g, g))
    enough = jnp.clip(jnp.sqrt(size / n**0.5), LEAST_RESIDUAL, LARGEST_RESIDUAL) * size

    def more(state: _State) -> Any:
        return ~state.done & (state.square > enough**2) & (state.count < most) & going

    def advance(state: _State) -> _State:
        p, r, d, square = state.p, state.r, state.d, state.square
        pp, pd, dd = state.pp, state.pd, state.dd
        Hd = product(d)
        if free is not None:
            Hd = jnp.where(free, Hd, 0.0)
        bend = jnp.vdot(d, Hd)
        concave = ~(bend > 0.0)
        alpha = square / jnp.where(concave, 1.0, bend)
        outside = pp + 2.0 * alpha * pd + alpha**2 * dd >= radius**2
        # The positive root of ‖p + τ d‖ = Δ, in the form that does not cancel.
        room = jnp.maximum(radius**2 - pp, 0.0)
        root = jnp.sqrt(pd**2 + dd * room)
        edge = jnp.where(pd > 0, room / (pd + root), (root - pd) / dd)
        leaves = concave | outside
        step = jnp.where(leaves, edge, alpha)
        r = r + step * Hd
        new = jnp.vdot(r, r)
        beta = new / square
        return _State(
            p=p + step * d,
            r=r,
            d=-r + beta * d,
            square=new,
            pp=pp + 2.0 * step * pd + step**2 * dd,
            pd=beta * (pd + step * dd),
            dd=new + beta**2 * dd,
            count=state.count + 1,
            done=leaves | (jnp.max(jnp.abs(r)) <= end),
            convex=state.convex & ~concave,
        )

    zero = jnp.zeros((), dtype=g.dtype)
    start = _State(jnp.zeros_like(g), g, -g, size**2, zero, zero, size**2, 0, ~(size > 0.0), True)
    end = lax.while_loop(more, advance, start)
    return end.p, end.r - g, end.convex
