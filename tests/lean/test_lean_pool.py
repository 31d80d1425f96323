"""The pool: right answers, and processes that are killed, hang, crash or grow without the search noticing."""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lean_proofs import HONEST, EndangeredPool, require_lean

from passatn.lean import Goal, GoalError, LeanError, check_proof
from passatn.lean.client import ReplClient
from passatn.lean.pool import LeanPool
from passatn.lean.session import FailureKind, ProofState, Step, TacticFailure
from passatn.lean.worker import Worker

COMMUTES = Goal("theorem t (a b : Nat) : a + b = b + a")
HANGS = "repeat (have : 1 = 1 := rfl)"


@pytest.fixture(autouse=True, scope="module")
def _lean() -> None:
    require_lean()


@pytest.fixture(scope="module")
def pool(_lean: None) -> Iterator[LeanPool]:
    with LeanPool(num_workers=2, timeout_seconds=10) as made:
        yield made


def reached(step: Step) -> ProofState:
    assert isinstance(step, ProofState), step
    return step


def failed(step: Step) -> TacticFailure:
    assert isinstance(step, TacticFailure), step
    return step


def test_steps_branch_from_the_same_state(pool: LeanPool) -> None:
    first = pool.start(Goal("theorem t (p q : Prop) (hp : p) (hq : q) : p ∧ q"))
    assert first.goals == ("p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q",)
    split = reached(pool.apply(first, "constructor"))
    assert [goal.splitlines()[0] for goal in split.goals] == ["case left", "case right"]
    assert split.text.count("\n\n") == 1
    half = reached(pool.apply(split, "exact hp"))
    assert len(half.goals) == 1
    assert reached(pool.apply(half, "assumption")).is_done
    assert reached(pool.apply(split, "all_goals assumption")).is_done
    assert reached(pool.apply(first, "exact ⟨hp, hq⟩")).proof == "exact ⟨hp, hq⟩"
    assert failed(pool.apply(half, "exact hp")).kind is FailureKind.ERROR


def test_what_lean_says_comes_back(pool: LeanPool) -> None:
    first = pool.start(COMMUTES)
    assert "Unknown identifier `foo`" in failed(pool.apply(first, "exact foo")).message
    assert "unknown tactic" in failed(pool.apply(first, "obviously")).message
    assert "unsolved goals" in failed(pool.apply(first, "have h : a = b := by skip")).message
    assert "is no proof" in failed(pool.apply(first, "sorry")).message
    assert "is a command" in failed(pool.apply(first, "set_option maxHeartbeats 0 in simp")).message


def test_an_error_inside_of_a_tactic_is_an_error(pool: LeanPool) -> None:
    first = pool.start(COMMUTES)
    for tactic in ("induction a with\n| zero => simp\n| succ n ih => skip", "exact (by simp : a + b = b + a)"):
        assert failed(pool.apply(first, tactic)).kind is FailureKind.ERROR


def test_a_finished_proof_takes_no_more_tactics(pool: LeanPool) -> None:
    done = reached(pool.apply(pool.start(COMMUTES), "exact Nat.add_comm a b"))
    assert done.is_done
    assert done.text == "no goals"
    assert "no goals left" in failed(pool.apply(done, "skip")).message


def test_proofs_found_step_by_step_are_proofs(pool: LeanPool) -> None:
    goal = Goal("theorem t (a b : Nat) (h : a = b) : b + 0 = a")
    state = pool.start(goal)
    for tactic in ("rw [h]", "rfl"):
        state = reached(pool.apply(state, tactic))
    assert state.is_done
    assert check_proof(goal, state.proof).is_proved


@pytest.mark.parametrize(
    ("statement", "proof"), [pair for pair in HONEST if "\n" not in pair[1] and ";" not in pair[1]]
)
def test_the_pool_and_the_checker_agree_on_proofs_of_one_tactic(pool: LeanPool, statement: str, proof: str) -> None:
    assert reached(pool.apply(pool.start(Goal(statement)), proof)).is_done


