"""Many proofs in one process: the rulings of `check_proof`, whatever stands beside, and nothing shared."""

import time
from pathlib import Path

import pytest
from lean_proofs import ATTACKS, CLASH, FALSE, HONEST, require_lean

from passatn.lean import (
    Check,
    Goal,
    GoalError,
    LeanError,
    Ruling,
    check,
    check_all,
    check_many,
    check_proof,
    check_proofs,
)
from passatn.lean.client import ReplClient
from passatn.lean.olean import Declaration, read_olean
from passatn.lean.syntax import proof_body, why_refused

HANGS = "repeat (have : 1 = 1 := rfl)"
REFLEXIVE = Goal("theorem t (n : Nat) : n = n")
MIXED = [
    (Goal(statement), proof)
    for pair in zip(HONEST, list(ATTACKS.values()) * 2, strict=False)
    for statement, proof in pair
]


@pytest.fixture(autouse=True, scope="module")
def _lean() -> None:
    require_lean()


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[ReplClient]:
    """The processes that batches start."""
    started: list[ReplClient] = []

    def start(*arguments: object, **options: object) -> ReplClient:
        started.append(ReplClient(*arguments, **options))  # type: ignore[arg-type]
        return started[-1]

    monkeypatch.setattr(check_many, "ReplClient", start)
    return started


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The proofs that batches hand over to `check_proof`."""
    handed: list[str] = []

    def note(goal: Goal, proof: str, **options: object) -> Check:
        handed.append(proof)
        return check_proof(goal, proof, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(check_many, "check_proof", note)
    return handed


def allow_all_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "why_refused", lambda body: "")
    monkeypatch.setattr(check_many, "why_refused", lambda body: "")


def test_honest_proofs_and_attacks_side_by_side(starts: list[ReplClient], alone: list[str]) -> None:
    checks = check_all(MIXED)
    assert [one.is_proved for one in checks] == [pair in HONEST for pair in ((g.statement, p) for g, p in MIXED)]
    assert all(one.detail for one in checks if not one.is_proved)
    assert (len(starts), alone) == (1, [])


@pytest.mark.slow
def test_the_whole_answer_is_that_of_the_proof_alone() -> None:
    for (goal, proof), batched in zip(MIXED, check_all(MIXED), strict=True):
        assert batched == check_proof(goal, proof), proof


@pytest.mark.slow
def test_attacks_earn_nothing_where_all_words_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second line of defence, with attacks before and after honest proofs in the same process."""
    honest = [(Goal(statement), proof) for statement, proof in HONEST[:12]]
    bad = [(Goal(s), p) for s, p in ATTACKS.values() if why_refused(proof_body(p))]
    allow_all_words(monkeypatch)
    checks = check_all([pair for attack in bad for pair in (attack, honest[len(attack[1]) % len(honest)])])
    assert not any(one.is_proved for one in checks[::2])
    assert all(one.is_proved for one in checks[1::2])


