"""Rows of rewrites: a pattern, what to put in its place, when, and where that is written.

Both sides are the same function of real numbers wherever both are defined; which one is accurate where is measured,
never assumed. In a pattern ``n`` and ``k`` stand for constants, other names for any term. ``simp(...)`` is exact
algebra of fractions (`karush.stability.rational`).
"""

import ast
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """``pattern -> replacement``."""

    name: str
    pattern: str
    replacement: str
    source: str
    """key of docs/algorithms.md"""
    domain: tuple[float, float] = (0.1, 3.0)
    """range of the holes in which both sides are defined, for the test of the row"""


EXPONENTIAL = (
    Row("exp(a) - 1", "exp(a) - 1", "expm1(a)", "Kah87"),
    Row("1 - exp(a)", "1 - exp(a)", "-expm1(a)", "Kah87"),
    Row("exp(a) - exp(b)", "exp(a) - exp(b)", "exp(b) * expm1(simp(a - b))", "Kah87"),
    Row("exp(a) - exp(b), larger first", "exp(a) - exp(b)", "-(exp(a) * expm1(simp(b - a)))", "Kah87"),
    Row("exp(a) - exp(-a)", "exp(a) - exp(-a)", "2 * sinh(a)", "AS64"),
    Row("exp(-a) - exp(a)", "exp(-a) - exp(a)", "-(2 * sinh(a))", "AS64"),
    Row("1 - exp(-a) over 1 + exp(-a)", "(1 - exp(-a)) / (1 + exp(-a))", "tanh(a / 2)", "AS64"),
    Row("tanh", "(exp(a) - exp(-a)) / (exp(a) + exp(-a))", "tanh(a)", "AS64"),
    Row("tanh of 2a", "(exp(2*a) - 1) / (exp(2*a) + 1)", "tanh(a)", "AS64"),
    Row("cosh(a) - 1", "cosh(a) - 1", "2 * sinh(a / 2)**2", "AS64"),
    Row("1 - tanh", "1 - tanh(a)", "2 / (exp(2 * a) + 1)", "AS64"),
    Row("1 - tanh squared", "1 - tanh(a)**2", "1 / cosh(a)**2", "AS64"),
    Row("1 - tanh squared, no overflow", "1 - tanh(a)**2", "4 / (exp(a) + exp(-a))**2", "AS64"),
    Row("exp(a) - 2 + exp(-a)", "exp(a) - 2 + exp(-a)", "4 * sinh(a / 2)**2", "Ham87"),
    Row("(exp(a) - 1)^2 over exp(a)", "expm1(a)**2 / exp(a)", "4 * sinh(a / 2)**2", "Ham87"),
    Row("logistic, large", "exp(a) / (1 + exp(a))", "1 / (1 + exp(-a))", "BHH21"),
    Row("logistic", "1 / (1 + exp(-a))", "logistic(a)", "BHH21"),
    Row("logistic, negative", "1 / (1 + exp(a))", "logistic(-a)", "BHH21"),
    Row("1 - logistic", "1 - logistic(a)", "logistic(-a)", "BHH21"),
    Row("1 - 1/(1 + e)", "1 - 1 / (1 + a)", "a / (1 + a)", "Ham87"),
    Row("exp(a) / expm1(a)", "exp(a) / expm1(a)", "-1 / expm1(-a)", "Ham87"),
    Row("expm1 over its argument", "expm1(a) / a", "exprel(a)", "Hig02"),
    Row("argument over expm1", "a / expm1(a)", "1 / exprel(a)", "Hig02"),
    Row("expm1 of a product", "expm1(a * b)", "a * b * exprel(a * b)", "Hig02"),
    Row(
        "three expm1",
        "expm1((a + b) * c) / (expm1(a * c) * expm1(b * c))",
        "1 + 1 / expm1(a * c) + 1 / expm1(b * c)",
        "Ham87",
    ),
    Row(
        "three expm1, scaled",
        "c * expm1((a + b) * c) / (expm1(a * c) * expm1(b * c))",
        "where(a * c > 0, over_expm1(a, c) + over_expm1(b, -c), over_expm1(a, -c) + over_expm1(b, c))",
        "Ham87",
    ),
    Row("over expm1 of a product", "c / expm1(a * c)", "over_expm1(a, c)", "Hig02"),
    Row("product of exponentials", "exp(a) * exp(b)", "exp(a + b)", "Hig02"),
    Row("quotient of exponentials", "exp(a) / exp(b)", "exp(simp(a - b))", "Hig02"),
    Row("exponential over a scaled exponential", "exp(a) / (b * exp(c))", "exp(simp(a - c)) / b", "BHH21"),
    Row(
        "weighted exponential over a scaled exponential",
        "d * exp(a) / (b * exp(c))",
        "d * exp(simp(a - c)) / b",
        "BHH21",
    ),
    Row("over an exponential", "a / exp(b)", "a * exp(-b)", "Hig02"),
    Row("power of an exponential", "pow(exp(a), b)", "exp(a * b)", "Hig02"),
    Row("1 - erf", "1 - erf(a)", "erfc(a)", "AS64"),
    Row("1 - erfc", "1 - erfc(a)", "erf(a)", "AS64"),
    Row("1 + erf", "1 + erf(a)", "erfc(-a)", "AS64"),
)

