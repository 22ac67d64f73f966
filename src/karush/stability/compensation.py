"""Compensated arithmetic as a last candidate: the program, or a rewritten one, with twice the digits.

The wide form, which keeps every exponent, takes longer to compile and to run; it comes after the others.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import jaxprs_in_params

from karush.arithmetic.twofold import compensated
from karush.core.errors import TraceError
from karush.stability.rows import Row

COMPENSATED = Row("compensated arithmetic", "", "", "Dek71")
LARGEST = 5200
"""operations of a compensated program up to which its compilation takes a few seconds"""


def compensated_programs(
    programs: Sequence[Callable[..., Any]], avals: Sequence[Any], *, wide_too: bool = True
) -> Iterator[tuple[int, Callable[..., Any]]]:
    """Index and compensated form of each program that has one of reasonable size: all narrow ones, then the wide."""
    for wide in (False, True) if wide_too else (False,):
        for index, program in enumerate(programs):
            function = compensated(lambda *given, program=program: tuple(program(*given)), wide=wide)
            try:
                closed = jax.make_jaxpr(function)(*avals)
            except TraceError:
                continue
            if equations(closed.jaxpr) <= LARGEST:
                yield index, function


def equations(jaxpr: Any) -> int:
    """Equations, those of called programs included."""
    return sum(1 + sum(map(equations, jaxprs_in_params(equation.params))) for equation in jaxpr.eqns)


__all__ = ["COMPENSATED", "LARGEST", "compensated_programs", "equations"]
