r"""Gold answers of MATH and GSM8K, and a program that rewrites an answer: to an equal one, or to a near miss.

It shares no code with the verifier. `rewrite` and `near_misses` look at the shape of the LaTeX alone.

    rewrite(r"\frac{1}{2}")        # 0.5
    rewrite("(1, 2)")              # \left(\frac{2}{2},\frac{4}{2}\right)
    near_misses(r"[0, 1)")         # (0, 1), (0, 1), [0, 1], ...
"""

import gzip
import json
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

_INTEGER = re.compile(r"-?\d+")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?\d+)\}\{(\d+)\}")
_WORDS = re.compile(r"(?:\\text|\\mbox)\s*\{([^{}]*)\}")
_UNIT = re.compile(r"(.*[^\s\\])(?:\\?\s)*\\(?:text|mbox|textnormal)\s*\{\s*([A-Za-z][A-Za-z. ]*)\s*\}(?:\^[23])?")
_BRACKETS = re.compile(r"(?:\\left\s*)?([(\[])(.*?)(?:\\right\s*)?([)\]])", re.DOTALL)
_MATRIX = re.compile(r"\\begin\{pmatrix\}(.*)\\end\{pmatrix\}", re.DOTALL)
_ASSIGNMENT = re.compile(r"([a-zA-Z]{1,2}) ?= ?([^=]+)")


def math_golds(folder: Path) -> list[str]:
    """All 12,500 answers, two of which are empty."""
    rows = []
    with gzip.open(folder / "math_train_12000.jsonl.gz", "rt", encoding="utf-8") as file:
        rows += [json.loads(line) for line in file]
    rows += map(json.loads, (folder / "math_test_500.jsonl").read_text("utf-8").splitlines())
    return [row["answer"] for row in rows]


def gsm8k_golds(folder: Path) -> list[str]:
    """The 1,319 answers of the test set."""
    return [json.loads(line)["answer"] for line in (folder / "gsm8k_test.jsonl").read_text("utf-8").splitlines()]


def rewrite(answer: str) -> str:
    """Another way to write the same answer; the answer itself for the few shapes that are not known."""
    answer = answer.strip().rstrip(".")
    bare = re.sub(r"\\!|\{,\}", lambda match: "," if match[0] == "{,}" else "", answer)
    bare = re.sub(r"(?<=\d), (?=\d{3})", ",", bare) if r"\!" in answer else bare
    if re.fullmatch(r"-?\d{1,3}(,\d{3}|,\s?000)+", bare) and answer != "70,110":
        return re.sub(r"[,\s]", "", bare)
    if _INTEGER.fullmatch(answer):
        value = int(answer)
        return [f"{value}.0", rf"\frac{{{2 * value}}}{{2}}", f"{value + 7} - 7", f"{value - 3}+3"][len(answer) % 4]
    if match := _FRACTION.fullmatch(answer):
        return _rewritten_fraction(match)
    if re.fullmatch(r"-?\d*\.\d+", answer):
        value = Fraction(answer)
        return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    if match := re.fullmatch(r"\\text\s*\{\(?([A-Z])\)?\}", answer):
        return match[1]
    if match := _WORDS.fullmatch(answer):
        return rf"\textbf{{{match[1]}}}"
    for shape in (_rewritten_unit, _rewritten_list, _rewritten_set, _rewritten_bracket, _rewritten_matrix):
        if (new := shape(answer)) is not None:
            return new
    if match := _ASSIGNMENT.fullmatch(answer):
        return f"{match[2]} = {match[1]}"
    if match := re.fullmatch(r"([^=<>\\]+) = ([^=<>\\]+)", answer):
        return f"{match[2]} = {match[1]}"
    if is_expression(answer):
        return rf"\frac{{2\left({answer}\right)}}{{2}}" if not _is_mixed(answer) else f"{answer} + 0"
    return answer.replace(r"\frac", r"\dfrac") if r"\frac" in answer else f"${answer}$"


def near_misses(answer: str) -> Iterator[str]:
    """Answers that look like this one and differ from it."""
    answer = answer.strip().rstrip(".")
    if _INTEGER.fullmatch(answer):
        value = int(answer)
        yield from (str(value + 1), f"{answer}.5", f"{answer} or {value + 2}", rf"{answer}\%", f"\\boxed{{{answer}")
        yield from ([str(-value), f"{answer}0"] if value else [])
    elif match := _FRACTION.fullmatch(answer):
        yield from _missed_fractions(match)
    elif match := re.fullmatch(r"(\d+)\s*\\%", answer):
        yield from (f"{int(match[1]) / 100}", match[1], rf"{int(match[1]) + 1}\%", rf"{int(match[1]) / 10}\%")
    elif match := _UNIT.fullmatch(answer):
        yield from (rf"{match[1]} \text{{ {'miles' if 'mile' not in match[2] else 'cm'}}}", rf"{match[1]} + 1")
    elif parts := _split(answer):
        yield from (",".join(parts[1:]), ",".join([*parts, "77"]), ",".join([*parts[:-1], "77"]))
        yield rf"\left({answer}\right)"
    elif match := _whole_bracket(answer):
        yield from _missed_brackets(match)
    elif match := _MATRIX.fullmatch(answer):
        rows = [row.split("&") for row in match[1].split(r"\\")]
        turned = [[row[index] for row in rows] for index in range(len(rows[0]))]
        if turned != rows and [[c.strip() for c in r] for r in turned] != [[c.strip() for c in r] for r in rows]:
            yield rf"\begin{{pmatrix}}{_cells(turned)}\end{{pmatrix}}"
        yield rf"\begin{{pmatrix}}{_cells([['77', *rows[0][1:]], *rows[1:]])}\end{{pmatrix}}"
    elif match := re.fullmatch(r"\\text\{\(([A-E])\)\}", answer):
        yield chr(ord(match[1]) + 1)
    elif is_expression(answer):
        yield from (f"{answer} + 1", rf"-\left({answer}\right)", rf"2 \cdot \left({answer}\right)")
        if r"\pi" in answer and "\\frac" not in answer:
            yield answer.replace(r"\pi", r" \cdot 3.14")
        if re.fullmatch(r"\d*\\sqrt\{\d+\}", answer):
            yield re.sub(r"\{(\d+)\}", lambda m: f"{{{int(m[1]) + 1}}}", answer)
        if match := re.search(r"(?<![\\a-z])[xyabn](?![a-z])", answer):
            yield answer.replace(match[0], "w")


