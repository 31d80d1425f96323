"""The families "order" and "divisibility": facts derived from hypotheses by lemmas, and proofs that retrace it.

A theorem is the end of a random chain of lemma applications; what it does not rest on is left out but for a distractor
or two. Its proof goes backwards (`apply`, `refine` with what is at hand), forwards (`have`) or states a whole part
of the derivation at once (`exact`), as the dice fall. Conclusions are joined by ∧ or hidden behind ∃, hypotheses packed
into pairs or moved into the conclusion, so that longer proofs are made of more parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from passatn.prove.generator.lemmas import DIVISIBILITY, ORDER, VARIABLES, Lemma
from passatn.prove.generator.names import Names
from passatn.prove.generator.sequent import LONGEST_STATEMENT, LONGEST_TACTIC, Draft
from passatn.prove.generator.statement import Statement
from passatn.prove.generator.terms import (
    Term,
    conjunction,
    implication,
    is_computed,
    match,
    negation,
    op,
    preorder,
    replace,
    show,
    size,
    substitute,
)
from passatn.prove.generator.terms import variables_of as occurring

_LONGEST_TERM = 50
_LARGEST_FACT = 11


@dataclass(frozen=True)
class Derived:
    """A proposition with its derivation: from a hypothesis (`lemma` is None), or by a lemma from other facts."""

    term: Term
    lemma: Lemma | None = None
    parts: tuple["Derived", ...] = ()
    free: tuple[tuple[str, str], ...] = ()
    """Values of the lemma's free variables, as arguments."""

    @cached_property
    def depth(self) -> int:
        return 0 if self.lemma is None else 1 + max((part.depth for part in self.parts), default=0)

    @property
    def leaves(self) -> frozenset[Term]:
        """The hypotheses it rests on."""
        if self.lemma is None:
            return frozenset({self.term})
        return frozenset().union(*(part.leaves for part in self.parts))

    def variables(self, known: frozenset[str]) -> frozenset[str]:
        """Those of the `known` names that any step of the derivation speaks of."""
        return occurring(self.term, known).union(*(part.variables(known) for part in self.parts))


def order(rng: Random) -> Draft | None:
    """Inequalities and equations of natural numbers."""
    return _draft(rng, ORDER, ("≤", "≤", "≤", "<", "<", "=", "≠"))


def divisibility(rng: Random) -> Draft | None:
    return _draft(rng, DIVISIBILITY, ("∣",))


def _draft(rng: Random, lemmas: Sequence[Lemma], relations: Sequence[str]) -> Draft | None:
    names = Names(rng)
    variables: list[str] = []
    for _ in range(rng.choice((3, 4, 4, 5))):
        variables.append(names.variable("Nat", set(variables)))
    given = {_hypothesis(rng, variables, relations) for _ in range(rng.choice((1, 2, 3, 4)))}
    known = [Derived(term) for term in sorted(given) if not is_computed(term)]
    rng.shuffle(known)
    for _ in range(rng.choice((2, 4, 6, 8, 12))):
        new = apply_lemma(rng.choice(lemmas), known, variables, rng)
        if new is not None and size(new.term) <= _LARGEST_FACT and all(new.term != fact.term for fact in known):
            known.append(new)
    derived = [fact for fact in known if fact.depth]
    if not derived:
        return None
    goals = rng.sample(derived, min(len(derived), rng.choice((1, 1, 1, 1, 2, 2, 3))))
    goals = [max(derived, key=lambda fact: fact.depth), *goals[1:]] if rng.random() < 0.7 else goals
    return _theorem(rng, names, variables, [fact.term for fact in known if not fact.depth], list(dict.fromkeys(goals)))


