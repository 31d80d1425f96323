"""Tracing: the states of a proof, the step that fails, the examples made of it, and where tactics begin and end."""

from collections.abc import Iterator

import pytest
from lean_proofs import HONEST, require_lean

from passatn.lean import Goal, GoalError, LeanPool, ProofState
from passatn.prove.trace import TraceError, split_tactics, tactic_problems, trace_proof
from passatn.tasks import Problem
from passatn.tasks.prompts import get_template, render_completion, render_prompt

SWAP = Goal("theorem swap (p q : Prop) (h : p ∧ q) : q ∧ p")


@pytest.fixture(scope="module")
def lean() -> Iterator[LeanPool]:
    require_lean()
    with LeanPool(num_workers=1) as pool:
        yield pool


def test_states_before_and_after_each_step(lean: LeanPool) -> None:
    trace = trace_proof(lean, SWAP, ["constructor", "exact h.2", "exact h.1"])
    context = "p q : Prop\nh : p ∧ q\n"
    assert trace.texts == (
        f"{context}⊢ q ∧ p",
        f"case left\n{context}⊢ q\n\ncase right\n{context}⊢ p",
        f"case right\n{context}⊢ p",
        "no goals",
    )
    assert trace.tactics == ("constructor", "exact h.2", "exact h.1")


@pytest.mark.parametrize(
    ("tactics", "message"),
    [
        (["constructor", "exact h.1"], "swap: step 2 of 2, 'exact h.1'"),
        (["exact ⟨h.2, h.1⟩", "rfl"], "swap: step 2 of 2, 'rfl': there are no goals left"),
        (["constructor", "exact h.2"], "swap: step 2 of 2 leaves goals: case right"),
        ([], "swap: step 0 of 0 leaves goals: p q"),
        (["sorry"], "swap: step 1 of 1, 'sorry': 'sorry' is no proof"),
    ],
)
def test_a_proof_that_fails_names_the_step(lean: LeanPool, tactics: list[str], message: str) -> None:
    with pytest.raises(TraceError) as raised:
        trace_proof(lean, SWAP, tactics)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_a_statement_that_lean_refuses(lean: LeanPool) -> None:
    with pytest.raises(GoalError):
        trace_proof(lean, Goal("theorem t : nonsense"), ["rfl"])


def test_examples_of_a_trace(lean: LeanPool) -> None:
    trace = trace_proof(lean, SWAP, ["constructor", "exact h.2", "exact h.1"])
    problems = tactic_problems(trace, family="propositional")
    assert [problem.id for problem in problems] == ["swap#1", "swap#2", "swap#3"]
    assert [problem.answers for problem in problems] == [("constructor",), ("exact h.2",), ("exact h.1",)]
    assert [problem.prompt for problem in problems] == list(trace.texts[:-1])
    assert problems[1].metadata == {
        **{"step": 2, "num_steps": 3, "group_id": "swap", "theorem": "swap"},
        "family": "propositional",
    }
    template = get_template("tactic")
    text = render_prompt(template, problems[0].prompt) + render_completion(template, *problems[0].answers)
    assert text == "p q : Prop\nh : p ∧ q\n⊢ q ∧ p:::constructor"
    assert Problem.from_record(problems[0].to_record()) == problems[0]


def test_examples_under_another_name(lean: LeanPool) -> None:
    trace = trace_proof(lean, SWAP, ["exact ⟨h.2, h.1⟩"])
    (problem,) = tactic_problems(trace, name="swap/found-2", theorem="swap")
    assert problem.id == "swap/found-2#1"
    assert (problem.metadata["group_id"], problem.metadata["theorem"]) == ("swap/found-2", "swap")


@pytest.mark.parametrize(
    ("proof", "tactics"),
    [
        ("exact h", ["exact h"]),
        ("by\n  intro h\n\n  exact h\n", ["intro h", "exact h"]),
        (":= by intro h; exact h", ["intro h", "exact h"]),
        ("constructor\n· intro h\n  exact h\n· rfl", ["constructor", "· intro h\n  exact h", "· rfl"]),
        ("constructor <;> intro h\n<;> exact h\nrfl", ["constructor <;> intro h\n<;> exact h", "rfl"]),
        ("constructor <;>\nassumption", ["constructor <;>\nassumption"]),
        (
            "induction n with\n| zero => rfl\n| succ n ih =>\n  rw [ih]\n  rfl\nexact h",
            ["induction n with\n| zero => rfl\n| succ n ih =>\n  rw [ih]\n  rfl", "exact h"],
        ),
        ("case left => exact a; exact b\nexact c; exact d", ["case left => exact a; exact b", "exact c", "exact d"]),
        ("have h : p := by\n  intro x; exact x\nexact h", ["have h : p := by\n  intro x; exact x", "exact h"]),
        ("rw [a,\nb]\nexact ⟨x,\ny⟩", ["rw [a,\nb]", "exact ⟨x,\ny⟩"]),
        ("try simp; rfl\nexact (by a; b)", ["try simp; rfl", "exact (by a; b)"]),
        ("exact f -- (see below; or not\n/- one\n /- two -/ ⟨ -/\nrfl", ["exact f", "rfl"]),
        ('exact f "(; --"\nrfl', ['exact f "(; --"', "rfl"]),
        ("calc a = b := h\n  _ = c := k\nrfl", ["calc a = b := h\n  _ = c := k", "rfl"]),
        ("bypass\nbyte; by_cases h : p", ["bypass", "byte", "by_cases h : p"]),
        ("-- nothing but words", []),
        ("", []),
    ],
)
def test_where_tactics_begin_and_end(proof: str, tactics: list[str]) -> None:
    assert split_tactics(proof) == tactics


def test_split_proofs_are_accepted_step_by_step(lean: LeanPool) -> None:
    """Honest proofs in all sorts of layout, cut into tactics, are still proofs."""
    num_steps = 0
    for statement, proof in HONEST:
        trace = trace_proof(lean, Goal(statement), split_tactics(proof))
        assert all(isinstance(state, ProofState) for state in trace.states)
        num_steps += len(trace.tactics)
    assert num_steps > 1.3 * len(HONEST)  # cut at all