def test_headers_and_bad_statements(pool: LeanPool) -> None:
    header = "def double (n : Nat) : Nat := n + n\nnamespace Foo\ntheorem helper : double 2 = 4 := rfl"
    first = pool.start(Goal("theorem t : double 2 = 4", header))
    assert reached(pool.apply(first, "exact helper")).is_done
    for goal in (
        Goal("theorem t : double 2 = 4"),
        Goal("theorem : True"),
        Goal("example : True"),
        Goal("theorem t : True := by trivial"),
        Goal("theorem t : True", "def d : Nat := foo"),
    ):
        with pytest.raises(GoalError):
            pool.start(goal)


def test_identical_pairs_are_tried_once(tmp_path: Path) -> None:
    counter = tmp_path / "requests"
    with LeanPool(num_workers=2, start_repl=lambda: ReplClient(fake_repl(counter))) as pool:
        first = pool.start(COMMUTES)
        before = counter.read_text().count("tactic")
        with ThreadPoolExecutor(8) as threads:
            steps = list(threads.map(lambda _: pool.apply(first, "skip"), range(64)))
        assert len(set(steps)) == 1
        assert counter.read_text().count("tactic") == before + 1


def test_theorems_that_are_started_one_by_one_are_spread_over_the_processes(tmp_path: Path) -> None:
    with fake_pool(tmp_path / "requests", num_workers=2) as pool:
        for n in range(4):
            pool.start(Goal(f"theorem t{n} : P"))
        assert len(pool.pids) == 2


def test_work_is_stolen_and_replayed(pool: LeanPool) -> None:
    first = pool.start(COMMUTES)
    second = reached(pool.apply(first, "have h : 1 = 1 := rfl"))
    steps = pool.apply_many([(second, f"have k : {n} = {n} := rfl") for n in range(200)])
    assert all(len(reached(step).goals) == 1 for step in steps)
    assert len(pool.pids) == 2


def test_a_tactic_that_hangs_costs_its_own_answer_only() -> None:
    with LeanPool(num_workers=1, timeout_seconds=1.0) as pool:
        first = pool.start(COMMUTES)
        second = reached(pool.apply(first, "have h : 1 = 1 := rfl"))
        steps = pool.apply_many([(second, HANGS), (second, "exact Nat.add_comm a b")])
        assert failed(steps[0]).kind is FailureKind.TIMEOUT
        assert "1 s" in failed(steps[0]).message
        assert reached(steps[1]).is_done
        assert pool.num_starts == 2


def test_processes_killed_in_the_middle_are_not_noticed() -> None:
    """A search of which each process is killed after ten answers: the same answers as without."""
    tactics = ["simp", "symm", "exact Nat.add_comm a b", "exact foo", "induction a", "have h : 1 = 1 := rfl"]

    def search(pool: LeanPool, salt: str) -> list[Step]:
        firsts = [pool.start(Goal(f"theorem t{n} (a b : Nat) : a + b = b + a")) for n in range(4)]
        seconds = [reached(pool.apply(first, f"have k : {salt} = {salt} := rfl")) for first in firsts]
        return pool.apply_many([(state, tactic) for state in seconds for tactic in tactics for _ in range(3)])

    with LeanPool(num_workers=2, timeout_seconds=10) as pool:
        expected = search(pool, "1")
    with EndangeredPool(10) as pool:
        found = [search(pool, str(number + 1)) for number in range(5)]
        assert len(pool.killed) >= 8
        assert pool.num_starts >= 8
    assert found[0] == expected
    assert [[is_open(step) for step in steps] for steps in found] == [[is_open(step) for step in expected]] * len(found)


def is_open(step: Step) -> bool | str:
    return bool(step.goals) if isinstance(step, ProofState) else step.message


def test_a_process_that_eats_memory_is_replaced() -> None:
    with LeanPool(num_workers=1, timeout_seconds=60, memory_mb=150) as pool:
        first = pool.start(COMMUTES)
        step = failed(pool.apply(first, HANGS))
        assert step.kind is FailureKind.MEMORY
        assert "150 MiB" in step.message
        assert reached(pool.apply(first, "exact Nat.add_comm a b")).is_done


def test_a_large_process_makes_room_between_two_tactics() -> None:
    with LeanPool(num_workers=1, timeout_seconds=60, memory_mb=200) as pool:
        first = pool.start(COMMUTES)
        steps = pool.apply_many([(first, f"have h : {n} + a = a + {n} := Nat.add_comm _ _") for n in range(150)])
        assert all(len(reached(step).goals) == 1 for step in steps)
        assert 1 < pool.num_starts < 10


