"""``karush bound``: boxes from words, the answers, exit status 0 only if what was asked holds."""

import json

import numpy as np
import pytest

from karush.cli import main
from karush.cli.box_words import read_box
from karush.core.errors import ProblemError

MODEL = """
import jax.numpy as jnp
import karush

def bowl(x):
    return x["a"] ** 2 + jnp.sum(jnp.exp(x["w"]))

def saddle(x):
    return x["a"] * x["w"][0]

def pole(x):
    return 1.0 / x

number = 3.0
box = karush.Box({"a": 0.0, "w": jnp.zeros(2)}, {"a": 1.0, "w": jnp.ones(2)})
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return str(path)


def test_words_describe_numbers_vectors_and_dicts():
    one = read_box("-1:inf")
    assert (one.lower, one.upper) == (-1.0, np.inf)
    matrix = read_box("[[0:1, 2:3], [4:5, 6:7]]")
    assert np.array_equal(matrix.lower, [[0.0, 2.0], [4.0, 6.0]])
    named = read_box("x=0:1, w=-1:1*3")
    assert named.upper["x"] == 1.0
    assert np.array_equal(named.lower["w"], -np.ones(3))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("1:x", "1:x"),
        ("", "empty"),
        ("[0:1", "brackets"),
        ("0:1, 0:2", "names"),
        ("x=0:1, 0:2", "no name"),
        ("x=0:1, x=0:2", "twice"),
        ("[0:1, [0:1]]", "shapes"),
        ("0:1*0", "0:1\\*0"),
        ("1:0", "lower <= upper"),
    ],
)
def test_words_that_describe_no_box_are_named(words, part):
    with pytest.raises(ProblemError, match=part):
        read_box(words)


def test_all_that_was_asked_holds_for_a_bowl(model, capsys):
    assert main(["bound", f"{model}:bowl", "--convexity", "--lipschitz", "2", "--json", "--budget", "64"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["range"]["lower"] <= 2.0
    assert document["range"]["upper"] >= 1.0 + 2.0 * np.e
    assert document["convexity"]["verdict"] == "strictly convex"
    assert document["lipschitz"]["lower"] <= document["lipschitz"]["upper"]


def test_a_saddle_and_a_pole_do_not_hold(model, capsys):
    assert main(["bound", f"{model}:saddle", "--convexity", "--budget", "8"]) == 1
    assert "not convex" in capsys.readouterr().out
    assert main(["bound", f"{model}:pole", "--box", "-1:1", "--budget", "8"]) == 1
    assert "undefined" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([":bowl", "--box", "0:1"], "structure of its argument"),
        ([":missing"], "its functions are: bowl, saddle, pole"),
        ([":number"], "give a function of x"),
        ([], "name the function"),
    ],
)
def test_wrong_use_says_what_to_do(model, capsys, words, said):
    name = model + (words[0] if words else "")
    assert main(["bound", name, *words[1:]]) == 2
    assert said in capsys.readouterr().err