def is_expression(answer: str) -> bool:
    """A sum or product of numbers, roots, fractions and letters: no words, commas, relations, units or subscripts."""
    commands = set(re.findall(r"\\[a-zA-Z]+|\\.", answer))
    if re.search(r"(?<![\\a-zA-Z])(?:[a-zA-Z]{4,}|[A-Z]{2,})", answer):
        return False
    return commands <= {r"\frac", r"\sqrt", r"\pi", r"\dfrac", r"\tfrac"} and not re.search(r"[,=<>_%$:!&]", answer)


def _rewritten_fraction(match: re.Match[str]) -> str:
    sign, top, bottom = match.groups()
    value = Fraction(f"{sign}{top}/{bottom}" if not top.startswith("-") else f"{top}/{bottom}")
    if re.fullmatch(r"(?:2|5|10)*", "".join(map(str, _prime_factors(value.denominator)))) and value.denominator < 100:
        return str(float(value))
    return rf"{sign}\dfrac{{{2 * int(top)}}}{{{2 * int(bottom)}}}"


def _rewritten_unit(answer: str) -> str | None:
    if match := re.fullmatch(r"(.+?)\s*\^\{?\\circ\}?", answer):
        return match[1] if "," not in answer and "\\" not in match[1] else None
    if match := re.fullmatch(r"([\d.]+)\s*\\%", answer):
        return f"{match[1]} %"
    if match := re.fullmatch(r"\\\$\s*([\d.]+)", answer):
        return f"{match[1]} dollars"
    match = _UNIT.fullmatch(answer)
    return match[1] if match and "," not in answer and " or" not in answer and ":" not in answer else None


def _rewritten_list(answer: str) -> str | None:
    parts = _split(answer)
    return ", ".join(reversed(parts)) if parts else None


def _rewritten_set(answer: str) -> str | None:
    if r"\cup" in answer:
        return r" \cup ".join(reversed(answer.split(r"\cup")))
    return None


def _rewritten_bracket(answer: str) -> str | None:
    match = _whole_bracket(answer)
    parts = _split(match[2]) if match else []
    if not match or not parts:
        return None
    inner = ",".join(rewrite(part) for part in parts)
    return rf"\left{match[1]}{inner}\right{match[3]}"


def _rewritten_matrix(answer: str) -> str | None:
    match = _MATRIX.fullmatch(answer)
    if not match:
        return None
    rows = [[rewrite(cell.strip()) for cell in row.split("&")] for row in match[1].split(r"\\")]
    return rf"\begin{{bmatrix}}{_cells(rows)}\end{{bmatrix}}"


def _missed_fractions(match: re.Match[str]) -> Iterator[str]:
    sign, top, bottom = match[1], int(match[2]), int(match[3])
    yield from (rf"{sign}\frac{{{top}}}{{{bottom + 1}}}", rf"{sign}\frac{{{top + 1}}}{{{bottom}}}")
    if abs(top) != bottom:
        yield rf"{sign}\frac{{{bottom}}}{{{top}}}"
    if 100 * top % bottom:
        yield f"{sign}{top / bottom:.2f}"
    if top:
        yield rf"{'' if sign else '-'}\frac{{{top}}}{{{bottom}}}"


def _missed_brackets(match: re.Match[str]) -> Iterator[str]:
    opening, inner, closing = match.groups()
    parts = _split(inner)
    if len(parts) < 2:
        return
    if opening == "(" and closing == ")":
        yield from (rf"\{{{inner}\}}", inner)
    yield f"{'[' if opening == '(' else '('}{inner}{closing}"
    yield f"{opening}{inner}{']' if closing == ')' else ')'}"
    if [part.strip() for part in parts] != [part.strip() for part in reversed(parts)]:
        yield f"{opening}{','.join(reversed(parts))}{closing}"
    yield f"{opening}{','.join([*parts[:-1], '78'])}{closing}"


def _whole_bracket(answer: str) -> re.Match[str] | None:
    match = _BRACKETS.fullmatch(answer)
    return (
        match if match and not re.search(r"[\[\]]|\)\s*\\cup|\\right.*\\left", match[2]) and _even(match[2]) else None
    )


def _even(text: str) -> bool:
    depth = 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


def _split(answer: str) -> list[str]:
    """The parts of a list, [] if the answer is not one."""
    if re.search(r"\\!|\{,\}|\\text|\\mbox|\\begin|=|\\\{", answer) or re.fullmatch(r"\\?\$?[\d,.]+", answer):
        return []
    parts, depth = [""], 0
    for character in answer:
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts] if len(parts) > 1 else []


def _is_mixed(answer: str) -> bool:
    return re.search(r"\d\s*\\[dt]?frac", answer) is not None


def _cells(rows: list[list[str]]) -> str:
    return r" \\ ".join(" & ".join(row) for row in rows)


def _prime_factors(number: int) -> list[int]:
    factors, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return factors
