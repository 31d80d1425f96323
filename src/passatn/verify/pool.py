"""One pool of worker processes for verifier functions that may hang, crash or eat memory.

A task that exceeds the wall clock, the memory, or takes its process down costs its own result and nothing else: the
worker is killed and replaced. What a task gets does not depend on what ran before it: a worker that dies or runs out of
memory with earlier tasks behind it is replaced and the task is tried once more, on a fresh one, whose word is final.

Each worker belongs to one thread of the pool, which starts, asks and kills it; so the pool needs neither signals nor
`fork`, works from any thread, and its processes die with it (or with the whole program, however that ends). Workers
start when there is something to do, and no more of them than tasks are waiting.

    with WorkerPool("passatn.verify.math.judge:load", timeout_seconds=5) as pool:
        results = pool.map([["1/2", ["0.5"]]])
"""

import contextlib
import math
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from passatn.verify.process import FunctionWorker, WorkerDiedError, WorkerLoadError, WorkerTimeoutError
from passatn.verify.verdict import Outcome

_QUEUE_PER_WORKER = 4
_START_ATTEMPTS = 3
_MAX_MEMORY_MB = 2**24
"""16 TiB; much larger numbers do not fit into the system's own limits."""


class PoolError(ValueError):
    """The pool's function cannot be loaded, or the pool is closed."""


@dataclass(frozen=True)
class TaskResult:
    """`failure` is None where the function returned `value`, else TIMEOUT or ERROR with the reason in `detail`."""

    value: Any = None
    failure: Outcome | None = None
    detail: str = ""


class Worker(Protocol):
    """A process that answers one task at a time."""

    num_tasks: int
    retired: bool

    def ask(self, payload: Any, timeout_seconds: float) -> dict[str, Any]: ...

    def kill(self) -> None: ...


StartWorker = Callable[[Callable[[], bool]], Worker]
"""Starts a worker; what it is given says whether the pool was closed meanwhile."""


class WorkerPool:
    """Runs tasks on up to `num_workers` processes (default: the CPUs), `timeout_seconds` and `memory_mb` for each.

    `factory` is "module:name" of a function that is called once per process with `arguments` and returns the function
    of one task; payloads and values are JSON. With `start_worker` instead, workers of another kind.
    """

    def __init__(
        self,
        factory: str = "",
        arguments: Sequence[Any] = (),
        *,
        timeout_seconds: float = 5.0,
        memory_mb: int = 2048,
        num_workers: int | None = None,
        start_worker: StartWorker | None = None,
    ) -> None:
        check_limits(timeout_seconds, memory_mb, num_workers)

        def start(cancelled: Callable[[], bool]) -> Worker:
            return FunctionWorker(factory, arguments, memory_mb, cancelled)

        self._options = (start_worker or start, timeout_seconds, num_workers or default_num_workers())
        self._closed = False
        self._open()

    def map(self, payloads: Iterable[Any]) -> list[TaskResult]:
        """One result per payload, in order; blocks while all workers are busy. Raises PoolError, see there."""
        if self._closed:
            raise PoolError("the pool is closed")
        if os.getpid() != self._pid:
            self._open()
        batch = _Batch()
        for payload in payloads:
            self._state.put(_Task(payload, batch, batch.grow()))
        return batch.wait()

    def close(self) -> None:
        """Kill the workers; tasks in flight raise PoolError where they are waited for. Safe to call twice."""
        self._closed = True
        self._finalizer()

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        """Also called in a fork of the process that made the pool, where its threads do not exist."""
        self._pid = os.getpid()
        self._state = _State(*self._options)
        self._finalizer = weakref.finalize(self, _State.close, self._state)


def default_num_workers() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_limits(timeout_seconds: float, memory_mb: int, num_workers: int | None) -> None:
    """Raises ValueError, naming the value, unless all are positive and neither endless nor absurd."""
    if not timeout_seconds > 0:
        raise ValueError(f"timeout_seconds must be positive, got {timeout_seconds}")
    if not math.isfinite(timeout_seconds):
        raise ValueError(f"timeout_seconds must be finite, got {timeout_seconds}")
    if memory_mb < 1:
        raise ValueError(f"memory_mb must be at least 1, got {memory_mb}")
    if memory_mb > _MAX_MEMORY_MB:
        raise ValueError(f"memory_mb must be at most {_MAX_MEMORY_MB}, got {memory_mb}")
    if num_workers is not None and num_workers < 1:
        raise ValueError(f"num_workers must be at least 1, got {num_workers}")


