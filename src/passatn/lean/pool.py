"""A pool of Lean processes behind the interface of one session, for searches that try thousands of tactics.

    with LeanPool(num_workers=2, timeout_seconds=5, memory_mb=2048) as lean:
        first = lean.start(Goal("theorem t (a b : Nat) : a + b = b + a"))
        steps = lean.apply_many([(first, tactic) for tactic in candidates])

A process that hangs over a tactic, crashes, or grows too large is killed and replaced; whoever asked notices nothing
but the time, since a state is a theorem and a list of tactics that any process can replay. What was running when a
process ran out of memory is tried once more on a fresh one, what was running when it crashed twice more. Identical
pairs of state and tactic are tried once, also when they are asked for at the same time.

Each process belongs to one thread of the pool, with a queue of its own: a theorem's tactics go to the process that has
its states. A thread without work takes some from the longest queue and replays what it lacks.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Self

from passatn.lean.check import Goal, GoalError, check_file
from passatn.lean.client import OpenState, ReplClient
from passatn.lean.errors import LeanError, LeanMemoryError, LeanTimeoutError
from passatn.lean.process import Message
from passatn.lean.repl import StartRepl, embedded_repl
from passatn.lean.session import FailureKind, ProofState, Step, TacticFailure
from passatn.lean.syntax import proof_body, theorem_name, why_refused

_START_ATTEMPTS = 3
_ATTEMPTS = 3
_RETIRE_FRACTION = 0.6
"""A process that holds this much of its limit between two tactics makes room for a fresh one ..."""
_RETIRE_REQUESTS = 64
"""... unless it has only just started, and needs as much for nothing."""

Key = tuple[Goal, tuple[str, ...]]


@dataclass(frozen=True)
class _Task:
    state: Key
    tactic: str
    future: "Future[Step]" = field(compare=False)


class LeanPool:
    """A `LeanSession` over `num_workers` processes.

    `timeout_seconds` bounds one tactic, `memory_mb` one process. `start_repl` starts processes of another kind than the
    embedded Lean, see `passatn.lean.repl`; their memory is not limited here.
    """

    def __init__(
        self,
        num_workers: int = 2,
        timeout_seconds: float = 10.0,
        memory_mb: int = 2048,
        *,
        start_repl: StartRepl | None = None,
        max_cached: int = 2**20,
    ) -> None:
        """Raises ValueError for a limit out of range, LeanError where there is no embedded Lean that works."""
        if num_workers < 1 or not timeout_seconds > 0 or memory_mb < 1 or max_cached < 0:
            raise ValueError("num_workers, timeout_seconds and memory_mb must be positive, max_cached not negative")
        self.timeout_seconds, self.memory_mb = timeout_seconds, memory_mb
        self.num_starts = 0
        self._start_repl = start_repl or embedded_repl(memory_mb)
        self._is_embedded = start_repl is None
        self._max_cached = max_cached
        self._changed = threading.Condition()
        self._steps: OrderedDict[tuple[Key, str], Future[Step]] = OrderedDict()
        self._homes: dict[Goal, int] = {}
        self._queues: list[deque[_Task]] = [deque() for _ in range(num_workers)]
        self._workers = [_Worker(self) for _ in range(num_workers)]
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(index,), name=f"lean-{index}", daemon=True)
            for index in range(num_workers)
        ]
        for thread in self._threads:
            thread.start()

    def start(self, goal: Goal) -> ProofState:
        """The first state of a theorem. Raises GoalError or LeanError."""
        step = self._submit((goal, ()), "").result()
        if isinstance(step, TacticFailure):
            raise (GoalError if step.kind is FailureKind.ERROR else LeanError)(step.message)
        return step

    def apply(self, state: ProofState, tactic: str) -> Step:
        """What a tactic makes of a state. Raises LeanError if no process can be started, or the pool is closed."""
        return self.submit(state, tactic).result()

    def apply_many(self, pairs: Iterable[tuple[ProofState, str]]) -> list[Step]:
        """As `apply`, for many at once, in order."""
        futures = [self.submit(state, tactic) for state, tactic in pairs]
        return [future.result() for future in futures]

    def submit(self, state: ProofState, tactic: str) -> "Future[Step]":
        """As `apply`, later."""
        body = proof_body(tactic)
        refused = why_refused(body)
        if refused or state.is_done:
            future: Future[Step] = Future()
            future.set_result(TacticFailure(FailureKind.ERROR, refused or "there are no goals left"))
            return future
        return self._submit((state.goal, state.tactics), body)

    def check_file(self, text: str) -> tuple[Message, ...]:
        """What the embedded Lean says about a whole file, in a process of its own."""
        if not self._is_embedded:
            raise LeanError("whole files are checked by the embedded Lean alone")
        return check_file(text, memory_mb=self.memory_mb)

    @property
    def pids(self) -> list[int]:
        """The processes that live now."""
        return [pid for worker in self._workers if (pid := worker.pid) is not None]

    def close(self) -> None:
        """Kill the processes; what was asked for and not answered raises LeanError. Safe to call twice."""
        with self._changed:
            self._closed = True
            abandoned = [task for queue in self._queues for task in queue]
            for queue in self._queues:
                queue.clear()
            self._changed.notify_all()
        for task in abandoned:
            task.future.set_exception(LeanError("the pool was closed"))
        for worker in self._workers:
            worker.interrupt()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return self._closed

    def new_repl(self) -> ReplClient:
        with self._changed:
            self.num_starts += 1
        return self._start_repl()

    def _submit(self, state: Key, tactic: str) -> "Future[Step]":
        with self._changed:
            if self._closed:
                raise LeanError("the pool is closed")
            known = self._steps.get((state, tactic))
            if known is not None:
                self._steps.move_to_end((state, tactic))
                return known
            future: Future[Step] = Future()
            self._steps[state, tactic] = future
            while len(self._steps) > max(1, self._max_cached):
                self._steps.popitem(last=False)
            home = self._homes.setdefault(state[0], min(range(len(self._queues)), key=lambda i: len(self._queues[i])))
            self._queues[home].append(_Task(state, tactic, future))
            self._changed.notify_all()
            return future

    def _next(self, index: int) -> _Task | None:
        """The next task for a thread: its own, or the last of the longest other queue; None when the pool is closed."""
        with self._changed:
            while not self._closed:
                if self._queues[index]:
                    return self._queues[index].popleft()
                longest = max(self._queues, key=len)
                if len(longest) > 1:
                    return longest.pop()
                self._changed.wait(timeout=0.05 if longest else None)
            return None

    def _serve(self, index: int) -> None:
        worker = self._workers[index]
        try:
            while (task := self._next(index)) is not None:
                self._finish(task, worker)
        finally:
            worker.stop()

    def _finish(self, task: _Task, worker: "_Worker") -> None:
        try:
            step = worker.run(task.state, task.tactic)
        except Exception as error:
            self._forget(task)
            wrapped = error if isinstance(error, LeanError) else LeanError(f"{type(error).__name__}: {error}")
            task.future.set_exception(wrapped)
            return
        if isinstance(step, TacticFailure) and step.kind in (FailureKind.CRASH, FailureKind.MEMORY):
            self._forget(task)
        task.future.set_result(step)

    def _forget(self, task: _Task) -> None:
        """Let it be tried again when it is asked for again: it may have been of the moment."""
        with self._changed:
            self._steps.pop((task.state, task.tactic), None)


class _Worker:
    """One process at a time, and the numbers under which it knows states."""

    def __init__(self, pool: LeanPool) -> None:
        self._pool = pool
        self._repl: ReplClient | None = None
        self._states: dict[Key, OpenState] = {}
        self._environments: dict[str, int | None] = {}

    @property
    def pid(self) -> int | None:
        repl = self._repl
        return None if repl is None else repl.pid

    def run(self, state: Key, tactic: str) -> Step:
        """One step, or the first state of a theorem where `tactic` is empty. Raises LeanError if nothing starts."""
        failure = TacticFailure(FailureKind.CRASH, "")
        for _ in range(_ATTEMPTS):
            is_fresh = self._ensure()
            try:
                return self._step(state, tactic)
            except LeanTimeoutError:
                self.stop()
                return TacticFailure(FailureKind.TIMEOUT, f"no answer within {self._pool.timeout_seconds:g} s")
            except LeanMemoryError:
                failure = TacticFailure(FailureKind.MEMORY, f"Lean needed more than {self._pool.memory_mb} MiB")
            except LeanError as error:
                failure = TacticFailure(FailureKind.CRASH, str(error))
            self.stop()
            if self._pool.closed:
                raise LeanError("the pool was closed")
            if is_fresh and failure.kind is FailureKind.MEMORY:
                break
        return failure

    def _step(self, state: Key, tactic: str) -> Step:
        goal, tactics = state
        before = self._reach(state)
        if isinstance(before, str):
            return TacticFailure(FailureKind.ERROR, before)
        if not tactic:
            return ProofState(goal, tactics, before.goals)
        after = self._tactic(tactic, before)
        if isinstance(after, str):
            return TacticFailure(FailureKind.ERROR, after)
        reached = (*tactics, tactic)
        self._states[goal, reached] = after
        return ProofState(goal, reached, after.goals)

    def stop(self) -> None:
        """Kill the process; what it knew is replayed when it is needed. From the worker's own thread only."""
        repl, self._repl = self._repl, None
        self._states, self._environments = {}, {}
        if repl is not None:
            repl.kill()

    def interrupt(self) -> None:
        """Kill the process under the thread that waits for it."""
        repl = self._repl
        if repl is not None:
            repl.interrupt()

    def _ensure(self) -> bool:
        """See to it that there is a process; True if it has seen nothing yet."""
        repl = self._repl
        is_used = repl is not None and repl.num_requests > _RETIRE_REQUESTS
        if repl is not None and is_used and repl.resident_mb > _RETIRE_FRACTION * self._pool.memory_mb:
            self.stop()
        if self._repl is not None:
            return False
        for attempt in range(_START_ATTEMPTS):
            try:
                self._repl = self._pool.new_repl()
                break
            except LeanError:
                if attempt == _START_ATTEMPTS - 1:
                    raise
                time.sleep(0.2 * 2**attempt)
        return True

    def _reach(self, state: Key) -> OpenState | str:
        """The state in the process as it is now, replayed from the last one it knows; or why a theorem cannot start."""
        goal, tactics = state
        known = next((n for n in range(len(tactics), -1, -1) if (goal, tactics[:n]) in self._states), None)
        if known is None:
            opened = self._open(goal)
            if isinstance(opened, str):
                return opened
            self._states[goal, ()] = opened
            known = 0
        for n in range(known, len(tactics)):
            after = self._tactic(tactics[n], self._states[goal, tactics[:n]])
            if isinstance(after, str):
                raise LeanError(f"a tactic failed when it was replayed: {after}")
            self._states[goal, tactics[: n + 1]] = after
        return self._states[state]

    def _open(self, goal: Goal) -> OpenState | str:
        assert self._repl is not None
        try:
            theorem_name(goal.statement)
        except ValueError as error:
            return str(error)
        if goal.header not in self._environments:
            reply = self._repl.command(goal.header) if goal.header.strip() else None
            if reply is not None and reply.errors:
                return f"Lean does not accept the header: {reply.errors[0]}"
            self._environments[goal.header] = None if reply is None else reply.environment
        reply = self._repl.command(f"{goal.statement.strip()} := by\n  sorry", self._environments[goal.header])
        if reply.errors or len(reply.states) != 1:
            return f"Lean does not accept the statement: {next(iter(reply.errors), 'it opens no goal')}"
        return reply.states[0]

    def _tactic(self, tactic: str, state: OpenState) -> OpenState | str:
        assert self._repl is not None
        return self._repl.tactic(tactic, state.id, timeout_seconds=self._pool.timeout_seconds)
