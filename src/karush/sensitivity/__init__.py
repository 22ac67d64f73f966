"""Derivatives of a solution in the problem's parameters and limits."""

from karush.sensitivity.derivative import Change as Change
from karush.sensitivity.derivative import Sensitivity as Sensitivity
from karush.sensitivity.sensitivity import sensitivity as sensitivity