class _Batch:
    """The results of one call of `map`, filled in any order."""

    def __init__(self) -> None:
        self._results: list[TaskResult | None] = []
        self._num_open = 0
        self._condition = threading.Condition()
        self._error: PoolError | None = None

    def grow(self) -> int:
        with self._condition:
            self._results.append(None)
            self._num_open += 1
            return len(self._results) - 1

    def set(self, index: int, result: TaskResult | PoolError) -> None:
        with self._condition:
            if isinstance(result, PoolError):
                self._error = result
            else:
                self._results[index] = result
            self._num_open -= 1
            self._condition.notify_all()

    def wait(self) -> list[TaskResult]:
        with self._condition:
            while self._num_open and self._error is None:
                self._condition.wait()
            if self._error is not None:
                raise self._error
            return [result for result in self._results if result is not None]


@dataclass(frozen=True)
class _Task:
    payload: Any
    batch: _Batch
    index: int

    def finish(self, result: TaskResult | PoolError) -> None:
        self.batch.set(self.index, result)


class _State:
    """What the pool shares with its threads; it knows nothing of the pool, so that a forgotten pool is closed."""

    def __init__(self, start_worker: StartWorker, timeout_seconds: float, num_workers: int) -> None:
        self.start_worker, self.timeout_seconds, self.num_workers = start_worker, timeout_seconds, num_workers
        self.closed = False
        self._queue: queue.Queue[_Task] = queue.Queue(_QUEUE_PER_WORKER * num_workers)
        self._threads: list[threading.Thread] = []
        self._num_idle = 0
        self._lock = threading.Lock()

    def put(self, task: _Task) -> None:
        with self._lock:
            if self._num_idle <= self._queue.qsize() and len(self._threads) < self.num_workers and not self.closed:
                thread = threading.Thread(target=self._serve, name=f"verify-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
        while not self.closed:
            with contextlib.suppress(queue.Full):
                self._queue.put(task, timeout=0.25)
                if self.closed:
                    self._drain()
                return
        raise PoolError("the pool is closed")

    def get(self) -> _Task | None:
        with self._lock:
            self._num_idle += 1
        try:
            while not self.closed:
                with contextlib.suppress(queue.Empty):
                    return self._queue.get(timeout=0.25)
            return None
        finally:
            with self._lock:
                self._num_idle -= 1

    def close(self) -> None:
        self.closed = True
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=2.0)
        self._drain()

    def _drain(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait().finish(PoolError("the pool was closed"))

    def _serve(self) -> None:
        worker: Worker | None = None
        try:
            while (task := self.get()) is not None:
                worker = self._run(worker, task)
        finally:
            if worker is not None:
                worker.kill()

    def _run(self, worker: Worker | None, task: _Task) -> Worker | None:
        """Finish the task; returns the worker that is fit for the next one."""
        try:
            worker, result = self._attempt(worker, task.payload)
        except WorkerLoadError as error:
            worker, result = None, PoolError(str(error))
        except Exception as error:
            worker, result = None, TaskResult(failure=Outcome.ERROR, detail=f"{type(error).__name__}: {error}")
        task.finish(PoolError("the pool was closed") if self.closed else result)
        return worker

    def _attempt(self, worker: Worker | None, payload: Any) -> tuple[Worker | None, TaskResult | PoolError]:
        while True:
            worker = worker or self._start()
            result, is_fit = self._ask(worker, payload)
            is_fresh = worker.num_tasks == 1
            if not is_fit:
                worker.kill()
                worker = None
            if is_fit or is_fresh or result.failure is not Outcome.ERROR or self.closed:
                return worker, result

    def _ask(self, worker: Worker, payload: Any) -> tuple[TaskResult, bool]:
        """The result, and whether the worker can go on."""
        try:
            reply = worker.ask(payload, self.timeout_seconds)
        except WorkerTimeoutError:
            detail = f"no verdict within {self.timeout_seconds:g} s"
            return TaskResult(failure=Outcome.TIMEOUT, detail=detail), False
        except WorkerDiedError as error:
            return TaskResult(failure=Outcome.ERROR, detail=str(error)), False
        except BaseException:
            worker.kill()
            raise
        if "error" in reply:
            return TaskResult(failure=Outcome.ERROR, detail=reply["error"]), not worker.retired
        return TaskResult(reply.get("value")), not worker.retired

    def _start(self) -> Worker:
        """A new worker. Raises WorkerLoadError at once, and OSError after some attempts."""
        for attempt in range(_START_ATTEMPTS):
            try:
                return self.start_worker(lambda: self.closed)
            except (WorkerTimeoutError, WorkerDiedError, OSError) as error:
                reason = str(error) or "it did not answer"
                if self.closed:
                    break
                time.sleep(0.2 * 2**attempt)
        raise OSError(f"no worker process could be started: {reason}")
