"""The command line: exit status 0 only for success, stdout for the answer, stderr for everything else."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import karush
from karush.backends.registry import BACKENDS, OWN
from karush.cli import commands, main

MODEL = """
import jax.numpy as jnp
import karush

def objective(x):
    print("the model speaks")
    return (x["a"] - 2.0) ** 2 + jnp.sum((x["b"] - 1.0) ** 2)

start = {"a": 0.0, "b": jnp.zeros(2)}
problem = karush.Problem(
    objective,
    start,
    bounds=(None, {"a": 1.0, "b": None}),
    constraints=[karush.equal(lambda x: jnp.sum(x["b"]), 1.0, name="budget")],
    name="small",
)

def saddle():
    return karush.Problem(lambda x: x[0] ** 2 - x[1] ** 2, [0.0, 0.0], bounds=([-1.0, -1.0], [1.0, 1.0]))

def most():
    return karush.Problem(
        lambda x: -((x["a"] - 2.0) ** 2), {"a": 0.5}, bounds=(None, {"a": 1.0}), maximize=True,
        constraints=[karush.between(lambda x: x["a"] ** 3, upper=8.0, name="cube")],
    )

def impossible():
    return karush.Problem(
        lambda x: x["a"], {"a": 1.0}, constraints=[karush.equal(lambda x: x["a"] ** 2 + 1.0, name="never")]
    )

def wrong():
    return karush.Problem(lambda x: jnp.log(x.missing), 1.0)

def steep():
    return karush.Problem(lambda x: x["a"] ** 2, {"a": 1.0}, bounds=({"a": 2.0}, {"a": 1.0}))
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return str(path)


def test_solve_prints_the_report_and_ends_with_0_for_a_minimum(model, capsys):
    assert main(["solve", model]) == 0
    out = capsys.readouterr().out
    assert out.startswith("the model speaks")
    assert "small: minimize, 3 variables, 1 constraint row" in out
    assert "_MINIMUM" in out
    assert "budget" in out
    assert "stationarity" in out
    assert max(map(len, out.splitlines())) <= 100


