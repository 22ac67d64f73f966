"""karush audit: lines underlined, exit status by severity."""

import json

import pytest

from karush.cli import main

MODEL = """
import jax.numpy as jnp
import numpy as np
import karush

def loss(x):
    print("the model speaks")
    return jnp.log(jnp.sum(jnp.exp(x)))

def careful(x):
    return jnp.expm1(x)

def slight(x):
    return jnp.exp(x) - 1.0

data = np.array([[1.0, 2.0], [150.0, 3.0]])
box = karush.Box(1e-3, 1.0)
number = 3.0
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return str(path)


def run(capsys, *words):
    status = main(["audit", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_severe_finding_is_underlined_and_ends_in_status_3(model, capsys):
    status, out, _ = run(capsys, f"{model}:loss", "--box=-200:200*2", "--value-only")
    assert status == 3
    assert "overflow in the value" in out
    assert "model.py:8 in loss" in out
    assert "    8 |     return jnp.log(jnp.sum(jnp.exp(x)))\n      |                            ^^^^^^^^^^" in out


def test_a_safe_function_ends_in_status_0(model, capsys):
    status, out, _ = run(capsys, f"{model}:careful", "--box", "box", "--value-only")
    assert (status, "safe" in out) == (0, True)


def test_a_slight_loss_ends_in_status_1(model, capsys):
    status, out, _ = run(capsys, f"{model}:slight", "--box", "0.01:0.03", "--value-only")
    assert status == 1
    assert "cancellation" in out


def test_json_is_alone_on_stdout(model, capsys):
    status, out, _ = run(capsys, f"{model}:loss", "--box", "data", "--value-only", "--json")
    assert status == 3
    assert json.loads(out)["findings"][0]["line"] == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["loss", "--box", "3"], "is no interval"),
        (["loss", "--box", "nothing"], "does not define 'nothing'"),
        (["missing", "--box", "0:1"], "defines no 'missing'"),
        (["number", "--box", "0:1"], "give a function"),
        (["loss", "--box", "1:0*2"], "lower <= upper"),
    ],
)
def test_wrong_words_end_in_status_2_with_the_cure(model, capsys, words, message):
    status, out, err = run(capsys, f"{model}:{words[0]}", *words[1:])
    assert (status, out) == (2, "")
    assert message in err
