"""What the makers of proofs know about a goal, and what is there to be used in it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from passatn.prove.generator.statement import Statement
from passatn.prove.generator.terms import Term, op, show, substitute, variables_of

FALSE = Term("False")
LONGEST_STATEMENT, LONGEST_TACTIC = 170, 60
"""In characters."""


@dataclass(frozen=True)
class Draft:
    """A theorem with a proof that Lean has not seen yet."""

    statement: Statement
    tactics: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """A proposition that holds in a goal, with the term that proves it from the hypotheses and variables `used`."""

    text: str
    term: Term
    used: frozenset[str]

    @property
    def argument(self) -> str:
        """As an argument of a function."""
        return f"({self.text})" if " " in self.text and not self.text.startswith("⟨") else self.text


@dataclass(frozen=True)
class Sequent:
    """A goal. `variables` are pairs of name and type, `hypotheses` of name and proposition, both in Lean's order.

    `numbers` are terms of type Nat that quantifiers are tried on, beside the variables.
    """

    variables: tuple[tuple[str, str], ...]
    hypotheses: tuple[tuple[str, Term], ...]
    target: Term
    numbers: tuple[Term, ...] = ()

    @classmethod
    def of(cls, statement: Statement) -> "Sequent":
        return cls(statement.variables, statement.hypotheses, statement.conclusion)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in (*self.variables, *self.hypotheses)}

    def has(self, term: Term) -> bool:
        return any(term == known for _, known in self.hypotheses)

    def to(self, target: Term) -> "Sequent":
        return replace(self, target=target)

    def plus(self, *hypotheses: tuple[str, Term]) -> "Sequent":
        return replace(self, hypotheses=(*self.hypotheses, *hypotheses))

    def without(self, name: str) -> "Sequent":
        return replace(self, hypotheses=tuple(pair for pair in self.hypotheses if pair[0] != name))

    def plus_variable(self, name: str, kind: str) -> "Sequent":
        return replace(self, variables=(*self.variables, (name, kind)))

    @property
    def key(self) -> tuple[frozenset[Term], Term]:
        return frozenset(term for _, term in self.hypotheses), self.target

    def instances(self, quantified: Term) -> Iterator[tuple[str, Term, frozenset[str]]]:
        """The body of a quantifier for each term at hand: the term as an argument, the instance, the names in it."""
        bound, kind, body = quantified.args
        terms = [Term(name) for name, own in self.variables if own == show(kind)]
        for term in (*terms, *(self.numbers if show(kind) == "Nat" else ())):
            used = variables_of(term, frozenset(name for name, _ in self.variables))
            yield show(term, 1024), substitute(body, {bound.head: term}), used

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """Hypotheses and what projections and variables of the context make of them, the simplest first."""
        facts = [Fact(name, term, frozenset({name})) for name, term in self.hypotheses]
        for fact in facts:
            if fact.text.count(".") + fact.text.count(" ") < 3:
                facts.extend(self._consequences(fact))
        return tuple(facts)

    def _consequences(self, fact: Fact) -> Iterator[Fact]:
        head, args = fact.term
        if head == "∧":
            yield Fact(f"{fact.argument}.1", args[0], fact.used)
            yield Fact(f"{fact.argument}.2", args[1], fact.used)
        elif head == "↔":
            yield Fact(f"{fact.argument}.mp", op("→", *args), fact.used)
            yield Fact(f"{fact.argument}.mpr", op("→", *reversed(args)), fact.used)
        elif head == "∀":
            for text, instance, used in self.instances(fact.term):
                yield Fact(f"{fact.argument} {text}", instance, fact.used | used)


def premises_of(term: Term) -> Iterator[tuple[tuple[Term, ...], Term]]:
    """`A → B → C` as ((), A → B → C), ((A,), B → C), ((A, B), C); `¬A` is `A → False`."""
    premises: tuple[Term, ...] = ()
    yield premises, term
    while term.head in ("→", "¬"):
        premises += (term.args[0],)
        term = term.args[1] if term.head == "→" else FALSE
        yield premises, term
