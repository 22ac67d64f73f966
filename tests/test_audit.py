"""karush.audit: what it calls unsafe is shown by a witness, what it calls safe is safe, the rest is unknown."""

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush import Box
from karush.core.errors import OptionError, ProblemError, TraceError
from karush.stability.findings import AuditVerdict, Kind

SAFE, UNSAFE, UNKNOWN = AuditVerdict.SAFE, AuditVerdict.UNSAFE, AuditVerdict.UNKNOWN
pytestmark = pytest.mark.user_style
EPS = float(np.finfo(np.float32).eps)


def softmax(x):
    weights = jnp.exp(x)
    return weights / jnp.sum(weights)


def variance(x):
    return jnp.mean(x * x) - jnp.mean(x) ** 2


def log_of_one_more(x):
    return jnp.log(1.0 + x)


def one_minus_cos(x):
    return (1.0 - jnp.cos(x)) / (x * x)


def masked_root(x):
    return jnp.where(x > 0.0, jnp.sqrt(x), 0.0)


def length(x):
    return jnp.sqrt(jnp.sum(x * x))


@cache
def found(name, gradient=False):
    cases = {
        "softmax": (softmax, Box(np.full(3, -200.0), np.full(3, 200.0))),
        "variance": (variance, Box(np.full(4, 9.9e3), np.full(4, 1.01e4))),
        "log1p": (log_of_one_more, Box(1e-9, 1.0)),
        "cos": (one_minus_cos, Box(1e-6, 3.0)),
        "mask": (masked_root, Box(-1.0, 1.0)),
        "length": (length, Box(np.full(3, 1e-3), np.full(3, 1.0))),
    }
    return karush.audit(cases[name][0], cases[name][1], gradient=gradient)


def kinds(audit):
    return {finding.kind for finding in audit.findings}


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("softmax", Kind.OVERFLOW, "jnp.exp(x)"),
        ("softmax", Kind.UNDERFLOW, "jnp.exp(x)"),
        ("variance", Kind.CANCELLATION, "jnp.mean(x * x) - jnp.mean(x) ** 2"),
        ("log1p", Kind.ABSORPTION, "1.0 + x"),
        ("cos", Kind.CANCELLATION, "1.0 - jnp.cos(x)"),
    ],
)
def test_the_finding_names_kind_and_expression(name, kind, text):
    findings = [finding for finding in found(name).findings if finding.kind is kind]
    assert text in {finding.expression for finding in findings}
    finding = next(finding for finding in findings if finding.expression == text)
    assert finding.place.file == __file__
    source = Path(__file__).read_text(encoding="utf-8").splitlines()[finding.place.line - 1]
    assert source[finding.place.column - 1 :].startswith(text)
    assert "^" * len(text) in str(finding)
    assert finding.repair


@pytest.mark.parametrize("name", ["softmax", "variance", "log1p", "cos"])
def test_the_witness_reproduces_under_jit(name):
    function = {"softmax": softmax, "variance": variance, "log1p": log_of_one_more, "cos": one_minus_cos}[name]
    for finding in found(name).findings:
        out = np.ravel(np.asarray(jax.jit(function)(finding.witness)))
        if np.isfinite(finding.computed):
            exact = finding.exact
            # The finding's own numbers: the compiled value is one of the outputs, and far from the exact one.
            assert finding.computed in out.astype(float)
            assert abs(finding.computed - exact) > 2.0**3 * EPS * abs(exact)
        else:
            assert not np.all(np.isfinite(out))
            assert np.isfinite(finding.exact)


def test_the_exact_value_of_a_witness_is_the_exact_value():
    (finding,) = [finding for finding in found("cos").findings if finding.kind is Kind.CANCELLATION]
    x = float(np.asarray(finding.witness))
    # 2 sin²(x/2)/x², well conditioned in float64.
    assert finding.exact == pytest.approx(2.0 * (np.sin(x / 2.0) / x) ** 2, rel=1e-12)


def test_a_trap_in_the_gradient_is_found_though_the_value_is_right():
    audit = found("mask", gradient=True)
    value, gradient = audit.parts
    assert value.verdict is not UNSAFE
    assert gradient.verdict is UNSAFE
    (finding,) = gradient.findings
    assert finding.kind is Kind.NAN_GRADIENT
    assert np.isnan(jax.jit(jax.grad(masked_root))(finding.witness))
    assert "where" in finding.repair


def test_what_is_proved_safe_is_safe_at_sampled_points():
    audit = found("length")
    assert audit.verdict is SAFE
    x = np.random.default_rng(0).uniform(1e-3, 1.0, (4000, 3)).astype(np.float32)
    computed = np.asarray(jax.jit(jax.vmap(length))(x)).astype(float)
    exact = np.sqrt(np.sum(x.astype(float) ** 2, axis=1))
    # At most 4 bits beyond the conditioning, which is below one ulp here: 16 ulps of two at most.
    assert np.max(np.abs(computed - exact) / exact) < 2.0 * 16.0 * EPS


