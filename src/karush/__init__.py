"""Optimization that sees, solves and proves: constrained minima of JAX functions, certified.

Importing karush changes no global JAX setting.
"""

from karush.api import MultistartResult as MultistartResult
from karush.api import Options as Options
from karush.api import Prepared as Prepared
from karush.api import certify as certify
from karush.api import maximize as maximize
from karush.api import minimize as minimize
from karush.api import multistart as multistart
from karush.api import prepare as prepare
from karush.api.prove import prove as prove
from karush.certificates import Certificate as Certificate
from karush.core import errors as errors
from karush.core.status import Status as Status
from karush.core.status import Verdict as Verdict
from karush.problem import Problem as Problem
from karush.problem import Scales as Scales
from karush.problem import between as between
from karush.problem import equal as equal
from karush.problem import linear as linear
from karush.proofs.proof import Proof as Proof
from karush.solvers.result import Result as Result
from karush.unconstrained import methods as methods

__all__ = [
    "Certificate",
    "MultistartResult",
    "Options",
    "Prepared",
    "Problem",
    "Proof",
    "Result",
    "Scales",
    "Status",
    "Verdict",
    "between",
    "certify",
    "equal",
    "errors",
    "linear",
    "maximize",
    "methods",
    "minimize",
    "multistart",
    "prepare",
    "prove",
]
__version__ = "0.1.0"