def _hypothesis(rng: Random, variables: Sequence[str], relations: Sequence[str]) -> Term:
    relation = rng.choice(relations)
    left, right = (Term(name) for name in rng.sample(list(variables), 2))
    kind = rng.random()
    if kind < 0.1 and relation != "∣":
        left, right = Term("0"), right
    elif kind < 0.3:
        right = op(rng.choice("++*"), right, Term(rng.choice([*variables, "1"])))
    elif kind < 0.45 and relation != "∣":
        other = Term(rng.choice(variables))
        left, right = op("+", left, other), op("+", right, other)
    elif kind < 0.55 and relation in "≤<":
        return negation(op(relation, left, right))
    return op(relation, left, right)


def apply_lemma(lemma: Lemma, known: Sequence[Derived], variables: Sequence[str], rng: Random) -> Derived | None:
    """A lemma on facts that fit, with random small values for what they leave open."""
    found: dict[str, Term] = {}
    parts = []
    for premise in lemma.premises:
        fitting = [(fact, match(premise, fact.term, VARIABLES, found)) for fact in known]
        choices = [(fact, values) for fact, values in fitting if values is not None]
        if not choices:
            return None
        # The latest facts are preferred, which makes derivations deep.
        fact, values = choices[max(rng.randrange(len(choices)), rng.randrange(len(choices)))]
        assert values is not None
        found = values
        parts.append(fact)
    if "k" in lemma.hidden and found["k"].head.isdigit():
        return None  # Lean does not cancel k from n + 1 ≤ m + 1 where another lemma has left it as n.succ ≤ m.succ
    for name in sorted(lemma.free):
        found[name] = Term(rng.choice(variables))
        if rng.random() < 0.15:
            found[name] = op(rng.choice("+*"), found[name], Term(rng.choice(variables)))
    free = tuple((name, show(found[name], 1024)) for name in sorted(lemma.free))
    term = substitute(lemma.conclusion, found)
    # Lean's unifier takes `a + 0 + 1` for `a + 1`, and a proof would go another way.
    return None if is_computed(term) else Derived(term, lemma, tuple(parts), free)


def _theorem(
    rng: Random, names: Names, variables: Sequence[str], given: list[Term], goals: list[Derived]
) -> Draft | None:
    needed = frozenset().union(*(goal.leaves for goal in goals))
    spare = [term for term in given if term not in needed]
    hypotheses = [term for term in given if term in needed or (term in spare[:1] and rng.random() < 0.5)]
    statement, opening, texts, taken = _wrap(rng, names, variables, hypotheses, [goal.term for goal in goals])
    spoken_of = frozenset().union(*(goal.variables(frozenset(variables)) for goal in goals))
    # `1 ∣ n` and `n ∣ 0` give `1 ∣ 0`, whose statement has no `n`.
    if len(statement.text("t")) > LONGEST_STATEMENT or spoken_of - {name for name, _ in statement.variables}:
        return None
    script = Script(rng, names, taken, texts)
    if len(goals) > 1:
        return Draft(statement, (*opening, *script.conjunction(goals)))
    if not opening and (hidden := _hide(statement, rng, names)):
        statement, value = hidden
        return Draft(statement, (f"refine ⟨{value}, ?_⟩", *script.prove(goals[0])))
    return Draft(statement, (*opening, *script.prove(goals[0])))


def _hide(statement: Statement, rng: Random, names: Names) -> tuple[Statement, str] | None:
    """Now and then: `∃ k, A k` in place of `A t`, for a term t that is no variable."""
    parts = [part for part in preorder(statement.conclusion) if part.head in ("+", "*")]
    if not parts or rng.random() < 0.7:
        return None
    value = rng.choice(parts)
    name = names.variable("Nat", {name for name, _ in (*statement.variables, *statement.hypotheses)})
    body = replace(statement.conclusion, value, Term(name))
    hidden = Statement(statement.variables, statement.hypotheses, op("∃", Term(name), Term("Nat"), body))
    return hidden, show(value)


