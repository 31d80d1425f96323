"""Terms as Lean writes them, and canonical forms against brute force over all renamings."""

import re
from itertools import combinations, permutations, product
from random import Random

import pytest
from lean_proofs import require_lean

from passatn.lean import Goal, LeanPool
from passatn.prove.generator.generate import FAMILIES, NewTheorem, generate
from passatn.prove.generator.statement import Statement, canonical_form
from passatn.prove.generator.terms import (
    Term,
    is_computed,
    match,
    negation,
    op,
    parse,
    preorder,
    replace,
    show,
    substitute,
)


def random_formula(rng: Random, depth: int, leaves: str = "pqr") -> Term:
    if depth == 0 or rng.random() < 0.2:
        return Term(rng.choice(leaves))
    head = rng.choice("∧∨→↔¬")
    if head == "¬":
        return negation(random_formula(rng, depth - 1, leaves))
    return op(head, random_formula(rng, depth - 1, leaves), random_formula(rng, depth - 1, leaves))


def random_sum(rng: Random, depth: int) -> Term:
    if depth == 0 or rng.random() < 0.2:
        return Term(rng.choice("abc"))
    return op(rng.choice("+*"), random_sum(rng, depth - 1), random_sum(rng, depth - 1))


def random_terms(count: int) -> list[Term]:
    rng = Random(0)
    formulas = [random_formula(rng, 3) for _ in range(count)]
    return [*formulas, *(op(rng.choice("=≤<"), random_sum(rng, 3), random_sum(rng, 3)) for _ in range(count))]


def test_what_is_written_is_read_back() -> None:
    texts = {show(term) for term in random_terms(300)}
    assert len(texts) > 300
    for term in random_terms(300):
        assert parse(show(term)) == term
    quantified = "∀ x : Nat, P x → (∃ y : Nat, Q y ∧ ¬f (y + 1) = g x)"
    assert show(parse(quantified)) == quantified
    with pytest.raises(ValueError, match="nothing expected at"):
        parse("p ∧ q)")


def test_lean_writes_terms_the_same_way() -> None:
    require_lean()
    terms = list(random_terms(60))
    assert len(terms) > 60
    with LeanPool(num_workers=1) as lean:
        for term in terms:
            state = lean.start(Goal(f"theorem t (p q r : Prop) (a b c : Nat) : {show(term)}"))
            printed = " ".join(state.text.partition("⊢")[2].split())
            assert printed == show(term)


def test_substitution_does_not_capture() -> None:
    body = parse("∃ y : Nat, R x y")
    moved = substitute(body, {"x": Term("y")})
    name, _, inner = moved.args
    assert name.head != "y"
    assert inner == op("@", Term("R"), Term("y"), name)
    assert substitute(body, {"y": Term("z")}) == body


def test_matching_and_replacing() -> None:
    names = frozenset("xy")
    assert match(parse("x + y"), parse("a * b + c"), names, {}) == {"x": parse("a * b"), "y": Term("c")}
    assert match(parse("x + x"), parse("a + b"), names, {}) is None
    assert replace(parse("a + b + (a + b) * c"), parse("a + b"), Term("d")) == parse("d + d * c")


@pytest.mark.parametrize(
    ("text", "computed"),
    [
        *(("2 + 1", True), ("a * (1 * 2)", True), ("a + 1 + 1", True), ("a + b + 0", True), ("a + 0 + 1", True)),
        *(("a + 0", False), ("0 + a + b", False), ("a * b + 0", False), ("1 + a", False), ("a + b + 1", False)),
    ],
)
def test_what_lean_computes_with(text: str, computed: bool) -> None:
    assert is_computed(parse(text)) is computed


# The brute force: texts, all bijections between names, and sets of hypotheses. It shares no code with canonical_form.