LOGARITHM = (
    Row("log(1 + a)", "log(1 + a)", "log1p(a)", "Kah87"),
    Row("log(1 - a)", "log(1 - a)", "log1p(-a)", "Kah87", (0.1, 0.9)),
    Row("log(a - 1) + ..", "log(a + k)", "log1p(simp(a + k - 1))", "Kah87", (1.5, 3.0)),
    Row("log near one", "log(a)", "log1p(simp(a - 1))", "Kah87"),
    Row("log(a) - log(b)", "log(a) - log(b)", "log1p(simp((a - b) / b))", "Kah87"),
    Row("log of a quotient", "log(a / b)", "log(a) - log(b)", "Hig02"),
    Row("log of a quotient, close", "log(a / b)", "log1p(simp((a - b) / b))", "Kah87"),
    Row("log(1-a) - log(1+a)", "log1p(-a) - log1p(a)", "-(2 * atanh(a))", "AS64", (0.1, 0.9)),
    Row("log of a product", "log(a * b)", "log(a) + log(b)", "Hig02"),
    Row("log of a power", "log(pow(a, b))", "b * log(a)", "Hig02"),
    Row("log of a square", "log(a**2)", "2 * log(abs(a))", "Hig02"),
    Row("log of a root", "log(sqrt(a))", "log(a) / 2", "Hig02"),
    Row("log of exp", "log(exp(a))", "a", "Hig02"),
    Row("log of a scaled exp", "log(b * exp(a))", "log(b) + a", "Hig02"),
    # By `where`, not by `max` and `abs`: their derivatives at a tie do not add up to that of the whole.
    Row("softplus", "log1p(exp(a))", "where(a > 0, a, 0) + log1p(exp(where(a > 0, -a, a)))", "BHH21"),
    Row("log logistic", "log(logistic(a))", "where(a > 0, 0, a) - log1p(exp(where(a > 0, -a, a)))", "BHH21"),
    Row(
        "log of an exponential plus",
        "log(exp(a) + exp(b))",
        "where(a > b, a, b) + log1p(exp(where(a > b, b - a, a - where(is_finite(b), b, 0))))",
        "BHH21",
    ),
    Row(
        "log(1 - exp(-a))",
        "log(-expm1(a))",
        "where(a > -0.6931, log(-expm1(a)), log1p(-exp(a)))",
        "Mac12",
        (-3.0, -0.1),
    ),
    Row(
        "log(1 - exp), series",
        "log1p(-exp(a))",
        "where(a > -0.6931, log(-expm1(a)), log1p(-exp(a)))",
        "Mac12",
        (-3.0, -0.1),
    ),
    Row("log(exp(a) - 1)", "log(expm1(a))", "a + where(a < 0.6931, log(-expm1(-a)), log1p(-exp(-a)))", "Mac12"),
    Row("log1p of expm1", "log1p(expm1(a))", "a", "Hig02"),
    Row(
        "log of cosh",
        "log(cosh(a))",
        "where(abs(a) < 1, log1p(2 * sinh(min(abs(a), 1) / 2)**2), abs(a) + (log1p(exp(-2 * abs(a))) - log(2)))",
        "BHH21",
    ),
    Row(
        "log of tanh",
        "log(tanh(a))",
        "where(a < 0.5, log(tanh(a)), log1p(-(2 * exp(-2 * where(a < 0.5, 0.5, a))"
        " / (1 + exp(-2 * where(a < 0.5, 0.5, a))))))",
        "BHH21",
    ),
    Row("asinh", "log(a + sqrt(a**2 + 1))", "asinh(a)", "AS64"),
    Row("acosh", "log(a + sqrt(a**2 - 1))", "acosh(a)", "AS64", (1.1, 3.0)),
    Row("atanh", "log((1 + a) / (1 - a))", "2 * atanh(a)", "AS64", (0.1, 0.9)),
    Row("log of 1 minus over 1 plus", "log((1 - a) / (1 + a))", "log1p(-a) - log1p(a)", "Ham87", (0.1, 0.9)),
    Row(
        "log of two scaled exponentials",
        "log(c * exp(a) + d * exp(b))",
        "where(is_finite(max(a, b)), max(a, b), 0)"
        " + log(c * exp(a - where(is_finite(max(a, b)), max(a, b), 0))"
        " + d * exp(b - where(is_finite(max(a, b)), max(a, b), 0)))",
        "BHH21",
    ),
)

