"""Tracing of Lean files: real Lean from the first command to steps that a model is trained on."""

import json
import os
import sys
import time

import pytest
from lean_proofs import require_lean

from passatn.lean import Goal, LeanPool, LeanUnavailableError, ProofState, check_proof
from passatn.lean.client import ReplClient
from passatn.lean.repl import embedded_repl
from passatn.prove.project import FileSession, trace_file
from passatn.prove.trace_files import TraceLimits, lean_files, trace_files
from passatn.tasks import ProblemError, load_problems

SUMS = """/- Copyright -/
prelude
import PassatnInit

/-- Twice. -/
def twice (n : Nat) : Nat := n + n

namespace Sums
section
variable (a b c : Nat)

/-- Swap, `:= by` nothing. -/
@[simp]
theorem swap : a + b = b + a := by
  -- the only step
  rw [Nat.add_comm]

protected theorem by_term : a = a := rfl

theorem of_swap (p q : Prop) : p ∧ q → q ∧ p := by
  intro h
  constructor
  · exact h.2
  · cases h with
    | intro hp hq =>
      exact hp
end

namespace Inner
theorem deep : twice 2 = 4 := by rfl
end Inner

open Inner in
theorem uses_what_was_before (d : Nat) : twice 2 = 4 ∧ d + 1 = 1 + d := by
  constructor
  exact deep
  exact swap d 1

theorem wrong : 1 = 2 := by
  rfl
theorem lazy : 1 = 2 := by
  sorry
theorem by_equations : ∀ n : Nat, n = n
  | 0 => rfl
  | _ + 1 => rfl
end Sums

theorem last (h : 1 = 2) : False := by nomatch h
"""
STEPS = {"Sums.swap": 1, "Sums.of_swap": 4, "Sums.Inner.deep": 1, "Sums.uses_what_was_before": 3, "last": 1}
REASONS = {"by a term": 1, "not accepted by Lean": 1, "with sorry": 1, "by equations": 1}


@pytest.fixture
def lean():
    require_lean()
    with FileSession(embedded_repl(), timeout_seconds=5) as session:
        yield session


def traced(lean, text):
    return trace_file(lean, text.replace("prelude\nimport PassatnInit\n", ""), "Sums.lean")


def test_the_steps_of_a_file(lean):
    found = traced(lean, SUMS)
    sizes = {}
    for step in found.steps:
        sizes[step.metadata["group_id"]] = step.metadata["num_steps"]
    assert sizes == STEPS
    assert len(found.steps) == sum(STEPS.values())
    by_id = {step.id: step for step in found.steps}
    swap = by_id["Sums.swap#1"]
    assert (swap.prompt, swap.answers) == ("a b : Nat\n⊢ a + b = b + a", ("rw [Nat.add_comm]",))
    assert swap.metadata["file_path"] == "Sums.lean"
    assert by_id["Sums.of_swap#4"].answers == ("· cases h with\n  | intro hp hq =>\n    exact hp",)
    assert by_id["Sums.of_swap#4"].prompt == "case right\np q : Prop\nh : p ∧ q\n⊢ p"
    assert {item.name: item.reason for item in found.left_out} == {
        "Sums.by_term": "by a term",
        "Sums.wrong": "not accepted by Lean",
        "Sums.lazy": "with sorry",
        "Sums.by_equations": "by equations",
    }
    assert (found.num_theorems, len(found.left_out), found.errors) == (9, 4, [])


def test_the_steps_are_a_proof(lean):
    """Joined, the tactics are what the independent checker accepts."""
    text = "theorem t (p q : Prop) : p ∧ q → q ∧ p := by intro h; exact ⟨h.2,\n  h.1⟩\n"
    steps = traced(lean, text).steps
    proof = "\n".join(step.answers[0] for step in steps)
    assert [step.metadata["step"] for step in steps] == [1, 2]
    assert check_proof(Goal("theorem t (p q : Prop) : p ∧ q → q ∧ p"), proof).is_proved


def test_the_pool_and_the_session_show_the_same_states(lean):
    goal = Goal("theorem t (p q : Prop) (h : p ∧ q) : q ∧ p")
    with LeanPool(num_workers=1) as pool:
        for first, again in ((lean.start(goal), pool.start(goal)),):
            assert first == again
            assert lean.apply(first, "constructor") == pool.apply(again, "constructor")


