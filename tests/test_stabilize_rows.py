"""Every row of rewrites is an identity of real numbers: one test per row, made from the row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.core.precision import float64
from karush.stability.evaluate import Points, emit
from karush.stability.moves import SPECIAL
from karush.stability.patterns import build, matches, parsed
from karush.stability.points import draw, is_normal
from karush.stability.rows import ROWS
from karush.stability.rows_arrays import ARRAY_ROWS
from karush.stability.terms import Graph, order, read, replace, substitute
from karush.stability.truth import exact_values
from karush.stability.ulps import bits_of_error

POINTS = 20
ONE_ULP = 1.0
"""both sides are rounded once from their exact values; constants such as log 2 only choose branches"""


def holes(tree) -> list[str]:
    """Names in a pattern, in order."""
    if tree[0] == "var":
        return [tree[1]]
    return [] if tree[0] == "num" else [name for child in tree[2] for name in holes(child)]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_both_sides_of_a_row_have_one_exact_value(row):
    rng = np.random.default_rng(7)
    graph = Graph(np.float64)
    names = list(dict.fromkeys(holes(parsed(row.pattern))))
    bound = {name: graph.make("input", (), i, (), np.float64) for i, name in enumerate(names)}
    if "n" in bound or "k" in bound:
        bound |= {name: graph.constant(0.25) for name in ("n", "k") if name in bound}
    low, high = row.domain
    columns = [np.sort(draw(low, high, (POINTS,), np.float64, rng)) for _ in names]
    # A term that the pattern itself normalises away would not be matched in a program either.
    left = build(graph, parsed(row.pattern), bound, SPECIAL)
    assert any(True for _ in matches(parsed(row.pattern), left, {}))
    right = build(graph, parsed(row.replacement), bound, SPECIAL)
    assert left is not None
    assert right is not None
    assert left is not right
    with float64():
        exact = [exact_values(_tracer(term, len(names)), columns)[0] for term in (left, right)]
    both = is_normal(exact[0]) & is_normal(exact[1])
    assert both.sum() >= POINTS // 2
    assert bits_of_error(exact[1][both], exact[0][both]).max() <= ONE_ULP
    computed = Points(columns).values(right)
    assert np.isfinite(computed[both]).all()


def _tracer(term, inputs):
    """The term over N points as a closed jaxpr."""

    def trace(count):
        run = emit([term])
        return jax.make_jaxpr(jax.vmap(lambda *given: tuple(run(*given))))(
            *[jax.ShapeDtypeStruct((count,), np.float64)] * inputs
        )

    return trace


@pytest.mark.parametrize("row", ARRAY_ROWS, ids=[row.name for row in ARRAY_ROWS])
def test_a_row_of_arrays_applies_to_its_example_and_keeps_its_exact_value(row):
    rng = np.random.default_rng(7)
    x = draw(0.2, 3.0, (POINTS, 5), np.float64, rng)
    with float64():
        closed = jax.make_jaxpr(row.example)(np.ones(5))
        graph = Graph(np.float64)
        _, outputs = read(graph, closed)
        found = [(t, new) for t in order(outputs) if (new := row.rewrite(graph, t)) is not None and new is not t]
        assert found
        after = replace(graph, outputs, *found[0])
        # The identity holds with any scale; balls know no bits, so the number itself stands for its power of two.
        after = substitute(graph, after, {t.number: t.args[0] for t in order(after) if t.op == "pow2"})
        run = jax.extend.core.jaxpr_as_fun(closed)
        exact = [
            exact_values(lambda n, f=f: jax.make_jaxpr(jax.vmap(lambda v: tuple(f(v))))(np.ones((n, 5))), [x])[0]
            for f in (run, emit(after))
        ]
    assert is_normal(exact[0]).all()
    assert bits_of_error(exact[1], exact[0]).max() <= ONE_ULP


EDGES = {
    "a quotient of zeros": (lambda x: jnp.sqrt(x * (1.0 + x)) - jnp.sqrt(x), (0.0, 1e30), 0.0, 0.0),
    "an exponential beyond float32": (lambda x: 1.0 - 1.0 / (1.0 + jnp.exp(x)), (-50.0, 88.8), 88.8, 1.0),
    "a power of a negative number": (lambda x: (1.0 + x) ** 5.0 - 1.0, (-1.001, 1.0), -1.0005, -1.0),
}
"""function, box, a point of it that no sample meets, the value there"""


@pytest.mark.parametrize("name", EDGES)
def test_no_rewrite_takes_a_point_out_of_the_domain(name):
    f, ends, point, value = EDGES[name]
    g = karush.stabilize(f, karush.Box(*ends))
    assert g.changes
    assert jax.jit(g)(np.float32(point)) == np.float32(value) == f(np.float32(point))


def test_a_rewrite_whose_domain_the_bounds_prove_needs_no_guard():
    def f(x):
        return jnp.sqrt(x + 1.0) - jnp.sqrt(x)

    assert "where" not in karush.stabilize(f, karush.Box(0.0, 1e30)).source
    assert "where" in karush.stabilize(f, karush.Box(-1.0, 1e30)).source