TRIGONOMETRIC = (
    Row("1 - cos(a)", "1 - cos(a)", "2 * sin(a / 2)**2", "Ham87"),
    Row("cos(a) - 1", "cos(a) - 1", "-(2 * sin(a / 2)**2)", "Ham87"),
    Row("(1 - cos(a)) / sin(a)", "(1 - cos(a)) / sin(a)", "tan(a / 2)", "Ham87"),
    Row("sin(a) / (1 + cos(a))", "sin(a) / (1 + cos(a))", "tan(a / 2)", "Ham87"),
    Row("(1 - cos(a)) / a^2", "(1 - cos(a)) / a**2", "2 * (sin(a / 2) / a)**2", "Ham87"),
    Row("1 - cos^2", "1 - cos(a)**2", "sin(a)**2", "AS64"),
    Row("1 - sin^2", "1 - sin(a)**2", "cos(a)**2", "AS64"),
    Row("cos^2 - sin^2", "cos(a)**2 - sin(a)**2", "cos(2 * a)", "AS64"),
    Row("sin(a + b) - sin(a)", "sin(a + b) - sin(a)", "2 * sin(b / 2) * cossum(a, b / 2)", "Ham87"),
    Row("cos(a + b) - cos(a)", "cos(a + b) - cos(a)", "-(2 * sin(b / 2) * sinsum(a, b / 2))", "Ham87"),
    Row("tan(a + b) - tan(a)", "tan(a + b) - tan(a)", "sin(b) / (cos(a) * cossum(a, b))", "Ham87"),
    Row("sin(a) - sin(b)", "sin(a) - sin(b)", "2 * sin(simp((a - b) / 2)) * cos(simp((a + b) / 2))", "Ham87"),
    Row("cos(a) - cos(b)", "cos(a) - cos(b)", "-(2 * sin(simp((a - b) / 2)) * sin(simp((a + b) / 2)))", "Ham87"),
    Row("tan(a) - tan(b)", "tan(a) - tan(b)", "sin(simp(a - b)) / (cos(a) * cos(b))", "Ham87", (0.1, 1.5)),
    Row("atan(a) - atan(b)", "atan(a) - atan(b)", "atan2(simp(a - b), simp(1 + a * b))", "Ham87"),
    Row("sin of a sum", "sin(a + b)", "sinsum(a, b)", "AS64"),
    Row("cos of a sum", "cos(a + b)", "cossum(a, b)", "AS64"),
    Row("acos(1 - a)", "acos(1 - a)", "2 * asin(sqrt(a / 2))", "AS64", (0.1, 0.9)),
    Row("acos(a) small", "acos(a)", "2 * asin(sqrt((1 - a) / 2))", "AS64", (0.1, 0.9)),
    Row(
        "spherical law of cosines",
        "acos(sin(a) * sin(b) + cos(a) * cos(b) * cos(c))",
        "2 * asin(sqrt(sin(simp((a - b) / 2))**2 + cos(a) * cos(b) * sin(c / 2)**2))",
        "Sin84",
        (0.1, 1.0),
    ),
    Row("tan(a) over sin(a)", "sin(a) / cos(a)", "tan(a)", "AS64"),
)

