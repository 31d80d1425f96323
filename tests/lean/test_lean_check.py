"""Honest proofs are accepted, attacks earn nothing: with the refusal of words, and without."""

import time

import pytest
from lean_proofs import ATTACKS, COMMANDS_AFTER, FALSE, HONEST, require_lean

from passatn.lean import (
    ALLOWED_AXIOMS,
    Goal,
    GoalError,
    LeanError,
    LeanMemoryError,
    LeanTimeoutError,
    Ruling,
    check_file,
    check_proof,
)
from passatn.lean import check as module
from passatn.lean.check import complaint_about
from passatn.lean.process import LeanRun, Message
from passatn.lean.syntax import proof_body, theorem_name, why_refused

HANGS = "repeat (have : 1 = 1 := rfl)"


@pytest.fixture(autouse=True, scope="module")
def _lean() -> None:
    require_lean()


@pytest.mark.parametrize(("statement", "proof"), HONEST)
def test_honest_proofs_are_accepted(statement: str, proof: str) -> None:
    check = check_proof(Goal(statement), proof)
    assert check.is_proved, check.detail
    assert set(check.axioms) <= ALLOWED_AXIOMS


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_earn_nothing(attack: str) -> None:
    statement, proof = ATTACKS[attack]
    check = check_proof(Goal(statement), proof)
    assert check.ruling in (Ruling.REFUSED, Ruling.FAILED)
    assert check.detail


