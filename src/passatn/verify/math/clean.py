r"""Surface normalisation: many ways to type the same answer become one, and nothing that has a meaning is dropped.

Out go math delimiters, \left and \right, spacing and size commands, thousands separators, markdown and the final stop;
\dfrac12 becomes \frac{1}{2}, \sqrt2 \sqrt{2}, x^10 x^{10}, ** ^, sqrt(2) \sqrt{2}, and signs such as π × ≤ their
commands. Degrees become `°`, percent `%`. Words keep their marks, because "s" in \text{ s} is a second and elsewhere
a variable: \text{…}, \mbox{…}, \mathrm{…} become ⟦…⟧, unless they hold a number or a single mathematical letter.
"""

import re

from passatn.tasks.prompts import balanced_end

OPEN_TEXT, CLOSE_TEXT = "⟦", "⟧"

_SIGNS = {
    "−": "-", "–": "-", "—": "-", "×": r"\times ", "÷": r"\div ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ",
    "π": r"\pi ", "θ": r"\theta ", "∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "≤": r"\leq ", "≥": r"\geq ",
    "≠": r"\neq ", "≈": r"\approx ", "±": r"\pm ", "∓": r"\mp ", "∈": r"\in ", "ℝ": r"\mathbb{R}", "∅": r"\emptyset ",
    "²": "^{2}", "³": "^{3}", "√": r"\sqrt ", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "º": "°",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u200b": "", "，": ",", "（": "(", "）": ")", "⟦": "[", "⟧": "]",
}  # fmt: skip
_SIGN = re.compile("|".join(map(re.escape, _SIGNS)))

_RENAMED = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "le": "leq", "ge": "geq", "leqslant": "leq", "geqslant": "geq",
    "lt": "<", "gt": ">", "ne": "neq", "lbrace": "{", "rbrace": "}", "lbrack": "[", "rbrack": "]", "degree": "°",
    "land": "cap", "varnothing": "emptyset", "simeq": "approx", "R": "mathbb{R}", "lvert": "|", "rvert": "|",
    "vert": "|", "ast": "cdot", "infin": "infty", "backslash": "setminus", "smallsetminus": "setminus", "colon": ":",
}  # fmt: skip
_DROPPED = {
    "left", "right", "displaystyle", "textstyle", "scriptstyle", "limits", "nolimits", "big", "Big", "bigg", "Bigg",
    "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "Biggl", "Biggr", "rm", "bf", "it", "boldmath", "hfill", "null",
}  # fmt: skip
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_TEXT = re.compile(
    r"\\(?:text|mbox|hbox|textnormal|textbf|textit|textrm|textsf|textup|emph|mathrm|mathbf|mathit|mathsf|boldsymbol|"
    r"operatorname)\*?\s*\{([^{}]*)\}"
)
_BRACKET_OR_GROUPS = re.compile(r"\\?[()\[\]]|\\[{}]|(?<![\d.,_])[1-9]\d{0,2}(?:,\d{3})+(?!,?\d)|(?<=\d), ?000(?!\d)")
_MONEY = re.compile(r"(?<![\w)}.])\$\s?(?:\d|\.\d)")
_LATEX_WORD = re.compile(r"\s*[a-zA-Z]\s*|sin|cos|tan|ln|log")
_BARE_ROOT = re.compile(r"\\sqrt\s*(\[[^\[\]]*\])?\s*(\d+(?:\.\d+)?|[a-zA-Z]|\\pi)")
_WORD_FUNCTIONS = re.compile(
    r"(?<![\\a-zA-Z⟦])(arcsin|arccos|arctan|sin|cos|tan|sec|csc|cot|log|ln|sqrt|pi|theta|alpha|beta|infinity|infty)"
    r"(?![a-zA-Z])"
)


def clean(text: str, *, thousands: bool = True) -> str:
    """The normal form of an answer; without `thousands`, a comma between digits separates the items of a list."""
    text = _SIGN.sub(lambda match: _SIGNS[match[0]], text)
    text = _strip_delimiters(text)
    text = _thousands(text, thousands)
    text = _TEXT.sub(_marked_text, text)
    text = re.sub(r"\\math(?:bf|rm|it)\s+([a-zA-Z])(?![a-zA-Z])", r" \1", text)
    text = _spacing(text)
    text = _COMMAND.sub(_rename, text)
    text = _WORD_FUNCTIONS.sub(lambda m: "\\infty " if m[1] == "infinity" else f"\\{m[1]} ", text)
    text = re.sub(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)|\s*\\circ(?![a-zA-Z])", "°", text)
    text = re.sub(r"\^\s*\{?\s*°\s*\}?", "°", text)
    text = re.sub(r"\\%|(?<=[\d}])\s*(?:⟦\s*)?(?:percent|pct)\b(?:\s*⟧)?", "%", text)
    text = text.replace("**", "^").replace("*", r"\cdot ")
    text = _braces(text)
    return _trim(text)


def _strip_delimiters(text: str) -> str:
    r"""Without $…$, \(…\) and \[…\]; a dollar sign that means money becomes \$."""
    text = re.sub(r"(?<!\\)\\[()\[\]]", " ", text.replace("$$", " "))
    dollars = [match.start() for match in re.finditer(r"(?<!\\)\$", text)]
    is_money = [_MONEY.match(text, start) is not None for start in dollars]
    paired = len(dollars) % 2 == 0 and not all(is_money)
    for start, money in reversed(list(zip(dollars, is_money, strict=True))):
        text = text[:start] + (r"\$" if money and not paired else " ") + text[start + 1 :]
    bold = re.fullmatch(r"\s*\*\*(.*)\*\*[\s.]*", text)
    return (bold[1] if bold else text).replace("`", "")


