"""Does generated code pass its unit tests? Each program in confined processes of its own; see docs/verify-code.md.

verifier = CodeVerifier(timeout_seconds=10, memory_mb=2048)
verdicts = verifier.verify([Submission(problem, completion)])
"""

import platform
import sys
from collections.abc import Sequence

from passatn.verify.code.exam import Exam, ExamError, make_exam
from passatn.verify.code.jail import GRACE_SECONDS, LauncherWorker, missing_layers
from passatn.verify.pool import TaskResult, WorkerPool, check_limits
from passatn.verify.verdict import Outcome, Submission, Verdict

_VERSION = 1
_MAX_CODE_BYTES = 2**20
_MIN_MEMORY_MB = 32
"""In less than about 6 MB beyond the interpreter not even a correct program starts; the rest is for its imports."""


class ConfinementError(RuntimeError):
    """Untrusted programs cannot be run here; the message says what to do."""


class CodeVerifier:
    """Unit tests in the formats of HumanEval and MBPP, as a `Verifier`.

    `timeout_seconds` bounds wall-clock and CPU time of a program with its tests, `memory_mb` the address space of each
    of its processes and what they hold together. `in_container=True` says that this whole process runs in a container
    made for untrusted code: then layers of confinement that the machine lacks are done without.
    """

    name = "code"

    def __init__(
        self,
        timeout_seconds: float = 10.0,
        memory_mb: int = 2048,
        num_workers: int | None = None,
        *,
        in_container: bool = False,
    ) -> None:
        """Raises ValueError for a limit out of range, ConfinementError where programs cannot be confined."""
        check_limits(timeout_seconds, memory_mb, num_workers)
        if memory_mb < _MIN_MEMORY_MB:
            raise ValueError(
                f"memory_mb must be at least {_MIN_MEMORY_MB} for the code verifier, got {memory_mb}: with less, "
                "correct programs cannot start"
            )
        _require_confinement(in_container)
        python = f"python{platform.python_version()}"
        self.version = f"{_VERSION};{python};timeout={timeout_seconds:g};memory={memory_mb}"
        self._pool = WorkerPool(
            timeout_seconds=timeout_seconds + GRACE_SECONDS,
            memory_mb=memory_mb,
            num_workers=num_workers,
            start_worker=lambda cancelled: LauncherWorker(timeout_seconds, memory_mb, cancelled=cancelled),
        )

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        """One verdict per submission, in order; `extracted` is the code that was run."""
        exams = [_prepare(submission) for submission in submissions]
        ready = [exam for exam in exams if not isinstance(exam, Verdict)]
        results = iter(self._pool.map((exam.program, exam.tests) for exam in ready))
        return [exam if isinstance(exam, Verdict) else _verdict(exam.code, next(results)) for exam in exams]

    def close(self) -> None:
        """End the workers; safe to call twice."""
        self._pool.close()

    def __enter__(self) -> "CodeVerifier":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _require_confinement(in_container: bool) -> None:
    if not sys.platform.startswith("linux"):
        raise ConfinementError(
            f"the code verifier needs Linux or a container: this is {sys.platform}; run passatn inside a Linux "
            "container, as docs/verify-code.md describes"
        )
    reason = "" if in_container else missing_layers()
    if reason:
        raise ConfinementError(
            f"the code verifier cannot confine programs here: {reason}; or run passatn in a container made for "
            "untrusted code and pass in_container=True (see docs/verify-code.md)"
        )


def _prepare(submission: Submission) -> Exam | Verdict:
    if len(submission.completion) > _MAX_CODE_BYTES:
        return Verdict(Outcome.INCORRECT, None, f"the completion is longer than {_MAX_CODE_BYTES} characters")
    try:
        return make_exam(submission.problem, submission.completion)
    except ExamError as error:
        return Verdict(Outcome.ERROR, None, str(error))


def _verdict(code: str, result: TaskResult) -> Verdict:
    if result.failure is not None:
        return Verdict(result.failure, code, result.detail)
    return Verdict(Outcome(result.value["outcome"]), code, result.value["detail"])
