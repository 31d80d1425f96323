r"""How an answer is read: a value with its unit, a list, a tuple or interval, a set, a matrix, an equation, words.

`read` splits the normal form of `clean` along its outermost structure; what has none is a `Value`, whose text is LaTeX
for the parser of math-verify, or a `Text`.

    5, x = 5                 Value, Named("x", Value)      (1, 2), [0, 1)           Sequence: order and brackets count
    1, 2   1 or 2   \pm 2    Listing: order does not       (0,1) \cup (2,3)         Combination
    \{1, 2\}                 Listing, repetitions merged   \begin{pmatrix} ... \end  Matrix
    1 < x < 2, y = 2x + 1    Relation                      5 : 6                    Ratio
    \text{odd}, 52_8, ?      Text: compared as it stands
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TypeAlias

from passatn.verify.math.clean import CLOSE_TEXT, OPEN_TEXT, clean
from passatn.verify.math.literals import parse_literal
from passatn.verify.math.units import split_unit

Reading: TypeAlias = "Value | Text | Named | Listing | Sequence | Combination | Matrix | Relation | Ratio"

_OPENING, _CLOSING = {"(", "[", r"\{", "{", r"\langle"}, {")", "]", r"\}", "}", r"\rangle"}
_TOKEN = re.compile(rf"\\[a-zA-Z]+|\\.|{OPEN_TEXT}[^{CLOSE_TEXT}]*{CLOSE_TEXT}|\S|\s+", re.DOTALL)
_RELATION = {"=": "=", "<": "<", ">": ">", r"\leq": "<=", r"\geq": ">=", r"\neq": "!=", r"\equiv": "=="}
_SET_OPERATIONS = {r"\cup": "|", r"\cap": "&", r"\setminus": "-"}
_SEPARATOR = re.compile(r"\s+(and|or)\s+")
_MATRIX = re.compile(r"\\begin\{([pbBvV]?matrix|array)\}(?:\{[lcr|]*\})?(.*)\\end\{\1\}", re.DOTALL)
_NAME = re.compile(
    r"[a-zA-Z]{1,3}|\\(?:alpha|beta|gamma|theta|phi|lambda|mu|omega|sigma|delta|rho|tau|ell)|"
    r"[a-zA-Z](?:_\{?\w+\}?)?(?:'|\^\{-1\})?\s*\(\s*[a-z](?:\s*,\s*[a-z])*\s*\)|[a-zA-Z]_\{?\w+\}?|"
    r"\(\s*[a-z](?:\s*,\s*[a-z])+\s*\)|\\(?:angle|overline|vec|mathbf|triangle)\s*\{?\s*[a-zA-Z]+\s*\}?|\|[A-Z]+\||"
    r"⟦[a-zA-Z ]+⟧"
)
_BASED = re.compile(r"(-?)\s*⟦?([0-9A-Z.]+)⟧?_\{⟦?(\d+|two|three|four|five|eight|ten)⟧?\}")
_DOUBTFUL = re.compile(r"[?@#&\"~$'¢€£]|\\\$|\d\s+\d|\d\.\d*\.|\.\.|_\{\}|\d_|%.|\\(?:boxed|fbox|ldots|dots|cdots)")
_WORDS = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]+(?![a-zA-Z])")


@dataclass(frozen=True)
class Value:
    """One expression in LaTeX, with its unit if it has one."""

    latex: str
    unit: str | None = None


@dataclass(frozen=True)
class Text:
    """Words, or what cannot be read as mathematics; equal only to the same, apart from case, spaces and marks."""

    text: str


@dataclass(frozen=True)
class Named:
    """A name and what it equals: x = 5, AB = 9, f(x) = 2x."""

    name: str
    reading: Reading


@dataclass(frozen=True)
class Listing:
    """Items in any order; `is_set` for braces, in which repetitions do not count."""

    items: tuple[Reading, ...]
    is_set: bool = False


@dataclass(frozen=True)
class Sequence:
    """A tuple, a vector or an interval: the order and the two brackets count."""

    opening: str
    closing: str
    items: tuple[Reading, ...]


@dataclass(frozen=True)
class Combination:
    r"""Sets joined by \cup, \cap or \setminus, from left to right; one more part than operations."""

    parts: tuple[Reading, ...]
    operations: tuple[str, ...]


@dataclass(frozen=True)
class Matrix:
    rows: tuple[tuple[Reading, ...], ...]


@dataclass(frozen=True)
class Relation:
    """A chain such as a < b <= c; one more part than operators."""

    parts: tuple[str, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True)
class Ratio:
    parts: tuple[str, ...]


@lru_cache(maxsize=4096)
def read(text: str, *, thousands: bool = True) -> Reading:
    """The reading of a raw answer. Any text has one; raises RecursionError where brackets nest too deep."""
    return read_clean(clean(text, thousands=thousands))


def read_clean(text: str) -> Reading:
    """The reading of a normal form."""
    text = text.strip()
    if OPEN_TEXT in text and (inner := _only_text(text)) is not None:
        words = read_clean(inner) if re.match(r"\s*[-\d.$]|.*=", inner) else Text(inner)
        return words if is_mathematical(words) else _read_words(inner)
    if re.fullmatch(r"[A-Z]{2,}", text):
        return Text(text)
    if based := _BASED.fullmatch(text):
        return _read_based(based)
    if match := re.fullmatch(r"[a-zA-Z](?:\s*,\s*[a-zA-Z])*\s*\\in\s*(.+)", text, flags=re.DOTALL):
        text = match[1]
    for split in (_read_listing, _read_approximation, _read_relation, _read_combination, _read_bracketed, _read_matrix):
        if (reading := split(text)) is not None:
            return reading
    if "\\pm" in text or "\\mp" in text:
        return Listing(tuple(read_clean(variant) for variant in _both_signs(text)))
    return _read_ratio(text) or _read_value(text)


def split_top(text: str, separators: set[str]) -> tuple[list[str], list[str]]:
    """The parts between separators outside of all brackets, and the separators found."""
    parts, found, depth, start = [], [], 0, 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in _OPENING:
            depth += 1
        elif token in _CLOSING:
            depth -= 1
        elif depth == 0 and token in separators:
            parts.append(text[start : match.start()])
            found.append(token)
            start = match.end()
    return [*parts, text[start:]], found


def is_mathematical(reading: Reading) -> bool:
    """Was the answer read as mathematics, down to its parts?"""
    match reading:
        case Text():
            return False
        case Named(_, inner):
            return is_mathematical(inner)
        case Listing(items) | Sequence(_, _, items) | Combination(items, _):
            return all(map(is_mathematical, items))
        case Matrix(rows):
            return all(is_mathematical(item) for row in rows for item in row)
    return True


def _read_listing(text: str) -> Reading | None:
    parts, _ = split_top(_SEPARATOR.sub(" , ", text), {",", ";"})
    parts = [part.strip() for part in parts if part.strip()]
    if len(parts) < 2:
        return None if parts and parts[0] == text else (read_clean(parts[0]) if parts else None)
    items = [read_clean(part) for part in parts]
    words = set(_SEPARATOR.findall(text))
    if all(isinstance(item, Relation) for item in items) and len(words) == 1:
        return Combination(tuple(items), ("&" if words == {"and"} else "|",) * (len(items) - 1))
    names = {item.name for item in items if isinstance(item, Named)}
    if len(names) == 1:
        items = [item.reading if isinstance(item, Named) else item for item in items]
    return Listing(_flat(items))


def _read_approximation(text: str) -> Reading | None:
    r"""`\approx 8.24` is 8.24; in `22/7 \approx 3.14` the exact side is the answer."""
    parts, _ = split_top(text, {r"\approx"})
    return None if len(parts) == 1 else read_clean(next((part for part in parts if part.strip()), ""))


def _read_relation(text: str) -> Reading | None:
    parts, operators = split_top(text, set(_RELATION))
    if not operators:
        return None
    parts, operators = [part.strip() for part in parts], [_RELATION[operator] for operator in operators]
    if not all(parts):
        return Text(text)
    if set(operators) == {"="}:
        if _NAME.fullmatch(parts[0]):
            return Named(_plain(parts[0]), read_clean(parts[-1]))
        if len(parts) == 2 and _NAME.fullmatch(parts[1]):
            return Named(_plain(parts[1]), read_clean(parts[0]))
    if any(isinstance(_read_value(split_unit(part)[0]), Text) for part in parts):
        return Text(text)
    return Relation(tuple(parts), tuple(operators))


def _read_combination(text: str) -> Reading | None:
    parts, operations = split_top(text, set(_SET_OPERATIONS))
    if not operations or not all(part.strip() for part in parts):
        return None
    return Combination(tuple(map(read_clean, parts)), tuple(_SET_OPERATIONS[operation] for operation in operations))


def _read_bracketed(text: str) -> Reading | None:
    tokens = [match for match in _TOKEN.finditer(text) if not match[0].isspace()]
    if len(tokens) < 3 or tokens[0][0] not in _OPENING - {"{"} or tokens[-1][0] not in _CLOSING - {"}"}:
        return None
    depth = 0
    for token in tokens[:-1]:
        depth += (token[0] in _OPENING) - (token[0] in _CLOSING)
        if depth == 0:
            return None
    opening, closing = tokens[0][0], tokens[-1][0]
    inner = text[tokens[0].end() : tokens[-1].start()]
    parts = [part.strip() for part in split_top(inner, {",", ";"})[0]]
    if opening == r"\{" and closing == r"\}":
        return _read_set(inner, parts)
    if "\\{" in (opening, closing) or "\\}" in (opening, closing) or not all(parts):
        return Text(text)
    if len(parts) == 1 and (opening, closing) == ("(", ")"):
        return read_clean(inner)
    kind = {r"\langle": "(", r"\rangle": ")"}
    return Sequence(kind.get(opening, opening), kind.get(closing, closing), tuple(map(read_clean, parts)))


def _read_set(inner: str, parts: list[str]) -> Reading:
    if len(split_top(inner, {"|", ":", r"\mid"})[0]) > 1 or not all(parts):
        return Text(rf"\{{{inner}\}}")
    return Listing(_flat([read_clean(part) for part in parts]), is_set=True)


def _flat(items: list[Reading]) -> tuple[Reading, ...]:
    r"""0, \pm 1 is a list of three."""
    lists = [item.items if isinstance(item, Listing) and not item.is_set else (item,) for item in items]
    return tuple(item for items in lists for item in items)


def _read_matrix(text: str) -> Reading | None:
    match = _MATRIX.fullmatch(text)
    if match is None or match[1] in ("vmatrix", "Vmatrix") or r"\begin" in match[2]:
        return None
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", match[2]) if row.strip()]
    return Matrix(tuple(tuple(read_clean(cell) for cell in row.split("&")) for row in rows))


def _read_ratio(text: str) -> Reading | None:
    parts = [part.strip() for part in split_top(text, {":"})[0]]
    if len(parts) < 2 or not all(parts):
        return None
    is_time = re.fullmatch(r"\d{1,2}:\d\d(?::\d\d|\s*\D).*", text)
    if is_time or not all(isinstance(_read_value(part), Value) for part in parts):
        return Text(text)
    return Ratio(tuple(parts))


def _read_value(text: str) -> Reading:
    value, unit = split_unit(text)
    if parse_literal(value) is None:
        inner = read_clean(value) if unit is not None and value != text else None
        if isinstance(inner, Value) and inner.unit is None:
            value = inner.latex
        elif inner is not None or not _is_expression(value):
            return Text(text)
    return Value(value, unit)


def _is_expression(text: str) -> bool:
    """Could this be one expression? Words, two numbers side by side and doubtful marks make it text."""
    if not text or OPEN_TEXT in text or _DOUBTFUL.search(text):
        return False
    runs = _WORDS.findall(text)
    return max(map(len, runs), default=0) < 4 and not re.search(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}\s+[a-zA-Z]+", text)


def _only_text(text: str) -> str | None:
    """What the answer says if it is words from end to end."""
    if re.fullmatch(rf"[\s\d(),.:]*(?:{OPEN_TEXT}[^{CLOSE_TEXT}]*{CLOSE_TEXT}[\s(),.:]*)+", text) is None:
        return None
    if re.match(r"[\s(]*[\d.]", text) and ":" not in text:
        return None
    return text.replace(OPEN_TEXT, " ").replace(CLOSE_TEXT, " ")


def _read_words(text: str) -> Reading:
    parts = [part.strip(" .") for part in re.split(r",|;|\band\b|\bor\b", text) if part.strip(" .")]
    if len(parts) > 1 and not re.search(r"\d", text):
        return Listing(tuple(Text(_letter(part)) for part in parts))
    return Text(_letter(text.strip(" .")))


def _letter(text: str) -> str:
    return match[1] if (match := re.fullmatch(r"\(\s*([A-Za-z])\s*\)", text)) else text


def _read_based(match: re.Match[str]) -> Reading:
    words = {"two": "2", "three": "3", "four": "4", "five": "5", "eight": "8", "ten": "10"}
    base, digits = words.get(match[3], match[3]), match[2].lstrip("0") or "0"
    if base == "10" and parse_literal(digits) is not None:
        return Value(match[1] + digits)
    return Text(f"{match[1]}{digits}_{base}")


def _both_signs(text: str) -> list[str]:
    r"""\pm and \mp together are two variants; several \pm alone are independent of each other."""
    if "\\mp" in text or text.count("\\pm") > 4:
        return [text.replace("\\pm", plus).replace("\\mp", minus) for plus, minus in (("+", "-"), ("-", "+"))]
    pieces = text.split("\\pm")
    return [
        pieces[0] + "".join(sign + piece for sign, piece in zip(signs, pieces[1:], strict=True))
        for signs in product("+-", repeat=len(pieces) - 1)
    ]


def _plain(name: str) -> str:
    return re.sub(r"[\s{}⟦⟧]", "", name)
