"""The text of a proof before Lean sees it: its normal form, and words that have no place in a proof.

Lean knows its keywords by their letters alone, without escapes, so a text without the word `set_option` sets no option,
and one without `opaque`, `@[` and the like binds no compiled code. Comments are taken out first (`proof_body`): what is
left is searched for words, and the same is compiled. It can be a proof or an error. That it proves the right theorem is
seen elsewhere (`passatn.lean.check`), from what Lean has compiled.
"""

import re

from passatn.tasks.lean_text import find_definition, spans

_LEADING_BY = re.compile(r"\A(?:\s*:=)?\s*by\b(?![.'!?])[ \t]*")
_NAME = re.compile(r"\A\s*theorem\s+(?P<name>(?:«[^»]+»|[^\s:({\[⦃«])+)")

_PROOFS_GIVEN_UP = ("sorry", "admit", "sorryAx", "native_decide", "ofReduceBool", "ofReduceNat", "trustCompiler")
_DECLARATIONS = (
    *("axiom", "theorem", "lemma", "def", "abbrev", "example", "instance", "inductive", "coinductive", "structure"),
    *("class", "opaque", "mutual", "where", "deriving", "partial", "noncomputable", "private", "protected"),
    *("public", "initialize", "builtin_initialize", "init_quot"),
)
_COMMANDS = (
    *("namespace", "with_weak_namespace", "section", "end", "export", "import", "prelude", "variable", "universe"),
    *("include", "omit", "set_option", "attribute", "local", "scoped", "alias", "recall", "seal", "unseal"),
    *("add_decl_doc", "run_cmd", "run_elab", "run_meta", "run_tac", "by_elab", "elab", "elab_rules", "elab_stx"),
    *("macro", "macro_rules", "syntax", "notation", "notation3", "infix", "infixl", "infixr", "prefix", "postfix"),
    *("simproc", "dsimproc", "simproc_decl", "dsimproc_decl", "binder_predicate", "unif_hint", "irreducible_def"),
    *("implemented_by", "extern", "csimp", "gen_injective_theorems", "grind_pattern", "init_grind_norm"),
    *("include_str", "unhygienic", "recommended_spelling", "tactic_extension", "unlock_limits", "library_note"),
    *("deprecated_module", "deprecated_syntax", "docs_to_verso", "assert_not_exists", "assert_not_imported"),
    *("suppress_compilation", "unsuppress_compilation", "compile_def", "compile_inductive", "add_aesop_rules"),
    *("erase_aesop_rules", "initialize_simps_projections", r"declare_\w+", r"register_\w+"),
)
# A pure term does something only where it gets hold of the world: by a name with `unsafe` in it, or of these.
_RUNS_CODE = (r"(?:E|Base)?IO", "RealWorld", "EStateM", r"dbg\w*", r"eval(?:Const|Expr)\w*", "native")
_NAME_OR_LITERAL = r"""(?>(?:some\s+)?\.?[^\W\d][\w.]*|(?:some\s+)?\d+|"[^"\\]*")"""
_STRUCTURE = rf"\{{\s*(?:[^\W\d][\w.]*\s+with\s+)?(?:[^\W\d]\w*+\s*:=\s*{_NAME_OR_LITERAL}[\s,]*)*\}}"
_NUMBER = r"0[xX][0-9A-Fa-f_]+|0[bB][01_]+|0[oO][0-7_]+|\d[\d_]*[eE][+-]?\d+"
_OPENED = r"[^\S\n][\w.«»'! ()→,]*[^\S\n]in(?![\w.'!?])"
# A keyword begins wherever no ASCII letter or underscore precedes it: after a digit, a bracket, a letter that Lean does
# not take for one, in a string too, since Lean goes on after an error at the next command it can find.
_WORD = r"(?<![A-Za-z_]){}(?![A-Za-z0-9_'!?])"
_REFUSED = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (_WORD.format(f"(?:{'|'.join(_PROOFS_GIVEN_UP)})"), "is no proof"),
        (_WORD.format(f"(?:{'|'.join(_DECLARATIONS)})"), "declares something"),
        (_WORD.format(f"(?:{'|'.join(_COMMANDS)})"), "is a command"),
        (_WORD.format(f"(?:{'|'.join(_RUNS_CODE)})"), "runs code"),
        (r"[uU]nsafe\w*|\beval%", "runs code"),
        (
            rf"\(\s*«?config»?\s*:=(?!\s*(?:{_NAME_OR_LITERAL}|{_STRUCTURE})\s*\))",
            "begins a configuration that is more than a literal, a name or {field := literal, …}, which Lean would run",
        ),
        (r"@\s*\[", "begins an attribute"),
        (r"#\s*[^\W\d_]\w*", "is a command"),
        (_WORD.format(rf"open(?!{_OPENED})"), "is a command unless followed by 'in'"),
        (
            rf"(?<![A-Za-z_0-9'!?])(?!(?:{_NUMBER})(?![A-Za-z0-9_]))\d[0-9_]*[A-Za-z]+",
            "is a number that runs into letters",
        ),
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
    """The tactics alone: no comments, no leading `by` or `:= by`, at the left margin, lines that end in a line feed.

    >>> proof_body(":= by\\n    intro h -- a proof of p\\n    exact h\\n")
    'intro h\\nexact h'
    """
    text = _without_comments(proof.replace("\r\n", "\n")).rstrip()
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
    if any(is_comment for _, _, is_comment in spans(body)):
        return "a comment that does not end"
    for pattern, reason in _REFUSED:
        if match := pattern.search(body):
            return f"{match[0]!r} {reason}"
    return ""


def indent(body: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in body.split("\n"))


def _without_comments(text: str) -> str:
    """Spaces for comments, so that all else stays in its column, and none at the ends of lines.

    A comment that does not end stays, to be refused.
    """
    parts, end = [], 0
    for start, stop, is_comment in spans(f"{text}\n"):
        if is_comment and stop <= len(text):
            parts += [text[end:start], re.sub(r"[^\n]", " ", text[start:stop])]
            end = stop
    if not parts:
        return text
    return re.sub(r" +(?=\n|\Z)", "", "".join([*parts, text[end:]]))
