"""A theorem's statement in parts, and the form in which renamings of it are equal.

    canonical_form(first) == canonical_form(second)

holds exactly if one can be turned into the other by renaming variables, hypotheses and bound variables, reordering or
repeating hypotheses, adding variables that nothing mentions, and moving premises (`A → …`, `¬ …`) and `∀` from the
front of the conclusion to the hypotheses or back. What needs a step of reasoning beyond that (`p ∧ q` for `q ∧ p`, a
hypothesis without use) makes another theorem.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from passatn.prove.generator.terms import QUANTIFIERS, Term, show, substitute


@dataclass(frozen=True)
class Statement:
    """`variables` are pairs of name and type, `hypotheses` of name and proposition."""

    variables: tuple[tuple[str, str], ...]
    hypotheses: tuple[tuple[str, Term], ...]
    conclusion: Term

    def text(self, name: str) -> str:
        """`theorem NAME … : …`."""
        groups = groupby(self.variables, key=lambda variable: variable[1])
        binders = [f"({' '.join(variable for variable, _ in group)} : {kind})" for kind, group in groups]
        binders += [f"({hypothesis} : {show(term)})" for hypothesis, term in self.hypotheses]
        return f"{' '.join(['theorem', name, *binders])} : {show(self.conclusion)}"


def canonical_form(statement: Statement) -> str:
    """Equal for the same theorem in other words, and for no two others; see the module."""
    kinds = dict(statement.variables)
    hypotheses = {term for _, term in statement.hypotheses}
    target = statement.conclusion
    while target.head in ("→", "¬", "∀"):
        if target.head == "∀":
            name, kind, body = target.args
            fresh = f"#{len(kinds)}"
            kinds[fresh] = show(kind)
            target = substitute(body, {name.head: Term(fresh)})
        else:
            hypotheses.add(target.args[0])
            target = target.args[1] if target.head == "→" else Term("False")
    numbers: dict[str, int] = {}
    first = _encode(target, kinds, numbers, ())
    return " ⊢ ".join([first, *_smallest(frozenset(map(_without_names, hypotheses)), kinds, numbers)])


def _without_names(term: Term, depth: int = 0) -> Term:
    """The same proposition with bound variables called by their depth."""
    if term.head not in QUANTIFIERS:
        return Term(term.head, tuple(_without_names(part, depth) for part in term.args))
    name, kind, body = term.args
    plain = Term(f"^{depth}")
    return Term(term.head, (plain, kind, _without_names(substitute(body, {name.head: plain}), depth + 1)))


def _smallest(hypotheses: frozenset[Term], kinds: Mapping[str, str], numbers: dict[str, int]) -> list[str]:
    """The hypotheses in the order, of all orders, in which the texts with numbered variables come out smallest.

    Variables are numbered as they turn up. Where several hypotheses have the smallest text, each of them is tried
    first, unless it brings no new variable: then they are one and the same.
    """
    if not hypotheses:
        return []
    choices: dict[str, list[tuple[Term, dict[str, int]]]] = {}
    for hypothesis in hypotheses:
        own = dict(numbers)
        choices.setdefault(_encode(hypothesis, kinds, own, ()), []).append((hypothesis, own))
    text = min(choices)
    return [text, *min(_smallest(hypotheses - {chosen}, kinds, own) for chosen, own in choices[text])]


def _encode(term: Term, kinds: Mapping[str, str], numbers: dict[str, int], bound: tuple[str, ...]) -> str:
    """In prefix notation; a bound variable is the number of quantifiers between it and its own."""
    head, args = term
    if head in QUANTIFIERS:
        name, kind, body = args
        return f"({head} {show(kind)} {_encode(body, kinds, numbers, (name.head, *bound))})"
    if not args:
        if head in bound:
            return f"^{bound.index(head)}"
        return f"{numbers.setdefault(head, len(numbers))}:{kinds[head]}" if head in kinds else head
    return f"({head} {' '.join(_encode(part, kinds, numbers, bound) for part in args)})"
