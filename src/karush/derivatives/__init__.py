"""Exact derivatives, by JAX: dense, or sparse by detection and coloring."""

from karush.derivatives.evaluator import Evaluation as Evaluation
from karush.derivatives.evaluator import Evaluator as Evaluator
