"""The rooms of karush: each imports only rooms above it, and no import hides inside a function."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "karush"

# From the top down, as in docs/architecture.md. `api` is the front door.
ROOMS = (
    "core",
    "jaxprs",
    "arithmetic",
    "numerics",
    "bounds",
    "stability",
    "derivatives",
    "curvature",
    "linalg",
    "problem",
    "certificates",
    "backends",
    "solvers",
    "unconstrained",
    "fitting",
    "proofs",
    "sensitivity",
    "api",
    "io",
    "report",
    "cli",
)
# They gather the public names, or start the command line, and so may import every room.
DOORS = frozenset({"__init__", "__main__"})
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60

FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in FILES}


def room_of(path: Path) -> str:
    """First part of the path below the package: a room's folder, or a module beside the folders."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST, path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of every import of karush's own modules, written absolutely or relatively."""
    package = ("karush", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += (node.module or "").split(".") if node.module else []
            # `from karush import core` names the room in the alias, `from karush.core import errors` in the module.
            names = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for parts in names:
            if parts[0] == "karush" and len(parts) > 1:
                yield node.lineno, parts[1]


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_room_imports_only_rooms_above_it(path):
    room = room_of(path)
    if room in DOORS:
        return
    assert room in ROOMS, f"{name(path)} lies in no declared room; the rooms are {', '.join(ROOMS)}"
    allowed = ROOMS[: ROOMS.index(room) + 1]
    wrong = [f"line {line}: {target}" for line, target in imported(TREES[path], path) if target not in allowed]
    assert not wrong, f"{name(path)} (room {room}) imports from below or from no room: {wrong}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_import_of_karush_hides_in_a_function(path):
    functions = (node for node in ast.walk(TREES[path]) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    hidden = [f"{f.name}, line {line}: {target}" for f in functions for line, target in imported(f, path)]
    assert not hidden, f"{name(path)}: {hidden}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_and_functions_stay_readable_in_one_sitting(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_FILE_LINES, f"{name(path)} has {lines} lines; at most {MAX_FILE_LINES}"
    functions = (node for node in ast.walk(TREES[path]) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    long = [
        f"{f.name}: {f.end_lineno - f.lineno + 1}"
        for f in functions
        if f.end_lineno is not None and f.end_lineno - f.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert not long, f"{name(path)}: functions above {MAX_FUNCTION_LINES} lines: {long}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_handler_swallows_every_exception(path):
    # One that ends in a raise swallows nothing: it says whose code failed.
    caught = [
        node.lineno
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.ExceptHandler)
        and not isinstance(node.body[-1], ast.Raise)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
    ]
    assert not caught, f"{name(path)}: lines {caught} swallow everything; name the expected exception"


def test_the_walker_sees_relative_and_absolute_imports():
    tree = ast.parse("import karush.cli\nfrom karush import io\nfrom ..report import tables\nfrom . import rank")
    path = PACKAGE / "linalg" / "kkt.py"
    assert [target for _, target in imported(tree, path)] == ["cli", "io", "report", "linalg"]


def test_importing_karush_alone_changes_no_global_jax_setting():
    import subprocess
    import sys

    program = (
        "import jax; before = dict(jax.config.values)\n"
        "import karush; after = dict(jax.config.values)\n"
        "print({k: (before.get(k), after[k]) for k in after if before.get(k) != after[k]})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "{}"