def test_why_a_proof_is_left_out(lean):
    text = (
        "theorem a : True ∧ True := by\n  constructor\n  trivial\n  set_option maxRecDepth 100 in trivial\n"
        "theorem b (n : Nat) : m = n := by\n  rfl\n"
        "theorem c : True := by\n  -- nothing\n"
        "theorem d : True := by trivial\n"
    )
    found = traced(lean, text)
    assert [step.id for step in found.steps] == ["d#1"]
    reasons = {item.name: (item.reason, item.detail) for item in found.left_out}
    assert reasons["a"] == ("with what proof search refuses", "'set_option' is a command")
    assert reasons["b"][0] == reasons["c"][0] == "not accepted by Lean"


def test_errors_elsewhere_are_said(lean):
    found = traced(lean, "#check y\ntheorem t : True := by trivial\n")
    assert [step.id for step in found.steps] == ["t#1"]
    assert found.errors == ["Unknown identifier `y`"]


def test_a_step_that_hangs_costs_one_theorem(lean):
    """The process is replaced, and told what the file has said so far."""
    lean.timeout_seconds, lean.command_timeout_seconds = 0.5, 20.0
    text = "def one := 1\ntheorem after : one = 1 := by\n  unfold one\n  rfl\n"
    started = time.monotonic()
    lean.elaborate("def zero := 0")
    state = lean.start(Goal("theorem t : zero = 0"))
    failure = lean.apply(state, "repeat (have : 1 = 1 := rfl)")
    assert not isinstance(failure, ProofState)
    assert failure.kind == "timeout"
    again = lean.start(Goal("theorem t : zero = 0"))
    assert again == state, "the definition is known to the new process"
    assert time.monotonic() - started < 10
    found = traced(lean, text)
    assert [step.metadata["group_id"] for step in found.steps][-2:] == ["after", "after"]


def test_a_command_that_ends_the_process_ends_the_file(tmp_path):
    """A REPL that dies over a command: what follows cannot be started, what came before stays."""
    require_lean()
    proxy = tmp_path / "proxy.py"
    proxy.write_text(
        "import subprocess, sys\n"
        "lean = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)\n"
        "for line in sys.stdin.buffer:\n"
        "    if b'def fatal' in line:\n        lean.kill()\n        sys.exit(7)\n"
        "    lean.stdin.write(line)\n    lean.stdin.flush()\n"
    )

    def start_proxy():
        return ReplClient([sys.executable, str(proxy), sys.executable, "-m", "passatn.lean"])

    a, *others = [f"theorem {name} : True := by trivial\n" for name in "abc"]
    text = "".join([a, "theorem t : True := h\n", "def fatal := 1\n", *others])
    with FileSession(start_proxy) as session:
        found = trace_file(session, text, "A.lean")
    assert [step.id for step in found.steps] == ["a#1"]
    assert [(item.name, item.reason) for item in found.left_out] == [
        ("t", "by a term"),
        ("b", "not reached"),
        ("c", "not reached"),
    ]
    assert found.left_out[-1].detail == "Lean's REPL ended with exit code 7"


# ---- files ----


