"""The second-order shape of a function at a point: eigenvalues of its Hessian and what they say."""

from karush.curvature.measure import curvature as curvature
from karush.curvature.result import Curvature as Curvature
from karush.curvature.verdict import Classification as Classification

__all__ = ["Classification", "Curvature", "curvature"]
