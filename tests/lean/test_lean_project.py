"""Whole proofs in a Lean project: a stand-in for Lake runs the real Lean, that for lean4checker is a script."""

import time
from pathlib import Path

import pytest
from lake_project import executable, standin_project
from lean_proofs import ATTACKS, HONEST

from passatn.experiments import doctor
from passatn.lean import (
    Goal,
    GoalError,
    LeanError,
    LeanMemoryError,
    LeanProject,
    LeanTimeoutError,
    LeanUnavailableError,
    Ruling,
    check_in_project,
    lean_project,
    project,
)
from passatn.lean import olean as olean_module
from passatn.lean.lake import MATHLIB_STEPS, PROJECT_STEPS
from passatn.lean.prelude import HEADER
from passatn.lean.syntax import proof_body, why_refused
from passatn.tasks import Problem
from passatn.verify.lean import LeanVerifier
from passatn.verify.verdict import Outcome, Submission

IMPORT = HEADER.strip()
HANGS = "repeat (have : 1 = 1 := rfl)"


@pytest.fixture
def lean(tmp_path: Path) -> LeanProject:
    return standin_project(tmp_path)


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the project's Lean wrote files of another format."""
    monkeypatch.setattr(olean_module, "_FORMAT_VERSION", 99)


def goal(statement: str, header: str = "") -> Goal:
    return Goal(statement, f"{IMPORT}\n{header}")


@pytest.mark.parametrize(("statement", "proof"), HONEST[::8])
def test_honest_proofs(lean: LeanProject, statement: str, proof: str) -> None:
    check = check_in_project(lean, goal(statement), proof)
    assert check.is_proved, check.detail


def test_where_lake_runs_and_what_it_is_asked(lean: LeanProject, tmp_path: Path) -> None:
    theorem = goal("theorem t (n : Nat) : n = n")
    assert check_in_project(lean, theorem, "rfl").is_proved
    assert check_in_project(lean, theorem, "exact rfl").is_proved
    assert (tmp_path / "where").read_text().strip() == str(tmp_path / "project")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 3, "one reference, two proofs"
    assert all(call.startswith("env lean --json ") and call.endswith("/PassatnProof.lean") for call in calls)