def test_a_reply_that_makes_no_sense_is_an_answer_too(tmp_path: Path) -> None:
    with fake_pool(tmp_path / "requests", num_workers=1) as pool:
        first = pool.start(COMMUTES)
        steps = pool.apply_many(ahead(first, "half a message"))
        assert failed(steps[1]).kind is FailureKind.CRASH
        assert "something that is not a reply" in failed(steps[1]).message
        assert all(reached(step).goals for step in (steps[0], *steps[2:]))


def test_whoever_waits_hears_of_a_thread_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_pool(tmp_path / "requests", num_workers=1) as pool:
        first = pool.start(COMMUTES)
        with monkeypatch.context() as patch:
            patch.setattr(Worker, "_ready", lambda self, tasks: 1 / 0)
            with pytest.raises(LeanError, match="ZeroDivisionError"):
                pool.submit(first, "skip").result(timeout=20)
        assert reached(pool.apply(first, "skip")).goals


def test_a_replay_that_is_too_slow_is_not_the_new_tactic_s_fault(tmp_path: Path) -> None:
    with fake_pool(tmp_path / "requests", num_workers=1, timeout_seconds=1.0) as pool:
        second = reached(pool.apply(pool.start(COMMUTES), "slow second"))
        assert reached(pool.apply(second, "crash once")).tactics == ("slow second", "crash once")


def test_a_tactic_that_always_crashes_is_said_to(tmp_path: Path) -> None:
    with LeanPool(num_workers=1, start_repl=lambda: ReplClient(fake_repl(tmp_path / "requests"))) as pool:
        first = pool.start(COMMUTES)
        step = failed(pool.apply(first, "crash"))
        assert step.kind is FailureKind.CRASH
        assert "exit code 3" in step.message
        assert pool.num_starts == 3
        assert reached(pool.apply(first, "skip")).goals


def test_a_process_that_crashes_once_is_not_noticed(tmp_path: Path) -> None:
    with LeanPool(num_workers=1, start_repl=lambda: ReplClient(fake_repl(tmp_path / "requests"))) as pool:
        second = reached(pool.apply(pool.start(COMMUTES), "skip"))
        assert reached(pool.apply(second, "crash once")).tactics == ("skip", "crash once")
        assert pool.num_starts == 2


def fake_pool(requests: Path, **options: Any) -> LeanPool:
    return LeanPool(start_repl=lambda: ReplClient(fake_repl(requests)), **options)


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ahead(first: ProofState, *marked: str) -> list[tuple[ProofState, str]]:
    """Enough tactics that a thread takes many of them at once, with those that are `marked` among the first."""
    return [(first, tactic) for tactic in ("skip 0", *marked, *(f"skip {n}" for n in range(1, 40)))]


def test_tactics_are_sent_ahead_of_replies(tmp_path: Path) -> None:
    """While the process sleeps over one tactic, those after it wait in its pipe: it has all when it goes on."""
    with fake_pool(tmp_path / "requests", num_workers=1) as pool:
        first = pool.start(COMMUTES)
        steps = pool.apply_many(ahead(first, "sleep 0.1", "foo"))
        assert reached(steps[1]).tactics == ("sleep 0.1",)
        assert failed(steps[2]).message == "unknown tactic foo"
        assert [reached(step).tactics[0] for step in steps[3:]] == [f"skip {n}" for n in range(1, 40)]
        assert pool.num_starts == 1


def test_each_tactic_sent_ahead_has_the_time_limit_to_itself(tmp_path: Path) -> None:
    with fake_pool(tmp_path / "requests", num_workers=1, timeout_seconds=2.0) as pool:
        first = pool.start(COMMUTES)
        steps = pool.apply_many(ahead(first, "sleep 0.8", "sleep 0.81", "sleep 0.82", "sleep 9", "foo"))
        assert [is_open(step) for step in steps[:4]] == [True] * 4
        assert failed(steps[4]).kind is FailureKind.TIMEOUT
        assert failed(steps[5]).kind is FailureKind.ERROR
        assert all(reached(step) for step in steps[6:])
        assert pool.num_starts == 2


