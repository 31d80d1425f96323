"""Random proofs in natural deduction, for goals about propositions and quantifiers.

A proof is found by depth-first search over the tactics below, in random order, those that cannot hurt more often first.
Every way to say a step has its chance, so that states have several right tactics. Steps whose result nothing uses are
dropped as the proof is put together; a proof is as long as its search was clumsy, but never padded.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from passatn.prove.generator.names import Names
from passatn.prove.generator.sequent import FALSE, LONGEST_TACTIC, Fact, Sequent, premises_of
from passatn.prove.generator.terms import Term, negation, op, preorder, show, substitute


@dataclass(frozen=True)
class Found:
    """A proof of one goal, and the hypotheses and variables it uses."""

    tactics: tuple[str, ...]
    used: frozenset[str]


@dataclass(frozen=True)
class Case:
    """A goal that a move leaves; `new` names what the move brought, `first` is a tactic that precedes the others."""

    sequent: Sequent
    new: frozenset[str] = frozenset()
    first: str = ""


@dataclass(frozen=True)
class Move:
    """A tactic with the goals it leaves. A move that may be dropped serves nothing but the new names."""

    tactic: str
    cases: tuple[Case, ...]
    used: frozenset[str] = frozenset()
    weight: float = 1.0
    may_drop: bool = False


Moves = Callable[[Sequent, Random, Names], Iterator[Move]]


class Prover:
    """Searches with up to `max_nodes` goals per proof; `more_moves` are those of a family."""

    def __init__(
        self,
        rng: Random,
        names: Names,
        *,
        more_moves: Moves | None = None,
        max_nodes: int = 150,
        classical: bool = False,
    ) -> None:
        self._rng, self._names = rng, names
        self._more_moves, self._max_nodes, self._classical = more_moves, max_nodes, classical
        self._nodes = 0

    def prove(self, sequent: Sequent, *, fuel: int) -> Found | None:
        """A proof of at most `fuel` tactics, or None if the search did not come to one."""
        self._nodes = 0
        return self._prove(sequent, fuel, frozenset())

    def _prove(self, sequent: Sequent, fuel: int, above: frozenset[object]) -> Found | None:
        self._nodes += 1
        if fuel < 1 or self._nodes > self._max_nodes or sequent.key in above:
            return None
        if closing := self._closing(sequent):
            return closing
        moves = [*self._moves(sequent)]
        # Weighted sampling without replacement: the larger the weight, the earlier on average.
        moves.sort(key=lambda move: -(self._rng.random() ** (1 / move.weight)))
        for move in moves[:8]:
            found = self._follow(move, fuel - 1, above | {sequent.key})
            if found is not None:
                return found
        return None

    def _follow(self, move: Move, fuel: int, above: frozenset[object]) -> Found | None:
        tactics, used = [move.tactic], set(move.used)
        for case in move.cases:
            sub = self._prove(case.sequent, fuel - len(tactics) + 1 - bool(case.first), above)
            if sub is None:
                return None
            if move.may_drop and not case.new & sub.used:
                return sub
            needs_names = case.first and sub.tactics not in (("assumption",), ("contradiction",))
            tactics += [case.first, *sub.tactics] if needs_names else sub.tactics
            used |= sub.used - case.new
        return Found(tuple(tactics), frozenset(used))

    def _closing(self, sequent: Sequent) -> Found | None:
        rng, target = self._rng, sequent.target
        ways: list[tuple[str, frozenset[str]]] = []
        fact = witness(sequent, target, rng.choice((1, 1, 2, 2, 3)), rng)
        if fact is not None and len(fact.text) < LONGEST_TACTIC - 6:
            ways.append((f"exact {fact.text}", fact.used))
        for name, term in sequent.hypotheses:
            if term == target:
                ways += [("assumption", frozenset({name})), (f"exact {name}", frozenset({name}))]
            if term == FALSE and target != FALSE:
                ways += [(f"exact {name}.elim", frozenset({name})), ("contradiction", frozenset({name}))]
            refuting = next((other for other, formula in sequent.hypotheses if formula == negation(term)), None)
            if refuting is not None:
                both = frozenset({name, refuting})
                ways += [("contradiction", both), (f"exact absurd {name} {refuting}", both)]
        if target == Term("True"):
            ways += [("trivial", frozenset()), ("exact True.intro", frozenset())]
        if not ways:
            return None
        text, used = rng.choice(ways)
        return Found((text,), used)

    def _moves(self, sequent: Sequent) -> Iterator[Move]:
        yield from _on_target(sequent, self._rng, self._names)
        yield from _on_hypotheses(sequent, self._rng, self._names)
        yield from _by_facts(sequent, self._rng, self._names)
        if self._classical:
            yield from _by_cases(sequent, self._names)
        if self._more_moves is not None:
            yield from self._more_moves(sequent, self._rng, self._names)


def witness(sequent: Sequent, target: Term, depth: int, rng: Random) -> Fact | None:
    """A term that proves the target with at most `depth` nested steps, drawn at random; no `fun`."""
    direct = [fact for fact in sequent.facts if fact.term == target]
    if direct:
        return rng.choice(direct[:3])
    if depth < 2:
        return None
    ways = [*_introductions(sequent, target, depth, rng), *_applications(sequent, target, depth, rng)]
    return rng.choice(ways) if ways else None


def _introductions(sequent: Sequent, target: Term, depth: int, rng: Random) -> Iterator[Fact]:
    if target.head == "∧":
        left, right = (witness(sequent, part, depth - 1, rng) for part in target.args)
        if left and right:
            yield Fact(f"⟨{left.text}, {right.text}⟩", target, left.used | right.used)
    elif target.head == "∨":
        for part, side in zip(target.args, ("inl", "inr"), strict=True):
            if inner := witness(sequent, part, depth - 1, rng):
                yield Fact(f"{rng.choice(('Or', 'Or', ''))}.{side} {inner.argument}", target, inner.used)
    elif target.head == "∃":
        for text, body, used in sequent.instances(target):
            if inner := witness(sequent, body, depth - 1, rng):
                yield Fact(f"⟨{text}, {inner.text}⟩", target, inner.used | used)


def _applications(sequent: Sequent, target: Term, depth: int, rng: Random) -> Iterator[Fact]:
    for fact in sequent.facts:
        for premises, result in premises_of(fact.term):
            if premises and result == target:
                inner = [witness(sequent, premise, depth - 1, rng) for premise in premises]
                if all(inner):
                    arguments = [argument for argument in inner if argument is not None]
                    used = fact.used.union(*(argument.used for argument in arguments))
                    yield Fact(" ".join([fact.text, *(a.argument for a in arguments)]), target, used)


def _on_target(sequent: Sequent, rng: Random, names: Names) -> Iterator[Move]:
    head, args = sequent.target
    if head in ("→", "¬"):
        yield _intro(sequent, rng, names)
    elif head == "∀":
        name = args[0].head if args[0].head not in sequent.names else names.variable(show(args[1]), sequent.names)
        body = substitute(args[2], {args[0].head: Term(name)})
        case = Case(sequent.plus_variable(name, show(args[1])).to(body))
        yield Move(f"intro {name}", (case,), weight=6)
    elif head in ("∧", "↔"):
        parts = args if head == "∧" else (op("→", *args), op("→", *reversed(args)))
        cases = tuple(Case(sequent.to(part)) for part in parts)
        by_name = "apply And.intro" if head == "∧" else "apply Iff.intro"
        yield Move(rng.choice(("constructor", "constructor", "refine ⟨?_, ?_⟩", by_name)), cases, weight=4)
        for number, part in enumerate(parts):
            if fact := witness(sequent, part, rng.choice((1, 2)), rng):
                shown = (fact.text, "?_") if number == 0 else ("?_", fact.text)
                yield Move(f"refine ⟨{', '.join(shown)}⟩", (cases[1 - number],), fact.used, weight=2)
    elif head == "∨":
        for part, side in zip(args, ("left", "right"), strict=True):
            lemma = f"apply Or.in{side[0]}"
            yield Move(rng.choice((side, side, lemma)), (Case(sequent.to(part)),), weight=1)
    elif head == "∃":
        for text, body, used in sequent.instances(sequent.target):
            yield Move(f"refine ⟨{text}, ?_⟩", (Case(sequent.to(body)),), used)
    if sequent.target != FALSE and any(term.head == "¬" or term == FALSE for _, term in sequent.hypotheses):
        yield Move("exfalso", (Case(sequent.to(FALSE)),), weight=0.25)


def _intro(sequent: Sequent, rng: Random, names: Names) -> Move:
    """Of a premise: plainly, or taken apart on the way."""
    premise = sequent.target.args[0]
    rest = sequent.to(sequent.target.args[1] if sequent.target.head == "→" else FALSE)
    if premise.head in ("∧", "∃", "∨") and rng.random() < 0.4:
        pattern, cases = _pattern(rest, premise, rng, names)
        brackets = f"({pattern})" if premise.head == "∨" else pattern
        return Move(f"rintro {brackets}", cases, weight=6)
    name = names.hypothesis(premise, sequent.names)
    case = Case(rest.plus((name, premise)), frozenset({name}))
    return Move(f"{rng.choice(('intro', 'intro', 'intro', 'intros'))} {name}", (case,), weight=6)


def _pattern(sequent: Sequent, term: Term, rng: Random, names: Names) -> tuple[str, tuple[Case, ...]]:
    """What takes a proposition apart, and the goals with its parts for hypotheses."""
    if term.head == "∨":
        given = [names.hypothesis(part, sequent.names) for part in term.args]
        both = zip(given, term.args, strict=True)
        return " | ".join(given), tuple(Case(sequent.plus(pair), frozenset({pair[0]})) for pair in both)
    if term.head == "∃":
        bound, kind, body = term.args
        own = bound.head if bound.head not in sequent.names else names.variable(show(kind), sequent.names)
        sequent, rest = sequent.plus_variable(own, show(kind)), substitute(body, {bound.head: Term(own)})
        shown, parts, new = [own], [rest], {own}
    else:
        shown, parts, new = [], [*term.args], set()
        if term.head == "↔":
            parts = [op("→", *term.args), op("→", *reversed(term.args))]
    if parts[-1].head == "∧" and rng.random() < 0.6:
        parts = [*parts[:-1], *parts[-1].args]
    for part in parts:
        name = names.hypothesis(part, sequent.names)
        sequent = sequent.plus((name, part))
        shown.append(name)
        new.add(name)
    return f"⟨{', '.join(shown)}⟩", (Case(sequent, frozenset(new)),)


def _on_hypotheses(sequent: Sequent, rng: Random, names: Names) -> Iterator[Move]:
    """Those that can be taken apart, and facts at hand that can."""
    for fact in sequent.facts:
        is_name = fact.text in sequent.names
        term = fact.term
        if term.head not in ("∧", "∨", "∃", "↔") or (term.head in ("∧", "↔") and not is_name):
            continue
        rest = sequent.without(fact.text)
        pattern, cases = _pattern(rest, term, rng, names)
        weight = {"∧": 2, "∨": 1.5, "∃": 4, "↔": 0.7}[term.head] * (1 if is_name else 0.5)
        if is_name and term.head in ("∧", "∨") and rng.random() < 0.25:
            yield _cases_and_rename(rest, fact, names, weight)
            continue
        tactics = (f"obtain {pattern} := {fact.text}", f"rcases {fact.text} with {pattern}")
        yield Move(rng.choice(tactics), cases, fact.used, weight=weight, may_drop=True)


def _cases_and_rename(rest: Sequent, fact: Fact, names: Names, weight: float) -> Move:
    """`cases h`, which leaves hypotheses without a name, that a second tactic gives them."""
    if fact.term.head == "∨":
        cases = []
        for part in fact.term.args:
            name = names.hypothesis(part, rest.names)
            cases.append(Case(rest.plus((name, part)), frozenset({name}), f"rename_i {name}"))
        return Move(f"cases {fact.text}", tuple(cases), fact.used, weight, may_drop=True)
    left = names.hypothesis(fact.term.args[0], rest.names)
    right = names.hypothesis(fact.term.args[1], rest.names | {left})
    both = rest.plus((left, fact.term.args[0]), (right, fact.term.args[1]))
    case = Case(both, frozenset({left, right}), f"rename_i {left} {right}")
    return Move(f"cases {fact.text}", (case,), fact.used, weight, may_drop=True)


def _by_facts(sequent: Sequent, rng: Random, names: Names) -> Iterator[Move]:
    """Backwards and forwards through implications."""
    for fact in sequent.facts:
        for premises, result in premises_of(fact.term):
            if premises and result == sequent.target:
                yield from _backwards(sequent, fact, premises, rng)
            known = [witness(sequent, premise, 1, rng) for premise in premises]
            is_new = (premises or " " in fact.text) and not sequent.has(result)
            if is_new and result.head not in ("→", "∀") and all(known):
                yield _forwards(sequent, fact, [one for one in known if one is not None], result, rng, names)


def _backwards(sequent: Sequent, fact: Fact, premises: tuple[Term, ...], rng: Random) -> Iterator[Move]:
    cases = tuple(Case(sequent.to(premise)) for premise in premises)
    holes = " ".join("?_" for _ in premises)
    text = _bare(sequent, fact, len(premises)) if rng.random() < 0.7 else fact.text
    tactic = rng.choice((f"apply {text}", f"apply {text}", f"refine {fact.text} {holes}"))
    yield Move(tactic, cases, fact.used, weight=2)


def _bare(sequent: Sequent, fact: Fact, num_premises: int) -> str:
    """`h` for `h a`, where Lean finds `a` by itself: the conclusion of `∀ x, … → C x` mentions x."""
    name = fact.text.partition(" ")[0]
    quantified = dict(sequent.hypotheses).get(name)
    if quantified is None or quantified.head != "∀" or fact.text.count(" ") != 1:
        return fact.text
    conclusion = [result for _, result in premises_of(quantified.args[2])][num_premises]
    return name if quantified.args[0] in preorder(conclusion) else fact.text


def _forwards(sequent: Sequent, fact: Fact, arguments: list[Fact], result: Term, rng: Random, names: Names) -> Move:
    text = " ".join([fact.text, *(argument.argument for argument in arguments)])
    used = fact.used.union(*(argument.used for argument in arguments))
    name = text.split()[0]
    if name in sequent.names and rng.random() < 0.3 and not any(name in argument.used for argument in arguments):
        case = Case(sequent.without(name).plus((name, result)), frozenset({name}))
        return Move(f"specialize {text}", (case,), used, weight=0.7, may_drop=True)
    name = names.hypothesis(result, sequent.names)
    shown = f"have {name} : {show(result)} := {text}"
    tactic = shown if rng.random() < 0.3 and len(shown) < LONGEST_TACTIC else f"have {name} := {text}"
    return Move(tactic, (Case(sequent.plus((name, result)), frozenset({name})),), used, weight=1, may_drop=True)


def _by_cases(sequent: Sequent, names: Names) -> Iterator[Move]:
    """On an atom that no hypothesis decides."""
    formulas = [sequent.target, *(term for _, term in sequent.hypotheses)]
    kinds = dict(sequent.variables)
    atoms = {part for formula in formulas for part in preorder(formula) if kinds.get(part.head) == "Prop"}
    for atom in sorted(atoms):
        if not sequent.has(atom) and not sequent.has(negation(atom)):
            name = names.hypothesis(atom, sequent.names)
            cases = tuple(Case(sequent.plus((name, part)), frozenset({name})) for part in (atom, negation(atom)))
            yield Move(f"by_cases {name} : {show(atom)}", cases, weight=0.3, may_drop=True)
