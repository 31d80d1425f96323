"""A pool of Lean processes behind the interface of one session, for searches that try thousands of tactics.

    with LeanPool(num_workers=2, timeout_seconds=5, memory_mb=2048) as lean:
        first = lean.start(Goal("theorem t (a b : Nat) : a + b = b + a"))
        steps = lean.apply_many([(first, tactic) for tactic in candidates])

A process that hangs over a tactic, crashes, or grows too large is killed and replaced; whoever asked notices nothing
but the time, since a state is a theorem and a list of tactics that any process can replay. What was running when a
process ran out of memory is tried once more on a fresh one, what was running when it crashed twice more. Identical
pairs of state and tactic are tried once, also when they are asked for at the same time.

Each process belongs to one thread of the pool, with a queue of its own: a theorem's tactics go to the process that has
its states. A thread without work takes some from the longest queue and replays what it lacks. A thread takes several
tactics at once, fewer when few are left (`passatn.lean.worker`), and wakes no more threads than there is work for.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from concurrent.futures import Future, wait
from typing import Self

from passatn.lean.check import Goal, GoalError, check_file
from passatn.lean.client import ReplClient
from passatn.lean.errors import LeanError
from passatn.lean.process import Message
from passatn.lean.repl import StartRepl, embedded_repl
from passatn.lean.session import FailureKind, ProofState, Step, TacticFailure
from passatn.lean.syntax import proof_body, why_refused
from passatn.lean.worker import Key, Task, Worker, WorkerOptions

_MAX_AHEAD = 16
"""How many tactics a thread takes at once at most."""


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
        self._lock = threading.Lock()
        self._steps: OrderedDict[tuple[Key, str], Future[Step]] = OrderedDict()
        self._homes: dict[Goal, int] = {}
        self._num_homes = [0] * num_workers
        self._queues: list[deque[Task]] = [deque() for _ in range(num_workers)]
        self._work = [threading.Condition(self._lock) for _ in range(num_workers)]
        self._idle: set[int] = set()
        self._closed = False
        options = WorkerOptions(self._new_repl, timeout_seconds, memory_mb, lambda: self._closed)
        self._workers = [Worker(options) for _ in range(num_workers)]
        self._threads = [
            threading.Thread(target=self._serve, args=(index,), name=f"lean-{index}", daemon=True)
            for index in range(num_workers)
        ]
        for thread in self._threads:
            thread.start()

    def start(self, goal: Goal) -> ProofState:
        """The first state of a theorem. Raises GoalError or LeanError."""
        step = self._submit([((goal, ()), "")])[0].result()
        if isinstance(step, TacticFailure):
            raise (GoalError if step.kind is FailureKind.ERROR else LeanError)(step.message)
        return step

    def apply(self, state: ProofState, tactic: str) -> Step:
        """What a tactic makes of a state. Raises LeanError if no process can be started, or the pool is closed."""
        return self.submit(state, tactic).result()

    def apply_many(self, pairs: Iterable[tuple[ProofState, str]]) -> list[Step]:
        """As `apply`, for many at once, in order."""
        futures = self.submit_many(pairs)
        wait(futures)
        return [future.result() for future in futures]

    def submit(self, state: ProofState, tactic: str) -> "Future[Step]":
        """As `apply`, later."""
        return self.submit_many([(state, tactic)])[0]

    def submit_many(self, pairs: Iterable[tuple[ProofState, str]]) -> "list[Future[Step]]":
        """As `submit`, for many at once, in order."""
        asked = [(state, proof_body(tactic)) for state, tactic in pairs]
        refusals = ["there are no goals left" if state.is_done else why_refused(body) for state, body in asked]
        submitted = iter(
            self._submit(
                [
                    ((state.goal, state.tactics), body)
                    for (state, body), refusal in zip(asked, refusals, strict=True)
                    if not refusal
                ]
            )
        )
        return [_refused(refusal) if refusal else next(submitted) for refusal in refusals]

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
        with self._lock:
            self._closed = True
            abandoned = [task for queue in self._queues for task in queue]
            for queue in self._queues:
                queue.clear()
            for work in self._work:
                work.notify()
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

    def _new_repl(self) -> ReplClient:
        with self._lock:
            self.num_starts += 1
        return self._start_repl()

    def _submit(self, asked: list[tuple[Key, str]]) -> "list[Future[Step]]":
        with self._lock:
            if self._closed:
                raise LeanError("the pool is closed")
            futures = [self._future(state, tactic) for state, tactic in asked]
            for index, queue in enumerate(self._queues):
                if queue:
                    self._work[index].notify()
            self._wake_helper()
            return futures

    def _future(self, state: Key, tactic: str) -> "Future[Step]":
        """Of a task that is known, or of a new one in a queue. With the lock."""
        known = self._steps.get((state, tactic))
        if known is not None:
            self._steps.move_to_end((state, tactic))
            return known
        future: Future[Step] = Future()
        self._steps[state, tactic] = future
        while len(self._steps) > max(1, self._max_cached):
            self._steps.popitem(last=False)
        home = self._homes.get(state[0])
        if home is None:
            home = min(range(len(self._queues)), key=lambda i: (len(self._queues[i]), self._num_homes[i]))
            self._homes[state[0]] = home
            self._num_homes[home] += 1
        self._queues[home].append(Task(state, tactic, future))
        return future

    def _wake_helper(self) -> None:
        """One idle thread for a queue with more than its own thread takes next. With the lock."""
        if len(max(self._queues, key=len)) > 1 and (helper := next(iter(self._idle), None)) is not None:
            self._work[helper].notify()

    def _next(self, index: int) -> list[Task]:
        """A thread's next tasks: its own, or the last of the longest other queue; none when the pool is closed."""
        with self._lock:
            while not self._closed:
                own, longest = self._queues[index], max(self._queues, key=len)
                if own or len(longest) > 1:
                    queue, take = (own, own.popleft) if own else (longest, longest.pop)
                    share = max(1, min(_MAX_AHEAD, len(queue) // (2 * len(self._queues))))
                    tasks = [take() for _ in range(share)]
                    self._wake_helper()
                    return tasks if own is queue else tasks[::-1]
                self._idle.add(index)
                self._work[index].wait()
                self._idle.discard(index)
            return []

    def _serve(self, index: int) -> None:
        worker = self._workers[index]
        try:
            while tasks := self._next(index):
                try:
                    worker.run(tasks, self._finish)
                except Exception as error:  # whoever waits must hear of it
                    worker.stop()
                    for task in tasks:
                        if not task.future.done():
                            self._finish(task, error)
        finally:
            worker.stop()

    def _finish(self, task: Task, step: Step | Exception) -> None:
        if isinstance(step, Exception):
            self._forget(task)
            wrapped = step if isinstance(step, LeanError) else LeanError(f"{type(step).__name__}: {step}")
            task.future.set_exception(wrapped)
            return
        if isinstance(step, TacticFailure) and step.kind in (FailureKind.CRASH, FailureKind.MEMORY):
            self._forget(task)
        task.future.set_result(step)

    def _forget(self, task: Task) -> None:
        """Let it be tried again when it is asked for again: it may have been of the moment."""
        with self._lock:
            self._steps.pop((task.state, task.tactic), None)


def _refused(reason: str) -> "Future[Step]":
    future: Future[Step] = Future()
    future.set_result(TacticFailure(FailureKind.ERROR, reason))
    return future
