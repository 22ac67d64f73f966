"""Stable functions: accurate in value and derivative over the whole float range.

They take and return arrays of the user's dtype (float64, float32; 16-bit floats are computed in float32; integers
become JAX's default float; complex numbers are refused), under `jit`, `vmap` and `grad`, whatever the precision
setting of JAX is. A derivative at a pole is that at the smallest normal number, so that it is finite.
"""

from karush.numerics.exponentials import expm1 as expm1
from karush.numerics.exponentials import exprel as exprel
from karush.numerics.exponentials import powm1 as powm1
from karush.numerics.exponentials import sigmoid as sigmoid
from karush.numerics.exponentials import tanh as tanh
from karush.numerics.information import binary_cross_entropy as binary_cross_entropy
from karush.numerics.information import cross_entropy as cross_entropy
from karush.numerics.information import entropy as entropy
from karush.numerics.information import kl_divergence as kl_divergence
from karush.numerics.information import xlogx as xlogx
from karush.numerics.information import xlogy as xlogy
from karush.numerics.logarithms import log1mexp as log1mexp
from karush.numerics.logarithms import log1p as log1p
from karush.numerics.logarithms import log1pmx as log1pmx
from karush.numerics.logarithms import log_sigmoid as log_sigmoid
from karush.numerics.logarithms import log_sub_exp as log_sub_exp
from karush.numerics.logarithms import logaddexp as logaddexp
from karush.numerics.logarithms import logcosh as logcosh
from karush.numerics.logarithms import softplus as softplus
from karush.numerics.normal import log_ndtr as log_ndtr
from karush.numerics.roots import quadratic_roots as quadratic_roots
from karush.numerics.roots import sqrt1pm1 as sqrt1pm1
from karush.numerics.softmax import log_mean_exp as log_mean_exp
from karush.numerics.softmax import log_softmax as log_softmax
from karush.numerics.softmax import logsumexp as logsumexp
from karush.numerics.softmax import softmax as softmax
from karush.numerics.statistics import standardize as standardize
from karush.numerics.statistics import variance as variance
from karush.numerics.sums import compensated_dot as compensated_dot
from karush.numerics.sums import compensated_sum as compensated_sum
from karush.numerics.trigonometry import cosm1 as cosm1
from karush.numerics.trigonometry import sinc as sinc
from karush.numerics.vectors import cosine_similarity as cosine_similarity
from karush.numerics.vectors import hypot as hypot
from karush.numerics.vectors import norm as norm
from karush.numerics.vectors import squared_distances as squared_distances
from karush.numerics.vectors import unit_vector as unit_vector
