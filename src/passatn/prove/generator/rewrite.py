"""The families "equations" and "lists": both sides of an equation are one term before and after random rewriting.

A walk leads from the left side to the right by instances of lemmas and of equations among the hypotheses. The proof
walks towards the middle from either end by `rw`, which is simulated as Lean does it: an instance is replaced wherever
it occurs in the goal, and a lemma without arguments takes the first match, outermost and leftmost first. A walk whose
simulation does not come out as planned is dropped. Terms that Lean computes with are left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from passatn.prove.generator.names import Names
from passatn.prove.generator.sequent import LONGEST_STATEMENT, LONGEST_TACTIC, Draft
from passatn.prove.generator.statement import Statement
from passatn.prove.generator.terms import (
    Term,
    is_computed,
    match,
    op,
    parse,
    preorder,
    replace,
    show,
    size,
    substitute,
)
from passatn.prove.generator.terms import variables_of as occurring

_PATTERN_VARIABLES = frozenset(("a?", "b?", "c?"))
_LARGEST_SIDE = 13


@dataclass(frozen=True)
class Rule:
    """`left = right` for all values of the variables; `arguments` are the explicit ones in order.

    With `is_bare` the variables are implicit: Lean finds the instance. A rule that is `one_way` is never used from
    right to left, where its pattern would match anything; one that is `symmetric` need not be, for its inverse is an
    instance of itself.
    """

    name: str
    left: Term
    right: Term
    arguments: tuple[str, ...] = ()
    is_bare: bool = False
    one_way: bool = False

    @property
    def symmetric(self) -> bool:
        return self.name.endswith("_comm")


@dataclass(frozen=True)
class Rewrite:
    """One instance of a rule, from `old` to `new`; `backwards` is Lean's `←`."""

    rule: Rule
    values: tuple[Term, ...]
    old: Term
    new: Term
    backwards: bool = False

    @property
    def inverse(self) -> "Rewrite":
        if self.rule.symmetric:
            values = match(self.rule.left, self.new, _PATTERN_VARIABLES, {}) or {}
            return Rewrite(self.rule, tuple(values[name] for name in self.rule.arguments), self.new, self.old)
        return Rewrite(self.rule, self.values, self.new, self.old, not self.backwards)

    @property
    def is_possible(self) -> bool:
        return not (self.backwards and self.rule.one_way)


def _rule(name: str, equation: str, arguments: str | None = None, *, one_way: bool = False) -> Rule:
    """`arguments` as they stand in the lemma; None for a lemma that has only implicit ones."""
    marks = {letter: Term(f"{letter}?") for letter in "abc"}
    left, right = (substitute(parse(side), marks) for side in equation.split("="))
    return Rule(name, left, right, tuple(f"{letter}?" for letter in arguments or ""), arguments is None, one_way)


