"""What karush writes, it reads back to the bit; what it cannot read, it refuses with the place and the cure."""

import json
from collections import namedtuple
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jax
import numpy as np
import pytest
from fake_results import certificate_of, plant, plant_result
from hypothesis import given
from hypothesis import strategies as st

from karush.core.errors import FileError
from karush.core.pytrees import open_door
from karush.core.status import Status, Verdict
from karush.io import certificate_document, dumps, load_problem, read_point, result_document
from karush.io.problem_file import split_spec
from karush.io.trees import decode, encode

Pair = namedtuple("Pair", ["left", "right"])


@jax.tree_util.register_dataclass
@dataclass
class Tank:
    level: Any
    valves: Any


numbers = st.floats(width=64) | st.sampled_from([np.inf, -np.inf, np.nan, -0.0, 5e-324])
arrays = st.lists(numbers, min_size=1, max_size=4).map(np.array) | numbers.map(np.array) | st.just(np.zeros((2, 0, 3)))
trees = st.recursive(
    arrays,
    lambda part: (
        st.dictionaries(st.text("abc é.", min_size=1, max_size=3), part, min_size=1, max_size=3)
        | st.tuples(part, st.none(), part)
        | st.builds(Pair, part, part)
        | st.builds(Tank, part, part)
    ),
    max_leaves=5,
)


@given(trees)
def test_a_tree_comes_back_from_json_to_the_bit(tree):
    document = json.loads(dumps(encode(tree)))
    back = decode(document, open_door(tree, "x")[0], "x")
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    assert jax.tree.all(jax.tree.map(lambda a, b: np.array_equal(a, b, equal_nan=True), back, tree))


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("status", [Status.CONVERGED, Status.TIME_LIMIT])
def test_a_result_document_obeys_the_schema(verdict, status):
    result = plant_result(verdict, status=status, value=float("-inf"))
    document = json.loads(dumps(result_document(result)))
    assert obeys(document, SCHEMA), document
    assert document["value"] == "-inf"
    assert document["history"][0]["infeasibility"] == "inf"


def test_a_certificate_document_obeys_the_schema():
    result = plant_result()
    certificate = certificate_of(
        result.flat,
        Verdict.NOT_A_MINIMUM,
        witness={"x": np.array([np.nan, 1.0]), "value": np.float64(2.0), "steps": (1, 2)},
        violated=(("total flow", 0.5),),
    )
    document = json.loads(dumps(certificate_document(certificate, result.x, "plant")))
    assert obeys(document, SCHEMA)
    assert document["certificate"]["witness"] == {"x": ["nan", 1.0], "value": 2.0, "steps": [1, 2]}


def test_the_schema_refuses_what_is_not_a_result():
    good = json.loads(dumps(result_document(plant_result())))
    assert obeys(good, SCHEMA)
    for key in SCHEMA["$defs"]["result"]["required"]:
        assert not obeys({name: part for name, part in good.items() if name != key}, SCHEMA)
    assert not obeys(good | {"value": None}, SCHEMA)
    assert not obeys(good | {"status": "done"}, SCHEMA)


def test_the_schema_lists_every_key_status_and_verdict():
    definitions = SCHEMA["$defs"]
    document = result_document(plant_result())
    assert document.keys() == definitions["result"]["properties"].keys()
    assert document["certificate"].keys() == definitions["certificate"]["properties"].keys()
    assert definitions["result"]["properties"]["status"]["enum"] == [status.value for status in Status]
    assert definitions["certificate"]["properties"]["verdict"]["enum"] == [verdict.value for verdict in Verdict]


def test_a_written_result_is_read_as_its_own_point(tmp_path):
    result = plant_result()
    path = tmp_path / "result.json"
    path.write_text(dumps(result_document(result)))
    point = read_point(path, plant())
    assert jax.tree.all(jax.tree.map(np.array_equal, point.x, result.x))
    assert jax.tree.all(jax.tree.map(np.array_equal, point.multipliers, result.multipliers))


def test_a_plain_point_needs_no_multipliers(tmp_path):
    path = tmp_path / "point.json"
    path.write_text(json.dumps({"x": encode(plant().x0)}))
    assert read_point(path, plant()).multipliers is None


FLOW, LEVEL = [[1, 1]] * 3, [0] * 40
FITS = {"flow": FLOW, "level": LEVEL, "mode": [1, 2]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["no JSON", "line 1"]),
        ("[1, 2]", ['no "x"', '{"x": ...}']),
        ('{"y": 1}', ['no "x"']),
        ('{"x": 1, "lambda": 2}', ["unknown key 'lambda'", "'multipliers'"]),
        ('{"x": 1, "schema": "karush-result/9"}', ["'karush-result/9'", "'karush-result/1'"]),
        ('{"x": [1]}', ["must be an object", "'flow', 'level', 'mode'"]),
        (json.dumps({"x": {"flow": FLOW, "level": LEVEL}}), ["lacks 'mode'"]),
        (json.dumps({"x": FITS | {"speed": 1}}), ["'speed'", "remove it"]),
        (json.dumps({"x": FITS | {"mode": [1]}}), ["x.mode must be a list of 2 parts"]),
        (json.dumps({"x": FITS | {"mode": [1, 2, 3]}}), [".mode has '2'", "remove"]),
        (json.dumps({"x": FITS | {"level": [0] * 39}}), [".level has shape (39,)", "(40,)"]),
        (json.dumps({"x": FITS | {"flow": [[1], [2, 3], [4]]}}), [".flow", "unequal"]),
        (json.dumps({"x": FITS | {"mode": [1, "big"]}}), [".mode[1] holds 'big'", '"inf"']),
        (json.dumps({"x": FITS | {"mode": [1, True]}}), [".mode[1] holds True"]),
        (json.dumps({"x": FITS, "multipliers": [1]}), ["multipliers", "list"]),
        (
            json.dumps({"x": FITS, "multipliers": {"mass balance": "much"}}),
            ["multipliers['mass balance']", "'much'"],
        ),
    ],
)
def test_a_point_that_does_not_fit_is_refused_with_leaf_and_cure(tmp_path, text, words):
    path = tmp_path / "point.json"
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        read_point(path, plant())
    assert all(word in str(caught.value) for word in [*words, "point.json"]), str(caught.value)


