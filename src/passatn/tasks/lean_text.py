"""Lean source as text: comments, the statement of a theorem and where its proof begins. No Lean is asked.

>>> split_theorem("/-- Sums. -/ @[simp] lemma t (a : Nat) :\\n    a = a -- clear\\n    := by rfl")
('theorem t (a : Nat) :\\n    a = a', 'by rfl')
"""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""(?P<line>--[^\n]*)|(?P<begin>/-)|(?P<end>-/)|(?P<literal>"(?:\\.|[^"\\])*"|(?<![\w'])'(?:\\.|[^'\\\n])'|«[^»\n]*»)""",
    re.DOTALL,
)
_HEAD = re.compile(r"(?:theorem|lemma)\s+(?=\S)")
_MODIFIER = re.compile(r"(?:private|protected|nonrec|noncomputable|public|local|scoped)\s+")
_MARK = re.compile(r"(?P<open>[(\[{⟨⦃])|(?P<close>[)\]}⟩⦄])|(?P<bind>(?<![\w.])(?:let|have)(?!\w))|(?P<define>:=)")


def split_theorem(text: str) -> tuple[str, str | None]:
    """The statement, as `theorem NAME … : …`, and what stands behind its `:=` (None where there is no `:=`).

    Comments, attributes, modifiers such as `protected` and white space at the end go; `lemma` becomes `theorem`.
    Raises ValueError for a text that declares no theorem.
    """
    text = without_comments(text).strip()
    start = end_of_modifiers(text, 0)
    head = _HEAD.match(text, start)
    if head is None:
        raise ValueError(f"expected 'theorem NAME … : …', got {' '.join(text.split())[:60]!r}")
    at = find_definition(text, head.end())
    statement = text[head.end() :] if at < 0 else text[head.end() : at]
    return f"theorem {statement.rstrip()}", None if at < 0 else text[at + 2 :].strip()


def find_definition(text: str, start: int = 0) -> int:
    """Where, from `start` on, the first `:=` stands outside of brackets and not after a `let` or `have`; or −1."""
    depth = num_bound = 0
    for mark in _MARK.finditer(masked(text), start):
        depth += (mark.lastgroup == "open") - (mark.lastgroup == "close")
        if depth == 0 and mark.lastgroup == "bind":
            num_bound += 1
        if depth == 0 and mark.lastgroup == "define":
            if not num_bound:
                return mark.start()
            num_bound -= 1
    return -1


def end_of_modifiers(text: str, start: int) -> int:
    """Behind the attributes `@[…]` and modifiers that stand at `start`, and the white space after them."""
    plain = masked(text)
    while True:
        if plain.startswith("@[", start):
            start = _behind_bracket(plain, start + 1)
        elif modifier := _MODIFIER.match(plain, start):
            start = modifier.end()
        else:
            return start
        start += len(plain[start:]) - len(plain[start:].lstrip())


def without_comments(text: str) -> str:
    """Each comment as one space, and no white space at the ends of lines."""
    parts, end = [], 0
    for start, stop, is_comment in spans(text):
        if is_comment:
            parts += [text[end:start], " "]
            end = stop
    return re.sub(r"[ \t]+(?=\n|\Z)", "", "".join([*parts, text[end:]]))


def masked(text: str) -> str:
    """Of the same length and with the same lines: comments as spaces, and `x` for literals and quoted names."""
    parts, end = [], 0
    for start, stop, is_comment in spans(text):
        parts += [text[end:start], re.sub(r"[^\n]", " " if is_comment else "x", text[start:stop])]
        end = stop
    return "".join([*parts, text[end:]])


def spans(text: str) -> Iterator[tuple[int, int, bool]]:
    """(start, end, is it a comment?) of comments, which nest between `/-` and `-/`, literals and quoted names."""
    depth = start = at = 0
    while token := _TOKEN.search(text, at):
        at = token.end()
        if token["begin"]:
            start = start if depth else token.start()
            depth += 1
        elif depth:
            if token["end"]:
                depth -= 1
                if depth == 0:
                    yield start, at, True
            else:
                at = token.start() + 2 if token["line"] else token.start() + 1  # quotes and dashes mean nothing here
        elif not token["end"]:
            yield token.start(), at, token["line"] is not None
    if depth:
        yield start, len(text), True


def _behind_bracket(plain: str, start: int) -> int:
    depth = 0
    for at in range(start, len(plain)):
        depth += (plain[at] in "([{⟨") - (plain[at] in ")]}⟩")
        if depth == 0:
            return at + 1
    return len(plain)