ARITHMETIC = (
    _rule("Nat.add_comm", "a + b = b + a", "ab"),
    _rule("Nat.add_assoc", "a + b + c = a + (b + c)", "abc"),
    _rule("Nat.add_left_comm", "a + (b + c) = b + (a + c)", "abc"),
    _rule("Nat.add_right_comm", "a + b + c = a + c + b", "abc"),
    _rule("Nat.mul_comm", "a * b = b * a", "ab"),
    _rule("Nat.mul_assoc", "a * b * c = a * (b * c)", "abc"),
    _rule("Nat.mul_left_comm", "a * (b * c) = b * (a * c)", "abc"),
    _rule("Nat.mul_right_comm", "a * b * c = a * c * b", "abc"),
    _rule("Nat.mul_add", "a * (b + c) = a * b + a * c", "abc"),
    _rule("Nat.left_distrib", "a * (b + c) = a * b + a * c", "abc"),
    _rule("Nat.add_mul", "(a + b) * c = a * c + b * c", "abc"),
    _rule("Nat.right_distrib", "(a + b) * c = a * c + b * c", "abc"),
    _rule("Nat.two_mul", "2 * a = a + a", "a"),
    _rule("Nat.mul_two", "a * 2 = a + a", "a"),
    _rule("Nat.add_zero", "a + 0 = a", "a", one_way=True),
    _rule("Nat.zero_add", "0 + a = a", "a", one_way=True),
    _rule("Nat.mul_one", "a * 1 = a", "a", one_way=True),
    _rule("Nat.one_mul", "1 * a = a", "a", one_way=True),
    _rule("Nat.mul_zero", "a * 0 = 0", "a", one_way=True),
    _rule("Nat.zero_mul", "0 * a = 0", "a", one_way=True),
)
LISTS = (
    _rule("List.append_assoc", "a ++ b ++ c = a ++ (b ++ c)", "abc"),
    _rule("List.append_nil", "a ++ [] = a", "a", one_way=True),
    _rule("List.nil_append", "[] ++ a = a", "a", one_way=True),
    _rule("List.length_append", "List.length (a ++ b) = List.length a + List.length b"),
    _rule("List.length_reverse", "List.length (List.reverse a) = List.length a"),
    _rule("List.length_map", "List.length (List.map a b) = List.length b", one_way=True),
    _rule("List.map_append", "List.map a (b ++ c) = List.map a b ++ List.map a c"),
    _rule("List.reverse_append", "List.reverse (a ++ b) = List.reverse b ++ List.reverse a"),
    _rule("List.reverse_reverse", "List.reverse (List.reverse a) = a", "a", one_way=True),
)
_ON_LENGTHS = tuple(rule for rule in ARITHMETIC if rule.name in ("Nat.add_comm", "Nat.add_assoc"))


@dataclass
class _Setting:
    """What an equation is made of."""

    variables: list[tuple[str, str]]
    rules: Sequence[Rule]
    term: Callable[[], Term]
    hypotheses: list[tuple[str, Term]] = field(default_factory=list)


def equations(rng: Random) -> Draft | None:
    """Natural numbers with + and *, sometimes a function that an equation describes."""
    names = Names(rng)
    variables: list[str] = []
    for _ in range(rng.choice((2, 3, 3, 4))):
        variables.append(names.variable("Nat", set(variables)))
    leaves = [Term(name) for name in variables]

    def term(depth: int = 3) -> Term:
        if depth == 0 or (depth < 3 and rng.random() < 0.35):
            return Term(rng.choice("012")) if rng.random() < 0.12 else rng.choice(leaves)
        left, right = term(depth - 1), term(rng.randint(0, depth - 1))
        sides = (left, right) if rng.random() < 0.5 else (right, left)
        return op(rng.choice("+++**"), *sides)

    setting = _Setting([(name, "Nat") for name in variables], ARITHMETIC, term)
    _add_equations(setting, rng, names, leaves)
    return _draft(setting, rng, names)


def lists(rng: Random) -> Draft | None:
    """Lists with append, reverse, map and length."""
    names = Names(rng)
    variables: list[str] = []
    for _ in range(rng.choice((2, 3, 3, 4))):
        variables.append(names.variable("List α", set(variables)))
    function = names.variable("α → β", set(variables))

    def term(depth: int = 3) -> Term:
        kind = rng.random()
        if depth == 0 or (depth < 3 and kind < 0.3):
            return Term("[]") if rng.random() < 0.1 else Term(rng.choice(variables))
        if kind < 0.5:
            return op("@", Term("List.reverse"), term(depth - 1))
        if kind < 0.6:
            return op("@", Term("List.map"), Term(function), term(depth - 1))
        return op("++", term(depth - 1), term(rng.randint(0, depth - 1)))

    def whole() -> Term:
        return op("@", Term("List.length"), term()) if is_length else term()

    is_length = rng.random() < 0.4
    kinds = [("α", "Type"), (function, "α → α"), *((name, "List α") for name in variables)]
    rules = (*LISTS, *_ON_LENGTHS) if is_length else LISTS
    return _draft(_Setting(kinds, rules, whole), rng, names)


