"""``karush bound``: boxes from words, the answers, exit status 0 only if what was asked holds."""

import json

import numpy as np
import pytest

from karush.cli import main

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


def test_all_that_was_asked_holds_for_a_bowl(model, capsys):
    assert main(["bound", f"{model}:bowl", "--convexity", "--lipschitz", "2", "--json", "--budget", "64"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["range"]["lower"] <= 2.0
    assert document["range"]["upper"] >= 1.0 + 2.0 * np.e
    assert document["convexity"]["verdict"] == "strictly convex"
    assert document["lipschitz"]["lower"] <= document["lipschitz"]["upper"]


def test_a_time_limit_leaves_valid_answers(model, capsys):
    words = ["bound", f"{model}:bowl", "--convexity", "--lipschitz", "2", "--json", "--time-limit", "0.001"]
    assert main(words) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["range"]["upper"] >= 1.0 + 2.0 * np.e
    assert document["lipschitz"]["boxes"] == 1
    assert document["convexity"]["verdict"] in ("convex", "strictly convex")
    assert main(["bound", f"{model}:bowl", "--time-limit", "-1"]) == 2
    assert "time_limit is -1.0" in capsys.readouterr().err


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
