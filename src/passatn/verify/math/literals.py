r"""Numbers written out, as exact fractions: 72, -1.50, .5, 1,000, 1/2, \frac{1}{2}, 1 1/2, 1e3, 0.\overline{3}.

A decimal is the rational number it spells: 0.33 is 33/100 and not 1/3, 3.14 is not π. Nothing here is evaluated and no
length leads to more than a long integer, so these functions are safe on any text.
"""

import re
from fractions import Fraction

MAX_DIGITS = 1000
_INTEGER = r"\d{1,3}(?:,\d{3})+|\d+"
_DECIMAL = re.compile(rf"({_INTEGER}|(?=\.\d))(?:\.(\d*))?")
_FRACTION = re.compile(
    rf"(?:(?P<whole>\d+)\s*(?=\\frac)|(?P<plain_whole>\d+)\s+(?=\d))?"
    rf"(?:\\[dtc]?frac\s*(?:\{{\s*(?P<a>-?\s*(?:{_INTEGER}))\s*\}}|(?P<a1>\d))\s*"
    rf"(?:\{{\s*(?P<b>{_INTEGER})\s*\}}|(?P<b1>\d))|(?P<c>{_INTEGER})\s*/\s*(?P<d>{_INTEGER}))"
)
_REPEATING = re.compile(r"(\d*)\.(\d*)\\overline\s*\{(\d+)\}")
_SCIENTIFIC = re.compile(r"(\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})")


def parse_literal(text: str) -> Fraction | None:
    """The number that all of `text` spells, None if it is anything else (an expression, a list, a unit, a percent)."""
    text = text.strip()
    if len(text) > MAX_DIGITS:
        return None
    sign = -1 if text[:1] in ("-", "−") else 1
    number = _unsigned(text[1:].lstrip() if sign < 0 or text[:1] == "+" else text)
    return None if number is None else sign * number


def is_number_like(text: str) -> bool:
    r"""Is this gold answer a number, with at most a currency or percent sign, dollars of math mode or a degree?"""
    bare = re.sub(r"\\[$%]|[$%€£]|\\[!,;]|\^\s*\{?\s*\\circ\s*\}?|\{,\}", lambda m: "," if m[0] == "{,}" else "", text)
    return parse_literal(bare.rstrip(". ")) is not None


def _unsigned(text: str) -> Fraction | None:
    if match := _DECIMAL.fullmatch(text):
        return Fraction(f"{match[1].replace(',', '') or '0'}.{match[2] or '0'}")
    if match := _FRACTION.fullmatch(text):
        return _fraction(match)
    if match := _REPEATING.fullmatch(text):
        return _repeating(*match.groups())
    if match := _SCIENTIFIC.fullmatch(text):
        return Fraction(match[1]) * Fraction(10) ** int(match[2])
    return None


def _fraction(match: re.Match[str]) -> Fraction | None:
    numerator, denominator = (
        int(re.sub(r"[,\s]", "", next(text for text in match.group(*names) if text is not None)))
        for names in (("a", "a1", "c"), ("b", "b1", "d"))
    )
    whole = match["whole"] or match["plain_whole"]
    if denominator == 0 or (whole is not None and not 0 <= numerator < denominator):
        return None
    return int(whole or 0) + Fraction(numerator, denominator)


def _repeating(whole: str, fixed: str, period: str) -> Fraction:
    nines = (10 ** len(period) - 1) * 10 ** len(fixed)
    return Fraction(f"{whole or '0'}.{fixed or '0'}") + Fraction(int(period), nines)
