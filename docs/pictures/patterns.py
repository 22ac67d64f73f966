"""Two sparsity patterns of Hessians, entries in the colors of their products: ``python docs/pictures/patterns.py``."""

from pathlib import Path

import jax.numpy as jnp
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

import karush

SIDE = 7


def grid(x):
    u = x.reshape(SIDE, SIDE)
    return jnp.sum(jnp.sin(u[1:] * u[:-1])) + jnp.sum(jnp.sin(u[:, 1:] * u[:, :-1]))


def arrow(x):
    return jnp.sum(jnp.exp(x[0] * x[1:])) + jnp.sum(x**4)


figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for ax, f, n in ((axes[0], grid, SIDE**2), (axes[1], arrow, 30)):
    karush.hessian(f, sparse=True).pattern(np.ones(n)).plot(ax)
figure.savefig(Path(__file__).with_suffix(".png"), dpi=100)
