"""Optimization that sees, solves and proves: constrained minima of JAX functions, certified.

Importing karush changes no global JAX setting.
"""

from karush import numerics as numerics
from karush.api import MultistartResult as MultistartResult
from karush.api import Options as Options
from karush.api import Prepared as Prepared
from karush.api import certify as certify
from karush.api import laplace as laplace
from karush.api import maximize as maximize
from karush.api import minimize as minimize
from karush.api import multistart as multistart
from karush.api import prepare as prepare
from karush.api.feasible import feasible as feasible
from karush.api.prove import prove as prove
from karush.bounds import Box as Box
from karush.bounds import Convexity as Convexity
from karush.bounds import Enclosure as Enclosure
from karush.bounds import Lipschitz as Lipschitz
from karush.bounds import convexity as convexity
from karush.bounds import enclose as enclose
from karush.bounds import lipschitz as lipschitz
from karush.certificates import Certificate as Certificate
from karush.core import errors as errors
from karush.core.status import Status as Status
from karush.core.status import Verdict as Verdict
from karush.curvature import Curvature as Curvature
from karush.curvature import curvature as curvature
from karush.derivatives import Gradient as Gradient
from karush.derivatives import Hessian as Hessian
from karush.derivatives import Jacobian as Jacobian
from karush.derivatives import SparsityPattern as SparsityPattern
from karush.derivatives import SymmetryReport as SymmetryReport
from karush.derivatives import directional as directional
from karush.derivatives import gradient as gradient
from karush.derivatives import hessian as hessian
from karush.derivatives import jacobian as jacobian
from karush.fitting import LeastSquaresResult as LeastSquaresResult
from karush.fitting import least_squares as least_squares
from karush.fitting.laplace import Laplace as Laplace
from karush.problem import Problem as Problem
from karush.problem import Scales as Scales
from karush.problem import between as between
from karush.problem import equal as equal
from karush.problem import l1 as l1
from karush.problem import l2 as l2
from karush.problem import linear as linear
from karush.proofs.proof import Proof as Proof
from karush.sensitivity import Change as Change
from karush.sensitivity import Sensitivity as Sensitivity
from karush.sensitivity import sensitivity as sensitivity
from karush.solvers.result import Result as Result
from karush.stability import Audit as Audit
from karush.stability import Stabilized as Stabilized
from karush.stability import audit as audit
from karush.stability import stabilize as stabilize
from karush.unconstrained import methods as methods

__all__ = [
    "Audit",
    "Box",
    "Certificate",
    "Change",
    "Convexity",
    "Curvature",
    "Enclosure",
    "Gradient",
    "Hessian",
    "Jacobian",
    "Laplace",
    "LeastSquaresResult",
    "Lipschitz",
    "MultistartResult",
    "Options",
    "Prepared",
    "Problem",
    "Proof",
    "Result",
    "Scales",
    "Sensitivity",
    "SparsityPattern",
    "Stabilized",
    "Status",
    "SymmetryReport",
    "Verdict",
    "audit",
    "between",
    "certify",
    "convexity",
    "curvature",
    "directional",
    "enclose",
    "equal",
    "errors",
    "feasible",
    "gradient",
    "hessian",
    "jacobian",
    "l1",
    "l2",
    "laplace",
    "least_squares",
    "linear",
    "lipschitz",
    "maximize",
    "methods",
    "minimize",
    "multistart",
    "numerics",
    "prepare",
    "prove",
    "sensitivity",
    "stabilize",
]
__version__ = "0.1.0"
