"""A problem as every solver, backend and certificate sees it: one flat x, one flat vector of rows."""

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.errors import ProblemError, TraceError
from karush.core.precision import as_float64, float64, require_float64
from karush.core.pytrees import Door, open_door, ravel_traced
from karush.jaxprs.function import call_user
from karush.jaxprs.reverse import require_reversible
from karush.problem.bounds import read_bounds
from karush.problem.constraints import Constraint
from karush.problem.problem import Problem
from karush.problem.regularization import Laid, as_terms, lay_out, split_bounds, split_names
from karush.problem.typical import read_scales


@dataclass(frozen=True)
class FlatProblem:
    """minimise f(x) subject to ``row_lower <= c(x) <= row_upper`` and ``lower <= x <= upper``; all arrays float64."""

    door: Door
    x0: np.ndarray
    """(n,) start as the user gave it"""
    lower: np.ndarray
    """(n,) -inf where there is none"""
    upper: np.ndarray
    """(n,) +inf where there is none"""
    row_lower: np.ndarray
    """(m,)"""
    row_upper: np.ndarray
    """(m,)"""
    variable_names: tuple[str, ...]
    row_names: tuple[str, ...]
    constraint_names: tuple[str, ...]
    row_owner: np.ndarray
    """(m,) index into `constraint_names`"""
    row_shapes: tuple[tuple[int, ...], ...]
    """shape of each constraint's rows, as the user's function returned them (raveled for a pytree)"""
    maximize: bool
    """the user's objective is maximised; f here is its negative"""
    promises: frozenset[str]
    params: Any
    x_scale: np.ndarray | None
    f_scale: float | None
    row_scale: np.ndarray | None
    """(m,) or None; zero where the user gave none"""
    closed_jaxpr: Any
    """traced program: flat x (n,) and the leaves of params -> f (), c (m,)"""
    regularization: Laid | None = None
    """terms that are part of f"""
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """what is made of `closed_jaxpr` once, when it is first asked for; shared with the same program's other params"""

    @property
    def n(self) -> int:
        return self.x0.size

    @property
    def m(self) -> int:
        return self.row_lower.size

    @property
    def param_leaves(self) -> list[Any]:
        return jax.tree.leaves(self.params)

    def projected(self, x: np.ndarray) -> np.ndarray:
        """`x` clipped to the bounds."""
        return np.clip(x, self.lower, self.upper)

    def __getstate__(self) -> dict[str, Any]:
        # A traced program cannot be pickled; a stored result is read, not solved again.
        return {**vars(self), "closed_jaxpr": None, "regularization": None, "kept": {}}

    def __deepcopy__(self, memo: Any) -> "FlatProblem":
        return self

    def with_params(self, params: Any) -> "FlatProblem":
        """The same traced program with other parameter values of the same structure, shapes and types."""
        params = read_params(params)
        old, new = _outline(self.params), _outline(params)
        if old != new:
            raise ProblemError(
                f"params is {new}, but the problem was prepared with {old}: structure, shapes and types must be the "
                "same; give such params, or prepare the problem anew"
            )
        if self.regularization is not None:
            self.regularization.require_weights(params)
        return replace(self, params=params)


def read_params(params: Any) -> Any:
    """`params` with every leaf a NumPy array, floating point as float64; integers and booleans stay what they are.

    Raises
    ------
    PrecisionError
        for single-precision leaves that have lost digits.
    """

    def read(path: Any, leaf: Any) -> Any:
        place = f"params{jax.tree_util.keystr(path)}"
        if jnp.issubdtype(getattr(leaf, "dtype", float), jax.dtypes.prng_key):
            raise ProblemError(
                f"{place} is a typed random key; give jax.random.key_data(key) and call wrap_key_data inside"
            )
        array = np.asarray(leaf)
        if array.dtype.kind in "biu" or jnp.issubdtype(array.dtype, jnp.complexfloating):
            return array
        return as_float64(leaf, place)

    return jax.tree_util.tree_map_with_path(read, params)


def _outline(params: Any) -> str:
    """Structure, types and shapes in words: ``{'a': float64(3,)}``."""
    return str(jax.tree.map(lambda leaf: f"{leaf.dtype}{leaf.shape}", params))


