"""Are two expressions the same? Parsed by math-verify's parser, decided exactly, from either side alike.

Constants are compared to 60 significant digits (decimals count as the rational numbers they spell), expressions with
variables at points of either sign. The difference is measured relative to the values, so that 1/2004! and 1/2006! are
as different as 1 and 2. Where no point can be evaluated, math-verify is asked, in both directions.
"""

import logging
import re
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended import latex2sympy
from math_verify import verify
from sympy import Basic, Expr, Float, I, MatrixBase, Rational

from passatn.verify.math.literals import parse_literal

for _name in ("math_verify", "latex2sympy2_extended"):
    logging.getLogger(_name).setLevel(logging.ERROR)

_DIGITS = 60
_MAX_LENGTH = 2000
_MIXED = re.compile(r"(?<![\d.^_}])(\d+)\s*\\frac\{\s*(\d+)\s*\}\{\s*(\d+)\s*\}")
_PRODUCT = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*(?=\(|\\frac)")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*°")


def equal_expressions(first: str, second: str) -> bool:
    """Do two LaTeX expressions have the same value, for all values of their variables?"""
    if first == second:
        return True
    numbers = parse_literal(first), parse_literal(second)
    if None not in numbers:
        return numbers[0] == numbers[1]
    left, right = parse_expression(first), parse_expression(second)
    if left is None or right is None:
        return _compact(first) == _compact(second)
    return _same(left, right)


@lru_cache(maxsize=4096)
def parse_expression(latex: str) -> Basic | MatrixBase | None:
    """The expression with exact numbers and `i` as the imaginary unit; None if it cannot be parsed."""
    if len(latex) > _MAX_LENGTH:
        return None
    if (number := parse_literal(latex)) is not None:
        return Rational(number.numerator, number.denominator)
    try:
        parsed = latex2sympy(_prepare(latex), is_real=True, convert_degrees=False, normalization_config=None)
        parsed = parsed.doit()
        parsed = parsed.xreplace({number: Rational(str(number)) for number in parsed.atoms(Float)})
        return parsed.subs({symbol: I for symbol in parsed.free_symbols if symbol.name == "i"})
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return None


def evaluate_real(latex: str) -> Any:
    """The constant as a SymPy number for the end of an interval, None if it is not one or not real."""
    parsed = parse_expression(latex)
    if not isinstance(parsed, Expr) or parsed.free_symbols or parsed.is_extended_real is False:
        return None
    return parsed


def ratio_is_constant(first: tuple[str, str], second: tuple[str, str], *, positive: bool) -> bool:
    """Is lhs − rhs of the first relation a constant (positive) multiple of that of the second?"""
    sides: list[Any] = [parse_expression(side) for side in (*first, *second)]
    if not all(isinstance(side, Expr) for side in sides):
        return False
    one, other = sides[0] - sides[1], sides[2] - sides[3]
    if one.free_symbols != other.free_symbols or not one.free_symbols:
        return False
    ratios: list[Any] = []
    for point in _points(sorted(one.free_symbols, key=str)):
        top, bottom = _number(one.subs(point)), _number(other.subs(point))
        if top is None or bottom is None:
            continue
        if _is_zero(top) or _is_zero(bottom):
            if not (_is_zero(top) and _is_zero(bottom)):
                return False
            continue
        ratios.append(top / bottom)
    if len(ratios) < 2 or not all(_close(ratio, ratios[0]) for ratio in ratios):
        return False
    return not positive or bool(sympy.re(ratios[0]) > 0)


def _prepare(latex: str) -> str:
    latex = _MIXED.sub(lambda m: _mixed(m) if int(m[2]) < int(m[3]) else m[0], latex)
    latex = _DEGREES.sub(r"{\\frac{\1\\pi}{180}}", latex)
    latex = _PRODUCT.sub(r"\1 \\cdot ", latex)
    return _mark_capitals(latex)


def _mixed(match: re.Match[str]) -> str:
    return rf"({match[1]}+\frac{{{match[2]}}}{{{match[3]}}})"


