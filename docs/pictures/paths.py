"""Paths of the methods over contours, and the Gaussians of cross-entropy: ``python docs/pictures/paths.py``."""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse
from PIL import Image

import karush
from karush import methods
from karush.core.precision import float64
from karush.unconstrained import drive
from karush.unconstrained.method import task_of

HERE = Path(__file__).parent
SHOWN = 100
"""iterations drawn"""
COLORS = 128


def bowl(x):
    return 0.5 * (x[0] ** 2 + 12.0 * x[1] ** 2)


def rosenbrock(x):
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


def rastrigin(x):
    return jnp.sum(x**2 - 10.0 * jnp.cos(2.0 * jnp.pi * x) + 10.0)


def states(f, start, method, iterations, bounds=None):
    """The state after every iteration, the start first."""
    parts = karush.prepare(f, np.array(start), bounds=bounds).parts
    programs, task = drive.compiled(method, parts), task_of(parts, 1e-8)
    seen = []
    with float64():
        state = programs.init(task, np.array(start))
        while int(state.progress.status) == 0 and len(seen) <= iterations:
            state = programs.step(task, state)
            if int(state.progress.iterations) >= len(seen):
                seen.append(state)
    return seen


def path(f, start, method, iterations):
    return np.array([state.progress.x for state in states(f, start, method, iterations)])


def contours(ax, f, x, y, levels):
    X, Y = np.meshgrid(np.linspace(*x, 300), np.linspace(*y, 300))
    Z = np.asarray(jax.vmap(jax.vmap(f))(jnp.stack([X, Y], axis=-1)))
    ax.contour(X, Y, Z, levels=levels, colors="0.75", linewidths=0.7)
    ax.set_xlabel("x[0]")
    ax.set_ylabel("x[1]")


def draw(ax, f, start, chosen):
    for label, method, iterations in chosen:
        points = path(f, start, method, iterations)
        ax.plot(*points.T, "o-", markersize=2.5, linewidth=1, label=f"{label}, {len(points) - 1}")
    ax.plot(*start, "ks", markersize=5)
    ax.legend(title="iterations", fontsize=7, title_fontsize=7, loc="lower right")


def save(figure, name):
    """With a palette of colors, which makes the file a third as large."""
    figure.tight_layout()
    figure.savefig(HERE / name, dpi=100)
    Image.open(HERE / name).convert("RGB").quantize(COLORS).save(HERE / name, optimize=True)


def paths():
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    contours(left, bowl, (-13, 3), (-3, 3), np.array([1.0, 4, 10, 20, 35, 55, 80]))
    descent = ("gradient descent, exact step", methods.GradientDescent(step="exact"), 200)
    draw(left, bowl, (-12.0, 1.0), [descent, ("conjugate gradients", methods.NonlinearCG(), 100)])
    contours(right, rosenbrock, (-1.6, 1.4), (-0.5, 1.6), np.geomspace(0.1, 800, 12))
    chosen = [
        ("gradient descent (cut)", methods.GradientDescent(), SHOWN),
        ("conjugate gradients", methods.NonlinearCG(), SHOWN),
        ("BFGS", methods.BFGS(), SHOWN),
    ]
    draw(right, rosenbrock, (-1.2, 1.0), chosen)
    save(figure, "paths.png")


def cross_entropy():
    figure, ax = plt.subplots(figsize=(5, 4.2))
    contours(ax, rastrigin, (-5.12, 5.12), (-5.12, 5.12), np.array([5.0, 15, 25, 40, 60]))
    seen = states(rastrigin, (3.0, 4.0), methods.CrossEntropy(), 25, bounds=(-5.12, 5.12))
    colors = plt.get_cmap("viridis")
    for generation in (0, 3, 6, 9, 12, 15, 18, 21):
        mean, deviation = np.asarray(seen[generation].mean), np.asarray(seen[generation].deviation)
        color = colors(generation / 22)
        ax.add_patch(Ellipse(mean, *(2 * deviation), fill=False, color=color, linewidth=1.5))
        ax.plot(*mean, ".", color=color, label=f"generation {generation + 1}")
    ax.legend(fontsize=7, loc="upper right")
    ax.set_xlim(-5.12, 5.12)
    ax.set_ylim(-5.12, 5.12)
    save(figure, "cross_entropy.png")


if __name__ == "__main__":
    paths()
    cross_entropy()
