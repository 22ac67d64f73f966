"""Reads and writes of intervals at places that are not decided: integers known to lie between two.

```
a[i], i ∈ [l, h]:            hull of a[l] … a[h]
a[i] += u, i ∈ [l, h]:       a[j] + u where l = h = j,   a[j] + hull(0, u) where l <= j <= h,   else a[j]
```
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.arithmetic import interval_arrays as arrays
from karush.arithmetic.interval_basics import add
from karush.arithmetic.interval_numbers import Interval, both, dense_ok, each
from karush.core.errors import TraceError
from karush.jaxprs.walk import Step, bind

MOST_PLACES = 1024
"""places that an undecided integer may stand for, all of which are tried"""


def _starts(step: Step, sizes: Sequence[int], windows: Sequence[int], beyond: int) -> Any:
    """Every place (count, k) where a window may start along the k indexed axes, and `beyond` more at either end."""
    ranges = [range(-beyond, size - window + 1 + beyond) for size, window in zip(sizes, windows, strict=True)]
    count = math.prod(map(len, ranges))
    if count > MOST_PLACES:
        raise TraceError(
            f"an integer of '{step.primitive}' at {step.place} is not decided by intervals, and may stand for {count} "
            f"places; at most {MOST_PLACES} are tried"
        )
    axes = np.meshgrid(*ranges, indexing="ij")
    return np.stack([axis.ravel() for axis in axes], -1).astype(float) if axes else np.zeros((1, 0))


def gather(step: Step, a: Interval, places: Interval, *, slope: bool = False) -> Interval:
    """Elements of `a` at undecided places; `slope` as of `karush.arithmetic.interval_arrays.gather`."""
    axes, shape = step.params["dimension_numbers"].start_index_map, step.in_avals[0].shape
    dtype = step.in_avals[1].dtype
    # One place outside at either end stands for all of them: they read the same.
    starts = _starts(step, [shape[k] for k in axes], [step.params["slice_sizes"][k] for k in axes], 1)
    least = 0.0 if dtype.kind == "u" else -math.inf

    def read(start: Any) -> Interval:
        # Moved into [lo, hi] the place stays possible, and every possible one is met.
        possible = jnp.clip(jnp.clip(start, places.lo, places.hi), np.maximum(starts.min(0, initial=0), least), None)
        last = starts.max(0, initial=0)
        (out,) = arrays.gather(step, a, jnp.minimum(possible, last).astype(dtype), slope=slope)
        return out

    return _hull(jax.vmap(read)(jnp.asarray(starts)), (places,))


def _hull(every: Interval, places: Sequence[Any]) -> Interval:
    """Of all that may be read, along the first axis; not defined where a place is not."""
    ok = None if every.ok is None else jnp.all(every.ok, 0)
    for place in places:
        if isinstance(place, Interval) and place.ok is not None:
            ok = both(ok, jnp.broadcast_to(jnp.all(place.ok), jnp.shape(every.lo)[1:]))
    return Interval(jnp.min(every.lo, 0), jnp.max(every.hi, 0), ok)


def dynamic_slice(step: Step, a: Interval, *places: Any, slope: bool = False) -> Interval:
    """A window of `a`, some of whose places are undecided; it is moved inside."""
    open_ = [k for k, place in enumerate(places) if isinstance(place, Interval)]
    shape, sizes = step.in_avals[0].shape, step.params["slice_sizes"]
    starts = _starts(step, [shape[k] for k in open_], [sizes[k] for k in open_], 0)
    lasts = {k: float(shape[k] - sizes[k]) for k in open_}

    def read(start: Any) -> Interval:
        at = list(places)
        for k, one in zip(open_, start, strict=True):
            lo, hi = (jnp.clip(end, 0.0, lasts[k]) for end in (places[k].lo, places[k].hi))
            at[k] = jnp.clip(one, lo, hi).astype(step.in_avals[1 + k].dtype)
        return each(lambda x: bind(step, x, *at)[0], a)

    return _hull(jax.vmap(read)(jnp.asarray(starts)), places)


def scatter_add(step: Step, a: Interval, places: Interval, updates: Interval) -> Interval:
    """``a[places] += updates``, or ``−=``, at undecided places."""
    numbers, shape = step.params["dimension_numbers"], step.in_avals[0].shape
    axes, dtype = numbers.scatter_dims_to_operand_dims, step.in_avals[1].dtype
    one = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    spanned = iter(step.in_avals[2].shape[k] for k in numbers.update_window_dims)
    windows = [1 if k in one else next(spanned) for k in range(len(shape))]
    starts = _starts(step, [shape[k] for k in axes], [windows[k] for k in axes], 0)
    lo, hi = places.lo, places.hi
    if step.params["mode"] == lax.GatherScatterMode.CLIP:
        last = starts.max(0, initial=0)
        lo, hi = jnp.clip(lo, 0.0, last), jnp.clip(hi, 0.0, last)
    decided = jnp.all(lo == hi, -1)

    def spread(mask: Any) -> Any:
        return jnp.expand_dims(mask, numbers.update_window_dims)

    def written(start: Any) -> Interval:
        """What lands if the place is `start`, on zeros."""
        here = spread(jnp.all((lo <= start) & (start <= hi), -1))
        least = jnp.where(spread(decided), updates.lo, jnp.minimum(updates.lo, 0.0))
        most = jnp.where(spread(decided), updates.hi, jnp.maximum(updates.hi, 0.0))
        known = None if updates.ok is None else dense_ok(updates) | ~here
        part = Interval(jnp.where(here, least, 0.0), jnp.where(here, most, 0.0), known)
        at = jnp.broadcast_to(start, jnp.shape(lo)).astype(dtype)
        zero = jnp.zeros(shape)
        (out,) = arrays.scatter_add(step, Interval(zero, zero), at, part)
        return out

    landed = arrays.total(jax.vmap(written)(jnp.asarray(starts)), (0,))
    ok = landed.ok
    if places.ok is not None:
        ok = both(ok, jnp.broadcast_to(jnp.all(places.ok), shape))
    return add(a, Interval(landed.lo, landed.hi, ok))


READS = {"gather": gather, "dynamic_slice": dynamic_slice}
WRITES = {"scatter-add": scatter_add, "scatter-sub": scatter_add}
"""primitive -> what it does at places that are not decided"""

__all__ = ["MOST_PLACES", "READS", "WRITES", "dynamic_slice", "gather", "scatter_add"]