def test_a_missing_or_binary_point_file_is_refused(tmp_path):
    with pytest.raises(FileError, match="check the path"):
        read_point(tmp_path / "nothing.json", plant())
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="UTF-8"):
        read_point(tmp_path / "b.json", plant())


GOOD = """
from dataclasses import dataclass
import karush
from helper import start

@dataclass
class Size:
    n: int = 2

problem = karush.Problem(lambda x: (x**2).sum(), start, name="squares")

def winter():
    from helper import cold
    return karush.Problem(lambda x: (x**2).sum(), cold)

def of(n):
    return problem

number = 3

def broken():
    return undefined_name
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "helper.py").write_text("import numpy as np\nstart = np.ones(2)\ncold = np.ones(3)\n")
    path = tmp_path / "model.py"
    path.write_text(GOOD)
    return path


def test_a_file_gives_its_problem_and_others_by_name(model, monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "helper", raising=False)
    assert load_problem(str(model)).name == "squares"
    assert load_problem(f"{model}:winter").x0.shape == (3,)


def test_loading_leaves_the_search_path_alone(model):
    path = __import__("sys").path
    before = list(path)
    load_problem(str(model))
    assert path == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("summer", ["defines no 'summer'", "model.py:problem"]),
        ("number", ["is int 3", "karush.Problem(...)"]),
        ("Size", ["is type", "karush.Problem(...)"]),
        ("of", ["needs arguments", "without arguments"]),
        ("broken", ["line 22, in broken: NameError", "undefined_name"]),
        ("", ["nothing follows the colon"]),
    ],
)
def test_a_wrong_name_is_refused_with_the_cure(model, name, words):
    with pytest.raises(FileError) as caught:
        load_problem(f"{model}:{name}")
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = (", ["is no Python", "line 1"]),
        ("import karush", ["defines no 'problem'", "write problem = karush.Problem(...)"]),
        ("problem = 3", ["is int 3"]),
        ("x = 1\ny = x / 0\n", ["line 2: ZeroDivisionError", "y = x / 0"]),
        ("import no_such_module", ["line 1: ModuleNotFoundError"]),
        ("import sys\nsys.exit(0)", ["calls sys.exit(0)", "__main__"]),
        (
            "import karush\na = karush.Problem(lambda x: x**2, 1.0)\nb = karush.Problem(lambda x: x**2, 2.0)",
            ["defines no 'problem'", "model.py:a", "model.py:b"],
        ),
    ],
)
def test_a_file_without_a_problem_is_refused_with_the_cure(tmp_path, text, words):
    path = tmp_path / "model.py"
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        load_problem(str(path))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        load_problem(str(tmp_path / "nothing.py"))
    with pytest.raises(FileError, match="is the folder"):
        load_problem(str(tmp_path))


def test_binary_and_null_bytes_are_refused(tmp_path):
    path = tmp_path / "model.py"
    for content in (b"\xff\xfe", b"\x00"):
        path.write_bytes(content)
        with pytest.raises(FileError):
            load_problem(str(path))


def test_a_colon_belongs_to_the_path_of_a_file_that_exists(tmp_path):
    path = tmp_path / "a:b"
    path.write_text("")
    assert split_spec(str(path)) == (path, None)
    assert split_spec(f"{path}:c") == (path, "c")


SCHEMA: dict[str, Any] = json.loads((files("karush.io") / "schema.json").read_text(encoding="utf-8"))
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def obeys(value: Any, schema: dict[str, Any]) -> bool:
    """The words of JSON Schema that schema.json uses; an unknown one is an error."""
    if "$ref" in schema and not obeys(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]):
        return False
    for word, wanted in schema.items():
        match word:
            case "type":
                ok = any(is_type(value, name) for name in ([wanted] if isinstance(wanted, str) else wanted))
            case "enum":
                ok = value in wanted
            case "const":
                ok = value == wanted
            case "anyOf":
                ok = any(obeys(value, part) for part in wanted)
            case "oneOf":
                ok = sum(obeys(value, part) for part in wanted) == 1
            case "required":
                ok = all(key in value for key in wanted)
            case "properties":
                ok = all(obeys(value[key], part) for key, part in wanted.items() if key in value)
            case "additionalProperties":
                ok = all(obeys(part, wanted) for key, part in value.items() if key not in schema.get("properties", ()))
            case "items":
                ok = all(obeys(part, wanted) for part in value)
            case "$ref" | "$schema" | "$defs" | "title" | "description":
                ok = True
            case _:
                raise NotImplementedError(word)
        if not ok:
            return False
    return True


def is_type(value: Any, name: str) -> bool:
    if name in ("number", "integer"):
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole or (name == "number" and isinstance(value, float))
    return isinstance(value, TYPES[name])
