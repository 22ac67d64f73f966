"""Draws fit.png: data, the fitted decay, and the 95 % band of the curve from the covariance of its parameters."""

from pathlib import Path

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import scipy.stats

import karush

times = np.linspace(0.0, 4.0, 25)
counts = 2.5 * np.exp(-1.3 * times) + 0.5 + 0.05 * np.sin(7.0 * np.arange(25) ** 2)
fit = karush.least_squares(lambda b: b[0] * jnp.exp(-b[1] * times) + b[2] - counts, np.array([1.0, 0.5, 0.0]))
fine = np.linspace(0.0, 4.0, 200)
decay = np.exp(-fit.x[1] * fine)
curve = fit.x[0] * decay + fit.x[2]
slopes = np.stack([decay, -fit.x[0] * fine * decay, np.ones(200)], axis=1)
band = np.sqrt(np.einsum("ij,jk,ik->i", slopes, fit.covariance(), slopes))
band *= scipy.stats.t.ppf(0.975, fit.degrees_of_freedom)

figure, axes = plt.subplots(figsize=(6.0, 3.4), dpi=100, layout="constrained")
axes.fill_between(fine, curve - band, curve + band, color="tab:blue", alpha=0.25, linewidth=0, label="95 % band")
axes.plot(fine, curve, color="tab:blue", label="fit")
axes.plot(times, counts, "k.", label="data")
axes.set(xlabel="time", ylabel="count")
axes.legend(frameon=False)
figure.savefig(Path(__file__).with_suffix(".png"))