LEAKS = {
    "another proof's theorem": ("rfl\ntheorem helper : False := sorry", "exact helper.elim"),
    "the theorem itself": ("sorry", "exact t"),
    "a namespace": ("rfl\nnamespace Foo\ntheorem helper : 1 = 2 := sorry\nend Foo", "exact Foo.helper"),
    "an open namespace": ("rfl\nnamespace Foo\ntheorem helper : 1 = 2 := sorry", "exact Foo.helper"),
    "notation": ('rfl\nlocal notation:50 a " = " b => True', "trivial"),
    "a macro": ('rfl\nmacro "foo" : tactic => `(tactic| sorry)', "foo"),
    "an axiom": ("rfl\naxiom bad : 1 = 2", "exact bad"),
    "an instance": ("rfl\naxiom bad : 1 = 2\ninstance : Decidable (1 = 2) := .isTrue bad", "decide"),
    "a simp lemma": ("rfl\n@[simp] theorem bad : (1 = 2) = True := sorry", "simp"),
    "a local simp lemma": ("rfl\ntheorem bad : 1 = 2 := sorry\nattribute [local simp] bad", "simp"),
    "an option": ("rfl\nset_option debug.skipKernelTC true", "exact (fun (h : 1 = 2) => h) (by decide)"),
    "a variable": ("rfl\nvariable (h : 1 = 2)", "exact h"),
    "a section left open": ("rfl\nsection\nvariable (h : 1 = 2)\ninclude h", "assumption"),
    "a universe": ("rfl\nuniverse u", "exact (fun (_ : Sort u) => by trivial) Prop"),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_nothing_of_one_proof_is_there_for_the_next(leak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once more with all words allowed: refused words are not what keeps proofs apart."""
    first, second = LEAKS[leak]
    batch = [
        (Goal("theorem t : 1 = 1"), first),
        (Goal("theorem t : 1 = 2"), second),
        (Goal("theorem t : 1 = 1"), "rfl"),
    ]
    assert [one.is_proved for one in check_all(batch)] == [False, False, True]
    allow_all_words(monkeypatch)
    checks = check_all(batch)
    assert [one.is_proved for one in checks[1:]] == [False, True]
    assert checks[1] == check_proof(*batch[1])


def test_a_state_is_not_changed_by_what_comes_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two identical proofs, one that redeclares the very names that they use."""
    allow_all_words(monkeypatch)
    goal = Goal("theorem t : two = 2", "def two := 2\n@[simp] theorem two_eq : two = 2 := rfl")
    between = f"rfl\ntheorem other : two = 2 := rfl\nattribute [-simp] two_eq{CLASH}"
    checks = check_proofs(goal, ["simp", between, "simp  -- again", "exact other", "exact two_eq"])
    assert [one.is_proved for one in checks] == [True, False, True, False, True]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "def double (n : Nat) : Nat := n + n",
        "-- only a comment",
        "namespace A\ndef x : Nat := 1\nprivate theorem hidden : x = 1 := rfl",
        "variable {p : Prop} (q : Prop)\nsection",
        "open Nat in",
        "/-- What it says. -/",
        "theorem helper (n : Nat) : n = n + 0 := match n with\n  | 0 => rfl\n  | _ + 1 => rfl",
        "set_option maxHeartbeats 400 in",
    ],
)
def test_headers(header: str, starts: list[ReplClient], alone: list[str]) -> None:
    goal = Goal("theorem t (n : Nat) : n = n", header)
    proofs = ["rfl", "exact foo", "cases n\n· rfl\n· exact\n    foo", "match n with\n| 0 => rfl\n| k + 1 => rfl"]
    checks = check_proofs(goal, proofs)
    assert [one.ruling for one in checks] == [Ruling.PROVED, Ruling.FAILED, Ruling.FAILED, Ruling.PROVED]
    assert checks == [check_proof(goal, proof) for proof in proofs]
    assert (len(starts), alone) == (1, [])


def test_a_header_s_axiom_is_found() -> None:
    goal = Goal("theorem t : 1 = 2", "axiom magic : ∀ p : Prop, p\ntheorem helper (n : Nat) : n = n + 1 := magic _")
    assert "'magic'" in check_proofs(goal, ["exact helper 1"])[0].detail


@pytest.mark.parametrize(
    "goal",
    [
        Goal("theorem t : foo"),
        Goal("theorem t : 1 = 1 := rfl"),
        Goal("lemma t : 1 = 1"),
        Goal("theorem t : 1 = 1", "def n : Nat := foo"),
        Goal("theorem t : 1 = 1", "theorem t : True := sorry"),
        Goal("theorem t : 1 = 1\ntheorem u : 1 = 1"),
    ],
)
def test_a_problem_at_fault(goal: Goal) -> None:
    with pytest.raises(GoalError) as batched:
        check_proofs(goal, ["rfl"])
    with pytest.raises(GoalError) as alone:
        check_proof(goal, "rfl")
    assert str(batched.value) == str(alone.value)
    checks = check_all([(goal, "rfl"), (REFLEXIVE, "rfl"), (goal, "simp")])
    assert [one.ruling for one in checks] == [Ruling.ERROR, Ruling.PROVED, Ruling.ERROR]
    assert checks[0].detail == str(alone.value)


def test_half_a_character_is_refused_and_spoils_nothing_else() -> None:
    half = "rfl\ud835"
    bad = Goal("theorem t : 1 = 1", half)
    checks = check_all([(REFLEXIVE, half), (bad, "rfl"), (REFLEXIVE, "rfl")])
    assert [one.ruling for one in checks] == [Ruling.REFUSED, Ruling.ERROR, Ruling.PROVED]
    assert checks[0] == check_proof(REFLEXIVE, half)
    with pytest.raises(GoalError, match="half a character"):
        check_proof(bad, "rfl")


def test_no_proofs_no_checks() -> None:
    assert check_proofs(REFLEXIVE, []) == []
    assert check_all([]) == []


def test_equal_proofs_are_elaborated_once(starts: list[ReplClient]) -> None:
    checks = check_proofs(REFLEXIVE, ["rfl", "by rfl", ":= by\n  rfl"] * 20)
    assert {one.ruling for one in checks} == {Ruling.PROVED}
    assert starts[0].num_requests <= 3


