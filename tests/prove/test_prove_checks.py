"""Whole proofs as the last word: by the embedded Lean, and by what the REPL of a project says."""

import sys
from pathlib import Path

from passatn.lean import Goal, LeanPool, Ruling, check_file
from passatn.lean.client import ReplClient
from passatn.prove.loop import SearchLoop
from passatn.prove.proof_checks import embedded_checks, project_checks, whole_file
from passatn.prove.rollouts import RolloutSearch
from passatn.prove.tactic_model import TacticModel
from passatn.prove.theorem import Theorem
from passatn.sample.engine import Completion, SamplingParams

GOAL = Goal("theorem t : P", "import Project")


def start_repl() -> ReplClient:
    return ReplClient([sys.executable, str(Path(__file__).with_name("project_lean.py"))])


def test_a_project_accepts_what_its_lean_accepts_without_sorry_or_foreign_axioms() -> None:
    tactics = ["finish", "cheat", "doubt", "foreign", "classical", "mumble", "sorry", "crash", "finish", "wait\nfinish"]
    checks = project_checks(start_repl)(GOAL, [(tactic,) for tactic in tactics])
    assert [(check.ruling, check.detail) for check in checks] == [
        (Ruling.PROVED, ""),
        (Ruling.FAILED, "does not type-check"),
        (Ruling.REFUSED, "the proof uses sorry"),
        (Ruling.REFUSED, "the proof rests on the axiom 'mine'"),
        (Ruling.PROVED, ""),
        (Ruling.FAILED, "Lean does not say which axioms it rests on: well"),
        (Ruling.REFUSED, "'sorry' is no proof"),
        (Ruling.ERROR, "Lean's REPL ended with exit code 3"),
        (Ruling.PROVED, ""),
        (Ruling.PROVED, ""),
    ]
    assert checks[4].axioms == ("Classical.choice", "propext")


def test_a_projects_limits_and_headers() -> None:
    check = project_checks(start_repl, timeout_seconds=0.3)
    assert [c.ruling for c in check(GOAL, [("hang",), ("finish",)])] == [Ruling.TIMEOUT, Ruling.PROVED]
    missing = check(Goal("theorem t : P", "import Missing"), [("finish",), ("finish",)])
    assert [c.ruling for c in missing] == [Ruling.ERROR] * 2
    assert missing[0].detail == "Lean does not accept the header: no such file"
    assert [c.ruling for c in check(Goal("theorem t : P"), [("finish",)])] == [Ruling.PROVED]


class Engine:
    """Draws each of these in turn."""

    TACTICS = ("finish", "cheat", "foreign", "wait")

    def sample(self, requests: list, params: SamplingParams, *, progress: bool = False) -> list[Completion]:
        return [
            Completion(request.problem_id, k, (), self.TACTICS[k % 4], -1.0, 2, True)
            for request in requests
            for k in params.indices_of(request)
        ]


def test_a_search_in_a_project() -> None:
    model = TacticModel(Engine(), None, SamplingParams(n=1, max_new_tokens=4, seed=0))  # type: ignore[arg-type]
    with LeanPool(1, start_repl=start_repl) as lean:
        loop = SearchLoop(model, lean, project_checks(start_repl))
        [record] = loop.run([RolloutSearch(Theorem("t", GOAL), 0, 16, max_depth=2)])
    assert record.ends == {"proved": 5, "unchecked": 10, "depth": 1}


def test_the_embedded_lean_rules_over_many_proofs_and_takes_the_whole_file() -> None:
    from lean_proofs import require_lean

    require_lean()
    goal = Goal("theorem t (n : Nat) (p : Prop) (h : p) : double 1 = 2 ∧ p", "def double (n : Nat) : Nat := n + n")
    check = embedded_checks()
    good = ("constructor", "rfl", "first\n  | rfl\n  | assumption")
    rulings = check(goal, [good, ("constructor", "rfl"), ("exact ⟨sorry, h⟩",)])
    assert [ruling.ruling for ruling in rulings] == [Ruling.PROVED, Ruling.FAILED, Ruling.REFUSED]
    assert not [message for message in check_file(whole_file(goal, good)) if message.is_error]
    assert [ruling.ruling for ruling in check(Goal("theorem t : Odd 3"), [("rfl",)])] == [Ruling.ERROR]
