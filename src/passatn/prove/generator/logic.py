"""The families "propositional" and "quantifiers": random statements that are true, and proofs found by search.

A statement is drawn from a grammar and tried on all truth tables (for quantifiers: on all structures with one or two
elements) before a proof is searched for, since most are false. Without a proof after a short search it is dropped.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from random import Random
from typing import Any

from passatn.prove.generator.names import Names
from passatn.prove.generator.search import Prover
from passatn.prove.generator.sequent import FALSE, LONGEST_STATEMENT, Draft, Sequent
from passatn.prove.generator.statement import Statement
from passatn.prove.generator.terms import QUANTIFIERS, Term, implication, negation, op, preorder, variables_of

LONGEST_PROOF = 12
CONNECTIVES: Mapping[str, int] = {"∧": 30, "∨": 26, "→": 30, "↔": 7, "¬": 7}
"""With their weights."""
_NUM_SEARCHES = 3
Structure = Mapping[str, Any]
Variables = tuple[tuple[str, str], ...]


def propositional(rng: Random) -> Draft | None:
    """Two to five propositions, up to four hypotheses, one theorem in eight classical."""
    names = Names(rng)
    atoms = tuple((name, "Prop") for name in _several(names, "Prop", rng.choice((2, 3, 3, 4, 4, 5))))
    leaves = [Term(name) for name, _ in atoms]

    def formula(depth: int) -> Term:
        return _formula(rng, depth, lambda: FALSE if rng.random() < 0.03 else rng.choice(leaves))

    return _draft(rng, names, atoms, formula, classical=rng.random() < 0.125)


def quantifiers(rng: Random) -> Draft | None:
    """Two or three predicates on a type or on Nat, up to two elements, propositions beside them."""
    names = Names(rng)
    kind = rng.choice(("α", "α", "Nat"))
    variables = [("α", "Type")] if kind == "α" else []
    predicates = _several(names, f"{kind} → Prop", rng.choice((2, 2, 3)))
    variables += [(name, f"{kind} → Prop") for name in predicates]
    elements = _several(names, kind, rng.choice((0, 1, 1, 2)), taken=predicates)
    variables += [(name, kind) for name in elements]
    bound = names.variable(kind, {*predicates, *elements})

    def atom(elements: list[str]) -> Term:
        return op("@", Term(rng.choice(predicates)), Term(rng.choice(elements)))

    def formula(depth: int) -> Term:
        if depth and rng.random() < 0.7:
            inner = [*elements, bound, bound, bound, bound]
            quantifier = rng.choice("∀∃")
            join = rng.choice("→→∧∨") if quantifier == "∀" else rng.choice("∧∧∧∨→")
            body = _formula(rng, max(0, depth - 2), lambda: atom(inner))
            if rng.random() < 0.7:
                body = op(join, atom([bound]), body)
            return op(quantifier, Term(bound), Term(kind), body)
        if not elements:
            return negation(formula(1)) if depth and rng.random() < 0.3 else formula(2)
        return _formula(rng, min(depth, 1), lambda: atom(elements))

    return _draft(rng, names, tuple(variables), formula, classical=False)


def _draft(
    rng: Random, names: Names, variables: Variables, formula: Callable[[int], Term], *, classical: bool
) -> Draft | None:
    depths = rng.choice(((1, 1), (2, 1), (2, 2), (1, 2)))
    premises = tuple(dict.fromkeys(formula(depths[0]) for _ in range(rng.choice((0, 1, 2, 2, 3, 3, 4)))))
    conclusion = formula(depths[1])
    if not _is_worth_it(premises, conclusion, variables, rng):
        return None
    num_hypotheses = rng.randint(0, len(premises)) if rng.random() < 0.4 else len(premises)
    statement = _statement(
        variables, premises[:num_hypotheses], implication(premises[num_hypotheses:], conclusion), names
    )
    if len(statement.text("t")) > LONGEST_STATEMENT:
        return None
    prover = Prover(rng, names, classical=classical)
    found = [prover.prove(Sequent.of(statement), fuel=LONGEST_PROOF) for _ in range(_NUM_SEARCHES)]
    proofs = [one.tactics for one in found if one is not None]
    if not proofs:
        return None
    shortest = min(map(len, proofs))
    return Draft(statement, rng.choice([proof for proof in proofs if len(proof) <= shortest + 1]))


def _statement(variables: Variables, hypotheses: tuple[Term, ...], conclusion: Term, names: Names) -> Statement:
    """Without the variables that nothing mentions."""
    known = frozenset(name for name, _ in variables)
    used = frozenset().union(*(variables_of(term, known) for term in (*hypotheses, conclusion)))
    kept = tuple(pair for pair in variables if pair[0] in used or pair[1] == "Type")
    taken, named = {name for name, _ in kept}, []
    for term in hypotheses:
        name = names.hypothesis(term, taken)
        taken.add(name)
        named.append((name, term))
    return Statement(kept, tuple(named), conclusion)


def _several(names: Names, kind: str, count: int, taken: list[str] | None = None) -> list[str]:
    found: list[str] = []
    for _ in range(count):
        found.append(names.variable(kind, {*found, *(taken or [])}))
    return found


def _formula(rng: Random, depth: int, leaf: Callable[[], Term]) -> Term:
    if depth == 0 or rng.random() < 0.15:
        atom = leaf()
        return negation(atom) if rng.random() < 0.15 and atom != FALSE else atom
    head = rng.choices([*CONNECTIVES], [*CONNECTIVES.values()])[0]
    if head == "¬":
        return negation(_formula(rng, depth - 1, leaf))
    left, right = _formula(rng, depth - 1, leaf), _formula(rng, rng.randint(0, depth - 1), leaf)
    return op(head, left, right) if rng.random() < 0.5 else op(head, right, left)


def _is_worth_it(premises: tuple[Term, ...], conclusion: Term, variables: Variables, rng: Random) -> bool:
    """True in all structures, and neither without the premises nor because they exclude each other."""
    if conclusion in premises and rng.random() < 0.95:
        return False
    if any(_is_dull(term) for term in (*premises, conclusion)):
        return False
    known = frozenset(name for name, _ in variables)
    used = frozenset().union(*(variables_of(term, known) for term in (*premises, conclusion)))
    is_possible = is_needed = False
    for structure in _structures(tuple(pair for pair in variables if pair[0] in used)):
        if all(_holds(term, structure) for term in premises):
            is_possible = True
            if not _holds(conclusion, structure):
                return False
        elif not _holds(conclusion, structure):
            is_needed = True
    return (is_needed or not premises) and (is_possible or rng.random() < 0.1)


def _is_dull(term: Term) -> bool:
    """Somewhere an operator joins a proposition to itself or to False, or a quantifier binds nothing."""
    if term.head in QUANTIFIERS and term.args[0] not in preorder(term.args[2]):
        return True
    if (
        term.head in "∧∨→↔"
        and term.args
        and (term.args[0] == term.args[1] or (FALSE in term.args and term.head != "→"))
    ):
        return True
    if term.head in ("→", "¬") and term.args[0] == FALSE:
        return True
    return any(_is_dull(part) for part in term.args)


def _structures(variables: Variables) -> Iterator[Structure]:
    for num_elements in (1, 2) if any(kind != "Prop" for _, kind in variables) else (1,):
        elements = tuple(range(num_elements))
        values: list[list[Any]] = []
        for _, kind in variables:
            if kind == "Prop":
                values.append([False, True])
            elif kind.endswith("→ Prop"):
                values.append([*product((False, True), repeat=num_elements)])
            else:
                values.append([*elements])
        for chosen in product(*values):
            yield {**dict(zip((name for name, _ in variables), chosen, strict=True)), "": elements}


def _holds(term: Term, structure: Structure) -> bool:
    head, args = term
    if head == "∀" or head == "∃":
        name, _, body = args
        found = (_holds(body, {**structure, name.head: element}) for element in structure[""])
        return all(found) if head == "∀" else any(found)
    if head == "@":
        return bool(structure[args[0].head][structure[args[1].head]])
    if not args:
        return head != "False" and bool(structure[head])
    left = _holds(args[0], structure)
    if head == "¬":
        return not left
    right = _holds(args[1], structure)
    return {"∧": left and right, "∨": left or right, "→": not left or right, "↔": left == right}[head]
