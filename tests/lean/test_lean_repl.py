"""The REPL's protocol: over the embedded Lean, over a program in the community's manner, and in a Lean project."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from lean_proofs import require_lean

from passatn.lean import LeanError, LeanTimeoutError, LeanUnavailableError
from passatn.lean.client import CommandReply, OpenState, ReplClient
from passatn.lean.repl import embedded_repl, project_repl

FAKE = Path(__file__).with_name("fake_repl.py")


@pytest.fixture
def repl() -> Iterator[ReplClient]:
    require_lean()
    with embedded_repl()() as client:
        yield client


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[ReplClient]:
    with ReplClient([sys.executable, str(FAKE), str(tmp_path / "requests")]) as client:
        yield client


def test_commands_environments_and_states(repl: ReplClient) -> None:
    first = repl.command("def two := 2\ntheorem t : two = 2 := by\n  sorry")
    assert first.messages == (("warning", "declaration uses `sorry`"),)
    assert first.states == (OpenState(0, ("⊢ two = 2",)),)
    assert repl.command("theorem u : two = 2 := rfl", first.environment).errors == ()
    assert repl.command("theorem u : two = 2 := rfl").errors != ()
    assert "already been declared" in repl.command("theorem t : True := trivial", first.environment).errors[0]
    assert repl.command("#print axioms t", first.environment).messages == (
        ("info", "'t' depends on axioms: [sorryAx]"),
    )


def test_several_sorries_are_several_states(repl: ReplClient) -> None:
    reply = repl.command("theorem t (p q : Prop) : p → q := by\n  intro h\n  have k : p := by sorry\n  sorry")
    assert [state.goals[0].splitlines()[-1] for state in reply.states] == ["⊢ p", "⊢ q"]
    assert isinstance(repl.tactic("exact h", reply.states[0].id), OpenState)
    assert isinstance(repl.tactic("exact h", reply.states[1].id), str)


def test_any_number_of_tactics_on_the_same_state(repl: ReplClient) -> None:
    state = repl.command("theorem t (n : Nat) : 0 + n = n := by sorry").states[0]
    done = [repl.tactic(tactic, state.id) for tactic in ("simp", "exact Nat.zero_add n", "rw [Nat.zero_add]")]
    assert [step.goals for step in done if isinstance(step, OpenState)] == [(), (), ()]
    split = repl.tactic("cases n", state.id)
    assert isinstance(split, OpenState)
    assert len(split.goals) == 2
    assert repl.tactic("exact foo", state.id) == "Unknown identifier `foo`"


def test_errors_that_are_logged_and_not_thrown(repl: ReplClient) -> None:
    state = repl.command("theorem t (n : Nat) : n = n := by sorry").states[0]
    step = repl.tactic("induction n with\n| zero => skip\n| succ n ih => rfl", state.id)
    assert isinstance(step, str)
    assert step.startswith("unsolved goals")
    assert isinstance(repl.tactic("rfl", state.id), OpenState)


def test_syntax_errors(repl: ReplClient) -> None:
    assert "expected" in repl.command("theorem t : ").errors[0]
    state = repl.command("theorem t : 1 = 1 := by sorry").states[0]
    assert repl.tactic("rfl rfl", state.id) == "<tactic>:1:4: expected end of input"


@pytest.mark.parametrize(
    "text", ["import Mathlib", "def two := 2\nimport Mathlib\ndef three := 3", "#exit", "def two := 2\n#exit\nfoo"]
)
def test_text_that_would_not_be_read_is_an_error(repl: ReplClient, text: str) -> None:
    reply = repl.command(text)
    assert len(reply.errors) == 1
    assert "nothing from here on is read: 'import' and '#exit'" in reply.errors[0]
    assert repl.command("def two := 2\n\n-- the end\n").messages == ()


def test_unknown_numbers_and_requests(repl: ReplClient) -> None:
    assert repl.tactic("rfl", 17) == "Unknown proof state."
    with pytest.raises(LeanError, match="Unknown environment"):
        repl.command("def x := 1", 17)


def test_each_tactic_has_the_heartbeats_of_its_own(repl: ReplClient) -> None:
    environment = repl.command("set_option maxHeartbeats 50").environment
    state = repl.command("theorem t (a b : Nat) (h : a = b) : b + 0 = a := by sorry", environment).states[0]
    for _ in range(200):
        assert isinstance(repl.tactic("simp [h]", state.id), OpenState)
    too_long = repl.tactic("repeat (have : 1 = 1 := rfl)", state.id)
    assert isinstance(too_long, str)
    assert "maximum number of heartbeats (50)" in too_long
    assert "missing context" not in too_long


def test_a_time_limit(repl: ReplClient) -> None:
    state = repl.command("theorem t : 1 = 1 := by sorry").states[0]
    started = time.monotonic()
    with pytest.raises(LeanTimeoutError):
        repl.tactic("repeat (have : 1 = 1 := rfl)", state.id, timeout_seconds=0.5)
    assert time.monotonic() - started < 30


def test_the_protocol_in_a_terminal() -> None:
    require_lean()
    requests = '{"cmd": "theorem t : 1 = 1 := by sorry"}\n\n{"tactic": "rfl", "proofState": 0}\n\nrubbish\n\n'
    command = [sys.executable, "-m", "passatn.lean"]
    done = subprocess.run(command, input=requests, capture_output=True, text=True, timeout=60, check=False)
    replies = [json.loads(part) for part in done.stdout.split("\n\n")[:3]]
    assert replies[0]["sorries"] == [{"proofState": 0, "goal": "⊢ 1 = 1"}]
    assert replies[1] == {"proofState": 1, "goals": []}
    assert "Could not parse JSON" in replies[2]["message"]
    assert done.stderr == ""


def test_the_community_s_replies(fake: ReplClient) -> None:
    assert fake.command("theorem t : P := by sorry") == CommandReply(
        (OpenState(0, ("⊢ P",)),), (("warning", "declaration uses 'sorry'"),), 1
    )
    assert fake.command("error").errors == ("an error",)
    assert fake.tactic("skip", 0) == OpenState(2, ("⊢ P",))
    assert fake.tactic("foo", 0) == "unknown tactic foo"
    assert fake.tactic("messages", 0) == "by message"
    with pytest.raises(LeanError, match="exit code 3"):
        fake.tactic("crash", 0)


def test_a_program_that_is_no_repl() -> None:
    client = ReplClient([sys.executable, "-c", "print('hello\\n', flush=True); input()"])
    with client, pytest.raises(LeanError, match="not a reply: hello"):
        client.command("x")


def test_a_project_s_repl_is_started_by_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, binaries = tmp_path / "project", tmp_path / "bin"
    project.mkdir()
    with pytest.raises(LeanUnavailableError, match="no Lean project"):
        project_repl(project, "repl")
    (project / "lakefile.toml").touch()
    monkeypatch.setenv("PATH", str(binaries))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(LeanUnavailableError, match="elan"):
        project_repl(project, "repl")
    lake = executable(
        binaries / "lake", f'test "$1" = env || exit 9\npwd > {tmp_path}/where\nexec "$2" {tmp_path}/requests\n'
    )
    repl = executable(binaries / "repl", f'exec {sys.executable} {FAKE} "$1"\n')
    with project_repl(project, repl)() as client:
        assert client.tactic("skip", 0) == OpenState(0, ("⊢ P",))
    assert (tmp_path / "where").read_text().strip() == str(project)

    monkeypatch.setitem(sys.modules, "lean_interact", None)
    with pytest.raises(LeanUnavailableError, match=r"passatn\[lean\]"):
        project_repl(project)
    config = SimpleNamespace(lake_path=lake, lake_command="env", lake_env_repl_path=repl)
    interact = ModuleType("lean_interact")
    interact.LocalProject = lambda directory: directory  # type: ignore[attr-defined]
    interact.LeanREPLConfig = lambda project: config  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lean_interact", interact)
    with project_repl(project)() as client:
        assert client.tactic("skip", 0) == OpenState(0, ("⊢ P",))


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}")
    os.chmod(path, 0o755)
    return path
