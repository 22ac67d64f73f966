"""Writes lipschitz.png: bounds of the Lipschitz constant of a small network against the radius of the box."""

import itertools
import math
from pathlib import Path

import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from matplotlib import pyplot

import karush

mpl.use("Agg")
SIZES = (2, 16, 16, 1)
RADII = np.geomspace(0.01, 2.0, 9)
generator = np.random.default_rng(0)
W = [generator.standard_normal((b, a)) / np.sqrt(a) for a, b in itertools.pairwise(SIZES)]
b = [generator.standard_normal(b) / np.sqrt(a) for a, b in itertools.pairwise(SIZES)]


def network(x):
    for A, c in zip(W[:-1], b[:-1]):
        x = jnp.tanh(A @ x + c)
    return (W[-1] @ x + b[-1])[0]


boxes = [karush.Box.around(np.zeros(2), radius) for radius in RADII]
halved = [karush.lipschitz(network, box) for box in boxes]
single = [karush.lipschitz(network, box, budget=1) for box in boxes]
figure, ax = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
ax.axhline(math.prod(np.linalg.norm(A, 2) for A in W), color="0.6", linestyle=":", label="product of the norms")
ax.plot(RADII, [one.upper for one in single], "C1^-", label="upper, one box")
ax.plot(RADII, [one.upper for one in halved], "C0v-", label="upper")
ax.plot(RADII, [one.lower for one in halved], "C2o--", label="lower, with its witness", markersize=4)
ax.set(xscale="log", yscale="log", xlabel="radius of the box", ylabel="Lipschitz constant in the 2-norm")
ax.legend()
figure.savefig(Path(__file__).with_suffix(".png"), dpi=100)
