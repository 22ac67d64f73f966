"""A Python file that defines a problem: found, run, and asked for it."""

import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from karush.core.errors import FileError, KarushError
from karush.problem import Problem

DEFAULT_NAME = "problem"
JAX_NOTE = "JAX_TRACEBACK_FILTERING"
"""in JAX's note about the traceback, which is not shown here"""


def load_problem(spec: str) -> Problem:
    """Problem of ``FILE`` or ``FILE:name``: a `karush.Problem`, or a function without arguments that returns one.

    Without a name it is ``problem``. The folder of FILE is importable while it is loaded.

    Raises
    ------
    FileError
        for a file that is missing, is no Python, raises, or does not define such a problem; it says what to do.
    """
    path, name = split_spec(spec)
    module = _run(path)
    with users_code(path), _importable(path.parent):
        found = _named(module, path, name)
        if callable(found) and not isinstance(found, (Problem, type)):
            found = _called(found, path, name or DEFAULT_NAME)
    if not isinstance(found, Problem):
        raise FileError(
            f"{name or DEFAULT_NAME} in {path} is {type(found).__name__} {found!r:.60}; "
            "make it a karush.Problem(...), or a function without arguments that returns one"
        )
    return found


def load_function(spec: str) -> tuple[Any, ModuleType]:
    """Function of ``FILE:name``, and the module that FILE defines.

    Raises
    ------
    FileError
        as `load_problem`, and for a name that is missing or is no function.
    """
    path, name = split_spec(spec)
    if name is None:
        raise FileError(f"FILE is {spec!r}; name the function in it: {spec}:function")
    module = _run(path)
    if not hasattr(module, name):
        functions = [key for key, item in vars(module).items() if callable(item) and not key.startswith("_")]
        raise FileError(f"{path} defines no {name!r}; its functions are: {', '.join(functions) or 'none'}")
    found = getattr(module, name)
    if not callable(found) or isinstance(found, type):
        raise FileError(f"{name} in {path} is {type(found).__name__} {found!r:.60}; give a function of x")
    return found, module


def split_spec(spec: str) -> tuple[Path, str | None]:
    """Path and name of ``FILE[:name]``; a colon belongs to the path where a file has that very name."""
    head, colon, tail = spec.rpartition(":")
    if colon and not Path(spec).exists() and (tail.isidentifier() or not tail):
        if not tail:
            raise FileError(f"FILE is {spec!r}: nothing follows the colon; write FILE or FILE:name")
        return Path(head), tail
    return Path(spec), None


@contextmanager
def users_code(path: Path) -> Iterator[None]:
    """Turn what the code of `path` raises into a `FileError` with its own line; what karush raises passes.

    Raises
    ------
    FileError
        with the last line of the file that was running.
    """
    try:
        yield
    except KarushError:
        raise
    except SystemExit as error:
        raise FileError(
            f"{path} calls sys.exit({error.code!r}) while it is loaded; put what is to run as a script under "
            "if __name__ == '__main__':"
        ) from error
    # Somebody else's code may raise anything, and any of it is a fact about that file: no narrower class will do.
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _same(frame.filename, path)]
        if not frames:
            raise
        last = frames[-1]
        inside = "" if last.name == "<module>" else f", in {last.name}"
        message = f"{path}, line {last.lineno}{inside}: {type(error).__name__}: {error}"
        code = f"\n    {last.line}" if last.line else ""
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()) if JAX_NOTE not in note)
        raise FileError(f"{message}{code}{notes}") from error


def _run(path: Path) -> ModuleType:
    if path.is_dir():
        raise FileError(f"FILE is the folder {path}; give a Python file in it")
    if not path.exists():
        raise FileError(f"FILE {path} does not exist; check the path")
    # The suffix is not asked for: a loader is named, so that any text file with Python in it will do.
    loader = importlib.machinery.SourceFileLoader(path.stem, str(path.resolve()))
    spec = importlib.util.spec_from_loader(path.stem, loader)
    if spec is None:
        raise FileError(f"FILE {path} cannot be loaded as Python; give a file of Python source")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles of the file look their module up by name.
    shadowed = sys.modules.get(path.stem)
    sys.modules[path.stem] = module
    try:
        with users_code(path), _importable(path.parent):
            loader.exec_module(module)
    except KarushError:
        raise
    except SyntaxError as error:
        where = f"line {error.lineno}" if error.lineno else "its text"
        raise FileError(f"FILE {path} is no Python: {error.msg} at {where}; correct it there") from error
    # ValueError: the bytes are no text, or, before Python 3.11.4, one of them is null.
    except (OSError, ValueError) as error:
        raise FileError(f"FILE {path} cannot be read as Python source: {error}") from error
    finally:
        if shadowed is not None:
            sys.modules[path.stem] = shadowed
    return module


def _named(module: ModuleType, path: Path, name: str | None) -> Any:
    if name is not None or hasattr(module, DEFAULT_NAME):
        wanted = name or DEFAULT_NAME
        if not hasattr(module, wanted):
            raise FileError(f"{path} defines no {wanted!r}; {_others(module, path)}")
        return getattr(module, wanted)
    raise FileError(f"{path} defines no {DEFAULT_NAME!r}; {_others(module, path)}")


def _others(module: ModuleType, path: Path) -> str:
    problems = [name for name, item in vars(module).items() if isinstance(item, Problem)]
    if problems:
        return "choose one of its problems: " + ", ".join(f"{path}:{name}" for name in problems)
    return "write problem = karush.Problem(...) in it, or a function problem() that returns one"


def _called(function: Any, path: Path, name: str) -> Any:
    try:
        return function()
    except TypeError as error:
        # Only a call that did not get into the function is about its arguments.
        if len(traceback.extract_tb(error.__traceback__)) > 1:
            raise
        raise FileError(
            f"{name} in {path} is a function that needs arguments ({error}); "
            "give a function without arguments that returns a karush.Problem"
        ) from error


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    place = str(folder.resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        if place in sys.path:
            sys.path.remove(place)


def _same(filename: str, path: Path) -> bool:
    return Path(filename).resolve() == path.resolve()
