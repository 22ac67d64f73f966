"""Writes curvature.png: a bowl of condition 100 with eigenvectors and gradient descent; a saddle; a monkey saddle."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot

import karush

mpl.use("Agg")
TURN = np.array([[3**0.5 / 2, 0.5], [-0.5, 3**0.5 / 2]])
STEPS = 8


def bowl(x):
    u = TURN[0][0] * x[0] + TURN[0][1] * x[1], TURN[1][0] * x[0] + TURN[1][1] * x[1]
    return 0.5 * (u[0] ** 2 + 100 * u[1] ** 2)


def saddle(x):
    return x[0] ** 2 - x[1] ** 2


def monkey(x):
    return x[0] ** 3 - 3 * x[0] * x[1] ** 2


def contours(ax, f, half, levels):
    grid = np.linspace(-half, half, 301)
    X, Y = np.meshgrid(grid, grid)
    ax.contour(X, Y, f((X, Y)), levels=levels, colors="0.6", linewidths=0.7, negative_linestyles="dashed")
    ax.set_aspect("equal")
    ax.set_xlabel("x[0]")


def eigenvectors(ax, f, length):
    curvature = karush.curvature(f, [0.0, 0.0])
    for value, vector, error in zip(curvature.eigenvalues, curvature.eigenvectors.T, curvature.errors):
        color = "C0" if value > error else "C3"
        ax.annotate("", length * vector, (0, 0), arrowprops={"arrowstyle": "->", "color": color, "linewidth": 1.6})
        ax.annotate(f"λ = {value:.4g}", 1.25 * length * vector, color=color, ha="center", va="center", fontsize=9)


figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(8.4, 3.1), layout="constrained")
contours(left, bowl, 2.5, [0.5, 3, 15, 50, 150])
eigenvectors(left, bowl, 1.4)
path = [np.array([2.0, 0.5])]
for _ in range(STEPS):
    here = karush.curvature(bowl, path[-1])
    path.append(path[-1] - here.best_step.step * here.gradient)
left.plot(*np.array(path).T, ".-", color="k", markersize=4, linewidth=0.8)
left.set_ylabel("x[1]")
contours(middle, saddle, 1.5, np.linspace(-2, 2, 9))
eigenvectors(middle, saddle, 0.9)
contours(right, monkey, 1.5, [-3, -1, -0.2, 0, 0.2, 1, 3])
right.plot(0, 0, "o", color="C7")
right.annotate("λ = 0, 0", (0, 0.12), color="0.3", ha="center", fontsize=9)
figure.savefig(Path(__file__).with_suffix(".png"), dpi=100)
