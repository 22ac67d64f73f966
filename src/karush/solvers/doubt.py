"""Whether rounding has spoilt a solve that did not end at a minimum, and where in the user's program.

```
doubt        a solve without success, with fewer digits left than tol asks for, at the answer or at the start
findings     what an audit of f and of c says at points between the start and the answer
```

A solve that succeeds pays nothing for it: its certificate is held against rounding anyway
(`karush.certificates.rounding`).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import tree_util
from jax.extend.core import jaxpr_as_fun

from karush.certificates.certificate import Certificate
from karush.problem.flat import FlatProblem
from karush.solvers.prepared import Prepared
from karush.stability.audit_path import MOST_INPUTS, along
from karush.stability.excerpt import shown
from karush.stability.findings import Finding
from karush.stability.subject import Inputs


def spoilt(
    parts: Prepared, start: np.ndarray, answer: np.ndarray, certificate: Certificate, tol: float
) -> tuple[Finding, ...]:
    """Findings on the way from `start` to `answer`, both (n,), if rounding is in doubt there; else none."""
    flat = parts.flat
    if certificate.success or flat.n > MOST_INPUTS or flat.n != flat.door.size or flat.closed_jaxpr is None:
        return ()
    if not np.all(np.isfinite(answer)):
        return ()
    y, z = certificate.multipliers
    if not (_short_of_digits(certificate, tol) or _short_of_digits(parts.judged(start, y, z, tol), tol)):
        return ()
    inputs = Inputs(flat.door.treedef, flat.door.shapes, flat.door.leaf_names, np.dtype(np.float64))
    found = along(_part(flat, 0), inputs, start, answer, "objective")
    return found + (along(_part(flat, 1), inputs, start, answer, "constraints") if flat.m else ())


def _short_of_digits(certificate: Certificate, tol: float) -> bool:
    evaluated = certificate.evaluated
    return evaluated.worst() is not None and not evaluated.trustworthy(tol)


def _part(flat: FlatProblem, which: int) -> Any:
    """f or c as a function of the user's pytree, from the program that was traced."""
    run = jaxpr_as_fun(flat.closed_jaxpr)
    sign = -1.0 if flat.maximize and which == 0 else 1.0

    def part(tree: Any) -> Any:
        x = jnp.concatenate([jnp.ravel(leaf) for leaf in tree_util.tree_leaves(tree)])
        return sign * run(x, *flat.param_leaves)[which]

    return part


def sentence(finding: Finding) -> str:
    """One line on a finding, with the user's file and line."""
    return (
        f"{finding.kind.value} in the {finding.part} on the way from the start to the answer: {shown(finding.place)}, "
        f"{finding.expression}; {finding.output} is computed as {finding.computed:.6g} and is {finding.exact:.6g} "
        f"at {finding.point}"
    )


__all__ = ["sentence", "spoilt"]
