"""Whole proofs as the last word: by the embedded Lean, and by the Lean of a project."""

import sys
from pathlib import Path
from typing import Any

import pytest
from lake_project import executable, standin_project
from lean_proofs import require_lean

from passatn.evaluate import Results
from passatn.lean import Goal, LeanPool, LeanProject, Ruling, check_file
from passatn.lean.client import ReplClient
from passatn.lean.prelude import HEADER
from passatn.prove.loop import SearchLoop
from passatn.prove.proof_checks import embedded_checks, project_checks, whole_file
from passatn.prove.rollouts import RolloutSearch
from passatn.prove.tactic_model import TacticModel
from passatn.prove.theorem import Theorem
from passatn.sample.engine import Completion, SamplingParams
from tiny_files import write_jsonl

GOAL = Goal("theorem t : True", HEADER.strip())
REPL = Path(__file__).with_name("project_lean.py")


def test_a_project_s_lean_rules_over_each_proof(tmp_path: Path) -> None:
    check = project_checks(standin_project(tmp_path), timeout_seconds=5)
    hangs = "repeat (have : 1 = 1 := rfl)"
    checks = check(GOAL, [("trivial",), ("cheat",), ("exact sorry",), ("skip", "trivial"), (hangs,)])
    rulings = [Ruling.PROVED, Ruling.FAILED, Ruling.REFUSED, Ruling.PROVED, Ruling.TIMEOUT]
    assert [ruling.ruling for ruling in checks] == rulings
    missing = check(Goal("theorem t : True", "prelude\nimport Missing"), [("trivial",), ("trivial",)])
    assert [ruling.ruling for ruling in missing] == [Ruling.ERROR] * 2
    assert "Missing" in missing[0].detail


def test_lean4checker_has_the_last_word_if_it_is_asked(tmp_path: Path) -> None:
    project = standin_project(tmp_path)
    replaying = project_checks(LeanProject(project.folder, project.lake, "lean4checker"))
    accepts = "#!/bin/sh\ntest ! -e {}\n".format(tmp_path / "refuses")
    executable(tmp_path / "checker", accepts)
    assert [check.ruling for check in replaying(GOAL, [("trivial",)])] == [Ruling.PROVED]
    (tmp_path / "refuses").touch()
    [check] = replaying(GOAL, [("exact True.intro",)])
    assert check.ruling is Ruling.REFUSED
    assert "kernel refuses" in check.detail


class Engine:
    """Draws each of these in turn."""

    TACTICS = ("trivial", "cheat", "nonsense", "skip")

    def sample(self, requests: list, params: SamplingParams, *, progress: bool = False) -> list[Completion]:
        return [
            Completion(request.problem_id, k, (), self.TACTICS[k % 4], -1.0, 2, True)
            for request in requests
            for k in params.indices_of(request)
        ]


def test_a_search_in_a_project(tmp_path: Path) -> None:
    model = TacticModel(Engine(), None, SamplingParams(n=1, max_new_tokens=4, seed=0))  # type: ignore[arg-type]
    with LeanPool(1, start_repl=lambda: ReplClient([sys.executable, str(REPL)])) as lean:
        loop = SearchLoop(model, lean, project_checks(standin_project(tmp_path)))
        [record] = loop.run([RolloutSearch(Theorem("t", GOAL), 0, 16, max_depth=2)])
    assert record.ends == {"proved": 5, "unchecked": 5, "error": 5, "depth": 1}


def test_the_command_in_a_project(
    tmp_path: Path, tactic_model: Path, passatn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = standin_project(tmp_path)
    repl = executable(tmp_path / "repl", f"#!/bin/sh\nexec {sys.executable} {REPL}\n")
    executable(tmp_path / "checker", '#!/bin/sh\ntest "$1" = lean4checker || exec "$@"\n')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    rows = [{"id": "yes", "prompt": "?", "metadata": {"statement": GOAL.statement, "header": GOAL.header}}]
    data = tmp_path / "theorems.jsonl"
    write_jsonl(data, rows)
    asked = ["--model", tactic_model, "--data", data, "--output", tmp_path / "found", "--num-samples", 64, "--ns", "1"]
    asked += ["--max-new-tokens", 4, "--max-depth", 2, "--lean-workers", 1]
    how = ["--project", project.folder, "--repl", repl, "--replay", "lean4checker"]
    done = passatn("prove", *asked, *how)
    assert done.code == 0, done.err
    [found] = Results.load(tmp_path / "found" / "results.json").problems
    assert found.num_correct
    assert "trivial" in (tmp_path / "found" / "proofs" / "yes.lean").read_text()
    assert "exe lean4checker PassatnProof" in (tmp_path / "calls").read_text()
    refused = passatn("prove", *asked, *how[:-2])
    assert refused.code == 1
    assert "replay" in refused.err
    assert "--replay belongs to --project" in passatn("prove", *asked, *how[-2:]).err


def test_the_embedded_lean_rules_over_many_proofs_and_takes_the_whole_file() -> None:
    require_lean()
    goal = Goal("theorem t (n : Nat) (p : Prop) (h : p) : double 1 = 2 ∧ p", "def double (n : Nat) : Nat := n + n")
    check = embedded_checks()
    good = ("constructor", "rfl", "first\n  | rfl\n  | assumption")
    rulings = check(goal, [good, ("constructor", "rfl"), ("exact ⟨sorry, h⟩",)])
    assert [ruling.ruling for ruling in rulings] == [Ruling.PROVED, Ruling.FAILED, Ruling.REFUSED]
    assert not [message for message in check_file(whole_file(goal, good)) if message.is_error]
    assert [ruling.ruling for ruling in check(Goal("theorem t : Odd 3"), [("rfl",)])] == [Ruling.ERROR]