@pytest.fixture
def project(tmp_path):
    """A Lake project whose lake and REPL are stand-ins: the embedded Lean's loop in the place of the community's."""
    require_lean()
    folder = tmp_path / "project"
    for name, text in {
        "lakefile.toml": "",
        "Sums.lean": SUMS.replace("prelude\nimport PassatnInit\n", ""),
        "Deep/Swap.lean": "theorem last : True := by\n  trivial\n",
        ".lake/packages/dep/Dep.lean": "theorem dep : True := by trivial",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    lake = tmp_path / "bin" / "lake"
    lake.parent.mkdir()
    lake.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    repl = tmp_path / "repl"
    repl.write_text(f"#!/bin/sh\nexec {sys.executable} -m passatn.lean\n")
    for path in (lake, repl):
        os.chmod(path, 0o755)
    return folder


def test_a_project_becomes_a_file_to_train_on(passatn, project, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    output = tmp_path / "tactics.jsonl"
    done = passatn("trace", "--project", project, "--repl", tmp_path / "repl", "--output", output)
    assert done.code == 0, done.err
    assert "6 of 10 theorems in 2 files give 11 steps; left out: " in done.err
    problems = load_problems(output)
    assert len(problems) == 11
    assert list(load_problems(output, preset="tactics")) == list(problems)
    lines = (project / "Sums.lean").read_text().splitlines()
    second = f"last (Sums.lean:{1 + lines.index(SUMS.splitlines()[-1])})"
    assert {problem.metadata["group_id"] for problem in problems} == {*STEPS, second}, "two theorems are called last"
    assert {problem.metadata["file_path"] for problem in problems} == {"Sums.lean", "Deep/Swap.lean"}
    account = json.loads((tmp_path / "tactics.jsonl.account.json").read_text())
    assert account["reasons"] == REASONS
    by_term = 1 + lines.index("protected theorem by_term : a = a := rfl")
    assert account["left_out"][0] == f"Sums.lean:{by_term}: Sums.by_term: by a term"
    assert not output.with_name("tactics.jsonl.parts").exists()
    again = passatn("trace", "--project", project, "--output", output)
    assert again.error == f"{output} exists: choose another --output, or --overwrite"


def test_files_for_the_embedded_lean(passatn, tmp_path):
    require_lean()
    (tmp_path / "Sums.lean").write_text(SUMS)
    (tmp_path / "Big.lean").write_text("import Mathlib\n\ntheorem t : True := by trivial\n")
    output = tmp_path / "t.jsonl"
    done = passatn("trace", tmp_path / "Sums.lean", tmp_path / "Big.lean", "--output", output)
    assert done.code == 0, done.err
    assert "5 of 10 theorems in 2 files give 10 steps" in done.err
    account = json.loads((tmp_path / "t.jsonl.account.json").read_text())
    assert account["left_out"][-1].endswith(
        "Big.lean:3: t: not reached: imports Mathlib, which is not in the embedded Lean: give its --project"
    )
    lines = {problem.metadata["line"] for problem in load_problems(output)}
    assert SUMS.splitlines()[min(lines) - 1] == "theorem swap : a + b = b + a := by"
    nothing = passatn("trace", tmp_path / "Big.lean", "--output", tmp_path / "no.jsonl")
    assert nothing.error.startswith("no theorem gave steps; 0 of 1 theorems in 1 files give 0 steps")
    assert not list(tmp_path.glob("no.jsonl*"))


def test_a_killed_call_goes_on_and_a_changed_file_is_traced_anew(tmp_path):
    require_lean()
    files = [tmp_path / f"{name}.lean" for name in "abc"]
    for file in files:
        file.write_text(f"theorem {file.stem} : True := by\n  trivial\n")
    start, starts = embedded_repl(), []

    def start_or_die():
        if len(starts) == 2:
            raise KeyboardInterrupt
        starts.append(None)
        return start()

    output = tmp_path / "t.jsonl"
    with pytest.raises(KeyboardInterrupt):
        trace_files(files, output, start_or_die)
    assert not output.exists()
    files[0].write_text("theorem a : True := by\n  exact trivial\n")
    starts.clear()
    account = trace_files(files, output, lambda: (starts.append(None), start())[1])
    assert len(starts) == 2, "b was done; a has changed, and c is new"
    assert (account.num_traced, account.num_theorems) == (3, 3)
    assert [problem.answers[0] for problem in load_problems(output)] == ["exact trivial", "trivial", "trivial"]


def test_what_cannot_be_read(passatn, tmp_path):
    output = tmp_path / "t.jsonl"
    assert passatn("trace", tmp_path / "A.lean", "--output", output).error.endswith("A.lean: no such file or folder")
    assert passatn("trace", tmp_path, "--output", output).error == f"no Lean file in {tmp_path}"
    assert passatn("trace", "--output", output).error == "give Lean files, or a --project"
    (tmp_path / "A.lean").write_bytes(b"\xff")
    assert "not UTF-8" in passatn("trace", tmp_path, "--output", output).error
    assert "is no Lean project" in passatn("trace", "--project", tmp_path, "--output", output).error
    repl = passatn("trace", tmp_path, "--repl", "x", "--output", output)
    assert repl.error == "--repl belongs to a --project"


def test_no_lean_is_said_once(tmp_path):
    (tmp_path / "A.lean").write_text("theorem t : True := by trivial")

    def start():
        return ReplClient([str(tmp_path / "none")])

    with pytest.raises(LeanUnavailableError, match="could not be started"):
        trace_files([tmp_path / "A.lean"], tmp_path / "t.jsonl", start, limits=TraceLimits(1, 1))


def test_which_files(project):
    assert [path.name for path in lean_files([project])] == ["Swap.lean", "Sums.lean"]
    with pytest.raises(ProblemError, match="no such file"):
        lean_files([project / "none"])