def _add_equations(setting: _Setting, rng: Random, names: Names, leaves: list[Term]) -> None:
    """Equations among the hypotheses: of a variable, or of a function at all numbers."""
    taken = {leaf.head for leaf in leaves}
    rules: list[Rule] = []
    if rng.random() < 0.45:
        left = rng.choice(leaves)
        others = [leaf for leaf in leaves if leaf != left]
        right = op(rng.choice("+*"), rng.choice(others), rng.choice([*others, Term("2")]))
        name = names.hypothesis(op("=", left, right), taken)
        taken.add(name)
        setting.hypotheses.append((name, op("=", left, right)))
        rules.append(Rule(name, left, right))
    if rng.random() < 0.2:
        function = names.variable("Nat → Nat", taken)
        bound = names.variable("Nat", taken | {function})
        value = op(rng.choice("+*"), Term(bound), rng.choice([Term(bound), *leaves]))
        image = op("@", Term(function), Term(bound))
        name = names.hypothesis(image, taken | {function, bound})
        setting.variables.append((function, "Nat → Nat"))
        setting.hypotheses.append((name, op("∀", Term(bound), Term("Nat"), op("=", image, value))))
        mark = {bound: Term("a?")}
        rules.append(Rule(name, substitute(image, mark), substitute(value, mark), ("a?",)))
        leaves.append(op("@", Term(function), rng.choice(leaves)))
    setting.rules = (*setting.rules, *rules * 4)


def _draft(setting: _Setting, rng: Random, names: Names) -> Draft | None:
    parts = [_equation(setting, rng) for _ in range(2 if rng.random() < 0.15 else 1)]
    goals, tactics = [], []
    for part in parts:
        if part is None:
            return None
        goals.append(part[0])
        tactics += part[1]
    if len(goals) == 2:
        tactics = [rng.choice(("constructor", "refine ⟨?_, ?_⟩", "apply And.intro")), *tactics]
    conclusion = goals[0] if len(goals) == 1 else op("∧", *goals)
    known = frozenset(name for name, _ in setting.variables)
    used = frozenset().union(*(occurring(term, known) for term in (conclusion, *(h for _, h in setting.hypotheses))))
    kept = tuple(pair for pair in setting.variables if pair[0] in used or pair[1] == "Type")
    statement = Statement(kept, tuple(setting.hypotheses), conclusion)
    if len(statement.text("t")) > LONGEST_STATEMENT or any(_is_untyped(part, known) for part in preorder(conclusion)):
        return None
    return Draft(statement, tuple(tactics))


def _is_untyped(term: Term, known: frozenset[str]) -> bool:
    """An equation without variables, or a length that does not say of a list of what."""
    if term.head == "=":
        return not occurring(term, known)
    return term.head == "@" and term.args[0].head == "List.length" and not occurring(term.args[1], known)


def _equation(setting: _Setting, rng: Random) -> tuple[Term, list[str]] | None:
    """A goal `left = right` and its proof."""
    left = setting.term()
    found = rewriting_proof(left, setting.rules, rng.choice((1, 1, 2, 2, 3, 3, 4, 5, 6, 8)), rng)
    return None if found is None or not found[1] else (op("=", left, found[0]), found[1])


def rewriting_proof(left: Term, rules: Sequence[Rule], length: int, rng: Random) -> tuple[Term, list[str]] | None:
    """What rewriting makes of a term, in up to `length` steps, and tactics that prove the two equal."""
    if size(left) > _LARGEST_SIDE or is_computed(left):
        return None
    walk = _walk(left, rules, length, rng)
    right = left
    for step in walk:
        right = replace(right, step.old, step.new)
    goal = op("=", left, right)
    steps = _meet(goal, walk, rng)
    return None if steps is None else (right, _tactics(goal, steps, rng))


def _walk(term: Term, rules: Sequence[Rule], length: int, rng: Random) -> list[Rewrite]:
    """Distinct terms, each one rewrite away from the last; shorter than `length` where the walk is stuck."""
    seen, walk = {term}, []
    for _ in range(length):
        choices = _rewrites(term, rules)
        rng.shuffle(choices)
        for step in choices[:12]:
            new = replace(term, step.old, step.new)
            if new not in seen and size(new) <= _LARGEST_SIDE and not is_computed(new):
                seen.add(new)
                walk.append(step)
                term = new
                break
    return walk


