"""Exact derivatives, by JAX: dense, or sparse by detection and coloring."""

from karush.derivatives.evaluator import Evaluation as Evaluation
from karush.derivatives.evaluator import Evaluator as Evaluator
from karush.derivatives.functions import directional as directional
from karush.derivatives.functions import gradient as gradient
from karush.derivatives.functions import hessian as hessian
from karush.derivatives.functions import jacobian as jacobian
from karush.derivatives.operators import Gradient as Gradient
from karush.derivatives.operators import Hessian as Hessian
from karush.derivatives.operators import Jacobian as Jacobian
from karush.derivatives.pattern import SparsityPattern as SparsityPattern
from karush.derivatives.symmetry import SymmetryReport as SymmetryReport
