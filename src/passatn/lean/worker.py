"""One process of a pool at a time, and the numbers under which it knows proof states.

Tactics on states that the process knows are sent ahead of the replies to those before them, so that it does not wait
for Python in between. It works in order, so that the first without a reply is the one that hung or crashed.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from passatn.lean.check import Goal
from passatn.lean.client import START_SECONDS, CommandReply, OpenState, ReplClient
from passatn.lean.errors import LeanError, LeanMemoryError, LeanTimeoutError
from passatn.lean.session import FailureKind, ProofState, Step, TacticFailure
from passatn.lean.syntax import theorem_name

_HEADER_SECONDS = 600.0
"""For a header, which may import Mathlib from a cold disk."""
_START_ATTEMPTS = 3
_ATTEMPTS = 3

Key = tuple[Goal, tuple[str, ...]]


@dataclass(frozen=True)
class Task:
    """A tactic on a state, or the first state of a theorem where `tactic` is empty."""

    state: Key
    tactic: str
    future: "Future[Step]" = field(compare=False)


@dataclass(frozen=True)
class WorkerOptions:
    """`is_closed` tells that nobody waits any more."""

    start_repl: Callable[[], ReplClient]
    timeout_seconds: float
    memory_mb: int
    is_closed: Callable[[], bool]


class Worker:
    """To be used from one thread, `interrupt` and `pid` from any."""

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._repl: ReplClient | None = None
        self._states: dict[Key, OpenState] = {}
        self._environments: dict[str, int | None] = {}

    @property
    def pid(self) -> int | None:
        repl = self._repl
        return None if repl is None else repl.pid

    def run(self, tasks: Iterable[Task], finish: Callable[[Task, Step | Exception], None]) -> None:
        """Call `finish` for each task, in order; with a LeanError where no process can be started."""
        left = deque(tasks)
        while left:
            ready = self._ready(left)
            failure: LeanError | None = None
            if ready:
                failure = self._run_ahead(left, ready, finish)
            if left and (failure or not ready):
                task = left.popleft()
                try:
                    finish(task, self._run_one(task, failure))
                except Exception as error:
                    finish(task, error)

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

    def _ready(self, tasks: Iterable[Task]) -> list[tuple[str, int]]:
        """Tactics and numbers of states for the first tasks, as far as the process knows them, if there are several."""
        self._make_room()
        ready: list[tuple[str, int]] = []
        for task in tasks:
            state = self._states.get(task.state)
            if state is None or not task.tactic:
                break
            ready.append((task.tactic, state.id))
        return ready if len(ready) > 1 else []

    def _run_ahead(
        self, left: deque[Task], ready: list[tuple[str, int]], finish: Callable[[Task, Step | Exception], None]
    ) -> LeanError | None:
        """Take tasks from `left` and finish them; why the one that is then the first was not answered."""
        assert self._repl is not None
        try:
            for after in self._repl.tactics(ready, timeout_seconds=self._options.timeout_seconds):
                task = left.popleft()
                finish(task, self._keep(task, after))
        except LeanTimeoutError:
            return self._no_answer()
        except LeanError as error:
            return error
        return None

    def _run_one(self, task: Task, failure: LeanError | None) -> Step:
        """One step, whose first attempt ended in `failure` if that is given. Raises LeanError if nothing starts."""
        step = TacticFailure(FailureKind.CRASH, "")
        is_fresh = False
        for attempt in range(_ATTEMPTS):
            if self._options.is_closed():
                raise LeanError("the pool was closed")
            try:
                if attempt or failure is None:
                    is_fresh = self._ensure()
                    return self._step(task)
                raise failure
            except LeanTimeoutError as error:
                self.stop()
                return TacticFailure(FailureKind.TIMEOUT, str(error))
            except LeanMemoryError:
                step = TacticFailure(FailureKind.MEMORY, f"Lean needed more than {self._options.memory_mb} MiB")
            except LeanError as error:
                step = TacticFailure(FailureKind.CRASH, str(error))
            self.stop()
            if is_fresh and step.kind is FailureKind.MEMORY:
                break
        return step

    def _step(self, task: Task) -> Step:
        goal, tactics = task.state
        before = self._reach(task.state)
        if isinstance(before, str):
            return TacticFailure(FailureKind.ERROR, before)
        if not task.tactic:
            return ProofState(goal, tactics, before.goals)
        return self._keep(task, self._tactic(task.tactic, before))

    def _keep(self, task: Task, after: OpenState | str) -> Step:
        if isinstance(after, str):
            return TacticFailure(FailureKind.ERROR, after)
        goal, tactics = task.state
        reached = (*tactics, task.tactic)
        self._states[goal, reached] = after
        return ProofState(goal, reached, after.goals)

    def _make_room(self) -> None:
        if self._repl is not None and self._repl.has_outgrown(self._options.memory_mb):
            self.stop()

    def _ensure(self) -> bool:
        """See to it that there is a process; True if it has seen nothing yet."""
        if self._repl is not None:
            return False
        for attempt in range(_START_ATTEMPTS):
            try:
                self._repl = self._options.start_repl()
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
            try:
                after = self._tactic(tactics[n], self._states[goal, tactics[:n]])
            except LeanTimeoutError:  # it worked before: not the fault of the tactic that is to be tried
                raise LeanError("a tactic took too long when it was replayed") from None
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
            reply = self._header(goal.header) if goal.header.strip() else None
            if reply is not None and reply.errors:
                return f"Lean does not accept the header: {reply.errors[0]}"
            self._environments[goal.header] = None if reply is None else reply.environment
        try:
            text = f"{goal.statement.strip()} := by\n  sorry"
            reply = self._repl.command(text, self._environments[goal.header], timeout_seconds=START_SECONDS)
        except LeanTimeoutError:
            raise LeanTimeoutError(f"Lean took longer than {START_SECONDS:g} s over the statement") from None
        if reply.errors or len(reply.states) != 1:
            return f"Lean does not accept the statement: {next(iter(reply.errors), 'it opens no goal')}"
        return reply.states[0]

    def _header(self, text: str) -> CommandReply:
        assert self._repl is not None
        try:
            return self._repl.command(text, timeout_seconds=_HEADER_SECONDS)
        except LeanTimeoutError:
            raise LeanTimeoutError(f"Lean took longer than {_HEADER_SECONDS:g} s over the header") from None

    def _tactic(self, tactic: str, state: OpenState) -> OpenState | str:
        assert self._repl is not None
        try:
            return self._repl.tactic(tactic, state.id, timeout_seconds=self._options.timeout_seconds)
        except LeanTimeoutError:
            raise self._no_answer() from None

    def _no_answer(self) -> LeanTimeoutError:
        return LeanTimeoutError(f"no answer within {self._options.timeout_seconds:g} s")