def test_the_tactic_that_crashed_is_the_one_to_blame(tmp_path: Path) -> None:
    with fake_pool(tmp_path / "requests", num_workers=1) as pool:
        first = pool.start(COMMUTES)
        steps = pool.apply_many(ahead(first, "crash once", "crash", "foo"))
        assert reached(steps[1]).tactics == ("crash once",)
        assert failed(steps[2]).kind is FailureKind.CRASH
        assert failed(steps[3]).kind is FailureKind.ERROR
        assert all(reached(step) for step in steps[4:])
        assert pool.num_starts == 5, "one, one after 'crash once', three that 'crash' has ended"
        assert (tmp_path / "requests").read_text().count('"crash"') == 3


def test_requests_larger_than_the_pipe_block_nobody(tmp_path: Path) -> None:
    with fake_pool(tmp_path / "requests", num_workers=1) as pool:
        first = pool.start(COMMUTES)
        large = [f"skip {n} {'x' * size}" for n, size in enumerate([100_000, 10, 20_000, 20_000, 120_000, 5])]
        steps = pool.apply_many(ahead(first, *large))
        assert [reached(step).tactics[0] for step in steps[1:7]] == large


def test_a_process_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    """One process waits for a file that is written when the other has taken what is left in its queue."""
    written = tmp_path / "written"
    with fake_pool(tmp_path / "requests", num_workers=2, timeout_seconds=60) as pool:
        first = pool.start(COMMUTES)
        slow = pool.submit(first, f"until {written}")
        wait_until(lambda: "until" in (tmp_path / "requests").read_text())
        steps = pool.submit_many([(first, f"skip {n}") for n in range(64)])
        wait_until(lambda: sum(step.done() for step in steps) >= 63)
        assert not slow.done()
        written.touch()
        assert all(reached(step.result()).goals for step in (slow, *steps))


def test_as_many_processes_as_there_are_work_at_once(tmp_path: Path) -> None:
    """Of nine tactics on one theorem eight end when eight have begun; the last is left to the theorem's thread."""
    with fake_pool(tmp_path / "requests", num_workers=8, timeout_seconds=60) as pool:
        first = pool.start(COMMUTES)
        met = tmp_path / "met"
        met.mkdir()
        steps = pool.apply_many([(first, f"meet 8 {met}/{n}") for n in range(9)])
        assert all(reached(step).goals for step in steps)
        assert pool.num_starts == 8


def test_a_pool_that_is_closed_in_the_middle_starts_nothing_more(tmp_path: Path) -> None:
    pool = fake_pool(tmp_path / "requests", num_workers=1)
    first = pool.start(COMMUTES)
    futures = pool.submit_many(ahead(first, "sleep 5"))
    time.sleep(0.3)
    pool.close()
    assert all(future.done() for future in futures)
    assert isinstance(futures[-1].exception(), LeanError)
    assert (pool.num_starts, pool.pids) == (1, [])


def test_where_nothing_starts_there_is_an_error(tmp_path: Path) -> None:
    pool = LeanPool(num_workers=1, start_repl=lambda: ReplClient([str(tmp_path / "missing")]))
    with pool, pytest.raises(LeanError, match="could not be started"):
        pool.start(COMMUTES)


def test_a_closed_pool_answers_no_more_and_leaves_nothing() -> None:
    pool = LeanPool(num_workers=2, timeout_seconds=60)
    first = pool.start(COMMUTES)
    pids = pool.pids
    running = pool.submit(first, HANGS)
    waiting = [pool.submit(first, f"have h : {n} = {n} := rfl") for n in range(8)]
    time.sleep(0.3)
    pool.close()
    pool.close()
    for future in [running, *waiting]:
        if future.exception(timeout=10) is not None:
            assert isinstance(future.exception(), LeanError)
    assert running.exception() is not None
    with pytest.raises(LeanError, match="closed"):
        pool.apply(first, "skip")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_files_are_checked_beside(pool: LeanPool) -> None:
    messages = pool.check_file("theorem t : 1 = 2 := by\n  rfl\n")
    assert [(message.severity, message.line, message.column) for message in messages] == [("error", 2, 2)]


@pytest.mark.parametrize("options", [{"num_workers": 0}, {"timeout_seconds": 0}, {"memory_mb": 0}, {"max_cached": -1}])
def test_limits_are_positive(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        LeanPool(**options)  # type: ignore[arg-type]


def fake_repl(requests: Path) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("fake_repl.py")), str(requests)]
