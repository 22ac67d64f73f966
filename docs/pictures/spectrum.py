"""Writes spectrum.png: spectral density of the Hessian of the network of docs/spectrum.md, with eigenpairs found."""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np

import karush

mpl.use("Agg")
rng = np.random.default_rng(0)
X = rng.standard_normal((200, 8))
labels = np.argmax(X @ rng.standard_normal((8, 4)), axis=1)
weights = {
    "in": {"W": rng.standard_normal((8, 60)) / 3, "b": np.zeros(60)},
    "mid": {"W": rng.standard_normal((60, 60)) / 8, "b": np.zeros(60)},
    "out": {"W": rng.standard_normal((60, 4)) / 8, "b": np.zeros(4)},
}


def loss(w):
    h = jnp.tanh(X @ w["in"]["W"] + w["in"]["b"])
    h = jnp.tanh(h @ w["mid"]["W"] + w["mid"]["b"])
    z = h @ w["out"]["W"] + w["out"]["b"]
    return jnp.mean(jax.nn.logsumexp(z, axis=1) - z[jnp.arange(200), labels])


figure = karush.curvature(loss, weights).plot().figure
figure.savefig(Path(__file__).with_suffix(".png"), dpi=100)