def in_parts(statement: Statement) -> tuple[dict[str, str], frozenset[str], str]:
    """Types of the variables that occur; hypotheses and conclusion as text, premises moved to the hypotheses."""
    kinds, goal = dict(statement.variables), statement.conclusion
    given = [term for _, term in statement.hypotheses]
    while goal.head in ("→", "¬", "∀"):
        if goal.head == "∀":
            kinds[goal.args[0].head] = goal.args[1].head
            goal = goal.args[2]
        else:
            given.append(goal.args[0])
            goal = goal.args[1] if goal.head == "→" else Term("False")
    texts = [with_plain_binders(show(term)) for term in (*given, goal)]
    occurring = {word for text in texts for word in words_of(text)}
    return {name: kind for name, kind in kinds.items() if name in occurring}, frozenset(texts[:-1]), texts[-1]


def words_of(text: str) -> list[str]:
    return re.findall(r"[^\W\d][\w.₁₂₃₄']*", text)


def with_plain_binders(text: str) -> str:
    """Bound variables called b0, b1, … from the left; they differ from all others and from each other here."""
    for number, name in enumerate(dict.fromkeys(re.findall(r"[∀∃] (\S+) :", text))):
        text = re.sub(rf"(?<![\w']){name}(?![\w'])", f"b{number}", text)
    return text


def renamed(text: str, names: dict[str, str]) -> str:
    return re.sub(r"[^\W\d][\w.₁₂₃₄']*", lambda word: names.get(word[0], word[0]), text)


def are_renamings(first: Statement, second: Statement) -> bool:
    kinds, given, goal = in_parts(first)
    other_kinds, other_given, other_goal = in_parts(second)
    if sorted(kinds.values()) != sorted(other_kinds.values()):
        return False
    groups = [[name for name in kinds if kinds[name] == kind] for kind in sorted(set(kinds.values()))]
    targets = [[name for name in other_kinds if other_kinds[name] == kind] for kind in sorted(set(kinds.values()))]
    for chosen in product(*(permutations(group) for group in targets)):
        names = {
            old: new for group, news in zip(groups, chosen, strict=True) for old, new in zip(group, news, strict=True)
        }
        if renamed(goal, names) == other_goal and {renamed(text, names) for text in given} == other_given:
            return True
    return False


def small_statement(rng: Random) -> Statement:
    """So few possibilities that many pairs are the same."""
    names = "pqr" if rng.random() < 0.5 else "uvw"
    kinds = tuple((name, "Prop") for name in names)
    given = tuple((f"h{i}", random_formula(rng, rng.choice((0, 1)), names)) for i in range(rng.choice((0, 1, 2, 3))))
    return Statement(kinds, given, random_formula(rng, rng.choice((0, 1, 2)), names))


def test_canonical_forms_agree_with_brute_force() -> None:
    rng = Random(1)
    statements = [small_statement(rng) for _ in range(150)]
    forms = [canonical_form(statement) for statement in statements]
    num_same = 0
    for (first, form), (second, other) in combinations(zip(statements, forms, strict=True), 2):
        same = are_renamings(first, second)
        assert (form == other) == same, (first.text("a"), second.text("b"))
        num_same += same
    assert num_same > 100


def shuffled(statement: Statement, rng: Random) -> Statement:
    """A renaming: other names for everything, each hypothesis twice under two, in another order."""
    new = [f"v{number}" for number in range(len(statement.variables))]
    rng.shuffle(new)
    free = dict(zip((name for name, _ in statement.variables), new, strict=True))
    kinds = dict(statement.variables)

    def rename(term: Term, bound: dict[str, str], letter: str = "w") -> Term:
        if term.head in ("∀", "∃"):
            inner = bound | {term.args[0].head: f"{letter}{len(bound)}"}
            return Term(term.head, (Term(inner[term.args[0].head]), term.args[1], rename(term.args[2], inner, letter)))
        if not term.args:
            return Term(bound.get(term.head, free.get(term.head, term.head)))
        return Term(term.head, tuple(rename(part, bound, letter) for part in term.args))

    free = {name: free[name] if kinds[name] != "Type" else name for name in free}
    given = [(f"k{number}", rename(term, {})) for number, (_, term) in enumerate(statement.hypotheses)]
    given += [(f"again{name}", rename(term, {}, "z")) for name, term in statement.hypotheses]
    rng.shuffle(given)
    variables = [(free[name], kind) for name, kind in statement.variables]
    return Statement(tuple(variables), tuple(given), rename(statement.conclusion, {}))


