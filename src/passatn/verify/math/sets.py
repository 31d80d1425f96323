"""Intervals, unions and inequalities as sets of real numbers, so that each way to write a set equals the others."""

import operator
from typing import Any

from sympy import S
from sympy.sets import EmptySet, FiniteSet, Interval, Set

from passatn.verify.math.expressions import evaluate_real
from passatn.verify.math.reading import Combination, Listing, Reading, Relation, Sequence, Text, Value

_NAMES = {
    r"\mathbb{R}": S.Reals, "allrealnumbers": S.Reals, "allreals": S.Reals, r"\emptyset": S.EmptySet,
    r"\{\}": S.EmptySet, "emptyset": S.EmptySet,
}  # fmt: skip
_OPERATIONS = {"|": operator.or_, "&": operator.and_, "-": operator.sub}
_FLIPPED = {">": "<", ">=": "<="}


def as_set(reading: Reading) -> Set | None:
    """The set of reals that was written, None if the reading is not one or has an end that is not a constant."""
    match reading:
        case Value(latex, None):
            return _NAMES.get(latex.replace(" ", ""))
        case Text(text):
            return _NAMES.get(text.replace(" ", "").lower())
        case Listing(items):
            return _finite(items)
        case Sequence(opening, closing, (low, high)):
            return _interval(opening, low, high, closing)
        case Combination(parts, operations):
            return _combined([as_set(part) for part in parts], operations)
        case Relation(parts, operators):
            return _solution(parts, operators)
    return None


def names_of(reading: Reading) -> set[str]:
    """What the inequalities bound, x in 1 < x < 2; nothing for an interval."""
    match reading:
        case Relation(parts):
            return {part for part in parts if evaluate_real(part) is None}
        case Combination(parts):
            return {name for part in parts for name in names_of(part)}
    return set()


def _finite(items: tuple[Reading, ...]) -> Set | None:
    values = [evaluate_real(item.latex) if isinstance(item, Value) and item.unit is None else None for item in items]
    return None if None in values else FiniteSet(*values)


def _interval(opening: str, low: Reading, high: Reading, closing: str) -> Set | None:
    if not isinstance(low, Value) or not isinstance(high, Value) or opening not in "([" or closing not in ")]":
        return None
    ends = [evaluate_real(end.latex) for end in (low, high)]
    opened = opening == "(", closing == ")"
    if None in ends or not bool(ends[0] < ends[1]):
        return None
    if any(end.is_infinite and not is_open for end, is_open in zip(ends, opened, strict=True)):
        return None
    return Interval(*ends, *opened)


def _combined(parts: list[Set | None], operations: tuple[str, ...]) -> Set | None:
    result: Any = parts[0]
    for part, operation in zip(parts[1:], operations, strict=True):
        if result is None or part is None:
            return None
        result = _OPERATIONS[operation](result, part)
    return result


def _solution(parts: tuple[str, ...], operators: tuple[str, ...]) -> Set | None:
    """x > 2, 2 < x, 1 <= x < 3 and x != 2 for one name x."""
    if all(sign in _FLIPPED for sign in operators):
        parts, operators = parts[::-1], tuple(_FLIPPED[sign] for sign in reversed(operators))
    ends = [evaluate_real(part) for part in parts]
    is_known = [end is not None for end in ends]
    if operators == ("!=",) and sum(is_known) == 1:
        return S.Reals - FiniteSet(*[end for end in ends if end is not None])
    if not set(operators) <= {"<", "<="}:
        return None
    if is_known == [True, False, True]:
        return _checked(ends[0], ends[2], operators[0] == "<", operators[1] == "<")
    if is_known == [False, True]:
        return _checked(S.NegativeInfinity, ends[1], True, operators[0] == "<")
    if is_known == [True, False]:
        return _checked(ends[0], S.Infinity, operators[0] == "<", True)
    return None


def _checked(low: Any, high: Any, left_open: bool, right_open: bool) -> Set | None:
    return Interval(low, high, left_open=left_open, right_open=right_open) if bool(low < high) else EmptySet()
