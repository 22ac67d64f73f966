"""A point to start from or to certify: a result of karush in JSON, or ``{"x": ..., "multipliers": ...}``."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from karush.core.errors import FileError
from karush.core.pytrees import open_door
from karush.io.result_json import CERTIFICATE, RESULT
from karush.io.trees import array, decode
from karush.problem import Problem
from karush.solvers.result import BOUNDS

PLAIN_KEYS = ("x", "multipliers")


@dataclass(frozen=True)
class Point:
    """x in the structure of the problem, and multipliers as `karush.certify` takes them, if the file has any."""

    x: Any
    multipliers: dict[str, Any] | None


def read_point(path: str | Path, problem: Problem) -> Point:
    """Point of a JSON file, checked against the structure of ``problem.x0``.

    Raises
    ------
    FileError
        for a file that is missing, is no JSON, has unknown keys, or whose x has another structure; it names the leaf.
    """
    document = _document(Path(path))
    if not isinstance(document, dict) or "x" not in document:
        raise FileError(f'{path} has no "x"; write {{"x": ...}} with x as in the problem, or a result of --json')
    schema = document.get("schema")
    if schema is None:
        unknown = [key for key in document if key not in PLAIN_KEYS]
        if unknown:
            raise FileError(f"{path} has the unknown key {unknown[0]!r}; known are {', '.join(map(repr, PLAIN_KEYS))}")
    elif schema not in (RESULT, CERTIFICATE):
        raise FileError(f"{path} has schema {schema!r}; this version reads {RESULT!r} and {CERTIFICATE!r}")
    door, _ = open_door(problem.x0, "x0")
    x = decode(document["x"], door, f"{path}: x")
    given = document.get("multipliers")
    if given is None:
        return Point(x, None)
    if not isinstance(given, dict):
        raise FileError(f"multipliers in {path} is {type(given).__name__}; give an object: constraint name -> numbers")
    multipliers = {
        name: array(part, f"{path}: multipliers[{name!r}]") for name, part in given.items() if name != BOUNDS
    }
    if given.get(BOUNDS) is not None:
        multipliers[BOUNDS] = decode(given[BOUNDS], door, f"{path}: multipliers[{BOUNDS!r}]")
    return Point(x, multipliers)


def _document(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"the point file {path} cannot be read: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise FileError(f"the point file {path} is no text: {error.reason}; give a JSON file in UTF-8") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise FileError(f"the point file {path} is no JSON: {error.msg} at {where}; correct it there") from error
