"""Reads and writes at places that intervals do not decide hold what every point of the box reads and writes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp

from karush.arithmetic.interval import IntervalProgram, enter
from karush.arithmetic.interval_jet_rules import JetProgram
from karush.arithmetic.interval_places import MOST_PLACES
from karush.core.errors import TraceError
from karush.core.precision import float64

pytestmark = pytest.mark.user_style
TABLE = np.array([3.0, -1.0, 2.0, 7.0, 5.0])
N = 3


def whole(x):
    return jnp.floor(x).astype(int)


READS = {
    "one element": lambda x: (x * jnp.array([1.0, 2.0, 3.0]))[jnp.argmax(x)][None],
    "a row": lambda x: jnp.outer(x, x)[jnp.argmin(x)],
    "two places": lambda x: jnp.outer(x, x + 1.0)[jnp.argmin(x), jnp.argmax(x)][None],
    "along an axis": lambda x: jnp.take_along_axis(
        jnp.outer(x, x + 1.0), jnp.argmax(jnp.outer(x, 1.0 - x), 1)[:, None], 1
    )[:, 0],
    "a table": lambda x: jnp.asarray(TABLE)[whole(x[0])][None],
    "a table, clipped": lambda x: jnp.asarray(TABLE).at[whole(2.0 * x)].get(mode="clip"),
    "a table, filled": lambda x: jnp.asarray(TABLE).at[whole(2.0 * x)].get(mode="fill", fill_value=-9.0),
    "an argument, filled with 0": lambda x: (x[:1] + 1.0).at[whole(x)].get(mode="fill", fill_value=0.0),
}
"""name -> function of x (3,) with real reads at places that depend on x"""
WRITES = {
    "added": lambda x: jnp.zeros(4).at[whole(x)].add(x * x),
    "dropped": lambda x: jnp.zeros(2).at[whole(x)].add(x * x, mode="drop"),
    "rows taken away": lambda x: jnp.ravel((jnp.ones((4, 2)) * x[0]).at[jnp.argmax(x)].add(-x[:2])),
    "clipped": lambda x: jnp.ones(2).at[whole(x)].subtract(x, mode="clip"),
    "slope of an order statistic": jax.grad(lambda x: jnp.sort(x * x)[1] * x[0]),
    "slope of log-sum-exp": jax.grad(lambda x: logsumexp(x * x)),
}
EPS = np.finfo(float).eps


def boxes():
    """Points, thin and wide boxes (k, 3) in [0, 3]³, some with ends where places change."""
    generator = np.random.default_rng(5)
    lower = generator.uniform(0.0, 3.0, (60, N))
    lower = np.where(generator.random(lower.shape) < 0.3, np.round(lower), lower)
    return lower, lower + generator.choice([0.0, 1e-3, 0.3, 1.5], (60, 1)) * generator.random(lower.shape)


def inside(lo, hi, value):
    slack = 64.0 * EPS * (1.0 + np.abs(value))
    return np.all((lo[:, None] <= value + slack) & (value - slack <= hi[:, None]))


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_every_point_of_a_box_reads_and_writes_inside_the_enclosure(name):
    function = (READS | WRITES)[name]
    lower, upper = boxes()
    x = np.random.default_rng(6).uniform(lower[:, None], upper[:, None], (len(lower), 60, N))
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        program = IntervalProgram(jax.make_jaxpr(function)(np.ones(N)))
        out = jax.tree.map(np.asarray, jax.jit(jax.vmap(lambda lo, hi: program(enter(lo, hi))[0]))(lower, upper))
        values = np.asarray(jax.jit(jax.vmap(jax.vmap(function)))(x))
    assert inside(out.lo, out.hi, values)
    # Not by being the whole line.
    assert np.all(np.isfinite(out.hi - out.lo))
    thin = np.all(upper - lower <= 1e-3, axis=1) & np.all(np.floor(lower) == np.floor(upper), axis=1)
    if name not in WRITES and "axis" not in name:
        assert np.median((out.hi - out.lo)[thin]) <= 0.1


@pytest.mark.parametrize("name", READS)
def test_slopes_across_a_change_of_place_are_held(name):
    function = READS[name]
    lower, upper = boxes()
    x = np.random.default_rng(7).uniform(lower[:, None], upper[:, None], (len(lower), 40, N))
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        jets = JetProgram(jax.make_jaxpr(function)(np.ones(N)))
        value, first = jax.jit(jax.vmap(lambda lo, hi: jets(enter(lo, hi))))(lower, upper)
        values, slopes = jax.jit(jax.vmap(jax.vmap(lambda x: (function(x), jax.jacfwd(function)(x)))))(x)
    assert inside(np.asarray(value.lo), np.asarray(value.hi), np.asarray(values))
    assert inside(np.asarray(first.lo), np.asarray(first.hi), np.moveaxis(np.asarray(slopes), -1, 2))
    # Between two points the mean value theorem holds, jumps and all.
    change = np.abs(np.asarray(values) - np.asarray(values)[:, :1])
    width = (upper - lower)[:, :, None]
    size = np.where(width > 0.0, np.maximum(np.abs(first.lo), np.abs(first.hi)), 0.0)
    steepest = np.sum(size * width, axis=1) + 1e-12
    assert np.all(change <= steepest[:, None])


def test_too_many_places_are_an_error_that_counts_them():
    side = MOST_PLACES // 4
    with float64(), jax.numpy_dtype_promotion("standard"):
        program = IntervalProgram(
            jax.make_jaxpr(lambda x: jnp.ones((side, side))[whole(x[0]), whole(x[1])])(np.ones(N))
        )
        with pytest.raises(TraceError, match=str(side * side)):
            program(enter(np.zeros(N), np.ones(N)))
