"""Is a completion a proof? Checked by Lean from scratch; see docs/lean.md.

The completion is a tactic proof, alone or in a code fence, with or without `by` or `:= by` before it. The problem's
metadata holds `statement` (`theorem NAME … : …`, without `:=`) and, where it needs one, `header` (Lean text that comes
before the statement). With `project`, the path of a Lean project, that project's Lean checks it instead of the embedded
one, and `header` holds the imports; with `replay`, lean4checker's name or path, what it compiled is replayed as well.

    verifier = LeanVerifier(timeout_seconds=60, memory_mb=2048)
    verdicts = verifier.verify([Submission(problem, completion)])
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from passatn.lean import (
    Check,
    Goal,
    LeanError,
    LeanTimeoutError,
    LeanUnavailableError,
    Ruling,
    check_all,
    check_in_project,
    embedded_lean,
    lean_project,
)
from passatn.lean.lake import find_program
from passatn.lean.prelude import compiled_prelude
from passatn.tasks import Problem
from passatn.verify.code.completion import find_code
from passatn.verify.pool import TaskResult, WorkerPool, check_limits, default_num_workers
from passatn.verify.verdict import Outcome, Submission, Verdict

_VERSION = 3
_MAX_BATCH = 64
_GRACE_SECONDS = 30.0
"""Beyond the limits of Lean's runs, which keep them themselves."""

_OUTCOMES = {
    Ruling.PROVED: Outcome.CORRECT,
    Ruling.REFUSED: Outcome.INCORRECT,
    Ruling.FAILED: Outcome.INCORRECT,
    Ruling.TIMEOUT: Outcome.TIMEOUT,
    Ruling.ERROR: Outcome.ERROR,
}


@dataclass(frozen=True)
class _Task:
    """What is to be checked where; an empty `project` is the embedded Lean."""

    goal: Goal
    project: str
    replay: str
    proof: str


class LeanVerifier:
    """Tactic proofs, as a `Verifier`; the limits are those of a proof in time and of a process in memory."""

    name = "lean"

    def __init__(
        self,
        timeout_seconds: float = 60.0,
        memory_mb: int = 2048,
        num_workers: int | None = None,
    ) -> None:
        """Raises ValueError for a limit out of range, LeanError where there is no Lean at all."""
        check_limits(timeout_seconds, memory_mb, num_workers)
        self.version = f"{_VERSION};{_embedded()};timeout={timeout_seconds:g};memory={memory_mb}"
        self._num_workers = num_workers or default_num_workers()
        self._pool = WorkerPool(
            timeout_seconds=2 * _MAX_BATCH * timeout_seconds + _GRACE_SECONDS,
            memory_mb=memory_mb,
            num_workers=num_workers,
            start_worker=lambda cancelled: _Checker(timeout_seconds, memory_mb, cancelled),
        )

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        """One verdict per submission, in order; `extracted` is the proof that was checked."""
        tasks = [_task(submission) for submission in submissions]
        distinct = list(dict.fromkeys(task for task in tasks if isinstance(task, _Task)))
        batches = list(_batches(distinct, self._num_workers))
        verdicts: dict[_Task, Verdict] = {}
        for batch, result in zip(batches, self._pool.map(batches), strict=True):
            verdicts.update(zip(batch, _verdicts(batch, result), strict=True))
        return [verdicts[task] if isinstance(task, _Task) else task for task in tasks]

    def close(self) -> None:
        """Stop the workers; safe to call twice."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Checker:
    """A worker of the pool that starts a process for each batch, and in a project for each proof."""

    def __init__(self, timeout_seconds: float, memory_mb: int, cancelled: Callable[[], bool]) -> None:
        self.num_tasks = 0
        self.retired = False
        self._timeout_seconds, self._memory_mb, self._cancelled = timeout_seconds, memory_mb, cancelled

    def ask(self, payload: Sequence[_Task], timeout_seconds: float) -> dict[str, Any]:
        """{"value": the checks of a batch}; the limits are those of the processes, not `timeout_seconds`."""
        self.num_tasks += 1
        try:
            if payload[0].project:
                return {"value": [self._in_project(task) for task in payload]}
            pairs = [(task.goal, task.proof) for task in payload]
            checks = check_all(
                pairs, timeout_seconds=self._timeout_seconds, memory_mb=self._memory_mb, cancelled=self._cancelled
            )
        except LeanError as error:
            return {"value": [Check(Ruling.ERROR, str(error)) for _ in payload]}
        return {"value": checks}

    def _in_project(self, task: _Task) -> Check:
        try:
            return check_in_project(
                lean_project(task.project, replay=task.replay),
                task.goal,
                task.proof,
                timeout_seconds=self._timeout_seconds,
                memory_mb=self._memory_mb,
                cancelled=self._cancelled,
            )
        except LeanTimeoutError as error:
            return Check(Ruling.TIMEOUT, str(error))
        except LeanError as error:
            return Check(Ruling.ERROR, str(error))

    def kill(self) -> None:
        """Its process ends when the pool is closed, see `cancelled`, or at its own limits."""


def _embedded() -> str:
    """Which embedded Lean there is. Raises LeanError where there is none, nor Lake for a project."""
    try:
        return compiled_prelude(embedded_lean()).folder.name
    except LeanUnavailableError:
        if find_program("lake") is None:
            raise
        return "projects only"


def _task(submission: Submission) -> _Task | Verdict:
    """What is to be checked, or the verdict on a problem of which that cannot be said."""
    problem, proof = submission.problem, find_code(submission.completion)
    goal, project = _goal(problem), problem.metadata.get("project") or ""
    replay = problem.metadata.get("replay") or ""
    if isinstance(goal, str):
        return Verdict(Outcome.ERROR, None, goal)
    if not isinstance(project, str):
        return Verdict(Outcome.ERROR, None, "the metadata 'project' must be the path of a Lean project")
    if not isinstance(replay, str) or (replay and not project):
        return Verdict(
            Outcome.ERROR, None, "the metadata 'replay' must be the name or path of lean4checker in a project"
        )
    return _Task(goal, project, replay, proof)


def _goal(problem: Problem) -> Goal | str:
    statement, header = problem.metadata.get("statement"), problem.metadata.get("header") or ""
    if not isinstance(statement, str) or not statement.strip():
        return "the problem's metadata needs 'statement': theorem NAME … : …, without ':='"
    if not isinstance(header, str):
        return "the metadata 'header' must be Lean text"
    return Goal(statement, header)


def _batches(tasks: Sequence[_Task], num_workers: int) -> Iterator[list[_Task]]:
    """Tasks for one process each: enough of them for all workers, none of two kinds of Lean."""
    for embedded in (True, False):
        kind = [task for task in tasks if (not task.project) == embedded]
        size = min(_MAX_BATCH, -(-len(kind) // num_workers)) if embedded else 1
        yield from (kind[start : start + size] for start in range(0, len(kind), size or 1))


def _verdicts(batch: Sequence[_Task], result: TaskResult) -> list[Verdict]:
    if result.failure is not None:
        return [Verdict(result.failure, task.proof, result.detail) for task in batch]
    return [
        Verdict(_OUTCOMES[check.ruling], task.proof, _detail(check))
        for task, check in zip(batch, result.value, strict=True)
    ]


def _detail(check: Check) -> str:
    return f"refused: {check.detail}" if check.ruling is Ruling.REFUSED else check.detail
