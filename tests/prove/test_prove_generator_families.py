"""The families: proofs that Lean follows, in the lengths asked for, the same in each process; and there is choice."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from lean_proofs import require_lean

from passatn.lean import FailureKind, Goal, LeanPool, ProofState, Step, TacticFailure, check_proof
from passatn.prove.generator import generate as module
from passatn.prove.generator.branching import branching
from passatn.prove.generator.generate import FAMILIES, GeneratorError, NewTheorem, generate
from passatn.prove.generator.names import Names
from passatn.prove.generator.rewrite import ARITHMETIC, Rewrite, rewrite_text
from passatn.prove.generator.search import Prover
from passatn.prove.generator.sequent import Draft, Sequent
from passatn.prove.generator.statement import Statement
from passatn.prove.generator.terms import Term, parse
from passatn.prove.trace import Trace, trace_proof

FEW = {"all": 140}


@pytest.fixture(scope="module")
def theorems() -> list[NewTheorem]:
    return generate(FEW, seed=11)["all"]


@pytest.fixture(scope="module")
def lean() -> Iterator[LeanPool]:
    require_lean()
    with LeanPool(num_workers=1) as pool:
        yield pool


@pytest.mark.parametrize("family", FAMILIES)
def test_lean_follows_the_proofs_of(family: str, lean: LeanPool) -> None:
    made = generate({"all": 12}, seed=12, families=[family])["all"]
    for theorem in made:
        trace = trace_proof(lean, theorem.goal, theorem.tactics)
        assert all("failed to pretty print" not in text for text in trace.texts)
        assert all("\n" not in tactic and len(tactic) <= 60 for tactic in theorem.tactics)
    longest = max(made, key=lambda theorem: len(theorem.tactics))
    assert check_proof(longest.goal, "\n".join(longest.tactics)).is_proved


def test_classical_logic_and_equivalences(lean: LeanPool) -> None:
    """What the grammar draws seldom or never, the search proves nevertheless."""
    for text in (
        "¬¬p → p",
        "(p → q) ∨ (q → p)",
        "¬(p ∧ q) → ¬p ∨ ¬q",
        "(p ↔ q) → (q ↔ p)",
        "(p ↔ q) → p ∧ q ∨ ¬p ∧ ¬q",
    ):
        statement = Statement((("p", "Prop"), ("q", "Prop")), (), parse(text))
        rng = Random(0)
        prover = Prover(rng, Names(rng), classical=True, max_nodes=3000)
        found = next(filter(None, (prover.prove(Sequent.of(statement), fuel=14) for _ in range(50))))
        trace_proof(lean, Goal(statement.text("t")), found.tactics)


def test_what_is_not_so_is_not_proved() -> None:
    for text in ("p → q", "p ∨ ¬p", "((p → q) → p) → p"):  # the last two need classical logic
        statement = Statement((("p", "Prop"), ("q", "Prop")), (), parse(text))
        rng = Random(0)
        assert all(Prover(rng, Names(rng)).prove(Sequent.of(statement), fuel=8) is None for _ in range(20))


def test_lemmas_are_given_arguments_where_lean_would_find_another_instance() -> None:
    """In `(a + 1) * (b + 0)`, `rw [Nat.add_zero]` unifies a + 1 with ?a + 0."""
    rule = next(rule for rule in ARITHMETIC if rule.name == "Nat.add_zero")
    step = Rewrite(rule, (Term("b"),), parse("b + 0"), Term("b"))
    texts = {rewrite_text(parse("(a + 1) * (b + 0) = c"), step, Random(seed)) for seed in range(20)}
    assert texts == {"Nat.add_zero b"}
    texts = {rewrite_text(parse("a * (b + 0) = c"), step, Random(seed)) for seed in range(20)}
    assert texts == {"Nat.add_zero b", "Nat.add_zero"}
    texts = {rewrite_text(parse("a + 0 = b + 0"), step, Random(seed)) for seed in range(20)}
    assert texts == {"Nat.add_zero b"}  # a + 0 comes first


def test_names_forms_and_lengths(theorems: list[NewTheorem]) -> None:
    assert len({theorem.name for theorem in theorems}) == len({theorem.form for theorem in theorems}) == 140
    assert {theorem.family for theorem in theorems} == set(FAMILIES)
    lengths = Counter(len(theorem.tactics) for theorem in theorems)
    assert all(1 <= length <= 12 for length in lengths)
    mean = sum(length * count for length, count in lengths.items()) / 140
    assert 2.8 < mean < 4.8
    assert sum(lengths[length] for length in range(6, 13)) >= 10


def test_the_same_seed_in_another_process(theorems: list[NewTheorem]) -> None:
    code = (
        "import hashlib\nfrom passatn.prove.generator.generate import generate\n"
        "made = generate({'all': 140}, seed=11)['all']\n"
        "print(hashlib.sha256(repr([(t.statement, t.tactics) for t in made]).encode()).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "123"}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    here = hashlib.sha256(repr([(theorem.statement, theorem.tactics) for theorem in theorems]).encode()).hexdigest()
    assert printed.stdout.strip() == here
    assert [theorem.form for theorem in generate(FEW, seed=12)["all"]] != [theorem.form for theorem in theorems]


def test_families_that_are_not_there_or_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GeneratorError, match="unknown family geometry; there are propositional, "):
        generate({"all": 1}, seed=0, families=["order", "geometry"])

    def few(rng: Random) -> Draft:
        conclusion = parse(rng.choice(("p ∨ ¬p", "p → p", "q → q")))  # the last two are one theorem
        return Draft(Statement((("p", "Prop"), ("q", "Prop")), (), conclusion), ("simp",))

    monkeypatch.setattr(module, "FAMILIES", {"few": (few, 1.0)})
    monkeypatch.setattr(module, "_DRAWS", 200)
    assert len(generate({"all": 2}, seed=0, families=["few"])["all"]) == 2
    with pytest.raises(GeneratorError, match="family 'few' has no more than 2 theorems"):
        generate({"all": 3}, seed=0, families=["few"])


def test_branching_counts_what_a_state_accepts() -> None:
    """Two proofs, four tactics; a state accepts the tactics that hold its letter."""

    class Letters:
        def start(self, goal: Goal) -> ProofState:
            return ProofState(goal, (), ("a",))

        def apply(self, state: ProofState, tactic: str) -> Step:
            accepts = state.goals[0] in tactic
            return state if accepts else TacticFailure(FailureKind.ERROR, "")

        def check_file(self, text: str) -> tuple[()]:
            return ()

        def close(self) -> None: ...

    goal = Goal("theorem t : p")
    first = Trace(goal, ("x", "xa"), (ProofState(goal, (), ("a",)),) * 2 + (ProofState(goal, (), ()),))
    second = Trace(goal, ("ab", "ba", "xa"), (ProofState(goal, (), ("b",)),) * 3 + (ProofState(goal, (), ()),))
    found = branching(Letters(), [first], num_states=5, num_tactics=10, seed=0)
    assert found == {"num_states": 0}  # no tactics of others
    found = branching(Letters(), [first, second], num_states=200, num_tactics=10, seed=0)
    # In the first: ab, ba, xa are others', all with an a (3 of 3). In the second: x, xa, none with a b (0 of 2).
    share = found["share_of_states_without_any"]
    assert 0.4 < share < 0.6
    assert found["mean_applicable"] == pytest.approx(3 * (1 - share))
    assert found["share_applicable"] == pytest.approx(1 - share)
