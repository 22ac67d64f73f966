"""How an audit comes to *safe*: what outputs depend on, floats of pieces, running bounds, cuts at one number."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush import Box
from karush.arithmetic.interval_numbers import enter
from karush.core.precision import float64
from karush.jaxprs.walk import inline
from karush.stability.audit import Search
from karush.stability.audit_cut import cut
from karush.stability.audit_measure import Screen
from karush.stability.audit_pieces import Pieces, counts, halves, points_of
from karush.stability.audit_run import Run
from karush.stability.audit_safe import proved_safe
from karush.stability.error_bounds import Value
from karush.stability.error_margins import format_of
from karush.stability.error_regrouped import bounded
from karush.stability.findings import AuditVerdict, Kind
from karush.stability.influence import groups, influences
from karush.stability.straight import shadow, straightened, typed
from karush.stability.subject import read_box, value_subject

SAFE, UNSAFE = AuditVerdict.SAFE, AuditVerdict.UNSAFE
pytestmark = pytest.mark.user_style
SINGLE = np.dtype(np.float32)
FORM = format_of(SINGLE)
TINY = float(np.finfo(np.float32).tiny)


def straight(f, n):
    subject = value_subject(f, read_box(Box(np.zeros(n), np.ones(n)))[0], "f")
    return subject, straightened(subject.closed, n, SINGLE)


@pytest.mark.parametrize(
    ("f", "rows"),
    [
        (lambda x: jnp.sin(2.0 * x), [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        (lambda x: jnp.where(x[0] > 0.5, x[1:], 1.0), [[1, 1, 0], [1, 0, 1]]),
        (lambda x: x[1] * jnp.ones(2), [[0, 1, 0], [0, 1, 0]]),
        (lambda x: jnp.array([jnp.sum(x[:2]), jnp.max(x[1:]), 7.0]), [[1, 1, 0], [0, 1, 1], [0, 0, 0]]),
        (lambda x: x[::-1] + 0.0 * x, [[1, 0, 1], [0, 1, 0], [1, 0, 1]]),
        (lambda x: jnp.sort(x), [[1, 1, 1]] * 3),
        (lambda x: x[jnp.argmax(x)] * jnp.ones(1), [[1, 1, 1]]),
    ],
)
def test_an_output_depends_on_the_inputs_that_reach_it_by_values_answers_or_places(f, rows):
    assert influences(straight(f, 3)[1]).astype(int).tolist() == rows


def test_outputs_of_the_same_inputs_are_one_group():
    found = groups(straight(lambda x: jnp.concatenate([jnp.sin(x), jnp.cos(x)]), 2)[1])
    assert sorted((g.outputs.astype(int).tolist(), g.inputs.astype(int).tolist()) for g in found) == [
        ([0, 1, 0, 1], [0, 1]),
        ([1, 0, 1, 0], [1, 0]),
    ]


@pytest.mark.parametrize("ends", [(-1.00001 * TINY, 1.00001 * TINY), (1.0, 1.00001), (-1e-40, 1e-40), (1e-41, 1e-40)])
def test_the_points_of_a_piece_are_all_its_floats_but_subnormal_ones(ends):
    piece = Pieces(np.array([[ends[0]]]), np.array([[ends[1]]]))
    points = points_of(piece, SINGLE).ravel()
    every = np.unique(np.concatenate([np.nextafter(p, [np.float32(-4.0), np.float32(4.0)]) for p in points] + [points]))
    normal = every[(np.abs(every) >= TINY) | (every == 0.0)]
    inside = normal[(normal.astype(float) >= ends[0]) & (normal.astype(float) <= ends[1])]
    assert np.array_equal(np.unique(points), inside)
    assert counts(piece, SINGLE)[0] == len(points)
    assert len(np.unique(points)) == len(points)


def test_halves_cover_their_piece_and_meet_in_one_face():
    piece = Pieces(np.array([[-1.0, 1e-3, 0.0]]), np.array([[2.0, 1e3, 5.0]]))
    for depth in range(4):
        parts = halves(piece, FORM, depth, np.array([True, True, True]))
        (axis,) = np.flatnonzero(parts.lo[0] != parts.lo[1])
        assert parts.hi[0, axis] == parts.lo[1, axis]
        assert np.array_equal(parts.lo[0], piece.lo[0])
        assert np.array_equal(parts.hi[1], piece.hi[0])


BOUNDED = {
    "sigmoid": (lambda x: 1.0 / (1.0 + jnp.exp(-x)), -100.0, 100.0),
    "gumbel": (lambda x: jnp.exp(-jnp.exp(-x)), -30.0, 30.0),
    "far quotient": (lambda x: 1.0 / (1.0 / x), 1e-38, 1e38),
    "loss": (lambda x: jnp.maximum(x, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(x))), -90.0, 90.0),
    "selected overflow": (lambda x: jnp.where(x > 0.0, 2.0 / (jnp.exp(x) + 3.0), 1.0 + x), -2.0, 100.0),
    "either of two": (lambda x: jnp.maximum(0.9 * x, -0.1 * x) - jnp.minimum(x / 3.0, 1e-3), -1.0, 1.0),
    "powers": (lambda x: (x / 3.0) ** 5 + (x * x) ** 3, 1e-12, 1e5),
    "grown overflow": (lambda x: 5.0 / (3.0 * jnp.exp(x) + 2.0), -50.0, 120.0),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_running_bounds_hold_at_the_floats_of_random_pieces(name):
    f, low, high = BOUNDED[name]
    subject, program = straight(lambda x: jnp.reshape(f(x[0]), (1,)), 1)
    steps = typed(inline(program))

    def one(lo, hi):
        x = enter(lo, hi)
        zero = jnp.zeros(1)
        return bounded(FORM, steps, Value(x, zero, zero, zero, x.lo >= 0.0, zero == 0.0))[0]

    rng = np.random.default_rng(3)
    middle = rng.uniform(low, high, (300, 1)) if low < 0.0 else np.exp(rng.uniform(np.log(low), np.log(high), (300, 1)))
    width = np.abs(middle) * np.exp2(-rng.uniform(1.0, 20.0, middle.shape))
    lo, hi = np.maximum(middle - width, low), np.minimum(middle + width, high)
    with float64():
        y = jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(lo, hi))
        x = (lo + (hi - lo) * rng.random((300, 32))).astype(np.float32)
        x = np.clip(x, np.nextafter(lo.astype(np.float32), np.float32(np.inf)), hi.astype(np.float32))
        kept = (x.astype(float) >= lo) & (x.astype(float) <= hi)
        exact = np.asarray(jax.jit(jax.vmap(shadow(program)))(x.reshape(-1, 1).astype(float))).reshape(x.shape)
    computed = np.asarray(Screen(subject, program).computed(x.reshape(-1, 1))).astype(float).reshape(x.shape)
    claimed = kept & y.fine & np.isfinite(y.r) & np.isfinite(y.t)
    assert claimed.mean() > 0.5
    within = np.abs(computed - exact) <= (y.r + 1e-13) * np.abs(exact) + y.t
    infinite = np.isinf(computed) & y.over & (np.sign(computed) == np.sign(exact))
    assert np.all(within | infinite | ~claimed)
    # What is not subject to an infinity is finite.
    assert np.all(np.isfinite(computed) | y.over | ~claimed)


def test_every_float_of_a_piece_is_run_and_a_wrong_one_is_named():
    for f, right in ((jnp.expm1, True), (lambda x: jnp.exp(x) - 1.0, False)):
        subject, program = straight(lambda x, f=f: f(x), 1)
        run = Run(program, Screen(subject, program), FORM, lambda x: False, 10)
        wrong = run.wrong(points_of(Pieces(np.array([[1e-3]]), np.array([[1.001e-3]])), SINGLE), np.array([True]))
        assert (wrong is None) == right


def test_a_program_is_cut_at_the_first_number_that_all_depends_on():
    found = cut(straight(lambda x: jnp.sin(jnp.sum(x * x)) + 1.0, 3)[1])
    assert [str(step.primitive) for step in inline(found.inner).steps][-2:] == ["reduce_sum", "reshape"]
    x = np.array([1.0, 2.0, 3.0], np.float32)
    u = jax.extend.core.jaxpr_as_fun(found.inner)(x)[0]
    assert float(u[0]) == 14.0
    assert float(jax.extend.core.jaxpr_as_fun(found.outer)(u)[0][0]) == pytest.approx(np.sin(14.0) + 1.0, rel=1e-6)
    assert cut(straight(lambda x: jnp.sin(jnp.sum(x)) * x[0], 3)[1]) is None
    assert cut(straight(lambda x: jnp.sum(x), 3)[1]) is None


@cache
def verdict(name):
    cases = {
        "through one number": (lambda x: jnp.sin(jnp.prod(x)), Box(np.full(3, 0.1), np.full(3, 10.0))),
        "elementwise": (lambda x: jnp.sin(10.0 + x), Box(np.full(3, 50.0), np.full(3, 150.0))),
        "unused input": (lambda x: 1.0 / x[1] - 1.0, Box(np.array([-5.0, 0.0]), np.array([5.0, 0.25]))),
        "divided away": (lambda x: 1.0 / (1.0 + jnp.exp(-x)), Box(-100.0, 100.0)),
        "many floats": (lambda x: 0.5 * (1.0 + jnp.tanh(0.5 * x)), Box(-3.0, 10.0)),
        "sliver": (lambda x: jnp.abs(jnp.prod(x)), Box(np.full(3, -5.0), np.full(3, 5.0))),
    }
    f, box = cases[name]
    return f, box, karush.audit(f, box, gradient=False)


@pytest.mark.parametrize("name", ["through one number", "elementwise", "unused input", "divided away", "many floats"])
def test_what_is_called_safe_loses_four_bits_nowhere_that_is_sampled(name):
    f, box, audit = verdict(name)
    assert audit.verdict is SAFE, audit.parts[0].reason
    _, lower, upper, _ = read_box(box)
    x = np.random.default_rng(1).uniform(lower, upper, (20_000, lower.size)).astype(np.float32)
    subject = value_subject(f, read_box(box)[0], "f")
    program = straightened(subject.closed, lower.size, SINGLE)
    screen = Screen(subject, program)
    bits = screen.scores(x, screen.computed(x), np.random.default_rng(2))
    assert np.nanmax(bits) <= 4.0


def test_where_the_proof_fails_is_looked_at_and_a_sliver_is_found():
    _, _, audit = verdict("sliver")
    assert audit.verdict is UNSAFE
    (finding,) = audit.findings
    # A partial product is flushed though the whole one is normal.
    assert finding.kind is Kind.UNDERFLOW
    assert finding.computed == 0.0
    assert abs(finding.exact) >= TINY


REGROUPED = {
    "constants, one product of which underflows": (lambda x: (x[0] * 1e-30) * 1e-30, [1e30], [1e38]),
    "constants, one product of which overflows": (lambda x: (x[0] * 1e30) * 1e30, [1e-37], [1e-30]),
    "two denominators": (lambda x: x[0] / x[1] / x[2], [1e30, 1.0, 1.0], [1e38, 1e20, 1e20]),
    "a quotient below": (lambda x: x[0] / (x[1] / x[2]), [1e20, 1e30, 1e25], [1e21, 1e31, 1e26]),
    "a quotient over a quotient": (lambda x: (x[0] / x[1]) / (x[2] / x[3]), [1e10] * 4, [1e20] * 4),
    "a common power of two": (lambda x: x[0] * 0.25 + x[1] * 0.25, [2e38] * 2, [3e38] * 2),
    "exponents whose sum is rounded": (
        lambda x: x[0] * (jnp.exp(jnp.maximum(x[1], 39.9)) * jnp.exp(jnp.maximum(x[2], 46.3))),
        [1.0, 0.0, 0.0],
        [2.0, 1.0, 1.0],
    ),
}


@pytest.mark.parametrize("name", REGROUPED)
def test_the_proof_alone_does_not_call_safe_what_the_compiler_regroups_out_of_range(name):
    f, low, high = REGROUPED[name]
    inputs, lower, upper, samples = read_box(Box(np.array(low), np.array(high)))
    search = Search(value_subject(f, inputs, "f"), lower, upper, samples, 0, 1.0)
    points = np.random.default_rng(0).uniform(search.lower, search.upper, (4096, search.lower.size))
    points = np.concatenate([points, search.upper[None]]).astype(SINGLE)
    lost = search.screen.scores(points, search.screen.computed(points), np.random.default_rng(0))
    assert np.nanmax(lost) > 4.0
    asked = (search.straight, search.screen, lower, upper, 0.02, lambda x: False, search.moving())
    assert not proved_safe(*asked)[0]


def test_what_is_regrouped_within_range_is_still_proved():
    def f(x):
        return 0.25 * x[0] / x[1] / x[2] + 0.25 * (x[2] / (x[1] / x[0])) * 3.0

    assert karush.audit(f, Box(np.full(3, 0.5), np.full(3, 2.0)), gradient=False).parts[0].verdict is SAFE


def test_a_reduction_by_a_function_of_the_user_is_unknown_and_named():
    def largest(x):
        return jax.lax.reduce(x, np.float32(0.0), lambda a, b: jnp.maximum(jnp.abs(a), jnp.abs(b)), (0,))

    (part,) = karush.audit(largest, Box(np.zeros(3), np.ones(3)), gradient=False).parts
    assert part.verdict is AuditVerdict.UNKNOWN
    assert "reduce" in part.reason


def test_counted_answers_are_numbers_of_the_proof():
    def f(x):
        return x[:1] + jnp.maximum(jnp.sum(x > 0.5) - 1, 0).astype(x.dtype)

    assert karush.audit(f, Box(np.ones(2), np.full(2, 2.0)), gradient=False).parts[0].verdict is SAFE