@pytest.mark.slow
@pytest.mark.parametrize("attack", [name for name, (_, proof) in ATTACKS.items() if why_refused(proof_body(proof))])
def test_attacks_earn_nothing_where_all_words_are_allowed(attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second line of defence: what Lean has compiled."""
    monkeypatch.setattr(module, "why_refused", lambda body: "")
    statement, proof = ATTACKS[attack]
    assert not check_proof(Goal(statement), proof).is_proved


@pytest.mark.parametrize("command", COMMANDS_AFTER)
def test_a_command_after_the_proof_is_refused_by_its_word_alone(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lean accepts each of them, so that without the word it would count."""
    goal, proof = Goal("theorem t : True"), COMMANDS_AFTER[command]
    assert check_proof(goal, proof).ruling is Ruling.REFUSED
    monkeypatch.setattr(module, "why_refused", lambda body: "")
    assert check_proof(goal, proof).is_proved


COMMENTED = (
    "-- by the previous lemma, 2nd case\nby /- open /- set -/ -/ cases n with -- where\n| zero => rfl -- the end\n"
    "| succ => /-\n axiom -/ rfl"
)


def test_comments_are_no_offence_and_what_is_compiled_has_none() -> None:
    check = check_proof(Goal("theorem t (n : Nat) : n = n"), COMMENTED)
    assert check.is_proved, check.detail
    assert check.text.endswith("cases n with\n  | zero => rfl\n  | succ =>\n            rfl\n")


@pytest.mark.parametrize(
    ("run", "complaint"),
    [
        (LeanRun(0, (), "", b"olean"), ""),
        (LeanRun(0, (), "warning: 1", b"olean"), ""),
        (LeanRun(0, (), "PANIC at f M:1:2: no", b"olean"), "Lean ended with exit code 0: PANIC at f M:1:2: no"),
        (LeanRun(1, (), "", b"olean"), "Lean ended with exit code 1: it wrote nothing"),
        (LeanRun(0, (), "", None), "Lean ended with exit code 0: it wrote nothing"),
        (LeanRun(0, (Message("error", "no", 3, 0),), "", b"olean"), "no"),
        (LeanRun(0, (Message("warning", "no", 3, 0),), "", b"olean"), ""),
    ],
)
def test_what_is_no_success(run: LeanRun, complaint: str) -> None:
    assert complaint_about(run, first_line=2) == complaint


SECOND_LINE = {
    "another declaration": ("theorem t : 1 = 1", "rfl\ntheorem u : True := True.intro", "declares 'u'"),
    "a definition beside": ("theorem t : 1 = 1", "rfl\ndef n : Nat := 0", "declares 'n'"),
    "an axiom": (FALSE, "exact t.bad\naxiom t.bad : False", "Invalid field"),
    "an axiom beside": ("theorem t : 1 = 1", "rfl\naxiom t.bad : False", "declares 't.bad'"),
    "sorry": (FALSE, "sorry", "uses sorry"),
    "a macro": ("theorem t : 1 = 1", 'rfl\nsyntax "foo" : tactic', "declares"),
}


@pytest.mark.parametrize("name", SECOND_LINE)
def test_the_compiled_file_tells(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "why_refused", lambda body: "")
    statement, proof, reason = SECOND_LINE[name]
    check = check_proof(Goal(statement), proof)
    assert not check.is_proved
    assert reason in check.detail


def test_a_proof_of_another_statement_is_told_from_the_compiled_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of the file says `1 = 1`, that of the reference `1 = 2`."""
    monkeypatch.setattr(module, "why_refused", lambda body: "")
    run = module._run

    def swap(text: str, *rest: object) -> object:
        return run(text if "sorry" in text else text.replace("1 = 2", "1 = 1"), *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_run", swap)
    check = check_proof(Goal("theorem t : 1 = 2"), "rfl")
    assert check.ruling is Ruling.REFUSED
    assert "another statement" in check.detail


def test_an_axiom_of_the_header_is_found_in_the_end() -> None:
    header = "axiom magic : ∀ p : Prop, p\ntheorem helper (n : Nat) : n = n + 1 := magic _"
    check = check_proof(Goal("theorem t : 1 = 2", header), "exact helper 1")
    assert check.ruling is Ruling.REFUSED
    assert "'magic'" in check.detail


@pytest.mark.parametrize(
    ("goal", "proof"),
    [
        (Goal("theorem Foo.t (n : Nat) : n = n"), "rfl"),
        (Goal("theorem t : double 2 = 4", "def double (n : Nat) : Nat := n + n"), "simp [double]"),
        (Goal("theorem t : double 2 = 4", "def double (n : Nat) : Nat := n + n"), "unfold double\nrfl"),
        (Goal("theorem t : x 1 = 2", "namespace A\ndef x : Nat → Nat\n  | 0 => 1\n  | n + 1 => n + 2"), "rw [x]"),
        (Goal("theorem t (h : p) : p", "variable {p : Prop} (q : Prop)"), "exact h"),
        (
            Goal("theorem t : ∀ n, even n ∨ ¬even n", "def even (n : Nat) : Prop := ∃ k, n = 2 * k"),
            "exact fun _ => Classical.em _",
        ),
        (Goal("theorem «a name» : 1 = 1"), "rfl"),
        (Goal("theorem t.{u} (α : Type u) (a : α) : a = a"), "rfl"),
        (
            Goal("theorem t : 2 + 2 = 4"),
            "have h : ∀ n : Nat, n + 2 = Nat.succ (n + 1) := fun n => by\n  cases n <;> rfl\nexact h 2",
        ),
        (Goal("theorem t (n : Nat) : n + 0 = n"), "match n with\n| 0 => rfl\n| k + 1 => rfl"),
        (Goal("theorem t (l : List Nat) : (l.map id).length = l.length"), "simp [List.map]"),
    ],
)
def test_auxiliary_declarations_and_headers_are_no_offence(goal: Goal, proof: str) -> None:
    check = check_proof(goal, proof)
    assert check.is_proved, check.detail


@pytest.mark.parametrize("form", ["{}", "by\n  {}", ":= by {}", "  by {}\n\n", "\n  {}\n", " := by\r\n  {}\r\n"])
def test_a_leading_by_is_accepted(form: str) -> None:
    assert check_proof(Goal("theorem t (n : Nat) : n = n"), form.format("rfl")).is_proved


def test_the_line_of_an_error_is_that_of_the_proof() -> None:
    goal = Goal("theorem t : 1 = 1 ∧ 1 = 2", "-- a comment\ndef x := 1")
    assert check_proof(goal, "constructor\n· rfl\n· rfl").detail.startswith("line 3: ")
    assert "unsolved goals" in check_proof(goal, "constructor\n· rfl").detail


@pytest.mark.parametrize(
    "goal",
    [
        Goal("theorem t : foo"),
        Goal("theorem t : 1 = 1 := rfl"),
        Goal("theorem t : 1 = 1 := by"),
        Goal("lemma t : 1 = 1"),
        Goal("theorem t : 1 = 1", "def n : Nat := foo"),
        Goal("theorem t : 1 = 1", "theorem t : True := sorry"),
        Goal("theorem t : 1 = 1\ntheorem u : 1 = 1"),
        Goal(""),
    ],
)
def test_a_problem_at_fault_is_not_blamed_on_the_proof(goal: Goal) -> None:
    with pytest.raises(GoalError):
        check_proof(goal, "rfl")


def test_limits_hold() -> None:
    goal = Goal("theorem t (n : Nat) : n = n")
    assert check_proof(goal, "rfl", timeout_seconds=20).is_proved
    started = time.monotonic()
    with pytest.raises(LeanTimeoutError):
        check_proof(goal, HANGS, timeout_seconds=1)
    assert time.monotonic() - started < 30
    with pytest.raises(LeanMemoryError, match="130 MiB"):
        check_proof(goal, HANGS, timeout_seconds=60, memory_mb=130)


def test_limits_hold_where_a_sandbox_has_no_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("passatn.lean.process.os.pidfd_open", missing)
    assert check_proof(Goal("theorem t (n : Nat) : n = n"), "exact rfl").is_proved
    with pytest.raises(LeanTimeoutError):
        check_proof(Goal("theorem t (n : Nat) : n = n"), HANGS, timeout_seconds=1)


def test_a_problem_at_fault_is_at_fault_for_every_proof() -> None:
    with pytest.raises(GoalError):
        check_proof(Goal("theorem t : foo"), "sorry")


def test_a_check_can_be_cancelled() -> None:
    started = time.monotonic()
    with pytest.raises(LeanError, match="cancelled"):
        check_proof(Goal("theorem t (n : Nat) : n = n"), HANGS, cancelled=lambda: time.monotonic() > started + 1)
    assert time.monotonic() - started < 30


def test_messages_of_a_file() -> None:
    assert check_file("theorem t : 1 = 1 := by rfl\n") == ()
    messages = check_file("theorem t : 1 = 1 := by\n  sorry\n#print axioms t\n")
    assert [(message.severity, message.line) for message in messages] == [("warning", 1), ("information", 3)]
    assert "sorryAx" in messages[1].text


def test_axioms_are_those_that_lean_prints() -> None:
    for proof in ("exact Classical.byContradiction fun h => h rfl", "simp", "rfl"):
        check = check_proof(Goal("theorem t : 1 = 1"), proof)
        printed = check_file(f"theorem t : 1 = 1 := by\n  {proof}\n#print axioms t\n")[-1].text
        assert all(axiom in printed for axiom in check.axioms)
        assert bool(check.axioms) == ("depends on axioms" in printed)


@pytest.mark.parametrize("statement", ["theorem t : let x := 1; x = 1", "theorem t : (let x := 1; x) = 1"])
def test_a_statement_may_define_inside_of_itself(statement: str) -> None:
    assert check_proof(Goal(statement), "rfl").is_proved
    assert theorem_name("theorem t (n : Nat := 0) (h : n = n := by rfl) : n = n") == "t"


def test_a_statement_ends_before_its_proof() -> None:
    for statement in (
        "theorem t : 1 = 1 := by simp [h]",
        "theorem t (h : 1 = 1 := by rfl) : 1 = 1 :=",
        "theorem t := 1",
    ):
        with pytest.raises(GoalError, match="must end before ':='"):
            check_proof(Goal(statement), "rfl")