@pytest.mark.slow
@pytest.mark.parametrize("readable", [True, False])
def test_attacks_earn_nothing(lean: LeanProject, readable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not readable:
        monkeypatch.setattr(olean_module, "_FORMAT_VERSION", 99)
    for statement, proof in ATTACKS.values():
        check = check_in_project(lean, goal(statement), proof)
        assert check.ruling in (Ruling.REFUSED, Ruling.FAILED), proof


@pytest.mark.slow
def test_attacks_earn_nothing_where_all_words_are_allowed(lean: LeanProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "why_refused", lambda body: "")
    for statement, proof in ATTACKS.values():
        if why_refused(proof_body(proof)):
            assert not check_in_project(lean, goal(statement), proof).is_proved, proof


SECOND_LINE = {
    "sorry": ("theorem t : False", "sorry", "uses sorry"),
    "an axiom of the header": ("theorem t : 1 = 2", "exact magic _", "'magic'"),
    "another theorem": ("theorem t : 1 = 1", "rfl\ntheorem u : 1 = 1 := rfl", "declares 'u'"),
    "a lying message": (
        "theorem t : 1 = 1",
        'rfl\n#print axioms t\nmacro "#print" "axioms" "t" : command => `(#check 1)',
        "",
    ),
    "an end that swallows the rest": ("theorem t : 1 = 1", "rfl\n#exit", "does not say"),
    "a comment that swallows the rest": ("theorem t : 1 = 1", "rfl\n/- and", ""),
}


@pytest.mark.parametrize("name", SECOND_LINE)
def test_behind_the_words(lean: LeanProject, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "why_refused", lambda body: "")
    statement, proof, reason = SECOND_LINE[name]
    check = check_in_project(lean, goal(statement, "axiom magic : ∀ p : Prop, p"), proof)
    assert not check.is_proved
    assert reason in check.detail


@pytest.mark.parametrize("readable", [True, False])
def test_another_statement(lean: LeanProject, readable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of the file says `1 = 1`, that of the reference `1 = 2`."""
    if not readable:
        monkeypatch.setattr(olean_module, "_FORMAT_VERSION", 99)
    text = project.whole_text
    monkeypatch.setattr(
        project,
        "whole_text",
        lambda goal, body, before: text(goal, body, before).replace("1 = 2", f"1 = {2 - (body == 'rfl')}"),
    )
    check = check_in_project(lean, goal("theorem t : 1 = 2"), "rfl")
    assert (check.ruling, check.detail) == (Ruling.REFUSED, "the theorem has another statement")


@pytest.mark.usefixtures("unreadable")
def test_where_compiled_files_cannot_be_read(lean: LeanProject, monkeypatch: pytest.MonkeyPatch) -> None:
    header = "axiom magic : ∀ p : Prop, p\ndef two := 2\nnamespace A"
    theorem = goal("theorem t : two = 2", header)
    assert check_in_project(lean, theorem, "rfl").is_proved
    assert check_in_project(lean, theorem, "exact Classical.byContradiction fun h => h rfl").axioms == (
        *("Classical.choice", "Quot.sound", "propext"),
    )
    assert "'magic'" in check_in_project(lean, theorem, "exact magic _").detail
    assert check_in_project(lean, theorem, "exact foo").detail == "line 1: Unknown identifier `foo`"
    monkeypatch.setattr(project, "why_refused", lambda body: "")
    assert check_in_project(lean, theorem, "sorry").detail == "the proof uses sorry"


def test_a_file_that_cannot_be_read_any_more(lean: LeanProject, monkeypatch: pytest.MonkeyPatch) -> None:
    theorem = goal("theorem t (n : Nat) : n = n")
    assert check_in_project(lean, theorem, "rfl").is_proved
    monkeypatch.setattr(olean_module, "_FORMAT_VERSION", 99)
    assert "cannot be read" in check_in_project(lean, theorem, "rfl").detail


@pytest.mark.parametrize(
    ("statement", "header", "reason"),
    [
        ("theorem t : foo", "", "line 3: type of theorem `t` is not a proposition"),
        ("theorem t : 1 = 1 := by", "", "must end before ':='"),
        ("theorem t : 1 = 1", "def n : Nat := foo", "Unknown identifier `foo`"),
        ("theorem t : 1 = 1", "import Mathlib", "unknown module prefix 'Mathlib'"),
        ("theorem t : 1 = 1", "theorem t : True := trivial\nend Foo", ""),
    ],
)
def test_a_problem_at_fault(lean: LeanProject, statement: str, header: str, reason: str) -> None:
    with pytest.raises(GoalError) as raised:
        check_in_project(lean, goal(statement, header), "rfl")
    assert reason in str(raised.value)


def test_limits_hold(lean: LeanProject) -> None:
    theorem = goal("theorem t (n : Nat) : n = n")
    assert check_in_project(lean, theorem, "rfl").is_proved
    started = time.monotonic()
    with pytest.raises(LeanTimeoutError, match="longer than 1 s"):
        check_in_project(lean, theorem, HANGS, timeout_seconds=1)
    with pytest.raises(LeanMemoryError, match="100 MiB"):
        check_in_project(lean, theorem, HANGS, memory_mb=100)
    with pytest.raises(LeanError, match="cancelled"):
        check_in_project(lean, theorem, HANGS, cancelled=lambda: True)
    assert time.monotonic() - started < 40


def test_a_lake_that_fails(lean: LeanProject, tmp_path: Path) -> None:
    executable(tmp_path / "lake", "#!/bin/sh\necho 'error: no manifest' >&2\nexit 1\n")
    with pytest.raises(GoalError, match="exit code 1: error: no manifest"):
        check_in_project(lean, goal("theorem t : 1 = 1"), "rfl")
    (tmp_path / "lake").unlink()
    with pytest.raises(LeanError, match="could not be started"):
        check_in_project(lean, goal("theorem t : 1 = 1"), "rfl")


@pytest.mark.parametrize("replay", ["lean4checker", "path/to/lean4checker"])
def test_replay(lean: LeanProject, replay: str, tmp_path: Path) -> None:
    checking = LeanProject(lean.folder, lean.lake, replay)
    theorem = goal("theorem t (n : Nat) : n = n")
    with pytest.raises(LeanError, match=r"does not work in .*lake build"):
        check_in_project(checking, theorem, "rfl")
    executable(
        tmp_path / "checker", f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ntest -s "$LEAN_PATH/PassatnProof.olean"\n'
    )
    assert check_in_project(checking, theorem, "rfl").is_proved
    assert (tmp_path / "asked").read_text().split() == [replay, "PassatnProof"]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[-1] == f"{'env' if '/' in replay else 'exe'} {replay} PassatnProof"
    executable(tmp_path / "checker", "#!/bin/sh\necho 'found a problem in PassatnProof'\nexit 1\n")
    check = check_in_project(checking, theorem, "rfl")
    assert check.ruling is Ruling.REFUSED
    assert "found a problem" in check.detail
    assert check_in_project(checking, theorem, "exact foo").ruling is Ruling.FAILED
    executable(tmp_path / "checker", "#!/bin/sh\nsleep 30\n")
    with pytest.raises(LeanTimeoutError):
        check_in_project(checking, theorem, "rfl", timeout_seconds=1)


def test_no_project_and_no_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LeanUnavailableError, match="no Lean project"):
        lean_project(tmp_path)
    (tmp_path / "lakefile.lean").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(LeanUnavailableError, match="elan"):
        lean_project(tmp_path)
    executable(tmp_path / ".elan" / "bin" / "lake", "#!/bin/sh\n")
    assert lean_project(tmp_path).lake == str(tmp_path / ".elan" / "bin" / "lake")


def test_the_verifier(lean: LeanProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata `project` beside problems of the embedded Lean."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def submission(completion: str, folder: object, header: str = IMPORT) -> Submission:
        metadata = {"statement": "theorem t (n : Nat) : n = n", "header": header, "project": folder}
        return Submission(Problem("t", "?", (), None, metadata), completion)

    with LeanVerifier(timeout_seconds=30, num_workers=2) as verifier:
        verdicts = verifier.verify(
            [
                submission("rfl", str(lean.folder)),
                submission("sorry", str(lean.folder)),
                submission("exact foo", None, ""),
                submission("rfl", None, ""),
                submission("rfl", str(tmp_path)),
                submission("rfl", 5),
                submission("cases n\n· rfl\n· exact foo", str(lean.folder)),
            ]
        )
    assert [verdict.outcome.value for verdict in verdicts] == [
        *("correct", "incorrect", "incorrect", "correct", "error", "error", "incorrect"),
    ]
    assert "no Lean project" in verdicts[4].detail
    assert "'project'" in verdicts[5].detail
    assert verdicts[6].detail.startswith("line 3: ")
    assert verdicts[0].outcome is Outcome.CORRECT


def test_the_verifier_replays_where_the_metadata_say_so(
    lean: LeanProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    refuses = "#!/bin/sh\nif test -e $0.asked; then echo 'found a problem'; exit 1; fi\ntouch $0.asked\n"
    executable(tmp_path / "checker", refuses)  # the reference passes, the proof does not

    def submission(**metadata: object) -> Submission:
        facts = {"statement": "theorem t (n : Nat) : n = n", "header": IMPORT, "project": str(lean.folder)}
        return Submission(Problem("t", "?", (), None, facts | metadata), "rfl")

    with LeanVerifier(timeout_seconds=30, num_workers=1) as verifier:
        plain, replayed = verifier.verify([submission(), submission(replay="lean4checker")])
        embedded, wrong = verifier.verify([submission(replay="x", project=None, header=""), submission(replay=5)])
    assert plain.outcome is Outcome.CORRECT
    assert replayed.outcome is Outcome.INCORRECT
    assert "found a problem" in replayed.detail
    assert [one.outcome for one in (embedded, wrong)] == [Outcome.ERROR] * 2
    assert "'replay'" in embedded.detail


def test_what_doctor_says_about_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))

    def line() -> tuple[str, str, str]:
        check = doctor._lean_projects()
        return check.state, check.remedy.rpartition(": ")[2], check.version

    assert line() == ("missing", MATHLIB_STEPS, "")
    executable(tmp_path / ".elan" / "bin" / "elan", "#!/bin/sh\n")
    assert line() == ("missing", f"1. run 'elan default stable'; {PROJECT_STEPS}", "")
    lake = executable(tmp_path / ".elan" / "bin" / "lake", "#!/bin/sh\n")
    assert line() == ("ok", PROJECT_STEPS, str(lake))
    (tmp_path / ".elan" / "bin" / "elan").unlink()
    assert line()[:2] == ("ok", PROJECT_STEPS)
    assert "Lake's Lean must be that of each project" in doctor._lean_projects().remedy