def _wrap(
    rng: Random, names: Names, variables: Sequence[str], hypotheses: list[Term], goals: list[Term]
) -> tuple[Statement, list[str], dict[Term, str], set[str]]:
    """The statement in some form, the tactics that undo the form, and how each hypothesis is called then."""
    known = frozenset(variables)
    used = frozenset().union(*(occurring(term, known) for term in (*hypotheses, *goals)))
    taken = set(used)
    packs: list[list[Term]] = []
    for term in hypotheses:
        if packs and len(packs[-1]) == 1 and rng.random() < 0.25:
            packs[-1].append(term)
        else:
            packs.append([term])
    num_premises = rng.choice((0, 0, 0, 1, 1, 2)) if packs else 0
    named: list[tuple[str, Term]] = []
    opening: list[str] = []
    texts: dict[Term, str] = {}
    for number, pack in enumerate(packs):
        whole = conjunction(*pack)
        name = names.hypothesis(whole, taken)
        taken.add(name)
        is_premise = number >= len(packs) - num_premises
        if not is_premise:
            named.append((name, whole))
        take_apart = len(pack) == 2 and rng.random() < 0.6
        if not take_apart:
            opening += [f"intro {name}"] if is_premise else []
            texts |= {pack[0]: name} if len(pack) == 1 else {pack[0]: f"{name}.1", pack[1]: f"{name}.2"}
            continue
        other = names.hypothesis(pack[1], taken)
        taken.add(other)
        pattern = f"⟨{name}, {other}⟩"
        ways = (
            (f"rintro {pattern}",) if is_premise else (f"obtain {pattern} := {name}", f"rcases {name} with {pattern}")
        )
        opening.append(rng.choice(ways))
        texts |= {pack[0]: name, pack[1]: other}
    premises = tuple(conjunction(*pack) for pack in packs[len(packs) - num_premises :])
    kept = tuple((name, "Nat") for name in variables if name in used)
    conclusion = implication(premises, conjunction(*goals))
    # Hypotheses in the context are taken apart after the premises have been introduced or before: both are right.
    intros = [tactic for tactic in opening if tactic.startswith(("intro", "rintro"))]
    others = [tactic for tactic in opening if tactic not in intros]
    opening = [*others, *intros] if rng.random() < 0.5 else [*intros, *others]
    return Statement(kept, tuple(named), conclusion), opening, texts, taken