def _mark_capitals(latex: str) -> str:
    """The parser folds case: N becomes v_{Un}, which is another symbol than n, and N_{1} v_{Un1}."""
    tokens = re.findall(r"\\[a-zA-Z]+|\\.|[A-Z]_\{[^{}]*\}|[A-Z]|.", latex, flags=re.DOTALL)
    return "".join(_mark_capital(token) if token[0].isupper() else token for token in tokens)


def _mark_capital(token: str) -> str:
    return f"v_{{U{token[0].lower()}{token[3:-1]}}}"


def _same(left: Any, right: Any) -> bool:
    if any(value.has(sympy.nan, sympy.zoo) for value in (left, right)):
        return False
    if left == right:
        return True
    if not (isinstance(left, Expr) and isinstance(right, Expr)):
        return _ask_math_verify(left, right)
    symbols = sorted(left.free_symbols | right.free_symbols, key=str)
    if not symbols:
        return _same_constant(left, right)
    points = _points(symbols)
    agreements = _agreements(left, right, points, real=not (left.has(I) or right.has(I)))
    if agreements == 0:
        agreements = _agreements(left, right, points, real=False)
    return agreements >= 2 or (agreements == 0 and _ask_math_verify(left, right))


def _agreements(left: Any, right: Any, points: list[dict[Any, Any]], *, real: bool) -> int:
    """At how many points the two agree, −1 if they differ at one; with `real`, only where both are real."""
    agreements = 0
    for point in points:
        values = _number(left.subs(point)), _number(right.subs(point))
        if None in values or (real and not all(value.is_real for value in values)):
            continue
        if real and _has_negative_base((left, right), point):
            continue
        if not _close(*values):
            return -1
        agreements += 1
    return agreements


def _has_negative_base(expressions: tuple[Any, ...], point: dict[Any, Any]) -> bool:
    """Is there a root of a negative number on the way? Two of them may make a real number again."""
    powers = {power for expression in expressions for power in expression.atoms(sympy.Pow)}
    bases = [power.base.subs(point) for power in powers if not power.exp.is_integer]
    return any(base.is_extended_real is False or bool(base.is_negative) for base in bases)


def _same_constant(left: Any, right: Any) -> bool:
    if left.is_Rational and right.is_Rational:
        return bool(left == right)
    if any(value.has(sympy.oo, -sympy.oo) for value in (left, right)):
        return False
    values = _number(left), _number(right)
    if None in values:
        return _ask_math_verify(left, right)
    return _close(*values)


def _points(symbols: list[Any]) -> list[dict[Any, Any]]:
    """Assignments that no formula was made for: small and large, of all signs, equal for equal names."""
    points = []
    for scale, sign in ((1, 1), (1, -1), (12, 1), (12, -1), (Rational(1, 4), 1), (3, 0)):
        values = [scale * Rational(1 + 7919 * (index + 3) ** 3 % 33329, 11113) for index in range(len(symbols))]
        signs = [sign or (-1) ** index for index in range(len(symbols))]
        points.append({symbol: s * value for symbol, s, value in zip(symbols, signs, values, strict=True)})
    return points


def _number(value: Any) -> Any:
    """The complex number to twice the digits compared, None if it has none."""
    try:
        number = value.evalf(2 * _DIGITS, maxn=400)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return None
    real, imaginary = number.as_real_imag() if isinstance(number, Expr) else (None, None)
    if not all(isinstance(part, Float | Rational) and part.is_finite for part in (real, imaginary)):
        return None
    return number


def _close(left: Any, right: Any) -> bool:
    zeros = _is_zero(left), _is_zero(right)
    if any(zeros):
        return all(zeros)
    return bool(abs(left - right) <= max(abs(left), abs(right)) * Rational(1, 10**_DIGITS))


def _is_zero(value: Any) -> bool:
    """Exactly zero, or a cancellation of which no digit is left: such numbers come with hardly any precision."""
    return all(part == 0 or (isinstance(part, Float) and part._prec < 20) for part in value.as_real_imag())


def _ask_math_verify(left: Any, right: Any) -> bool:
    def ask(gold: Any, answer: Any) -> bool:
        return bool(verify(gold, answer, timeout_seconds=None, float_rounding=12))

    return ask(left, right) or ask(right, left)


def _compact(latex: str) -> str:
    return re.sub(r"\s+", "", latex)