def drafts_of(count: int) -> list[Statement]:
    found, rng = [], Random(5)
    for maker, _ in FAMILIES.values():
        made = 0
        while made < count:
            if draft := maker(rng):
                found.append(draft.statement)
                made += 1
    return found


def test_renamings_of_generated_theorems_have_the_same_form() -> None:
    rng = Random(2)
    for statement in drafts_of(30):
        assert canonical_form(statement) == canonical_form(shuffled(statement, rng)), statement.text("t")


def test_a_small_change_is_another_theorem() -> None:
    """One leaf of a conclusion in place of another of the same type."""
    rng, num_changed = Random(3), 0
    for statement in drafts_of(20):
        kinds = dict(statement.variables)
        leaves = [part.head for part in preorder(statement.conclusion) if part.head in kinds]
        others = [name for name in kinds if leaves and kinds[name] == kinds[leaves[0]] and name != leaves[0]]
        if not others:
            continue
        new = Term(rng.choice(others))
        changed = Statement(
            statement.variables, statement.hypotheses, substitute(statement.conclusion, {leaves[0]: new})
        )
        if len({*in_parts(changed)[0]}) <= 5:
            same = canonical_form(statement) == canonical_form(changed)
            assert same == are_renamings(statement, changed), statement.text("t")
            num_changed += not same
    assert num_changed > 30


def test_no_theorem_is_a_renaming_of_one_in_another_split() -> None:
    families = ("order", "divisibility", "lists", "propositional")
    splits = generate({"train": 500, "test": 150}, seed=4, families=families)
    train = [read(theorem) for theorem in splits["train"]]
    by_outline: dict[str, list[Statement]] = {}
    for statement in train:
        by_outline.setdefault(outline(statement), []).append(statement)
    num_compared = 0
    for theorem in splits["test"]:
        statement = read(theorem)
        for other in by_outline.get(outline(statement), []):
            assert not are_renamings(statement, other), (statement.text("test"), other.text("train"))
            num_compared += 1
    assert num_compared > 10  # pairs that differ in nothing but which variable stands where


def outline(statement: Statement) -> str:
    """What no renaming changes: the texts with `_` for every variable."""
    kinds, given, goal = in_parts(statement)
    blanks = dict.fromkeys(kinds, "_")
    return " | ".join([renamed(goal, blanks), *sorted({renamed(text, blanks) for text in given})])


def read(theorem: NewTheorem) -> Statement:
    """The statement from its text."""
    rest = theorem.statement.removeprefix(f"theorem {theorem.name} ")
    variables: list[tuple[str, str]] = []
    hypotheses: list[tuple[str, Term]] = []
    while rest.startswith("("):
        depths = [rest[: at + 1].count("(") - rest[: at + 1].count(")") for at in range(len(rest))]
        end = depths.index(0)
        names, _, kind = rest[1:end].partition(" : ")
        if re.fullmatch(r"Type|Prop|Nat|α|List α|\S+ → \S+", kind) and not re.match(r"[hHo]", names):
            variables += [(name, kind) for name in names.split()]
        else:
            hypotheses.append((names, parse(kind)))
        rest = rest[end + 1 :].lstrip()
    return Statement(tuple(variables), tuple(hypotheses), parse(rest.removeprefix(": ")))


def test_reading_a_statement_back() -> None:
    for theorem in generate({"all": 100}, seed=6)["all"]:
        assert read(theorem).text(theorem.name) == theorem.statement
        assert canonical_form(read(theorem)) == theorem.form
