"""The power-flow cases of ``examples/`` as flat benchmark problems."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from benchmarks.problem import BenchmarkProblem
from examples import opf


def load(name: str, buses: int) -> BenchmarkProblem:
    """The network of so many buses: variables as `jax.flatten_util.ravel_pytree` orders them, constraints as listed."""
    stated = opf.problem(opf.load(buses))
    x0, unravel = jax.flatten_util.ravel_pytree(stated.x0)
    lower, upper = (_limits(side, stated.x0) for side in stated.bounds)
    sizes = [jax.eval_shape(constraint.function, unravel(x0)).size for constraint in stated.constraints]
    row_lower = [_filled(c.lower, -np.inf, size) for c, size in zip(stated.constraints, sizes, strict=True)]
    row_upper = [_filled(c.upper, np.inf, size) for c, size in zip(stated.constraints, sizes, strict=True)]
    return BenchmarkProblem(
        name=name,
        objective=lambda x: stated.objective(unravel(x)),
        rows=lambda x: jnp.concatenate([constraint.function(unravel(x)) for constraint in stated.constraints]),
        x0=np.array(x0, float),
        lower=lower,
        upper=upper,
        row_lower=np.concatenate(row_lower),
        row_upper=np.concatenate(row_upper),
    )


def _limits(side, like) -> np.ndarray:
    full = jax.tree.map(lambda limit, x: np.broadcast_to(np.asarray(limit, float), np.shape(x)), side, like)
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(full)])


def _filled(limit, missing: float, size: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(missing if limit is None else limit, float), size)
