"""Idioms of machine learning, as people write them: activations, losses, attention, normalisation, distances."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.idioms import Idiom, idiom, vector, vectors

WIDE = vector(-200.0, 200.0, 4)
LOGITS = vector(-30.0, 30.0, 4)
SMALL = vector(-5.0, 5.0, 4)


def softmax(x):
    e = jnp.exp(x)
    return e / jnp.sum(e)


def log_softmax(x):
    return jnp.log(jnp.exp(x) / jnp.sum(jnp.exp(x)))


def log_of_stable_softmax(x):
    return jnp.log(jax.nn.softmax(x))


def log_softmax_by_sum(x):
    return x - jnp.log(jnp.sum(jnp.exp(x)))


def logsumexp(x):
    return jnp.log(jnp.sum(jnp.exp(x)))


def logmeanexp(x):
    return jnp.log(jnp.mean(jnp.exp(x)))


def sigmoid_two_sided(x):
    return jnp.exp(x) / (1.0 + jnp.exp(x))


def log_sigmoid(x):
    return jnp.log(1.0 / (1.0 + jnp.exp(-x)))


def softplus(x):
    return jnp.log(1.0 + jnp.exp(x))


def tanh_by_exp(x):
    return (jnp.exp(x) - jnp.exp(-x)) / (jnp.exp(x) + jnp.exp(-x))


def swish(x):
    return x * jnp.exp(x) / (1.0 + jnp.exp(x))


def mish(x):
    return x * jnp.tanh(jnp.log(1.0 + jnp.exp(x)))


def elu(x):
    return jnp.where(x > 0.0, x, jnp.exp(x) - 1.0)


def squareplus(x):
    return 0.5 * (x + jnp.sqrt(x * x + 4.0))


def binary_cross_entropy(a):
    logit, label = a
    p = 1.0 / (1.0 + jnp.exp(-logit))
    return -(label * jnp.log(p) + (1.0 - label) * jnp.log(1.0 - p))


def cross_entropy(a):
    logits, labels = a
    p = jax.nn.softmax(logits)
    return -jnp.sum(labels * jnp.log(p))


def cross_entropy_one_hot(x):
    p = jnp.exp(x) / jnp.sum(jnp.exp(x))
    return -jnp.log(p[0])


def focal_loss(x):
    p = 1.0 / (1.0 + jnp.exp(-x))
    return -((1.0 - p) ** 2) * jnp.log(p)


def entropy_of_logits(x):
    p = jax.nn.softmax(x)
    return -jnp.sum(p * jnp.log(p))


def kl_of_logits(a):
    p, q = jax.nn.softmax(a[0]), jax.nn.softmax(a[1])
    return jnp.sum(p * jnp.log(p / q))


def contrastive_loss(x):
    scaled = x / 0.05
    return -jnp.log(jnp.exp(scaled[0]) / jnp.sum(jnp.exp(scaled)))


def attention(a):
    q, k, v = a
    weights = jnp.exp(q @ k.T)
    return (weights / jnp.sum(weights, axis=-1, keepdims=True)) @ v


def masked_softmax(x):
    shifted = x + jnp.asarray([0.0, 0.0, -1e9, -1e9])
    e = jnp.exp(shifted)
    return (e / jnp.sum(e))[:2]


def layer_norm(x):
    mean = jnp.mean(x)
    return (x - mean) / jnp.sqrt(jnp.mean(x * x) - mean * mean)


def batch_statistics(x):
    return jnp.mean(x**2) - jnp.mean(x) ** 2


def l2_normalise(x):
    return x / jnp.sqrt(jnp.sum(x * x))


def euclidean(x):
    return jnp.sqrt(jnp.sum(x**2))


def cosine_similarity(a):
    u, v = a
    return jnp.dot(u, v) / (jnp.sqrt(jnp.sum(u * u)) * jnp.sqrt(jnp.sum(v * v)))


def squared_distance_expanded(a):
    u, v = a
    return jnp.sum(u * u) + jnp.sum(v * v) - 2.0 * jnp.dot(u, v)


def pairwise_distance(a):
    u, v = a
    return jnp.sqrt(jnp.sum(u * u) + jnp.sum(v * v) - 2.0 * jnp.dot(u, v))


def gaussian_kernel(a):
    u, v = a
    return 1.0 - jnp.exp(-jnp.sum((u - v) ** 2))


def rms_norm(x):
    return x / jnp.sqrt(jnp.mean(x**2))


def mixture_log_likelihood(x):
    parts = 0.3 * jnp.exp(-0.5 * (x - 1.0) ** 2) + 0.7 * jnp.exp(-0.5 * (x + 1.0) ** 2)
    return jnp.log(parts)


def gumbel_softmax(x):
    e = jnp.exp(x / 0.1)
    return e / jnp.sum(e)


def dice_of_probabilities(a):
    p, q = a
    return 1.0 - 2.0 * jnp.sum(p * q) / (jnp.sum(p) + jnp.sum(q))


def perplexity(x):
    p = jax.nn.softmax(x)
    return jnp.exp(-jnp.sum(p * jnp.log(p)))


def adam_bias(a):
    moment, rate = a
    return moment / (1.0 - jnp.exp(-rate))


POSITIVE = vector(0.1, 10.0, 4)
FAR = (np.full(6, 900.0), np.full(6, 1100.0))
PAIR = vectors(-10.0, 10.0, 3, 3)
NEAR_PAIR = ((np.full(3, 99.0), np.full(3, 99.0)), (np.full(3, 101.0), np.full(3, 101.0)))

LEARNING: list[Idiom] = [
    idiom("softmax", softmax, WIDE),
    idiom("log_softmax", log_softmax, WIDE),
    idiom("log_of_stable_softmax", log_of_stable_softmax, WIDE),
    idiom("log_softmax_by_sum", log_softmax_by_sum, WIDE),
    idiom("logsumexp", logsumexp, WIDE),
    idiom("logmeanexp", logmeanexp, WIDE),
    idiom("sigmoid_two_sided", sigmoid_two_sided, (-150.0, 150.0)),
    idiom("log_sigmoid", log_sigmoid, (-150.0, 50.0)),
    idiom("softplus", softplus, (-50.0, 150.0)),
    idiom("tanh_by_exp", tanh_by_exp, (-100.0, 100.0)),
    idiom("swish", swish, (-100.0, 120.0)),
    idiom("mish", mish, (-30.0, 30.0)),
    idiom("elu", elu, (-10.0, 10.0)),
    idiom("squareplus", squareplus, (-1e4, 1e4)),
    idiom("binary_cross_entropy", binary_cross_entropy, ((-60.0, 0.01), (60.0, 0.99))),
    idiom(
        "cross_entropy", cross_entropy, ((np.full(4, -150.0), np.full(4, 0.1)), (np.full(4, 150.0), np.full(4, 1.0)))
    ),
    idiom("cross_entropy_one_hot", cross_entropy_one_hot, WIDE),
    idiom("focal_loss", focal_loss, (-120.0, 120.0)),
    idiom("entropy_of_logits", entropy_of_logits, WIDE),
    idiom("kl_of_logits", kl_of_logits, vectors(-100.0, 100.0, 3, 3)),
    idiom("contrastive_loss", contrastive_loss, vector(-10.0, 10.0, 4)),
    idiom("attention", attention, vectors(-8.0, 8.0, (1, 3), (2, 3), (2, 2))),
    idiom("masked_softmax", masked_softmax, vector(-100.0, 100.0, 4)),
    idiom("layer_norm", layer_norm, FAR),
    idiom("batch_statistics", batch_statistics, FAR),
    idiom("l2_normalise", l2_normalise, vector(-1e25, 1e25, 3)),
    idiom("euclidean", euclidean, vector(-1e25, 1e25, 3)),
    idiom("cosine_similarity", cosine_similarity, vectors(1e-30, 1e10, 3, 3)),
    idiom("squared_distance_expanded", squared_distance_expanded, NEAR_PAIR),
    idiom("pairwise_distance", pairwise_distance, NEAR_PAIR),
    idiom("gaussian_kernel", gaussian_kernel, vectors(-0.01, 0.01, 3, 3)),
    idiom("rms_norm", rms_norm, vector(1e-30, 1e-15, 4)),
    idiom("mixture_log_likelihood", mixture_log_likelihood, (-30.0, 30.0)),
    idiom("gumbel_softmax", gumbel_softmax, vector(-20.0, 20.0, 4)),
    idiom("dice_of_probabilities", dice_of_probabilities, vectors(0.05, 1.0, 3, 3)),
    idiom("perplexity", perplexity, vector(-150.0, 150.0, 3)),
    idiom("adam_bias", adam_bias, ((0.1, 1e-9), (10.0, 1.0))),
]

__all__ = ["LEARNING"]