ROOTS_AND_POWERS = (
    Row("sqrt(a) - sqrt(b)", "sqrt(a) - sqrt(b)", "simp(a - b) / (sqrt(a) + sqrt(b))", "Ham87"),
    Row("sqrt(a) - b", "sqrt(a) - b", "simp(a - b**2) / (sqrt(a) + b)", "Ham87"),
    Row("b - sqrt(a)", "b - sqrt(a)", "simp(b**2 - a) / (sqrt(a) + b)", "Ham87"),
    Row("b + sqrt(a)", "b + sqrt(a)", "simp(a - b**2) / (sqrt(a) - b)", "Ham87"),
    Row("-b - sqrt(a)", "-b - sqrt(a)", "simp(a - b**2) / (b - sqrt(a))", "Ham87"),
    Row("difference of squares", "a**2 - b**2", "(a - b) * (a + b)", "Hig02"),
    Row("one minus a square", "1 - a**2", "(1 - a) * (1 + a)", "Hig02"),
    Row("a square minus one", "a**2 - 1", "(a - 1) * (a + 1)", "Hig02"),
    Row(
        "difference of powers",
        "pow(a, n) - pow(b, n)",
        "-(pow(a, n) * expm1(-(n * log1p(simp((a - b) / b)))))",
        "Ham87",
    ),
    Row(
        "difference of powers, variable",
        "pow(a, c) - pow(b, c)",
        "where(c > 0, -(pow(a, c) * expm1(-(c * log1p(simp((a - b) / b))))),"
        " pow(b, c) * expm1(c * log1p(simp((a - b) / b))))",
        "Ham87",
    ),
    Row("power of one plus, minus one", "pow(1 + a, b) - 1", "expm1(b * log1p(a))", "Kah87"),
    Row("power minus one", "pow(a, b) - 1", "expm1(b * log(a))", "Kah87"),
    Row("one minus a power", "1 - pow(1 + a, b)", "-expm1(b * log1p(a))", "Kah87"),
    Row("power of one plus", "pow(1 + a, b)", "exp(b * log1p(a))", "Kah87"),
    Row("power of one minus", "pow(1 - a, b)", "exp(b * log1p(-a))", "Kah87", (0.1, 0.9)),
    Row("power as exponential", "pow(a, b)", "exp(b * log(a))", "Hig02"),
    Row(
        "cube root difference",
        "cbrt(a) - cbrt(b)",
        "simp(a - b) / (cbrt(a)**2 + cbrt(a) * cbrt(b) + cbrt(b)**2)",
        "Ham87",
    ),
    Row("square root of a square", "sqrt(a**2)", "abs(a)", "Hig02"),
    Row("square root of a square times", "sqrt(a**2 * b)", "abs(a) * sqrt(b)", "Hig02"),
    Row("square root of a square over", "sqrt(a**2 / b)", "abs(a) / sqrt(b)", "Hig02"),
    Row("square root of a scaled square over", "sqrt(n * (a**2 / b))", "abs(a) * sqrt(n / b)", "Hig02"),
    Row("square of a root", "sqrt(a)**2", "a", "Hig02"),
    Row("root of a product", "sqrt(a * b)", "sqrt(a) * sqrt(b)", "Hig02"),
    Row("root of a quotient", "sqrt(a / b)", "sqrt(a) / sqrt(b)", "Hig02"),
    Row("power of a product", "pow(a * b, c)", "pow(a, c) * pow(b, c)", "Hig02"),
    Row("power of a quotient", "pow(a / b, c)", "pow(a, c) / pow(b, c)", "Hig02"),
)

