"""A Lean file as its commands, by its text alone: which theorems it has, under which names, and how they are proved.

A command begins at the left margin, with a keyword of Lean or Mathlib, an attribute or a doc comment; whatever else
stands there belongs to the command before it. Nothing is elaborated here, so a file that hides its theorems behind
macros of its own, or indents them, keeps them to itself; joined, the commands are the file.

    for command in split_commands(text):
        command.theorem and print(command.theorem.line, command.theorem.name)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from passatn.tasks.lean_text import end_of_modifiers, find_definition, masked, spans, without_comments

_KEYWORDS = (
    *("theorem", "lemma", "def", "abbrev", "example", "instance", "inductive", "coinductive", "structure", "class"),
    *("axiom", "opaque", "irreducible_def", "alias", "mutual", "namespace", "section", "end", "open", "export"),
    *("variable", "universe", "include", "omit", "set_option", "attribute", "notation", "notation3", "infix", "infixl"),
    *("infixr", "prefix", "postfix", "macro", "macro_rules", "syntax", "declare_syntax_cat", "elab", "elab_rules"),
    *("simproc", "dsimproc", "initialize", "builtin_initialize", "run_cmd", "run_elab", "run_meta", "add_decl_doc"),
    *("import", "prelude", "module", "deriving instance", "suppress_compilation", "library_note"),
    *("private", "protected", "nonrec", "noncomputable", "partial", "unsafe", "public", "meta", "local", "scoped"),
)
_BEGIN = re.compile(rf"^(?:@\[|#\w|(?:{'|'.join(_KEYWORDS)})(?![\w.']))", re.MULTILINE)
_DOC = re.compile(r"^/--", re.MULTILINE)
_END = re.compile(r"end\b")
_PREFIX = re.compile(r"(?:open|set_option|variable|include|omit|universe|attribute)\b")
_WHERE = re.compile(r"^\s*(?:where|termination_by|decreasing_by)\b", re.MULTILINE)
_SCOPE = re.compile(r"(?P<word>(?:noncomputable\s+)?section|namespace|end)\b[ \t]*(?P<name>\S*)")
_THEOREM = re.compile(r"(?:theorem|lemma)\s+(?P<name>«[^»]*»(?:\.\S+)?|[^\s:({\[⦃]+)")
_BY = re.compile(r"\s*by(?![\w.'!?])")
_IMPORT = re.compile(r"^\s*(?:public\s+|meta\s+)*import\s+(?:all\s+)?(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class TheoremText:
    """`name` is the full one, `line` that of `theorem`, counted from 1.

    `head` goes up to `:=`, with `opening` (attributes, modifiers, `open … in`) before it; `proof` is the block of
    tactics after `by`, its lines as far to the right as in the file. Where there is no such block, `proof` is None and
    `why_not` says what there is.
    """

    name: str
    line: int
    opening: str = ""
    head: str = ""
    proof: str | None = None
    why_not: str = ""


@dataclass(frozen=True)
class LeanCommand:
    """One command as written."""

    text: str
    theorem: TheoremText | None = None


def split_commands(text: str) -> list[LeanCommand]:
    """The commands of a file, in order; what comes before the first, such as a comment, is one too."""
    text = text.replace("\r\n", "\n")
    commands, scopes, line = [], _Scopes(), 1
    for part in _parts(text):
        scopes.see(part)
        commands.append(LeanCommand(part, _theorem(part, line, scopes)))
        line += part.count("\n")
    return commands


def imports_of(text: str) -> list[str]:
    """The modules that a file imports."""
    return _IMPORT.findall(masked(text))


def _parts(text: str) -> Iterator[str]:
    plain = masked(text)
    docs = [start for start, _, is_comment in spans(text) if is_comment and _DOC.match(text, start)]
    borders = sorted({0, *(match.start() for match in _BEGIN.finditer(plain)), *docs, len(text)})
    part, is_mutual = "", False
    for start, end in pairwise(borders):
        part += text[start:end]
        here = plain[start:end].lstrip()
        is_mutual = (is_mutual or here.startswith("mutual")) and not _END.match(here)
        if not is_mutual and _is_complete(part):
            yield part
            part = ""
    if part:
        yield part


def _is_complete(part: str) -> bool:
    """Neither comments and attributes alone, nor an `open … in` that goes on with the next command."""
    plain = masked(part).rstrip()
    return end_of_modifiers(part, _skip_space(plain, 0)) < len(plain) and not re.search(r"(?<!\w)in\Z", plain)


def _theorem(part: str, first_line: int, scopes: "_Scopes") -> TheoremText | None:
    plain = masked(part)
    start = _skip_space(plain, 0)
    if plain.startswith("mutual", start):
        found = _THEOREM.search(part, start)
        return found and TheoremText(scopes.full_name(found["name"]), first_line, why_not="in a mutual block")
    at = _behind_prefixes(part, plain)
    found = _THEOREM.match(part, at)
    if found is None:
        return None
    name, define = scopes.full_name(found["name"]), find_definition(part, found.end())
    head = part[at:] if define < 0 else part[at:define]
    line, opening = first_line + part.count("\n", 0, at), without_comments(part[start:at]).strip()
    text = TheoremText(name, line, opening, without_comments(head).strip())
    by = _BY.match(plain, define + 2)
    if define < 0:
        return replace(text, why_not="by equations")
    if by is None:
        return replace(text, why_not="by a term")
    if _WHERE.search(plain, by.end()):
        return replace(text, why_not="with where or termination_by")
    return replace(text, proof=_block(part, plain, by.end()))


def _behind_prefixes(part: str, plain: str) -> int:
    """Where a command's own keyword stands, behind attributes, modifiers and whatever ends with `in`."""
    at = end_of_modifiers(part, _skip_space(plain, 0))
    while _PREFIX.match(plain, at) and (goes_on := re.compile(r"(?<!\w)in(?!\w)").search(plain, at)):
        at = end_of_modifiers(part, _skip_space(plain, goes_on.end()))
    return at


def _block(part: str, plain: str, start: int) -> str:
    """The tactics behind `by`; if they begin in its line and go on below, the first is put where it stood."""
    first = _skip_space(plain, start)
    column = first - (part.rfind("\n", 0, first) + 1)
    later = plain[first:].split("\n")[1:]
    if any(line.strip() and _skip_space(line, 0) == column for line in later):
        return " " * column + part[first:].rstrip()
    return part[start:].rstrip()


def _skip_space(text: str, start: int) -> int:
    return len(text) - len(text[start:].lstrip())


class _Scopes:
    """The namespaces and sections that are open, by name; sections count, since `end` closes them too."""

    def __init__(self) -> None:
        self._open: list[str] = []

    def see(self, part: str) -> None:
        plain = masked(part)
        scope = _SCOPE.match(plain, _skip_space(plain, 0))
        if scope is None:
            return
        names = scope["name"].split(".")
        if scope["word"] == "end":
            del self._open[max(0, len(self._open) - len(names)) :]
        else:
            self._open += names if scope["word"] == "namespace" else [""] * len(names)

    def full_name(self, name: str) -> str:
        name = re.sub(r"\.\{.*|\.\Z", "", name)
        if name.startswith("_root_."):
            return name.removeprefix("_root_.")
        return ".".join([*filter(None, self._open), name])