def flatten(problem: Problem) -> FlatProblem:
    """Trace the user's functions, once, and lay the problem out flat.

    Raises
    ------
    ProblemError
        naming the argument that is wrong, its value and the cure; `TraceError` and `PrecisionError` among them.
    """
    door, x0 = open_door(problem.x0, "x0")
    names = door.names()
    if not x0.size:
        raise ProblemError(f"x0 holds no numbers: {problem.x0!r:.80}; give an array or a pytree of arrays")
    if not np.all(np.isfinite(x0)):
        worst = int(np.flatnonzero(~np.isfinite(x0))[0])
        raise ProblemError(f"x0 at {names[worst]} is {x0[worst]}; every entry of the start must be finite")
    lower, upper = read_bounds(problem.bounds, door, names)
    constraints: tuple[Constraint, ...] = tuple(problem.constraints)  # type: ignore[arg-type]
    labels = tuple(f"constraint {i}" if c.name is None else c.name for i, c in enumerate(constraints))
    laid = lay_out(as_terms(problem.regularization), door, lower, upper)
    door, (lower, upper) = laid.door, split_bounds(laid.door, lower, upper)
    x0, names = door.enter(x0), split_names(door)
    program = _Program(problem, constraints, labels, door, laid)
    params = read_params(problem.params)
    laid.require_weights(params)
    with float64():
        leaves, treedef = jax.tree.flatten(params)
        closed_jaxpr = jax.make_jaxpr(lambda x, *p: program(x, treedef.unflatten(p)))(x0, *leaves)
    require_float64(closed_jaxpr, "the objective or a constraint")
    require_reversible(closed_jaxpr)
    shapes = program.shapes
    sizes = [int(np.prod(shape)) for shape in shapes]
    limits = [_limits(c, label, shape) for c, label, shape in zip(constraints, labels, shapes, strict=True)]
    row_lower = np.concatenate([low for low, _ in limits]) if limits else np.zeros(0)
    row_upper = np.concatenate([up for _, up in limits]) if limits else np.zeros(0)
    x_scale, f_scale, row_scale = read_scales(problem, door, labels, sizes)
    return FlatProblem(
        door=door,
        x0=x0,
        lower=lower,
        upper=upper,
        row_lower=row_lower,
        row_upper=row_upper,
        variable_names=names,
        row_names=tuple(n for label, shape in zip(labels, shapes, strict=True) for n in _row_names(label, shape)),
        constraint_names=labels,
        row_owner=np.repeat(np.arange(len(labels)), sizes),
        row_shapes=tuple(shapes),
        maximize=problem.maximize,
        promises=frozenset({"convex"} if problem.convex else ()),
        params=params,
        x_scale=x_scale,
        f_scale=f_scale,
        row_scale=row_scale,
        closed_jaxpr=closed_jaxpr,
        regularization=laid,
    )


class _Program:
    """flat x, params -> (f, c): the one place where the user's functions are called; notes the rows' shapes."""

    def __init__(
        self, problem: Problem, constraints: tuple[Constraint, ...], labels: tuple[str, ...], door: Door, laid: Laid
    ):
        self.problem, self.constraints, self.labels, self.door, self.laid = problem, constraints, labels, door, laid
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, x: Any, params: Any) -> tuple[Any, Any]:
        tree = self.door.unravel(x)
        arguments = (tree,) if self.problem.params is None else (tree, params)
        value = call_user(self.problem.objective, arguments, "the objective")
        value = _scalar(value)
        self.shapes = []
        parts = []
        for constraint, label in zip(self.constraints, self.labels, strict=True):
            label = f"constraint {label!r}"
            out = call_user(constraint.function, (self.door.join(x),) if constraint.flat else arguments, label)
            leaves = jax.tree.leaves(out)
            if not leaves or not all(_is_real(leaf) for leaf in leaves):
                raise TraceError(f"{label} returned {out!r:.80}; it must return floating-point rows")
            self.shapes.append(jnp.shape(leaves[0]) if len(leaves) == 1 else (sum(jnp.size(leaf) for leaf in leaves),))
            parts.append(jnp.asarray(ravel_traced(out), dtype=jnp.float64))
        rows = jnp.concatenate(parts) if parts else jnp.zeros(0)
        value = -value if self.problem.maximize else value
        return value + self.laid.penalty(x, params) if self.laid.terms else value, rows


def _scalar(value: Any) -> Any:
    leaves = jax.tree.leaves(value)
    if len(leaves) != 1 or not _is_real(leaves[0]) or jnp.shape(leaves[0]) != ():
        shape = [jnp.shape(leaf) for leaf in leaves if hasattr(leaf, "shape")]
        raise TraceError(
            f"the objective returned {value!r:.80} of shape {shape[0] if len(shape) == 1 else shape}; "
            "it must return one real number of shape (): reduce it, for example with jnp.sum, or index it"
        )
    return jnp.asarray(leaves[0], dtype=jnp.float64) if _is_weak_int(leaves[0]) else leaves[0] * 1.0


def _is_weak_int(leaf: Any) -> bool:
    return jnp.result_type(leaf).kind in "iu"


def _is_real(leaf: Any) -> bool:
    try:
        return jnp.result_type(leaf).kind in "fiu"
    except TypeError:
        return False


def _limits(constraint: Constraint, label: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    sides = []
    for side, missing in (("lower", -np.inf), ("upper", np.inf)):
        given = getattr(constraint, side)
        values = np.array(missing) if given is None else as_float64(given, f"{side} of constraint {label!r}")
        try:
            sides.append(np.broadcast_to(values, shape).ravel().copy())
        except ValueError:
            raise ProblemError(
                f"constraint {label!r} returned rows of shape {shape}, but its {side} limit has shape {values.shape}; "
                "give a scalar or an array that broadcasts to the rows"
            ) from None
    lower, upper = sides
    bad = np.isnan(lower) | np.isnan(upper) | (lower > upper) | (lower == np.inf) | (upper == -np.inf)
    if np.any(bad):
        i = int(np.flatnonzero(bad)[0])
        raise ProblemError(
            f"constraint {label!r} has lower {lower[i]} and upper {upper[i]} in row {i}; lower <= upper is needed"
        )
    return lower, upper


def _row_names(label: str, shape: tuple[int, ...]) -> list[str]:
    if shape == ():
        return [label]
    return [f"{label}[{','.join(map(str, index))}]" for index in np.ndindex(*shape)]
