"""Do two answers say the same? Our rules decide, on top of math-verify's parser; docs/verify-math.md lists them.

`equal(a, b) == equal(b, a)`: neither side is the gold one. A unit must be the same, or be missing on one side (except
percent: 50% is neither 50 nor 0.5); lists and sets match item by item in any order, tuples and intervals in theirs and
with the same brackets; a name (x = 5) may be missing on one side. What is not mathematics is compared as words.
"""

import re
from itertools import pairwise

from passatn.verify.math.expressions import equal_expressions, parse_expression, ratio_is_constant
from passatn.verify.math.literals import parse_literal
from passatn.verify.math.reading import (
    Combination,
    Listing,
    Matrix,
    Named,
    Ratio,
    Reading,
    Relation,
    Sequence,
    Text,
    Value,
    read,
    read_clean,
)
from passatn.verify.math.sets import as_set, names_of
from passatn.verify.math.units import split_unit

_FLIPPED = {">": "<", ">=": "<="}
_SPECIFIC_UNITS = {"percent"}
_PLAIN_COMMA = re.compile(r"\d,\d{3}")


def equal(first: str, second: str) -> bool:
    """Are two raw answers equal? Raises only RecursionError and MemoryError, for brackets without end."""
    if first.strip() == second.strip():
        return True
    left, right = read(first), read(second)
    if equal_readings(left, right):
        return True
    for text, reading, other in ((first, left, right), (second, right, left)):
        if isinstance(other, Listing) and not isinstance(reading, Listing) and _PLAIN_COMMA.search(text):
            return equal_readings(read(text, thousands=False), other)
    return False


def equal_readings(left: Reading, right: Reading) -> bool:
    """The rules by kind; the order of the two does not matter."""
    left, right = _simplify(left), _simplify(right)
    if left == right:
        return True
    if isinstance(left, Named) or isinstance(right, Named):
        return _equal_named(left, right)
    match left, right:
        case Value(), Value():
            return _equal_values(left, right)
        case Listing(), Listing():
            return _equal_listings(left, right)
        case Sequence(), Sequence():
            return _equal_sequences(left, right) or _equal_sets(left, right)
        case Matrix(), Matrix():
            return _equal_matrices(left, right)
        case Relation(), Relation():
            return _equal_relations(left, right) or _equal_sets(left, right)
        case Combination(), Combination():
            return _equal_sets(left, right) or _equal_unions(left, right)
        case Ratio(), Ratio():
            return _proportional(left.parts, right.parts)
        case (Ratio(parts), Value(latex, None)) | (Value(latex, None), Ratio(parts)) if len(parts) == 2:
            return _proportional(parts, (latex, "1"))
    if isinstance(left, Text) or isinstance(right, Text):
        return _equal_words(left, right) or _equal_sets(left, right)
    return _equal_sets(left, right)


def _simplify(reading: Reading) -> Reading:
    """A list or set of one item is the item; a true chain of constants (2 + 3 = 5) is its last side."""
    if isinstance(reading, Listing):
        items = _distinct(reading.items) if reading.is_set else list(reading.items)
        return items[0] if len(items) == 1 else Listing(tuple(items), reading.is_set)
    if isinstance(reading, Relation) and set(reading.operators) == {"="}:
        values = [split_unit(part)[0] for part in reading.parts]
        parsed = [parse_expression(value) for value in values]
        constant = all(side is not None and not side.free_symbols for side in parsed)
        if constant and all(equal_expressions(one, other) for one, other in pairwise(values)):
            return read_clean(reading.parts[-1])
    return reading


def _equal_named(left: Reading, right: Reading) -> bool:
    if isinstance(left, Named) and isinstance(right, Named):
        if left.name == right.name and equal_readings(left.reading, right.reading):
            return True
        return _equal_equations(left, right)
    named, other = (left, right) if isinstance(left, Named) else (right, left)
    assert isinstance(named, Named)
    if isinstance(other, Relation):
        return _equal_equations(named, other)
    return equal_readings(named.reading, other)


def _equal_equations(left: Reading, right: Reading) -> bool:
    sides = _equation(left), _equation(right)
    return None not in sides and ratio_is_constant(sides[0], sides[1], positive=False)  # type: ignore[arg-type]


def _equation(reading: Reading) -> tuple[str, str] | None:
    match reading:
        case Named(name, Value(latex, None)) if len(name) == 1 or name.startswith("\\"):
            return name, latex
        case Relation((one, other), ("=",)):
            return one, other
    return None


