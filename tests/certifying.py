"""Problems for the tests of the certificate, without a solver: a prepared problem and `judge` at a given point."""

from typing import NamedTuple

import numpy as np

from karush.certificates import Certificate, judge
from karush.certificates.analysis import Analysis, analyse
from karush.derivatives.evaluator import Evaluator
from karush.problem.flat import FlatProblem, flatten
from karush.problem.problem import Problem


class Ready(NamedTuple):
    flat: FlatProblem
    evaluator: Evaluator
    analysis: Analysis

    def judge(self, x, y=None, z=None, **options) -> Certificate:
        x = np.asarray(x, dtype=float)
        return judge(self.flat, self.evaluator, x, y, z, analysis=self.analysis, **options)


def ready(objective, x0, **rest) -> Ready:
    flat = flatten(Problem(objective, np.asarray(x0, dtype=float), **rest))
    evaluator = Evaluator(flat.closed_jaxpr, flat.param_leaves, flat.m)
    return Ready(flat, evaluator, analyse(flat.closed_jaxpr, flat.param_leaves))
