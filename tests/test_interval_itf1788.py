"""The public test set ITF1788 (tests/data/itf1788.itl, Apache-2.0): every expected result is contained."""

import math
import re
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from karush.arithmetic.interval import IntervalProgram, enter
from karush.core.precision import float64

pytestmark = pytest.mark.user_style
FILE = Path(__file__).parent / "data" / "itf1788.itl"
SAME = "exp exp2 log log2 log10 sin cos tan sinh cosh tanh abs sign ceil floor trunc asin acos atan asinh acosh atanh"
"""functions of the same name in both"""
FUNCTIONS = {
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "div": jnp.divide,
    "sqrt": jnp.sqrt,
    "sqr": jnp.square,
    "pow": jnp.power,
    "atan2": jnp.arctan2,
    "min": jnp.minimum,
    "max": jnp.maximum,
    "neg": jnp.negative,
    "recip": lambda x: 1.0 / x,
    "roundTiesToEven": jnp.round,
    **{name: getattr(jnp, name) for name in SAME.split()},
}
"""name in the file -> function"""
TIGHT = ("add", "sub", "mul", "sqrt", "sqr", "div", "recip")
NORMAL = 2.0**-960
"""ends below it are moved by the absolute margin"""


def number(text):
    word = text.strip().lower()
    if word in ("infinity", "-infinity"):
        return -math.inf if word[0] == "-" else math.inf
    return float.fromhex(word) if "x" in word else float(word)


def interval(text):
    if text == "[entire]":
        return -math.inf, math.inf
    ends = text.strip("[]").split(",")
    return number(ends[0]), number(ends[-1])


def cases():
    """Name (with the exponent of an integer power) -> rows of arguments and the expected result."""
    found = defaultdict(list)
    text = FILE.read_text(encoding="utf-8").split("*/")[-1]
    for line in filter(None, map(str.strip, text.splitlines())):
        left, right = line.rstrip(";").split(" = ")
        name = left.split(" ", 1)[0]
        arguments = [interval(item) for item in re.findall(r"\[[^\]]*\]", left)]
        if name == "pown":
            name = f"pown {int(left.rsplit(' ', 1)[1])}"
        found[name].append((arguments, interval(right)))
    return found


CASES = cases()


def ulps(outer, inner):
    """Ulps from an expected end to ours."""
    if outer == inner:
        return 0.0
    return abs(inner - outer) / np.spacing(max(abs(inner), np.finfo(float).tiny))


@pytest.mark.parametrize("name", CASES)
def test_every_expected_result_is_contained(name):
    rows = CASES[name]
    function = FUNCTIONS.get(name) or (lambda x: x ** int(name.split()[1]))
    ends = np.array([[arguments for arguments, _ in rows]])[0]
    with float64(), jax.numpy_dtype_promotion("standard"):
        blank = [jnp.zeros(len(rows))] * ends.shape[1]
        program = IntervalProgram(jax.make_jaxpr(function)(*blank))
        run = jax.jit(lambda e: program(*[enter(e[:, k, 0], e[:, k, 1]) for k in range(e.shape[1])])[0])
        out = jax.tree.map(np.asarray, run(ends))
    wide = 0.0
    for k, (arguments, (low, high)) in enumerate(rows):
        assert out.lo[k] <= low, (name, arguments, low, out.lo[k])
        assert high <= out.hi[k], (name, arguments, high, out.hi[k])
        usual = all(NORMAL <= abs(end) <= 1e300 for end in (low, high))
        if name in TIGHT and usual and np.isfinite(out.lo[k]) and np.isfinite(out.hi[k]):
            wide = max(wide, ulps(out.lo[k], low) + ulps(out.hi[k], high))
    assert wide <= 4.0


def test_the_set_is_whole():
    assert sum(map(len, CASES.values())) > 500
    assert len(CASES) > 40
