"""What the user states, and how it is laid out flat."""

from karush.problem.constraints import Constraint as Constraint
from karush.problem.constraints import between as between
from karush.problem.constraints import equal as equal
from karush.problem.constraints import linear as linear
from karush.problem.flat import FlatProblem as FlatProblem
from karush.problem.flat import flatten as flatten
from karush.problem.problem import Problem as Problem
from karush.problem.problem import Scales as Scales
from karush.problem.regularization import Regularization as Regularization
from karush.problem.regularization import l1 as l1
from karush.problem.regularization import l2 as l2
