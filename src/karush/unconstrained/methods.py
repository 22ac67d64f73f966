"""The methods' options, public as `karush.methods`, and their names."""

from karush.core.errors import OptionError
from karush.unconstrained.bfgs import BFGS as BFGS
from karush.unconstrained.cross_entropy import CrossEntropy as CrossEntropy
from karush.unconstrained.dog_leg import DogLeg as DogLeg
from karush.unconstrained.gradient_descent import GradientDescent as GradientDescent
from karush.unconstrained.lbfgs import LBFGS as LBFGS
from karush.unconstrained.linear_cg import LinearAnswer as LinearAnswer
from karush.unconstrained.linear_cg import linear_cg as linear_cg
from karush.unconstrained.method import Method as Method
from karush.unconstrained.newton import Newton as Newton
from karush.unconstrained.newton_cg import NewtonCG as NewtonCG
from karush.unconstrained.nonlinear_cg import NonlinearCG as NonlinearCG

__all__ = [
    "BFGS",
    "LBFGS",
    "CrossEntropy",
    "DogLeg",
    "GradientDescent",
    "LinearAnswer",
    "Newton",
    "NewtonCG",
    "NonlinearCG",
    "linear_cg",
]
METHODS: tuple[type[Method], ...] = (GradientDescent, NonlinearCG, BFGS, LBFGS, CrossEntropy, Newton, NewtonCG, DogLeg)
BY_NAME = {method.name: method for method in METHODS}


def read_method(method: str | Method) -> Method:
    """The method that a name or an instance means.

    Raises
    ------
    OptionError
        for an unknown name.
    """
    if isinstance(method, Method):
        return method
    if method not in BY_NAME:
        raise OptionError(f"method is {method!r}; the methods are {', '.join(map(repr, BY_NAME))}")
    return BY_NAME[method]()
