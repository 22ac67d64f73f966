"""Fitting parameters to data: nonlinear least squares, and how well its parameters are known."""

from karush.fitting.least_squares import least_squares as least_squares
from karush.fitting.result import LeastSquaresResult as LeastSquaresResult