def test_the_careful_form_is_proved_safe_where_the_naive_one_is_not():
    naive = karush.audit(lambda x: jnp.exp(x) - 1.0, Box(1e-6, 1.0), gradient=False)
    careful = karush.audit(jnp.expm1, Box(1e-6, 1.0), gradient=False)
    assert (naive.verdict, careful.verdict) == (UNSAFE, SAFE)
    assert kinds(naive) == {Kind.CANCELLATION}


def test_loops_branches_and_calls_are_looked_into():
    def looped(x):
        def turn(carry, t):
            return carry + t * t, None

        total, _ = jax.lax.scan(turn, jnp.zeros_like(x[0]), x)
        return jax.lax.cond(x[0] > 0.0, lambda s: jnp.exp(1e-12 * s) - 1.0, lambda s: s, total)

    audit = karush.audit(jax.jit(looped), Box(np.full(4, 999.9), np.full(4, 1000.1)), gradient=False)
    assert audit.verdict is UNSAFE
    assert "jnp.exp(1e-12 * s) - 1.0" in {finding.expression for finding in audit.findings}


def test_what_cannot_be_read_is_unknown_and_named():
    def spectrum(x):
        return jnp.sum(jnp.abs(jnp.fft.fft(x)))

    audit = karush.audit(spectrum, Box(np.zeros(4), np.ones(4)), gradient=False)
    assert audit.verdict is UNKNOWN
    assert "fft" in audit.parts[0].reason
    assert f"{__file__}:" in audit.parts[0].reason


def test_a_loop_without_a_fixed_end_is_never_called_safe():
    def halved(x):
        return jax.lax.while_loop(lambda y: y > 1.0, lambda y: 0.5 * y, x)

    assert karush.audit(halved, Box(2.0, 50.0), gradient=False).verdict is UNKNOWN


def test_sample_data_are_tested_themselves():
    samples = np.array([[1.0, 2.0], [1e30, 1e-3], [3.0, 4.0]])
    audit = karush.audit(length, samples, gradient=False)
    assert audit.verdict is UNSAFE
    assert Kind.OVERFLOW in kinds(audit)


def test_the_dtype_of_the_user_is_kept():
    assert found("cos").dtype == "float32"
    with jax.enable_x64(True):
        audit = karush.audit(one_minus_cos, Box(1e-9, 3.0), gradient=False)
    assert audit.dtype == "float64"
    assert kinds(audit) == {Kind.CANCELLATION}
    assert max(finding.bits for finding in audit.findings) > 26.0


def test_a_pytree_goes_in_and_a_witness_of_its_structure_comes_out():
    def interest(a):
        return (1.0 + a["rate"] / a["periods"]) ** a["periods"] - 1.0

    box = Box({"rate": 1e-8, "periods": 1.0}, {"rate": 0.1, "periods": 365.0})
    finding = karush.audit(interest, box, gradient=False).findings[0]
    assert set(finding.witness) == {"rate", "periods"}
    assert "rate" in finding.point


def test_the_limit_of_a_removable_singularity_counts():
    audit = karush.audit(lambda x: jnp.sin(x) / x, Box(-1.0, 1.0), gradient=False)
    (finding,) = audit.findings
    assert finding.kind is Kind.INDETERMINATE
    assert finding.exact == 1.0
    assert np.isnan(finding.computed)


def test_an_infinite_exact_value_is_no_defect():
    assert karush.audit(lambda x: 1.0 / x, Box(0.0, 1.0), gradient=False).findings == ()


def test_an_overflow_that_is_not_used_is_not_blamed():
    def guarded(x):
        return jnp.where(x > 50.0, x, jnp.log1p(jnp.exp(x)))

    audit = karush.audit(guarded, Box(0.0, 200.0), gradient=False)
    assert audit.findings == ()


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (3.0, "give a karush.Box"),
        (np.zeros((2, 3), int), "give floats"),
        (np.zeros((2, 3), complex), "give floats"),
        (np.array([[np.nan]]), "not finite"),
    ],
)
def test_a_box_that_is_none_is_refused_with_the_cure(box, message):
    with pytest.raises(ProblemError, match=message):
        karush.audit(jnp.sum, box)


def test_a_reversed_box_is_refused():
    with pytest.raises(ProblemError, match="lower <= upper"):
        karush.audit(jnp.sin, Box(1.0, 0.0))


def test_a_function_that_cannot_be_traced_is_named():
    with pytest.raises(TraceError, match="cannot be traced"):
        karush.audit(lambda x: 1.0 if x > 0.0 else 0.0, Box(0.0, 1.0))


def test_a_function_without_real_outputs_is_refused():
    with pytest.raises(TraceError, match="no floating-point numbers"):
        karush.audit(lambda x: x > 0.0, Box(0.0, 1.0))


def test_a_negative_effort_is_refused():
    with pytest.raises(OptionError, match="effort"):
        karush.audit(jnp.sin, Box(0.0, 1.0), effort=-1.0)


def test_the_document_is_json_and_says_what_the_print_says():
    import json

    audit = found("softmax")
    document = json.loads(json.dumps(audit.document()))
    assert document["verdict"] == "unsafe"
    assert {each["kind"] for each in document["findings"]} == {kind.value for kind in kinds(audit)}
    assert all(each["line"] > 0 for each in document["findings"])
    assert "softmax in float32: unsafe" in str(audit)