class Script:
    """Turns derivations into tactics; `texts` says how a proposition is proved that is in the context already."""

    def __init__(self, rng: Random, names: Names, taken: set[str], texts: dict[Term, str]) -> None:
        self._rng, self._names, self._taken, self._texts = rng, names, taken, texts

    def conjunction(self, goals: Sequence[Derived]) -> list[str]:
        first, *rest = goals
        if not rest:
            return self.prove(first)
        rng, text = self._rng, self._term(first)
        if text is not None and rng.random() < 0.35:
            return [f"refine ⟨{text}, ?_⟩", *self.conjunction(rest)]
        split = rng.choice(("constructor", "constructor", "refine ⟨?_, ?_⟩", "apply And.intro"))
        # What one goal adds to its context is not there in the next.
        before, taken = dict(self._texts), set(self._taken)
        left = self.prove(first)
        self._texts, self._taken = before, taken
        return [split, *left, *self.conjunction(rest)]

    def prove(self, goal: Derived) -> list[str]:
        rng, text = self._rng, self._term(goal)
        if goal.term in self._texts:
            plain = self._texts[goal.term]
            return ["assumption" if "." not in plain and rng.random() < 0.3 else f"exact {plain}"]
        lemma = goal.lemma
        assert lemma is not None
        if text is not None and rng.random() < (0.9, 0.45, 0.2)[min(goal.depth - 1, 2)]:
            return [f"exact {self._with_blanks(goal, text)}"]
        ways = [self._have]
        if goal.parts:
            ways += [self._refine] * 2
            if not lemma.hidden:
                ways += [self._backwards] * 3
        for way in rng.sample(ways, len(ways)):
            if tactics := way(goal):
                return tactics
        return [f"exact {text}"] if text is not None else self._spelt_out(goal)

    def _with_blanks(self, goal: Derived, text: str) -> str:
        """`Nat.le_refl _` for `Nat.le_refl (a + b)`, now and then."""
        lemma = goal.lemma
        if lemma is None or goal.parts or self._rng.random() < 0.4:
            return text
        return f"{lemma.name} {' '.join('_' for _ in lemma.arguments)}"

    def _backwards(self, goal: Derived) -> list[str]:
        assert goal.lemma is not None
        return [f"apply {goal.lemma.name}", *self._in_turn(goal.parts)]

    def _refine(self, goal: Derived) -> list[str]:
        """The lemma with what is at hand for one premise, and the other left open."""
        lemma = goal.lemma
        assert lemma is not None
        if len(goal.parts) != 2:
            return []
        for number in self._rng.sample((0, 1), 2):
            text = self._term(goal.parts[number])
            if text is not None and lemma.arguments == "01":
                argument = f"({text})" if " " in text else text
                first = (f"apply {lemma.name} {argument}", f"refine {lemma.name} {argument} ?_")
                opening = self._rng.choice(first) if number == 0 else f"refine {lemma.name} ?_ {argument}"
                return [opening, *self.prove(goal.parts[1 - number])] if len(opening) <= LONGEST_TACTIC else []
        return []

    def _have(self, goal: Derived) -> list[str]:
        """A part of the derivation as a new hypothesis; the parts that are facts already need none."""
        inner = [part for part in self._inner(goal) if part.term not in self._texts and self._term(part) is not None]
        if not inner:
            return []
        part = self._rng.choice(inner)
        return [self._new_fact(part), *self.prove(goal)]

    def _spelt_out(self, goal: Derived) -> list[str]:
        """For a term that is too long: the parts one after the other."""
        tactics = []
        for part in goal.parts:
            if part.term not in self._texts:
                tactics += self._all_of(part)
        return [*tactics, f"exact {self._term(goal)}"]

    def _all_of(self, goal: Derived) -> list[str]:
        if self._term(goal) is not None:
            return [self._new_fact(goal)]
        tactics = [line for part in goal.parts if part.term not in self._texts for line in self._all_of(part)]
        return [*tactics, self._new_fact(goal)]

    def _new_fact(self, part: Derived) -> str:
        assert part.lemma is not None
        name = self._names.hypothesis(part.term, self._taken)
        text, shown = self._term(part), f"have {name} : {show(part.term)} := "
        is_shown = part.lemma.is_shown or self._rng.random() < 0.25
        self._taken.add(name)
        self._texts[part.term] = name
        return f"{shown}{text}" if is_shown else f"have {name} := {text}"

    def _inner(self, goal: Derived) -> list[Derived]:
        """All parts of the derivation below the goal that are derived themselves."""
        found = []
        for part in goal.parts:
            if part.lemma is not None and part.term not in self._texts:
                found += [part, *self._inner(part)]
        return found

    def _in_turn(self, parts: Sequence[Derived]) -> list[str]:
        """Several goals, each with its own context."""
        tactics: list[str] = []
        before, taken = dict(self._texts), set(self._taken)
        for part in parts:
            self._texts, self._taken = dict(before), set(taken)
            tactics += self.prove(part)
        return tactics

    def _term(self, fact: Derived, limit: int = _LONGEST_TERM) -> str | None:
        """The derivation as one term, or None if it is too long."""
        if fact.term in self._texts:
            return self._texts[fact.term]
        lemma = fact.lemma
        assert lemma is not None
        values, words = dict(fact.free), [lemma.name]
        for argument in lemma.arguments:
            if argument.isdigit():
                inner = self._term(fact.parts[int(argument)], limit)
                if inner is None:
                    return None
                words.append(f"({inner})" if " " in inner else inner)
            else:
                words.append(values[argument])
        text = " ".join(words)
        return text if len(text) <= limit else None