def test_a_proof_that_hangs_costs_its_own_ruling(starts: list[ReplClient], alone: list[str]) -> None:
    started = time.monotonic()
    checks = check_proofs(REFLEXIVE, ["rfl", HANGS, "exact rfl"], timeout_seconds=1.5)
    assert [one.ruling for one in checks] == [Ruling.PROVED, Ruling.TIMEOUT, Ruling.PROVED]
    assert "longer than 1.5 s" in checks[1].detail
    assert time.monotonic() - started < 30
    assert (len(starts), alone) == (2, [])


def test_a_proof_that_eats_memory_is_tried_alone(starts: list[ReplClient], alone: list[str]) -> None:
    checks = check_proofs(REFLEXIVE, ["rfl", HANGS, "exact rfl"], memory_mb=160)
    assert [one.ruling for one in checks] == [Ruling.PROVED, Ruling.ERROR, Ruling.PROVED]
    assert "160 MiB" in checks[1].detail
    assert alone == [HANGS]


def test_a_compiled_file_that_cannot_be_read_costs_its_own_ruling(
    starts: list[ReplClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(data: bytes) -> dict[str, Declaration]:
        found = read_olean(data)
        if "Nat.succ" in found["t"].constants:
            raise LeanError("not an .olean file")
        return found

    monkeypatch.setattr(check_many, "read_olean", read)
    checks = check_proofs(REFLEXIVE, ["rfl", "have _h : Nat.succ 0 = 1 := rfl\nrfl", "exact rfl"])
    assert [one.ruling for one in checks] == [Ruling.PROVED, Ruling.ERROR, Ruling.PROVED]
    assert checks[1].detail == "not an .olean file"
    assert len(starts) == 1


def test_a_universe_level_that_nests_deeply_is_a_proof_like_others() -> None:
    level = f"{'(' * 75}0{' + 20)' * 75}"
    deep = f"have _h : ∀ (a : Sort ({level})), True := fun _ => trivial\nrfl"
    checks = check_proofs(REFLEXIVE, ["rfl", deep, "exact rfl"])
    assert {one.ruling for one in checks} == {Ruling.PROVED}
    assert checks[1] == check_proof(REFLEXIVE, deep)


def test_a_process_that_dies_or_babbles_is_not_believed(
    starts: list[ReplClient], alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reply to the third proof is spoilt in another way; check_proof decides."""
    ask = ReplClient.ask
    for spoilt in ({"messages": []}, {"messages": "none"}, {"message": "no"}, {"messages": [{"severity": "info"}]}):

        def lie(self: ReplClient, request: dict[str, str], seconds: float, spoilt: object = spoilt) -> object:
            return spoilt if "exact foo" in request["text"] else ask(self, request, seconds)  # type: ignore[arg-type]

        monkeypatch.setattr(ReplClient, "ask", lie)
        checks = check_proofs(REFLEXIVE, ["rfl", "exact foo", "exact rfl"])
        assert [one.ruling for one in checks] == [Ruling.PROVED, Ruling.FAILED, Ruling.PROVED]
        assert alone.pop() == "exact foo"
        assert not alone


def test_a_process_that_is_killed_is_replaced(starts: list[ReplClient], alone: list[str]) -> None:
    proofs = iter(["rfl", "exact rfl", "simp"])

    def kill_first() -> object:
        for index, proof in enumerate(proofs):
            if index == 1:
                starts[0].interrupt()
            yield proof

    checks = check_proofs(REFLEXIVE, kill_first())  # type: ignore[arg-type]
    assert {one.ruling for one in checks} == {Ruling.PROVED}
    assert (len(starts), alone) == (2, ["exact rfl"])


def test_a_large_process_makes_room(starts: list[ReplClient], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passatn.lean.client._OUTGROWN_REQUESTS", 2)
    monkeypatch.setattr("passatn.lean.client._OUTGROWN_FRACTION", 0.01)
    goal = Goal("theorem t : two = 2", "def two := 2")
    assert all(one.is_proved for one in check_proofs(goal, [f"have _h : {n} = {n} := rfl\nrfl" for n in range(6)]))
    assert 3 < len(starts) <= 8


def test_a_batch_can_be_cancelled() -> None:
    started = time.monotonic()
    with pytest.raises(LeanError, match="cancelled"):
        check_proofs(REFLEXIVE, ["rfl", HANGS], cancelled=lambda: time.monotonic() > started + 1)
    assert time.monotonic() - started < 30


def test_nothing_is_left_behind(starts: list[ReplClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    check_proofs(REFLEXIVE, ["rfl", "exact foo", FALSE])
    assert list(tmp_path.iterdir()) == []
    assert not Path(f"/proc/{starts[0].pid}").exists()
