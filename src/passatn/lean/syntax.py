"""The text of a proof before Lean sees it: its normal form, and words that have no place in a proof.

Lean knows its keywords by their letters alone, without escapes, so a text without the word `set_option` sets no option,
and one without `opaque`, `@[` and the like binds no compiled code. What is left can be a proof or an error. That it
proves the right theorem is seen elsewhere (`passatn.lean.check`), from what Lean has compiled.
"""

import re

from passatn.tasks.lean_text import find_definition

_LEADING_BY = re.compile(r"\A(?:\s*:=)?\s*by\b(?![.'!?])[ \t]*")
_NAME = re.compile(r"\A\s*theorem\s+(?P<name>(?:«[^»]+»|[^\s:({\[⦃«])+)")

_PROOFS_GIVEN_UP = ("sorry", "admit", "sorryAx", "native_decide", "ofReduceBool", "ofReduceNat", "trustCompiler")
_DECLARATIONS = (
    *("axiom", "theorem", "lemma", "def", "abbrev", "example", "instance", "inductive", "coinductive", "structure"),
    *("class", "opaque", "mutual", "where", "deriving", "partial", "unsafe", "noncomputable", "private", "protected"),
    *("public", "initialize", "builtin_initialize", "init_quot"),
)
_COMMANDS = (
    *("namespace", "section", "end", "export", "import", "prelude", "variable", "universe", "include", "omit"),
    *("set_option", "attribute", "local", "scoped", "add_decl_doc", "run_cmd", "run_elab", "run_meta", "run_tac"),
    *("by_elab", "elab", "elab_rules", "macro", "macro_rules", "syntax", "declare_syntax_cat", "notation", "notation3"),
    *("infix", "infixl", "infixr", "prefix", "postfix", "simproc", "dsimproc", "simproc_decl", "dsimproc_decl"),
    *("implemented_by", "extern", "csimp", "register_option", "register_simp_attr", "register_parser_alias"),
    *("gen_injective_theorems", "grind_pattern", "include_str", "unhygienic", "unseal", "seal", "dbg_trace"),
)
# A keyword begins wherever no ASCII letter or underscore precedes it: after a digit, a bracket, a letter that Lean does
# not take for one, in a comment or a string too, since Lean goes on after an error at the next command it can find.
_WORD = r"(?<![A-Za-z_]){}(?![A-Za-z0-9_'!?])"
_REFUSED = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (_WORD.format(f"(?:{'|'.join(_PROOFS_GIVEN_UP)})"), "is no proof"),
        (_WORD.format(f"(?:{'|'.join(_DECLARATIONS)})"), "declares something"),
        (_WORD.format(f"(?:{'|'.join(_COMMANDS)})"), "is a command"),
        (r"@\s*\[", "begins an attribute"),
        (r"#\s*[^\W\d_]\w*", "is a command"),
        (_WORD.format(r"open(?![^\n]*\bin\b)"), "is a command unless followed by 'in'"),
        (r"(?<![A-Za-z_0-9'!?])\d[0-9_]*[A-Za-z]+", "is a number that runs into letters"),
        (r"\t", "is a tab, which Lean does not take for space"),
        (
            r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]",
            "is a character that cannot be seen",
        ),
    )
)
_MAX_CHARACTERS = 2**17


def theorem_name(statement: str) -> str:
    """The name after `theorem`. Raises ValueError where a statement is not `theorem NAME … : …`."""
    match = _NAME.match(statement)
    if match is None:
        raise ValueError("the statement must read 'theorem NAME … : …'")
    if find_definition(statement, match.end()) >= 0:
        raise ValueError("the statement must end before ':='")
    return match["name"].rstrip(".")  # a list of universes follows as in `t.{u}`


def proof_body(proof: str) -> str:
    """The tactics alone: without a leading `by` or `:= by`, at the left margin, with lines that end in a line feed.

    >>> proof_body(":= by\\n    intro h\\n    exact h\\n")
    'intro h\\nexact h'
    """
    text = proof.replace("\r\n", "\n").rstrip()
    text = _LEADING_BY.sub("", text, count=1)
    lines = text.split("\n")
    while lines and not lines[0].strip():
        del lines[0]
    if not lines:
        return ""
    margin = min(len(line) - len(line.lstrip(" ")) for line in lines if line.strip())
    return "\n".join(line[margin:] if line.strip() else "" for line in lines)


def why_refused(body: str) -> str:
    """Why a text is refused before Lean sees it; empty where it is not."""
    if not body.strip():
        return "an empty proof"
    if len(body) > _MAX_CHARACTERS:
        return f"a proof of more than {_MAX_CHARACTERS} characters"
    for pattern, reason in _REFUSED:
        if match := pattern.search(body):
            return f"{match[0]!r} {reason}"
    return ""


def indent(body: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in body.split("\n"))
