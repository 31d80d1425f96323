"""Terms and propositions as trees, the way they are written in Lean, and back.

    parse("a * (b + 1) ≤ c").args[0].head      # "*"
    show(parse("(p ∧ q) → ¬r"))                # "p ∧ q → ¬r"

A leaf is a variable, a constant or a numeral; `f x` has the head "@" and the arguments f and x; a quantifier has its
variable, its type and its body for arguments.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Term(NamedTuple):
    head: str
    args: tuple["Term", ...] = ()


_INFIX = {
    **{"↔": (20, 21, 21), "→": (25, 26, 25), "∨": (30, 31, 30), "∧": (35, 36, 35)},
    **dict.fromkeys("=≠≤<∣", (50, 51, 51)),
    **{"+": (65, 65, 66), "++": (65, 65, 66), "*": (70, 70, 71)},
}
"""How tightly an operator binds, and how tightly what stands left and right of it must."""
QUANTIFIERS = ("∀", "∃")
_NOT, _APPLIED, _ARGUMENT = 40, 1023, 1024
_TOKEN = re.compile(r"\s*(\+\+|[↔→∨∧=≠≤<∣+*¬∀∃(),:\[\]]|[\w.']+)")


def op(head: str, *args: Term) -> Term:
    return Term(head, args)


def negation(body: Term) -> Term:
    return Term("¬", (body,))


def conjunction(*parts: Term) -> Term:
    """`A ∧ (B ∧ C)`, as Lean reads `A ∧ B ∧ C`."""
    *before, whole = parts
    for part in reversed(before):
        whole = op("∧", part, whole)
    return whole


def implication(premises: tuple[Term, ...], conclusion: Term) -> Term:
    for premise in reversed(premises):
        conclusion = op("→", premise, conclusion)
    return conclusion


def show(term: Term, level: int = 0) -> str:
    """As Lean reads it, with no bracket that Lean itself would not print."""
    text, own = _show(term)
    return f"({text})" if own < level else text


def _show(term: Term) -> tuple[str, int]:
    head, args = term
    if head in QUANTIFIERS:
        name, kind, body = args
        return f"{head} {name.head} : {show(kind)}, {show(body)}", 0
    if head == "@":
        return " ".join(show(part, _ARGUMENT) for part in args), _APPLIED
    if head == "¬":
        return f"¬{show(args[0], _NOT)}", _ARGUMENT
    if head in _INFIX and args:
        own, left, right = _INFIX[head]
        return f"{show(args[0], left)} {head} {show(args[1], right)}", own
    return head, _ARGUMENT


def preorder(term: Term) -> Iterator[Term]:
    """The term and all its parts, outermost and leftmost first: the order in which `rw` looks for a match."""
    yield term
    for part in term.args[2:] if term.head in QUANTIFIERS else term.args:
        yield from preorder(part)


def size(term: Term) -> int:
    return sum(1 for _ in preorder(term))


def is_computed(term: Term) -> bool:
    """Whether Lean takes a part for another term: `2 + 1` for 3, `n + 1 + 1` for n + 2, `a + b + 0` for a + b."""
    for head, args in preorder(term):
        if head not in ("+", "*") or not args[1].head.isdigit():
            continue
        left = args[0]
        if left.head.isdigit() or (head == left.head == "+" and (args[1].head == "0" or left.args[1].head.isdigit())):
            return True
    return False


def variables_of(term: Term, known: Mapping[str, str] | frozenset[str]) -> frozenset[str]:
    """Those of the `known` names that occur freely."""
    if term.head in QUANTIFIERS:
        return variables_of(term.args[2], known) - {term.args[0].head}
    if not term.args:
        return frozenset({term.head} & known.keys() if isinstance(known, Mapping) else {term.head} & known)
    return frozenset().union(*(variables_of(part, known) for part in term.args))


def substitute(term: Term, values: Mapping[str, Term]) -> Term:
    """Free variables replaced. A value that a quantifier would capture makes that quantifier change its variable."""
    if not values:
        return term
    if term.head in QUANTIFIERS:
        name, kind, body = term.args
        inner = {key: value for key, value in values.items() if key != name.head}
        while any(name in preorder(value) for value in inner.values()):
            renamed = Term(f"{name.head}'")
            name, body = renamed, substitute(body, {name.head: renamed})
        return Term(term.head, (name, kind, substitute(body, inner)))
    if not term.args:
        return values.get(term.head, term)
    return Term(term.head, tuple(substitute(part, values) for part in term.args))


def replace(term: Term, old: Term, new: Term) -> Term:
    """All occurrences at once, as `rw` does it; not below quantifiers."""
    if term == old:
        return new
    if not term.args or term.head in QUANTIFIERS:
        return term
    return Term(term.head, tuple(replace(part, old, new) for part in term.args))


def match(pattern: Term, term: Term, variables: frozenset[str], found: Mapping[str, Term]) -> dict[str, Term] | None:
    """The values of the pattern's variables, beyond those `found`, that make it the term; None if there are none."""
    if not pattern.args and pattern.head in variables:
        known = found.get(pattern.head)
        return {**found, pattern.head: term} if known is None else dict(found) if known == term else None
    if pattern.head != term.head or len(pattern.args) != len(term.args):
        return None
    values: dict[str, Term] | None = dict(found)
    for part, other in zip(pattern.args, term.args, strict=True):
        values = None if values is None else match(part, other, variables, values)
    return values