def _equal_values(left: Value, right: Value) -> bool:
    if left.unit != right.unit and (None not in (left.unit, right.unit) or {left.unit, right.unit} & _SPECIFIC_UNITS):
        return False
    return equal_expressions(left.latex, right.latex)


def _equal_listings(left: Listing, right: Listing) -> bool:
    one, other = list(left.items), list(right.items)
    if left.is_set or right.is_set:
        one, other = _distinct(left.items), _distinct(right.items)
    if len(one) != len(other):
        return False
    if any(isinstance(item, Named) for item in one) != any(isinstance(item, Named) for item in other):
        return all(map(equal_readings, one, other))
    partners: dict[int, int] = {}
    return all(_find_partner(index, one, other, partners, set()) for index in range(len(one)))


def _find_partner(
    index: int, one: list[Reading], other: list[Reading], partners: dict[int, int], seen: set[int]
) -> bool:
    """A step of bipartite matching: an item without unit may fit several, and must not take another's only partner."""
    for candidate, reading in enumerate(other):
        if candidate not in seen and equal_readings(one[index], reading):
            seen.add(candidate)
            if candidate not in partners or _find_partner(partners[candidate], one, other, partners, seen):
                partners[candidate] = index
                return True
    return False


def _distinct(items: tuple[Reading, ...]) -> list[Reading]:
    kept: list[Reading] = []
    for item in items:
        if not any(equal_readings(item, other) for other in kept):
            kept.append(item)
    return kept


def _equal_sequences(left: Sequence, right: Sequence) -> bool:
    if (left.opening, left.closing, len(left.items)) != (right.opening, right.closing, len(right.items)):
        return False
    return all(map(equal_readings, left.items, right.items))


def _equal_matrices(left: Matrix, right: Matrix) -> bool:
    if [len(row) for row in left.rows] != [len(row) for row in right.rows]:
        return False
    pairs = zip(left.rows, right.rows, strict=True)
    return all(equal_readings(*cells) for rows in pairs for cells in zip(*rows, strict=True))


def _equal_relations(left: Relation, right: Relation) -> bool:
    left, right = _upward(left), _upward(right)
    if left.operators != right.operators:
        return False
    if all(map(equal_expressions, left.parts, right.parts)):
        return True
    if len(left.parts) != 2:
        return False
    ordered = left.operators[0] in ("<", "<=")
    return ratio_is_constant(_two(left), _two(right), positive=ordered)


def _upward(relation: Relation) -> Relation:
    if all(operator in _FLIPPED for operator in relation.operators):
        operators = tuple(_FLIPPED[operator] for operator in reversed(relation.operators))
        return Relation(relation.parts[::-1], operators)
    return relation


def _two(relation: Relation) -> tuple[str, str]:
    return relation.parts[0], relation.parts[1]


def _proportional(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    if len(left) != len(right) or (_is_time(left) and _is_time(right)):
        return False
    if parse_literal(left[0]) == 0 or parse_literal(right[0]) == 0:
        return False
    pairs = zip(left[1:], right[1:], strict=True)
    return all(equal_expressions(rf"({a})\cdot({right[0]})", rf"({left[0]})\cdot({b})") for a, b in pairs)


def _equal_unions(left: Combination, right: Combination) -> bool:
    """Part by part, for ends that are no constants."""
    unions = set(left.operations + right.operations) == {"|"}
    return unions and _equal_listings(Listing(left.parts), Listing(right.parts))


def _is_time(parts: tuple[str, ...]) -> bool:
    """6:30 may be half past six: two such are equal only as they stand."""
    return len(parts) == 2 and re.fullmatch(r"\d{1,2}:[0-5]\d", ":".join(parts)) is not None


def _equal_sets(left: Reading, right: Reading) -> bool:
    kinds = (Combination, Relation, Sequence, Listing, Value, Text)
    if not isinstance(left, kinds) or not isinstance(right, kinds):
        return False
    names = names_of(left), names_of(right)
    if all(names) and names[0] != names[1]:
        return False
    one, other = as_set(left), as_set(right)
    return one is not None and other is not None and bool(one == other)


def _equal_words(left: Reading, right: Reading) -> bool:
    words = _words(left), _words(right)
    return words[0] is not None and words[0] == words[1] and words[0] != ""


def _words(reading: Reading) -> str | None:
    match reading:
        case Text(text):
            source = text
        case Value(latex, None):
            source = latex
        case _:
            return None
    source = re.sub(r"(?<=\d)\s+(?=\d)", "_", source)
    source = re.sub(r"[⟦⟧\s]", "", source)
    source = re.sub(r"(?<!\d)\.|\.(?!\d)", "", source)
    return source if len(source) == 1 else source.lower()
