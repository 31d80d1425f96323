"""Many searches at once: Lean answers while the model draws the next batch, over theorems and samples together.

    for record in SearchLoop(model, lean, check).run(RolloutSearch(theorem, 0, 1024) for theorem in theorems):
        ...

Draws are batched over all searches in flight, the oldest first, so that theorems are finished one after another and a
kill loses little. A batch is drawn as soon as it is full, or when Lean would otherwise run out of work before it came
back. Neither changes a record: searches ask for the same whatever the order of the answers.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from passatn.lean import Check, Goal, GoalError, LeanError, ProofState, Step
from passatn.prove.records import SearchRecord
from passatn.prove.search import Proof, Search, Wanted
from passatn.prove.tactic_model import Draws, Question, TacticModel

MIN_ATTEMPTS = 16
"""Fewer attempts than this under way leave Lean without work soon."""
OPENERS = 2
"""Threads that wait for first states."""
LONGEST_WAIT = 0.5
"""Seconds after which the clock is looked at, whatever happens."""

CheckProofs = Callable[[Goal, Sequence[Proof]], Sequence[Check]]
"""Rulings on whole proofs of a goal, from scratch. May be called from several threads."""
CheckGoal = Callable[[Goal], None]
"""Raises GoalError for a goal of which no proof would be accepted. May be called from several threads."""


class Lean(Protocol):
    """What a search needs of a `LeanSession`, without waiting for it."""

    def start(self, goal: Goal) -> ProofState: ...

    def submit(self, state: ProofState, tactic: str) -> "Future[Step]": ...


@dataclass(eq=False)
class _Running:
    """A search in flight."""

    search: Search
    ready: deque[Wanted] = field(default_factory=deque)
    """Draws that are wanted."""
    num_under_way: int = 0
    """Attempts and draws that have not been answered."""
    began: float | None = None
    is_late: bool = False
    """Past its time limit: answers are not looked at any more."""


class SearchLoop:
    """Runs searches.

    Args:
        model: draws tactics, in the thread that calls `run`.
        lean: for steps, such as a `LeanPool`.
        check: judges whole proofs, in threads.
        max_in_flight: theorems under way at once.
        batch_size: draws that make a batch; a state that wants more than are left gets them all the same.
        time_limit: seconds of wall clock for one search.
        num_checkers: threads for `check`.
        check_goal: judges goals before they are searched, beside `lean`.
    """

    def __init__(
        self,
        model: TacticModel,
        lean: Lean,
        check: CheckProofs,
        *,
        max_in_flight: int = 64,
        batch_size: int = 1024,
        time_limit: float = 5000.0,
        num_checkers: int = 1,
        check_goal: CheckGoal | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_in_flight < 1 or batch_size < 1 or num_checkers < 1 or not time_limit > 0:
            raise ValueError("max_in_flight, batch_size, num_checkers and time_limit must be positive")
        self._model, self._lean, self._check = model, lean, check
        self._max_in_flight, self._batch_size, self._time_limit = max_in_flight, batch_size, time_limit
        self._num_checkers, self._check_goal, self._clock = num_checkers, check_goal, clock
        self._running: dict[_Running, None] = {}
        """In the order of their beginning."""
        self._events: SimpleQueue[tuple[Callable[..., None], _Running, Any, Future[Any]]] = SimpleQueue()
        self._finished: list[SearchRecord] = []
        self._num_attempts = 0
        self._num_ready = 0
        self._probes = count()
        self.num_drawn = 0
        """Tactics drawn so far, for a display."""

    def run(self, searches: Iterable[Search]) -> Iterator[SearchRecord]:
        """The record of each search as it ends.

        Raises:
            LeanError: Lean cannot be run at all.
            EngineError, …: what the engine raises.
        """
        waiting = iter(searches)
        self._openers = ThreadPoolExecutor(OPENERS, thread_name_prefix="open")
        self._checkers = ThreadPoolExecutor(self._num_checkers, thread_name_prefix="check")
        busy_with = MIN_ATTEMPTS
        try:
            while self._fill(waiting):
                is_due = self._num_ready >= self._batch_size or (self._num_ready and self._num_attempts < busy_with)
                if is_due:
                    self._draw()
                    busy_with = max(MIN_ATTEMPTS, self._events.qsize())
                self._answer(must_wait=not is_due)
                self._end_late()
                yield from self._finished
                self._finished.clear()
        finally:
            self._openers.shutdown(wait=False, cancel_futures=True)
            self._checkers.shutdown(wait=False, cancel_futures=True)

    def _fill(self, waiting: Iterator[Search]) -> bool:
        """Begin searches while there is room; False when nothing is left to be done."""
        while len(self._running) < self._max_in_flight:
            search = next(waiting, None)
            if search is None:
                break
            running = _Running(search)
            self._running[running] = None
            self._submit(self._opened, running, None, self._openers.submit(self._open, search.theorem.goal))
        return bool(self._running)

    def _open(self, goal: Goal) -> ProofState:
        try:
            first = self._lean.start(goal)
            if self._check_goal is not None:
                self._check_goal(goal)
            return first
        except GoalError:
            raise
        except LeanError as error:
            # Is it this theorem, or is there no Lean any more? Then this raises.
            self._lean.start(Goal(f"theorem probe_{next(self._probes)} : True"))
            raise GoalError(f"Lean could not open it: {error}") from None

    def _draw(self) -> None:
        """One batch: the draws that the oldest searches want."""
        batch: list[tuple[_Running, Wanted]] = []
        room = self._batch_size
        for running in self._running:
            while running.ready and room > 0:
                wanted = running.ready.popleft()
                batch.append((running, wanted))
                room -= len(wanted.indices)
            if room <= 0:
                break
        questions = [_question(running, wanted) for running, wanted in batch]
        for (running, wanted), draws in zip(batch, self._model.draw(questions), strict=True):
            self._num_ready -= len(wanted.indices)
            self.num_drawn += len(wanted.indices) if draws is not None else 0
            self._drawn(running, wanted, draws)

    def _drawn(self, running: _Running, wanted: Wanted, draws: Draws | None) -> None:
        for attempt in running.search.drawn(wanted, draws):
            self._num_attempts += 1
            running.num_under_way += 1
            self._submit(self._tried, running, attempt, self._lean.submit(attempt.node.state, attempt.tactic))
        self._done_with_one(running)

    def _answer(self, *, must_wait: bool) -> None:
        """Deal with what has come from Lean; with `must_wait` until something has."""
        try:
            event = self._events.get(timeout=self._patience() if must_wait else 0)
            while True:
                handle, running, subject, future = event
                handle(running, subject, future)
                event = self._events.get_nowait()
        except Empty:
            return

    def _patience(self) -> float:
        ends = [running.began + self._time_limit for running in self._running if running.began is not None]
        return min(LONGEST_WAIT, max(0.0, min(ends, default=LONGEST_WAIT + self._clock()) - self._clock()))

    def _opened(self, running: _Running, _: None, future: "Future[ProofState]") -> None:
        running.began = self._clock()
        try:
            first = future.result()
        except GoalError as error:
            running.search.refused(str(error))
            self._finish(running)
            return
        self._want(running, running.search.start(first))

    def _tried(self, running: _Running, attempt: Any, future: "Future[Step]") -> None:
        self._num_attempts -= 1
        step = future.result()
        if not running.is_late:
            self._want(running, running.search.tried(attempt, step))
            self._done_with_one(running)

    def _want(self, running: _Running, wanted: Sequence[Wanted]) -> None:
        running.ready.extend(wanted)
        running.num_under_way += len(wanted)
        self._num_ready += sum(len(one.indices) for one in wanted)

    def _done_with_one(self, running: _Running) -> None:
        running.num_under_way -= 1
        if not running.num_under_way:
            self._settle(running)

    def _settle(self, running: _Running) -> None:
        """Nothing is under way: proofs are checked, then the search goes on or ends."""
        if proofs := running.search.candidates():
            future = self._checkers.submit(self._check, running.search.theorem.goal, proofs)
            self._submit(self._checked, running, None, future)
        elif wanted := running.search.more():
            self._want(running, wanted)
        else:
            self._finish(running)

    def _checked(self, running: _Running, _: None, future: "Future[Sequence[Check]]") -> None:
        running.search.checked(future.result())
        self._settle(running)

    def _finish(self, running: _Running) -> None:
        del self._running[running]
        assert running.began is not None
        self._finished.append(running.search.record(round(self._clock() - running.began, 3)))

    def _end_late(self) -> None:
        """Searches past their limit keep the proofs that they have."""
        now = self._clock()
        late = [r for r in self._running if r.began is not None and not r.is_late and now >= r.began + self._time_limit]
        for running in late:
            running.is_late = True
            self._num_ready -= sum(len(wanted.indices) for wanted in running.ready)
            running.ready.clear()
            running.search.out_of_time()
            if running.num_under_way:
                self._settle(running)

    def _submit(self, handle: Callable[..., None], running: _Running, subject: Any, future: "Future[Any]") -> None:
        """Have `handle(running, subject, future)` called in the loop's own thread when the future is done."""
        events = self._events
        future.add_done_callback(lambda done: events.put((handle, running, subject, done)))


def _question(running: _Running, wanted: Wanted) -> Question:
    node = wanted.node
    return Question(f"{running.search.theorem.name} {node.key.hex()}", node.state.text, wanted.indices)