def _thousands(text: str, plain_commas: bool) -> str:
    r"""1{,}000 and 1,\!000 anywhere, 12\,345, and 1,000 outside of brackets, where the comma could separate."""
    text = re.sub(r"(?<=\d)\s*(?:\{,\}|,\s*\\!)\s*(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<=\d)\\[,;:](?=\d{3}(?!\d))", "", text)
    if re.fullmatch(r"\s*-?\d{1,3}(?: \d{3})+(?:\.\d+)?\s*", text):
        return text.replace(" ", "")
    if not plain_commas:
        return text
    depth, result, position = 0, [], 0
    for match in _BRACKET_OR_GROUPS.finditer(text):
        result.append(text[position : match.start()])
        token, position = match[0], match.end()
        if token[0] in "\\()[]":
            depth += 1 if token[-1] in "([{" else -1
        result.append(token if token[0] in "\\()[]" or depth > 0 else re.sub(r"[, ]", "", token))
    return "".join(result) + text[position:]


def _marked_text(match: re.Match[str]) -> str:
    content = match[1]
    if word := re.fullmatch(r"(\s*,)?\s*(and|or)?\s*,?\s*", content):
        return f"{', ' if word[1] else ' '}{word[2] or ''} "
    if not re.search(r"[a-zA-Z]", content):
        return content
    if match[0].startswith(("\\math", "\\bold", "\\oper")) and _LATEX_WORD.fullmatch(content):
        return content if len(content.strip()) == 1 else f"\\{content}"
    if re.fullmatch(r"\s*%?\s*", content):
        return content
    return OPEN_TEXT + content + CLOSE_TEXT


def _spacing(text: str) -> str:
    text = re.sub(r"\\!|\\phantom\s*(?:\{[^{}]*\}|[^{\s\\])|\\hspace\*?\s*\{[^{}]*\}|\\mkern[^\\ ]*", "", text)
    text = re.sub(r"(?<!\\)\\(?:[,;:>]|\s|quad\b|qquad\b|enspace\b|thinspace\b)|~", " ", text)
    return re.sub(r"\s+", " ", text)


def _rename(match: re.Match[str]) -> str:
    name = match[1]
    if name in _DROPPED:
        return ""
    new = _RENAMED.get(name, name)
    if new in ("{", "}"):
        return "\\" + new
    return new if not new[0].isalpha() else "\\" + new


def _braces(text: str) -> str:
    r"""\frac12 as \frac{1}{2}, \sqrt2 as \sqrt{2}, sqrt(2) as \sqrt{2}, x^10 as x^{10}, x^(1/2) as x^{1/2}."""
    text = _parentheses_to_braces(text)
    for match in reversed(list(re.finditer(r"\\frac(?![a-zA-Z])\s*", text))):
        text = text[: match.start()] + "\\frac" + _braced_arguments(text[match.end() :], 2)
    text = _BARE_ROOT.sub(lambda m: f"\\sqrt{m[1] or ''}{{{m[2]}}}", text)
    text = re.sub(r"\\sqrt\s+(?=[\[{])", r"\\sqrt", text)
    return re.sub(r"([\^_])\s*(-?\d+|[a-zA-Z])", r"\1{\2}", text)


def _braced_arguments(text: str, number: int) -> str:
    """The first arguments of a command, a digit, a letter, a command or a group each, all as groups."""
    if number == 0:
        return text
    text = text.lstrip()
    if not text.startswith("{"):
        token = re.match(r"\\[a-zA-Z]+|[^\\]", text)
        return f"{{{token[0]}}}{_braced_arguments(text[token.end() :], number - 1)}" if token else text
    end = balanced_end(text[1:]) + 2
    return text if end < 2 else text[:end] + _braced_arguments(text[end:], number - 1)


def _parentheses_to_braces(text: str) -> str:
    """The balanced parentheses after `\\sqrt` and `^` as braces."""
    for opening in (r"\\sqrt\s*\(", r"\^\s*\("):
        for match in reversed(list(re.finditer(opening, text))):
            start = match.end() - 1
            end = _closing(text, start)
            if end > 0:
                text = f"{text[:start]}{{{text[start + 1 : end]}}}{text[end + 1 :]}"
    return text


def _closing(text: str, start: int) -> int:
    depth = 0
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return -1


def _trim(text: str) -> str:
    text = text.strip()
    while True:
        shorter = re.sub(r"^[\s:]+|[\s.,;:]+$", "", text)
        shorter = re.sub(r"(?:\\\\|\\)$", "", shorter) if not shorter.endswith((r"\{", r"\}")) else shorter
        if len(shorter) > 1 and shorter[0] == "{" and shorter[-1] == "}" and _encloses(shorter):
            shorter = shorter[1:-1]
        if shorter == text:
            return re.sub(r"\s+", " ", text)
        text = shorter


def _encloses(text: str) -> bool:
    """Does the brace at the start close at the very end?"""
    depth = 0
    for match in re.finditer(r"\\.|[{}]", text):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.end() == len(text)
    return False