def _rewrites(term: Term, rules: Sequence[Rule]) -> list[Rewrite]:
    found = []
    for rule in rules:
        for backwards in (False,) if rule.one_way or rule.symmetric else (False, True):
            pattern, result = (rule.right, rule.left) if backwards else (rule.left, rule.right)
            for part in set(preorder(term)):
                values = match(pattern, part, _PATTERN_VARIABLES, {})
                if values is not None and occurring(result, _PATTERN_VARIABLES) <= values.keys():
                    arguments = tuple(values.get(name, Term(name)) for name in rule.arguments)
                    found.append(Rewrite(rule, arguments, part, substitute(result, values), backwards))
    return sorted(found, key=lambda step: (step.rule.name, step.backwards, step.old))


def _meet(goal: Term, walk: list[Rewrite], rng: Random) -> list[tuple[Term, Rewrite]] | None:
    """The walk from both ends: pairs of a goal and the rewrite that is made in it; None if it does not come out."""
    first, last, steps = 0, len(walk), []
    while goal.args[0] != goal.args[1]:
        if first == last:
            return None
        choices = [step for step in (walk[first], walk[last - 1].inverse) if step.is_possible]
        if not choices:
            return None
        step = choices[0] if rng.random() < 0.7 else choices[-1]
        if step == walk[first]:
            first += 1
        else:
            last -= 1
        after = replace(goal, step.old, step.new)
        if after == goal or is_computed(after):
            return None
        if step.rule.is_bare and _first_match(goal, step) != step.old:
            return None
        steps.append((goal, step))
        goal = after
    return steps


def _tactics(goal: Term, steps: Sequence[tuple[Term, Rewrite]], rng: Random) -> list[str]:
    """One `rw` per step, or several in one; the last one closes the goal, as does an `exact` of the whole."""
    tactics: list[list[str]] = []
    for number, (before, step) in enumerate(steps):
        if number == len(steps) - 1 and (closing := _closing(before, step, rng)):
            return [*map(_rw, tactics), closing]
        text = rewrite_text(before, step, rng)
        joined = [*tactics[-1], text] if tactics else []
        if joined and len(joined) <= 3 and len(_rw(joined)) <= LONGEST_TACTIC and rng.random() < 0.3:
            tactics[-1] = joined
        else:
            tactics.append([text])
    return [*map(_rw, tactics)]


def _rw(rules: Sequence[str]) -> str:
    return f"rw [{', '.join(rules)}]"


def rewrite_text(goal: Term, step: Rewrite, rng: Random) -> str:
    """With arguments, unless Lean finds the instance without them (it must, where they are implicit)."""
    rule, arrow = step.rule, "← " if step.backwards else ""
    if not rule.arguments:
        return f"{arrow}{rule.name}"
    pattern = rule.right if step.backwards else rule.left
    # Lean unifies `?a + 0` with b + 1, and `?a + (?b + ?c)` with b + 1: there the arguments are named.
    is_plain = all(part.head in _PATTERN_VARIABLES for part in pattern.args) or _numerals(goal) <= _numerals(pattern)
    if is_plain and _first_match(goal, step) == step.old and rng.random() < 0.6:
        return f"{arrow}{rule.name}"
    return f"{arrow}{_applied(step)}"


def _numerals(term: Term) -> set[str]:
    return {part.head for part in preorder(term) if part.head.isdigit()}


def _applied(step: Rewrite) -> str:
    return " ".join([step.rule.name, *(show(value, 1024) for value in step.values)])


def _first_match(goal: Term, step: Rewrite) -> Term | None:
    pattern = step.rule.right if step.backwards else step.rule.left
    return next((part for part in preorder(goal) if match(pattern, part, _PATTERN_VARIABLES, {}) is not None), None)


def _closing(goal: Term, step: Rewrite, rng: Random) -> str | None:
    """Where the goal is an instance of the rule itself, it can be given as a term."""
    if step.rule.is_bare or rng.random() < 0.4:
        return None
    forward = step.inverse if step.backwards else step
    if goal == op("=", forward.old, forward.new):
        return f"exact {_applied(step)}"
    if goal == op("=", forward.new, forward.old):
        applied = _applied(step)
        return f"exact ({applied}).symm" if " " in applied else f"exact {applied}.symm"
    return None