def test_json_is_alone_on_stdout_and_certify_reads_it_back(model, tmp_path, capsys):
    assert main(["solve", model, "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert "the model speaks" in captured.err
    assert document["schema"] == "karush-result/1"
    assert document["x"]["a"] == pytest.approx(1.0, abs=1e-7)
    assert document["x"]["b"] == pytest.approx([0.5, 0.5], abs=1e-7)
    # d value / d bound of (a − 2)² at a <= 1 is −2; of the budget, 2 (0.5 − 1).
    assert document["prices"]["bounds"]["a"] == pytest.approx(-2.0, abs=1e-5)
    assert document["prices"]["budget"] == pytest.approx(-1.0, abs=1e-5)
    point = tmp_path / "point.json"
    point.write_text(captured.out)
    assert main(["certify", model, "--at", str(point)]) == 0
    assert "_MINIMUM" in capsys.readouterr().out
    assert main(["certify", model, "--at", str(point), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["schema"] == "karush-certificate/1"
    assert again["certificate"]["verdict"] == document["certificate"]["verdict"]


def test_a_maximum_keeps_the_sign_of_its_prices_through_the_file(model, tmp_path, capsys):
    point = tmp_path / "point.json"
    assert main(["solve", f"{model}:most", "--output", str(point)]) == 0
    assert "a maximum of the objective" in capsys.readouterr().out
    document = json.loads(point.read_text())
    # d value / d bound of −(a − 2)² at a <= 1 is 2.
    assert document["prices"]["bounds"]["a"] == pytest.approx(2.0, abs=1e-5)
    assert main(["certify", f"{model}:most", "--at", str(point)]) == 0
    assert "FAILS" not in capsys.readouterr().out


def test_a_plain_point_is_certified_without_multipliers(model, tmp_path, capsys):
    point = tmp_path / "point.json"
    point.write_text('{"x": {"a": 1.0, "b": [0.5, 0.5]}}')
    assert main(["certify", model, "--at", str(point)]) == 0
    point.write_text('{"x": {"a": 0.5, "b": [0.5, 0.5]}}')
    assert main(["certify", model, "--at", str(point)]) == 1
    assert "NOT_STATIONARY" in capsys.readouterr().out


def test_what_is_not_proved_is_said_and_not_written(model, tmp_path, capsys):
    point, output = tmp_path / "point.json", tmp_path / "proof.json"
    point.write_text('{"x": [100.0, 100.0]}')
    assert main(["prove", f"{model}:saddle", "--at", str(point), "--output", str(output)]) == 1
    shown = capsys.readouterr()
    assert "Undecided: " in shown.out
    assert f"nothing is written to {output}" in shown.err
    assert not output.exists()


def test_a_saddle_is_no_success(model, tmp_path, capsys):
    point = tmp_path / "point.json"
    point.write_text('{"x": [0.0, 0.0]}')
    assert main(["certify", f"{model}:saddle", "--at", str(point)]) == 1
    assert "NOT_A_MINIMUM" in capsys.readouterr().out


def test_an_infeasible_problem_ends_with_1_and_names_the_constraint(model, capsys):
    assert main(["solve", f"{model}:impossible"]) == 1
    out = capsys.readouterr().out
    assert "LOCALLY_INFEASIBLE" in out
    assert "never" in out


def test_output_and_start_and_options_reach_the_solver(model, tmp_path, monkeypatch, capsys):
    seen = {}

    def spy(problem, x0, **options):
        seen.update(options, x0=x0)
        return karush.minimize(problem, x0)

    monkeypatch.setattr(commands, "minimize", spy)
    start, output = tmp_path / "start.json", tmp_path / "out.json"
    start.write_text('{"x": {"a": 0.25, "b": [3, 4]}}')
    words = ["--method", "m", "--tol", "1e-6", "--time-limit", "2.5", "--driver", "fused"]
    assert main(["solve", model, "--start", str(start), "--output", str(output), *words]) == 0
    assert seen.pop("x0")["b"].tolist() == [3.0, 4.0]
    assert seen == {"method": "m", "tol": 1e-6, "time_limit": 2.5, "driver": "fused", "callback": None}
    assert json.loads(output.read_text())["success"] is True
    assert "small" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["solve"], ["FILE"]),
        (["solve", "nothing.py"], ["nothing.py does not exist", "check the path"]),
        (["solve", "MODEL", "--tool", "1"], ["--tool"]),
        (["solve", "MODEL", "--tol", "small"], ["--tol", "small"]),
        (["solve", "MODEL", "--tol", "-1"], ["tol", "-1"]),
        (["solve", "MODEL", "--driver", "fast"], ["fast", "fused"]),
        (["solve", "MODEL", "--method", "magic"], ["method", "magic"]),
        (["solve", "MODEL:summer"], ["'summer'"]),
        (["solve", "MODEL:wrong"], ["model.py, line", "AttributeError", "missing"]),
        (["solve", "MODEL:steep"], ["bounds at a", "lower <= upper"]),
        (["solve", "MODEL", "--start", "nothing.json"], ["nothing.json", "check the path"]),
        (["solve", "MODEL", "--output", "no/such/folder/out.json"], ["--output", "folder that exists"]),
        (["certify", "MODEL"], ["--at"]),
        (["certify", "MODEL", "--at", "nothing.json"], ["nothing.json"]),
        (["sharpen", "MODEL"], ["sharpen", "solve"]),
    ],
)
def test_wrong_use_ends_with_2_and_one_message_without_traceback(model, words, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main([word.replace("MODEL", model) for word in words]) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.splitlines()[-1 if "the model speaks" in captured.err else 0].startswith("karush: ")
    assert all(word in captured.err for word in said), captured.err


def test_output_is_refused_before_the_solve(model, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "minimize", lambda *_, **__: pytest.fail("solved"))
    assert main(["solve", model, "--output", str(tmp_path / "no" / "out.json")]) == 2


def test_no_command_is_answered_by_help_and_2(capsys):
    assert main([]) == 2
    assert "karush solve model.py" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], ["solve", "--help"], ["certify", "--help"]])
def test_help_has_examples_and_fits_80_columns(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "Examples:" in out
    assert "Exit status: 0" in out
    assert max(map(len, out.splitlines())) <= 80


def test_help_and_page_name_every_method(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    main(["solve", "--help"])
    out = capsys.readouterr().out
    page = (Path(__file__).resolve().parent.parent / "docs" / "command_line.md").read_text(encoding="utf-8")
    for method in ("auto", OWN, *BACKENDS):
        assert method in out
        assert f"`{method}`" in page


def test_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"karush {karush.__version__}"


def test_ctrl_c_before_there_is_a_point_ends_with_130(model, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "minimize", interrupt)
    assert main(["solve", model]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_python_m_karush_is_the_command():
    done = subprocess.run([sys.executable, "-m", "karush", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("karush ")


def test_on_a_terminal_progress_comes_and_goes_and_the_table_is_coloured(model):
    command = [sys.executable, "-m", "karush", "solve", model]
    reader, writer = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "JAX_PLATFORMS": "cpu"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(command, stdout=writer, stderr=writer, stdin=subprocess.DEVNULL, env=environment) as process:
        os.close(writer)
        seen = b""
        while True:
            try:
                chunk = os.read(reader, 65536)
            except OSError:
                break  # Linux reports the end of a terminal so.
            if not chunk:
                break
            seen += chunk
    os.close(reader)
    text = seen.decode()
    assert process.returncode == 0, text
    assert "compiling" in text
    assert "\x1b[2K" in text
    assert "_MINIMUM" in text
