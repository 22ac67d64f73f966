"""Exact algebra of quotients: a sum of fractions as one reduced fraction, in exact arithmetic over the rationals.

```
1/(x+1) - 1/x        ->  -1 / (x (x+1))
(e^2x - 1)/(e^x - 1) ->  e^x + 1
sqrt(b^2-4ac)^2 - b^2 -> -4 a c
```

What is no sum, product, quotient or whole power is an atom, an unknown of the polynomials. Powers of one exponential,
``e^x, e^2x, e^-x``, are powers of one atom; the square of a square root is what stands under it.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from flint import Ordering, fmpq, fmpq_mpoly_ctx

from karush.stability.terms import Graph, Term

LARGEST_ATOMS, LARGEST_TERMS, LARGEST_POWER = 8, 40, 8
"""beyond this size nothing is expanded"""
EXACT = 2**24
"""whole numbers up to here are floats of every dtype"""

Fractional = tuple[Any, Any]
"""numerator and denominator, polynomials"""


class TooLarge(ArithmeticError):
    """The polynomials grow beyond use."""


class Algebra:
    """Polynomials over the atoms of one term."""

    def __init__(self, graph: Graph, terms: Sequence[Term]):
        self.graph = graph
        self.bases: dict[int, tuple[Term, Fraction]] = {}
        """number of an exponential -> the atom that it is a power of, and that power"""
        self.atoms: list[Term] = []
        for term in terms:
            self._collect(term)
        if not 0 < len(self.atoms) <= LARGEST_ATOMS:
            raise TooLarge
        self._exponentials()
        self.context = fmpq_mpoly_ctx.get([f"v{i}" for i in range(len(self.atoms))], Ordering.lex)
        self.generators = dict(zip([a.number for a in self.atoms], self.context.gens(), strict=True))
        self.one = self.context.constant(1)

    def _collect(self, term: Term) -> None:
        if term.op in ("add", "sub", "mul", "div", "neg", "ipow"):
            for arg in term.args:
                self._collect(arg)
        elif not (term.is_constant and term.shape == ()):
            if term not in self.atoms:
                self.atoms.append(term)
            if term.op == "sqrt":
                self._collect(term.args[0])

    def _exponentials(self) -> None:
        """e^(k a) for whole k as powers of one e^a."""
        found = [a for a in self.atoms if a.op == "exp"]
        for term in found:
            scale, base = _scaled(term.args[0])
            self.bases[term.number] = (base, scale)
        for term in found:
            base, scale = self.bases[term.number]
            for other in found:
                base2, scale2 = self.bases[other.number]
                if (
                    term is not other
                    and base is base2
                    and (scale / scale2).denominator == 1
                    and abs(scale / scale2) != 0
                ):
                    if abs(scale / scale2) == 1 and term.number < other.number:
                        continue
                    if term in self.atoms:
                        self.atoms.remove(term)
                        self.bases[-1 - term.number] = (other, scale / scale2)
                    break

    def fraction(self, term: Term) -> Fractional:
        """The term as one fraction, not reduced."""
        power = self.bases.get(-1 - term.number)
        if power is not None:
            n, d = self.fraction(power[0])
            k = int(power[1])
            return (n**k, d**k) if k > 0 else (d**-k, n**-k)
        if term.number in self.generators:
            return self.generators[term.number], self.one
        if term.is_constant:
            value = Fraction(float(term.param))
            return self.context.constant(fmpq(value.numerator, value.denominator)), self.one
        if term.op == "neg":
            n, d = self.fraction(term.args[0])
            return -n, d
        if term.op == "ipow":
            if term.param > LARGEST_POWER:
                raise TooLarge
            n, d = self.fraction(term.args[0])
            return self._checked(n**term.param, d**term.param)
        (a, b), (c, e) = (self.fraction(arg) for arg in term.args)
        if term.op == "mul":
            return self._checked(a * c, b * e)
        if term.op == "div":
            return self._checked(a * e, b * c)
        if b == e:
            return self._checked(a + c if term.op == "add" else a - c, b)
        return self._checked(a * e + c * b if term.op == "add" else a * e - c * b, b * e)

    def _checked(self, n: Any, d: Any) -> Fractional:
        if len(n) > LARGEST_TERMS or len(d) > LARGEST_TERMS or d == 0:
            raise TooLarge
        return n, d

    def reduced(self, term: Term) -> Fractional:
        """The fraction with squares of roots written out and common factors cancelled."""
        n, d = self.fraction(term)
        n, d = self._without_squares(n), self._without_squares(d)
        n, d = n[0] * d[1], n[1] * d[0]
        n, d = self._without_squares(n), self._without_squares(d)
        n, d = n[0] * d[1], n[1] * d[0]
        if d == 0:
            raise TooLarge
        common = n.gcd(d)
        return self._checked(n // common, d // common)

    def _without_squares(self, polynomial: Any) -> Fractional:
        """sqrt(u)^2 -> u, as a fraction."""
        below = self.one
        for index, atom in enumerate(self.atoms):
            if atom.op != "sqrt" or not any(powers[index] > 1 for powers in polynomial.to_dict()):
                continue
            n, d = self.fraction(atom.args[0])
            most = max(int(powers[index]) for powers in polynomial.to_dict()) // 2
            total = self.context.constant(0)
            for powers, coefficient in polynomial.to_dict().items():
                left = list(powers)
                half, left[index] = divmod(int(left[index]), 2)
                rest = self.context.from_dict({tuple(left): coefficient})
                total += rest * n**half * d ** (most - half)
            polynomial, below = total, below * d**most
        return polynomial, below

    # Back to terms.

    def sum_of(self, polynomial: Any) -> Term:
        """A polynomial as a sum of products, positive ones first, larger powers first."""
        positive: Term | None = None
        negative: Term | None = None
        for powers, coefficient in polynomial.to_dict().items():
            product = self._product(powers, abs(coefficient))
            if coefficient > 0:
                positive = product if positive is None else self.graph.term("add", positive, product)
            else:
                negative = product if negative is None else self.graph.term("add", negative, product)
        if positive is None:
            return self.graph.constant(0.0) if negative is None else self.graph.term("neg", negative)
        return positive if negative is None else self.graph.term("sub", positive, negative)

    def _product(self, powers: Sequence[int], coefficient: Any) -> Term:
        result: Term | None = None
        for atom, power in zip(self.atoms, powers, strict=True):
            if power:
                factor = self.graph.term("ipow", atom, param=int(power)) if power > 1 else atom
                result = factor if result is None else self.graph.term("mul", result, factor)
        return self._times(result, coefficient)

    def _times(self, term: Term | None, coefficient: Any) -> Term:
        p, q = int(coefficient.p), int(coefficient.q)
        if abs(p) > EXACT or (q > EXACT and q & (q - 1)):
            number = self.graph.constant(p / q)
            return number if term is None else self.graph.term("mul", number, term)
        if q & (q - 1) == 0:
            number = self.graph.constant(p / q)
            return number if term is None else self.graph.term("mul", number, term)
        above = self.graph.constant(float(p)) if term is None else self.graph.term("mul", float(p), term)
        return self.graph.term("div", above, float(q))

    def factors(self, polynomial: Any) -> tuple[Any, list[Term]]:
        """The constant and the other factors, repeated ones written as often as they occur."""
        constant, found = polynomial.factor()
        factors: list[Term] = []
        for factor, power in found:
            factors += [self.sum_of(factor)] * int(power)
        return constant, factors


def _scaled(term: Term) -> tuple[Fraction, Term]:
    """`term` as a number times another term."""
    if term.op == "neg":
        scale, base = _scaled(term.args[0])
        return -scale, base
    if term.op == "mul":
        for one, other in (term.args, term.args[::-1]):
            if one.is_constant and one.shape == ():
                scale, base = _scaled(other)
                return scale * Fraction(float(one.param)), base
    if term.op == "div" and term.args[1].is_constant and term.args[1].shape == ():
        scale, base = _scaled(term.args[0])
        return scale / Fraction(float(term.args[1].param)), base
    return Fraction(1), term


def _product(graph: Graph, factors: Sequence[Term]) -> Term | None:
    result: Term | None = None
    for factor in factors:
        result = factor if result is None else graph.term("mul", result, factor)
    return result


def simplified(graph: Graph, term: Term) -> Term:
    """One reduced fraction, factored; the term itself where that is out of reach."""
    try:
        algebra = Algebra(graph, [term])
        n, d = algebra.reduced(term)
        return _quotient(algebra, n, d)
    except (TooLarge, OverflowError, ValueError, ZeroDivisionError):
        return term


def _quotient(algebra: Algebra, n: Any, d: Any) -> Term:
    if n == 0:
        return algebra.graph.constant(0.0)
    (cn, above), (cd, below) = algebra.factors(n), algebra.factors(d)
    top = algebra._times(_product(algebra.graph, above), cn / cd)
    bottom = _product(algebra.graph, below)
    return top if bottom is None else algebra.graph.term("div", top, bottom)


def variants(graph: Graph, term: Term) -> list[Term]:
    """Other ways to write a sum or quotient: one fraction; divided factor by factor; collected by each atom."""
    try:
        algebra = Algebra(graph, [term])
        n, d = algebra.reduced(term)
        if n == 0:
            return []
        found = [_quotient(algebra, n, d)]
        (cn, above), (cd, below) = algebra.factors(n), algebra.factors(d)
        if len(below) > 1:
            found.append(_paired(algebra, above, below, cn / cd))
        found += [
            collected for i in range(len(algebra.atoms)) if (collected := _collected(algebra, n, d, i)) is not None
        ]
        return [f for f in dict.fromkeys(found) if f is not term]
    except (TooLarge, OverflowError, ValueError, ZeroDivisionError):
        return []


def _paired(algebra: Algebra, above: list[Term], below: list[Term], constant: Any) -> Term:
    """(p/q)(r/s)...: each factor divided by one of the denominator's, so that no product of many overflows."""
    result: Term | None = None
    for i in range(max(len(above), len(below))):
        top = above[i] if i < len(above) else None
        if i < len(below):
            quotient = algebra.graph.term("div", algebra.graph.constant(1.0) if top is None else top, below[i])
            if result is not None and top is None:
                result = algebra.graph.term("div", result, below[i])
                continue
        else:
            quotient = top
        result = quotient if result is None else algebra.graph.term("mul", result, quotient)
    return algebra._times(result, constant)


def _collected(algebra: Algebra, n: Any, d: Any, index: int) -> Term | None:
    """The numerator as a polynomial in one atom, whose coefficients are sums of the others."""
    groups: dict[int, dict] = {}
    for powers, coefficient in n.to_dict().items():
        rest = list(powers)
        power, rest[index] = int(rest[index]), 0
        groups.setdefault(power, {})[tuple(rest)] = coefficient
    if len(groups) < 2 or all(len(group) == 1 for group in groups.values()):
        return None
    graph, atom, total = algebra.graph, algebra.atoms[index], None
    for power in sorted(groups, reverse=True):
        inner = simplified(graph, algebra.sum_of(algebra.context.from_dict(groups[power])))
        if power:
            inner = graph.term("mul", graph.term("ipow", atom, param=power) if power > 1 else atom, inner)
        total = inner if total is None else graph.term("add", total, inner)
    below = _product(graph, algebra.factors(d)[1])
    constant = algebra.factors(d)[0]
    return algebra._times(total if below is None else graph.term("div", total, below), 1 / constant)


__all__ = ["simplified", "variants"]
