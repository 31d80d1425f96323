"""Is a completion a proof? Checked by Lean from scratch, each in a fresh process; see docs/lean.md.

The completion is a tactic proof, alone or in a code fence, with or without `by` or `:= by` before it. The problem's
metadata holds `statement` (`theorem NAME … : …`, without `:=`) and, where it needs one, `header` (Lean text that comes
before the statement).

    verifier = LeanVerifier(timeout_seconds=60, memory_mb=2048)
    verdicts = verifier.verify([Submission(problem, completion)])
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

from passatn.lean import (
    Check,
    Goal,
    LeanError,
    LeanTimeoutError,
    Ruling,
    check_proof,
    embedded_lean,
)
from passatn.lean.prelude import compiled_prelude
from passatn.tasks import Problem
from passatn.verify.code.completion import find_code
from passatn.verify.pool import TaskResult, WorkerPool, check_limits
from passatn.verify.verdict import Outcome, Submission, Verdict

_VERSION = 1
_GRACE_SECONDS = 30.0
"""Beyond the limits of the two runs of a check, which keep them themselves."""

_OUTCOMES = {Ruling.PROVED: Outcome.CORRECT, Ruling.REFUSED: Outcome.INCORRECT, Ruling.FAILED: Outcome.INCORRECT}


class LeanVerifier:
    """Tactic proofs for the embedded Lean, as a `Verifier`; limits hold for each process of Lean."""

    name = "lean"

    def __init__(
        self,
        timeout_seconds: float = 60.0,
        memory_mb: int = 2048,
        num_workers: int | None = None,
    ) -> None:
        """Raises ValueError for a limit out of range, LeanError where there is no embedded Lean that works."""
        check_limits(timeout_seconds, memory_mb, num_workers)
        prelude = compiled_prelude(embedded_lean())
        self.version = f"{_VERSION};{prelude.folder.name};timeout={timeout_seconds:g};memory={memory_mb}"
        self._pool = WorkerPool(
            timeout_seconds=2 * timeout_seconds + _GRACE_SECONDS,
            memory_mb=memory_mb,
            num_workers=num_workers,
            start_worker=lambda cancelled: _Checker(timeout_seconds, memory_mb, cancelled),
        )

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        """One verdict per submission, in order; `extracted` is the proof that was checked."""
        proofs = [find_code(submission.completion) for submission in submissions]
        goals = [_goal(submission.problem) for submission in submissions]
        tasks = [(goal, proof) for goal, proof in zip(goals, proofs, strict=True) if isinstance(goal, Goal)]
        results = iter(self._pool.map(tasks))
        return [
            _verdict(next(results), proof) if isinstance(goal, Goal) else Verdict(Outcome.ERROR, None, goal)
            for goal, proof in zip(goals, proofs, strict=True)
        ]

    def close(self) -> None:
        """Stop the workers; safe to call twice."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Checker:
    """A worker of the pool that starts a process for each proof."""

    def __init__(self, timeout_seconds: float, memory_mb: int, cancelled: Callable[[], bool]) -> None:
        self.num_tasks = 0
        self.retired = False
        self._limits = (timeout_seconds, memory_mb)
        self._cancelled = cancelled

    def ask(self, payload: tuple[Goal, str], timeout_seconds: float) -> dict[str, Any]:
        """{"value": a verdict's outcome and detail}; the limits are those of the processes, not `timeout_seconds`."""
        self.num_tasks += 1
        goal, proof = payload
        seconds, memory_mb = self._limits
        try:
            check = check_proof(goal, proof, timeout_seconds=seconds, memory_mb=memory_mb, cancelled=self._cancelled)
        except LeanTimeoutError as error:
            return {"value": (Outcome.TIMEOUT, str(error))}
        except LeanError as error:
            return {"value": (Outcome.ERROR, str(error))}
        return {"value": (_OUTCOMES[check.ruling], _detail(check))}

    def kill(self) -> None:
        """Its process ends when the pool is closed, see `cancelled`, or at its own limits."""


def _goal(problem: Problem) -> Goal | str:
    """What is to be proved, or why that cannot be said."""
    statement, header = problem.metadata.get("statement"), problem.metadata.get("header") or ""
    if problem.metadata.get("project"):
        return "proofs in a Lean project are not checked by this verifier: leave out the metadata 'project'"
    if not isinstance(statement, str) or not statement.strip():
        return "the problem's metadata needs 'statement': theorem NAME … : …, without ':='"
    if not isinstance(header, str):
        return "the metadata 'header' must be Lean text"
    return Goal(statement, header)


def _detail(check: Check) -> str:
    return f"refused: {check.detail}" if check.ruling is Ruling.REFUSED else check.detail


def _verdict(result: TaskResult, proof: str) -> Verdict:
    if result.failure is not None:
        return Verdict(result.failure, proof, result.detail)
    outcome, detail = result.value
    return Verdict(outcome, proof, detail)
