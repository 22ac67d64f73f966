"""Writes numerics_*.png: errors of the stable functions in float32 beside JAX's, against exact values.

Every dot is one point, drawn by bit pattern; across, the power of two of its largest entry; up, the bits lost.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np

from benchmarks.numerics import CASES, measure

mpl.use("Agg")
from matplotlib import pyplot as plt

PAGES = {
    "softmax": ("softmax", "log_softmax", "logsumexp", "log_mean_exp"),
    "elementary": ("expm1", "tanh", "logcosh", "log_ndtr"),
    "losses": ("xlogx", "entropy", "kl_divergence", "cross_entropy"),
    "vectors": ("norm", "cosine_similarity", "squared_distances", "variance"),
}
FLOAT32 = np.dtype(np.float32)
BITS = 32
POINTS = 150

for page, names in PAGES.items():
    figure, axes = plt.subplots(2, len(names), figsize=(9, 4.2), sharey=True, sharex="col")
    for column, name in enumerate(names):
        found = measure(CASES[name], FLOAT32, POINTS)
        for row, part in enumerate(("value", "gradient")):
            panel = axes[row, column]
            for who, color in (("jax", "tab:orange"), ("karush", "tab:blue")):
                errors = found[f"{who} {part}"]
                across = np.log2(np.abs(errors.points).max(axis=-1))
                lost = np.minimum(np.log2(1.0 + errors.ulps), BITS)
                panel.plot(across, lost, ".", ms=3, color=color, label=who if who == "karush" else CASES[name].peer)
            panel.set_ylim(-1, BITS + 1)
            if row == 1:
                panel.set_xlabel("log2 of the largest entry")
        axes[0, column].set_title(name, fontsize=9)
        axes[0, column].legend(fontsize=6, loc="upper right", markerscale=2)
    axes[0, 0].set_ylabel("bits lost, value")
    axes[1, 0].set_ylabel("bits lost, gradient")
    figure.tight_layout()
    figure.savefig(Path(__file__).with_name(f"numerics_{page}.png"), dpi=100)
    plt.close(figure)