def parse(text: str) -> Term:
    """The inverse of `show`. Raises ValueError for what it cannot read."""
    tokens = _tokens(text)
    term, rest = _parse(tokens, 0)
    if rest:
        raise ValueError(f"{text!r}: nothing expected at {' '.join(rest)!r}")
    return term


def _tokens(text: str) -> list[str]:
    tokens, end = [], 0
    for found in _TOKEN.finditer(text):
        if found.start() != end:
            break
        tokens.append(found[1])
        end = found.end()
    if text[end:].strip():
        raise ValueError(f"{text!r}: {text[end:]!r} is not understood")
    return tokens


def _parse(tokens: list[str], level: int) -> tuple[Term, list[str]]:
    left, rest = _parse_prefix(tokens)
    while rest and rest[0] in _INFIX and _INFIX[rest[0]][0] >= level:
        symbol = rest[0]
        right, rest = _parse(rest[1:], _INFIX[symbol][2])
        left = op(symbol, left, right)
    return left, rest


def _parse_prefix(tokens: list[str]) -> tuple[Term, list[str]]:
    first = tokens[0] if tokens else ""
    if first == "¬":
        body, rest = _parse(tokens[1:], _NOT)
        return negation(body), rest
    if first in QUANTIFIERS:
        comma = tokens.index(",")
        body, rest = _parse(tokens[comma + 1 :], 0)
        kind, _ = _parse(tokens[3:comma], 0)
        return op(first, Term(tokens[1]), kind, body), rest
    parts = []
    while tokens and (tokens[0] in "([" or re.match(r"[\w.']", tokens[0])):
        part, tokens = _parse_atom(tokens)
        parts.append(part)
    if not parts:
        raise ValueError(f"a term expected at {' '.join(tokens)!r}")
    return (parts[0] if len(parts) == 1 else Term("@", tuple(parts))), tokens


def _parse_atom(tokens: list[str]) -> tuple[Term, list[str]]:
    if tokens[0] == "[":
        return Term("[]"), tokens[2:]
    if tokens[0] == "(":
        inner, rest = _parse(tokens[1:], 0)
        if rest[:1] != [")"]:
            raise ValueError(f"a closing bracket expected at {' '.join(rest)!r}")
        return inner, rest[1:]
    return Term(tokens[0]), tokens[1:]
