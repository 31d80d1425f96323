"""The family "induction": what holds for all natural numbers because of 0 and of the step from n to n + 1.

Three kinds: predicates that hypotheses carry from n to n + 1; two functions given by recursions that are equal up to
rewriting; two such functions that an inequality keeps apart. `induction n` leaves two goals, and `rename_i` names what
the second one brings, so that each tactic is one line.
"""

from collections.abc import Sequence
from random import Random

from passatn.prove.generator.derive import Derived, Script, apply_lemma
from passatn.prove.generator.lemmas import ORDER
from passatn.prove.generator.names import Names
from passatn.prove.generator.rewrite import ARITHMETIC, rewriting_proof
from passatn.prove.generator.search import Prover
from passatn.prove.generator.sequent import LONGEST_STATEMENT, Draft, Sequent
from passatn.prove.generator.statement import Statement
from passatn.prove.generator.terms import Term, op, preorder, replace, size, substitute

NAT, ZERO, ONE = Term("Nat"), Term("0"), Term("1")
_HOLE = Term("hole")


def induction(rng: Random) -> Draft | None:
    draft = rng.choice((_predicates, _predicates, _equal_recursions, _equal_recursions, _compared_recursions))(rng)
    return None if draft is None or len(draft.statement.text("t")) > LONGEST_STATEMENT else draft


class _Frame:
    """The names around an induction, and how it is written."""

    def __init__(self, rng: Random) -> None:
        self.rng, self.names = rng, Names(rng)
        self.number = self.names.variable("Nat", set())
        self.bound = self.names.variable("Nat", {self.number}) if rng.random() < 0.6 else self.number
        self.taken = {self.number, self.bound}
        self.inner = rng.choice((self.number, self.names.variable("Nat", {self.number, self.bound})))
        self.assumption = rng.choice(("ih", "ih", "ih", "hm", "h'"))
        self.is_quantified = rng.random() < 0.4
        self.hypotheses: list[tuple[str, Term]] = []

    def new(self, kind: str) -> str:
        name = self.names.variable(kind, self.taken | {self.inner})
        self.taken.add(name)
        return name

    def assume(self, term: Term) -> str:
        name = self.names.hypothesis(term, self.taken | {name for name, _ in self.hypotheses})
        self.hypotheses.append((name, term))
        return name

    def for_all(self, body: Term, number: str) -> Term:
        """`body` is about `number`."""
        return op("∀", Term(self.bound), NAT, substitute(body, {number: Term(self.bound)}))

    def draft(
        self, variables: Sequence[tuple[str, str]], goal: Term, base: Sequence[str], step: Sequence[str]
    ) -> Draft:
        """`goal` is about the frame's number."""
        rename = [f"rename_i {self.inner} {self.assumption}"]
        tactics = [f"induction {self.number}", *base, *rename, *step]
        if self.is_quantified:
            bound = Term(self.number)
            statement = Statement(tuple(variables), tuple(self.hypotheses), op("∀", bound, NAT, goal))
            return Draft(statement, (f"intro {self.number}", *tactics))
        kinds = (*variables, (self.number, "Nat")) if self.rng.random() < 0.5 else ((self.number, "Nat"), *variables)
        return Draft(Statement(kinds, tuple(self.hypotheses), goal), tuple(tactics))


def _predicates(rng: Random) -> Draft | None:
    frame = _Frame(rng)
    predicates = [frame.new("Nat → Prop") for _ in range(rng.choice((1, 2, 2)))]

    def formula(number: Term, depth: int) -> Term:
        if depth and rng.random() < 0.6:
            return op(rng.choice("∧∧∨→"), formula(number, 0), formula(number, 0))
        return op("@", Term(rng.choice(predicates)), number)

    bound = Term(frame.bound)
    successor = op("+", bound, ONE)
    given = [formula(ZERO, 1) for _ in range(rng.choice((1, 1, 2)))]
    for _ in range(rng.choice((1, 1, 2))):
        premise, result = formula(bound, 1), formula(successor, 1)
        given.append(op("∀", bound, NAT, op("→", premise, result)))
    if rng.random() < 0.5:
        given.append(op("∀", bound, NAT, formula(bound, 1)))
    if len(set(given)) < len(given):
        return None
    rng.shuffle(given)
    for term in given:
        frame.assume(term)
    goal = formula(Term(frame.number), 1)
    variables = tuple((name, "Nat → Prop") for name in predicates)
    context = Sequent(variables, tuple(frame.hypotheses), goal)
    number, inner = frame.number, Term(frame.inner)
    plain = Sequent((*variables, (number, "Nat")), tuple(frame.hypotheses), goal, (op("+", Term(number), ONE),))
    prover = Prover(rng, frame.names, max_nodes=60)
    base = prover.prove(Sequent(variables, context.hypotheses, substitute(goal, {number: ZERO}), (ZERO,)), fuel=5)
    if base is None or prover.prove(plain, fuel=5) is not None:
        return None
    known = (*context.hypotheses, (frame.assumption, substitute(goal, {number: inner})))
    target = substitute(goal, {number: op("+", inner, ONE)})
    step = prover.prove(Sequent((*variables, (frame.inner, "Nat")), known, target, (op("+", inner, ONE),)), fuel=6)
    if step is None or frame.assumption not in step.used:
        return None
    used = base.used | step.used
    frame.hypotheses = [pair for pair in frame.hypotheses if pair[0] in used or rng.random() < 0.4]
    mentioned = {part.head for _, term in [*frame.hypotheses, ("", goal)] for part in preorder(term)}
    return frame.draft([pair for pair in variables if pair[0] in mentioned], goal, base.tactics, step.tactics)


