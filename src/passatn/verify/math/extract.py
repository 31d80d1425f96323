r"""Which text of a completion is the answer.

The first that is there of: the last complete \boxed{…} or \fbox{…}; the last <answer>…</answer>; what follows the last
"answer is", up to the end of its sentence; the line after the last ####; with no mark at all, the whole completion.
Only in that last case a number may be taken from a text: the last one, when the text as a whole is no mathematics and
the accepted answer is a number. An unclosed \boxed and "5 or 6" offer no such number.

All is linear in the length of the completion, whatever it contains.
"""

import re
from dataclasses import dataclass

MAX_ANSWER_LENGTH = 2000
_BOX = re.compile(r"\\\\?(?:boxed|fbox)(?:\s*\{|\s+(?=[^\s{]))|\\.|[{}]", re.DOTALL)
_UNCLOSED_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])")
_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_ANSWER_IS = re.compile(r"answer\s{1,20}is(?![a-z])\s{0,20}:?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<!\bsq)\.(?=\s|$)|\n|,?\s+(?:because|since|so|which|as|where|when)\s")
_LEAD = re.compile(r"^(?:\s|therefore|thus|simply|equal to|given by|then|,|:)+", re.IGNORECASE)
_CALCULATION = re.compile(r"<<[^<>\n]*>>")
"""GSM8K's annotations: 3 * 4 = <<3*4=12>>12."""
_DISPLAY = re.compile(r"\s*(?:\\\[(.{1,2000}?)\\\]|\$\$(.{1,2000}?)\$\$)", re.DOTALL)
_NUMBER = re.compile(
    r"\\[dtc]?frac\s?\{\s?-?\d{1,400}\s?\}\s?\{\s?\d{1,400}\s?\}|(?<![A-Za-z_\d.])(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
    r"(?:\s?/\s?\d[\d,]*(?!\.?\d))?"
)


@dataclass(frozen=True)
class Extraction:
    """`text` is the answer; without a mark it is the whole completion, and `last_number` what else may be tried."""

    text: str
    is_marked: bool = True
    last_number: str | None = None


def extract(completion: str) -> Extraction:
    """The answer of a completion, by the order above; empty where the completion says nothing."""
    for find in (_last_box, _last_tag, _last_statement, _after_hashes):
        if (text := find(completion)) is not None:
            return Extraction(text.strip())
    return Extraction(completion.strip(), is_marked=False, last_number=_last_number(completion))


def _last_box(text: str) -> str | None:
    """The complete box that opens last; inside \boxed{\fbox{5}} that is the inner one."""
    start, content = -1, None
    open_braces: list[int] = []
    for match in _BOX.finditer(text):
        token = match[0]
        if token == "}":
            opened = open_braces.pop() if open_braces else -1
            if opened > start:
                start, content = opened, text[opened : match.start()]
        elif token == "{":
            open_braces.append(-1)
        elif token.endswith("{") and len(token) > 2:
            open_braces.append(match.end())
        elif token[-1].isspace() and len(token) > 2:
            rest = text[match.end() : match.end() + MAX_ANSWER_LENGTH]
            start, content = match.end(), re.split(r"[\s$]", rest, maxsplit=1)[0].rstrip(".,")
    return content


def _last_tag(text: str) -> str | None:
    start, content = None, None
    for match in _TAG.finditer(text):
        if not match[1]:
            start = match.end()
        elif start is not None:
            content, start = text[start : match.start()], None
    return content


def _last_statement(text: str) -> str | None:
    match = _last_match(_ANSWER_IS, text)
    if match is None:
        return None
    rest = text[match.end() : match.end() + MAX_ANSWER_LENGTH]
    if display := _DISPLAY.match(rest):
        return display[1] or display[2]
    return _SENTENCE_END.split(_LEAD.sub("", _CALCULATION.sub("", rest)), maxsplit=1)[0]


def _after_hashes(text: str) -> str | None:
    _, mark, after = text.rpartition("####")
    if not mark:
        return None
    return after.lstrip()[:MAX_ANSWER_LENGTH].partition("\n")[0]


def _last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for match in pattern.finditer(text):
        last = match
    return last


def _last_number(text: str) -> str | None:
    if _UNCLOSED_BOX.search(text):
        return None
    match = _last_match(_NUMBER, text)
    if match is None or re.search(r"[\d}]\s?,?\s?or\s?[-$\\(]*$", text[max(0, match.start() - 12) : match.start()]):
        return None
    number = match[0].rstrip(",")
    before = text[max(0, match.start() - 12) : match.start()]
    sign = "-" if re.search(r"[-−]$", before) and not re.search(r"(?:\w|[\d)}]\s*)[-−]$", before) else ""
    is_percent = re.match(r"\s?\\?%", text[match.end() : match.end() + 4])
    return sign + number + ("%" if is_percent and match[0] == number else "")