ARRANGEMENT = (
    Row("quotient of squares", "a**2 / b**2", "(a / b)**2", "Hig02"),
    Row("square over", "a**2 / b", "a * (a / b)", "Hig02"),
    Row("product over, second", "a * b / c", "a * (b / c)", "Hig02"),
    Row("over a product", "a / (b * c)", "a / b / c", "Hig02"),
    Row("product of three", "a * b * c", "a * (b * c)", "Hig02"),
    Row("quotient of a sum", "(a + b) / c", "a / c + b / c", "Hig02"),
    Row("quotient of a difference", "(a - b) / c", "a / c - b / c", "Hig02"),
    Row("sum of three", "a + b + c", "a + (b + c)", "Hig02"),
    Row("sum and difference", "a + b - c", "a + (b - c)", "Hig02"),
    Row("difference of a sum", "a - (b + c)", "a - b - c", "Hig02"),
    Row("difference of a difference", "a - (b - c)", "a - b + c", "Hig02"),
    Row("difference, then difference", "a - b - c", "a - (b + c)", "Hig02"),
    Row("over a quotient", "a / (b / c)", "a * (c / b)", "Hig02"),
    Row("product of quotients", "(a / b) * (c / d)", "(a * c) / (b * d)", "Hig02"),
)


def _mirrored(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """``b - a -> -(...)`` for every row about ``a - b``."""
    found = []
    for row in rows:
        tree = ast.parse(row.pattern, mode="eval").body
        if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Sub) and not row.pattern.startswith("-"):
            left, right = ast.unparse(tree.left), ast.unparse(tree.right)
            mirror = Row(
                f"{row.name}, mirrored", f"{right} - ({left})", f"-({row.replacement})", row.source, row.domain
            )
            found.append(mirror)
    return tuple(found)


OWN_DOMAIN = frozenset(
    {
        "three expm1", "three expm1, scaled", "log(a) - log(b)", "log of a quotient", "log of a product",
        "log of a power",
        # Parts leave the range where the whole does not, as inf/inf and 0 inf.
        "exp(a) - exp(b)", "exp(a) - exp(b), larger first", "1 - 1/(1 + e)", "expm1 of a product",
        "atan(a) - atan(b)", "power of an exponential",
        # Rounding takes the argument of a root below 0, and that of an arcsine above 1.
        "acos(1 - a)", "spherical law of cosines",
    }
)  # fmt: skip
"""rows about exponentials, logarithms and angles whose replacement may be undefined where the pattern is not"""
EVERYWHERE = frozenset(
    row.name for row in EXPONENTIAL + LOGARITHM + TRIGONOMETRIC if row.name not in OWN_DOMAIN
) | frozenset({"difference of squares", "one minus a square", "a square minus one", "square root of a square"})
"""names of the rows whose replacement is defined wherever the pattern is; the others are guarded"""

ONE_SIDED = EXPONENTIAL + LOGARITHM + TRIGONOMETRIC + ROOTS_AND_POWERS
ROWS = ONE_SIDED + _mirrored(ONE_SIDED) + ARRANGEMENT

__all__ = ["EVERYWHERE", "ROWS", "Row"]