def _equal_recursions(rng: Random) -> Draft | None:
    """`f (n + 1)` and `g (n + 1)` are one expression of `f n` and `g n`, before and after rewriting."""
    frame = _Frame(rng)
    left_name, right_name = frame.new("Nat → Nat"), frame.new("Nat → Nat")
    parameters = [frame.new("Nat") for _ in range(rng.choice((0, 1, 1, 2)))]
    inner = Term(frame.inner)
    image = op("@", Term(right_name), inner)
    leaves = [image, image, inner, *map(Term, parameters)]

    def term(depth: int) -> Term:
        if depth == 0:
            return Term(rng.choice("12")) if rng.random() < 0.15 else rng.choice(leaves)
        return op(rng.choice("+++*"), term(depth - 1), term(rng.randint(0, depth - 1)))

    before = term(rng.choice((1, 1, 2)))
    if image not in preorder(before) or size(before) > 9:
        return None
    walk = rewriting_proof(before, ARITHMETIC, rng.choice((0, 1, 1, 2, 3)), rng)
    if walk is None:
        return None
    after, rewrites = walk
    start = op("=", *(op("@", Term(name), ZERO) for name in (left_name, right_name)))
    if rng.random() < 0.4:
        value = Term(rng.choice([*parameters, "0", "1"]))
        known = [frame.assume(op("=", op("@", Term(name), ZERO), value)) for name in (left_name, right_name)]
        base = [rng.choice((f"rw [{', '.join(known)}]", f"exact {known[0]}.trans {known[1]}.symm"))]
    else:
        known = [frame.assume(start)]
        base = [rng.choice((f"exact {known[0]}", "assumption", f"rw [{known[0]}]"))]
    left = _recursion(frame, left_name, replace(before, image, _HOLE))
    right = _recursion(frame, right_name, replace(after, image, _HOLE))
    step = _unfolding(frame, [left, right, frame.assumption])
    variables = [(left_name, "Nat → Nat"), (right_name, "Nat → Nat"), *((name, "Nat") for name in parameters)]
    variables = [pair for pair in variables if pair[1] != "Nat" or _mentions(frame.hypotheses, pair[0])]
    goal = op("=", *(op("@", Term(name), Term(frame.number)) for name in (left_name, right_name)))
    return frame.draft(variables, goal, base, [*step, *rewrites])


def _compared_recursions(rng: Random) -> Draft | None:
    """`f n` and `g n` are kept in order by steps that respect it."""
    frame = _Frame(rng)
    left_name, right_name = frame.new("Nat → Nat"), frame.new("Nat → Nat")
    parameters = [frame.new("Nat") for _ in range(rng.choice((1, 2, 2)))]
    inner, relation = Term(frame.inner), rng.choice("≤≤<")
    images = [op("@", Term(name), inner) for name in (left_name, right_name)]
    given = [op(rng.choice("≤<"), *map(Term, rng.sample(parameters, 2)))] if parameters[1:] else []
    assumption = Derived(op(relation, *images))
    known = [*map(Derived, given), assumption]
    goal = None
    for _ in range(rng.choice((4, 8, 12))):
        new = apply_lemma(rng.choice(ORDER), known, [*parameters, frame.inner], rng)
        if new is None or size(new.term) > 11 or any(new.term == fact.term for fact in known):
            continue
        known.append(new)
        if new.term.head == relation and all(images[i] in preorder(new.term.args[i]) for i in (0, 1)):
            goal = new if goal is None or new.depth > goal.depth or rng.random() < 0.5 else goal
    if goal is None or images[1] in preorder(goal.term.args[0]) or images[0] in preorder(goal.term.args[1]):
        return None
    texts = {term: frame.assume(term) for term in given if term in goal.leaves or rng.random() < 0.5}
    start = op(relation, *(op("@", Term(name), ZERO) for name in (left_name, right_name)))
    base = [rng.choice((f"exact {frame.assume(start)}", "assumption"))]
    rules = [
        _recursion(frame, name, replace(side, image, _HOLE))
        for name, side, image in zip((left_name, right_name), goal.term.args, images, strict=True)
    ]
    taken = {name for name, _ in frame.hypotheses} | frame.taken | {frame.inner, frame.assumption}
    script = Script(rng, frame.names, taken, {**texts, assumption.term: frame.assumption})
    step = [*_unfolding(frame, rules), *script.prove(goal)]
    variables = [(left_name, "Nat → Nat"), (right_name, "Nat → Nat"), *((name, "Nat") for name in parameters)]
    variables = [pair for pair in variables if pair[1] != "Nat" or _mentions(frame.hypotheses, pair[0])]
    target = op(relation, *(op("@", Term(name), Term(frame.number)) for name in (left_name, right_name)))
    return frame.draft(variables, target, base, step)


def _recursion(frame: _Frame, function: str, value: Term) -> str:
    """Assume `∀ n, f (n + 1) = value`, whose hole is `f n`, and return the hypothesis's name."""
    body = replace(value, _HOLE, op("@", Term(function), Term(frame.inner)))
    left = op("@", Term(function), op("+", Term(frame.inner), ONE))
    return frame.assume(frame.for_all(op("=", left, body), frame.inner))


def _unfolding(frame: _Frame, rules: list[str]) -> list[str]:
    """Rewriting with the recursions, and then with the assumption, in one tactic or in several."""
    rng = frame.rng
    shown = [f"{rule} {frame.inner}" if rule != frame.assumption and rng.random() < 0.2 else rule for rule in rules]
    if rng.random() < 0.5:
        shown[:2] = reversed(shown[:2])
    cut = rng.randint(0, len(shown))
    return [f"rw [{', '.join(part)}]" for part in (shown[:cut], shown[cut:]) if part]


def _mentions(hypotheses: Sequence[tuple[str, Term]], name: str) -> bool:
    return any(Term(name) in preorder(term) for _, term in hypotheses)
