"""What a verifier is given and what it answers: the vocabulary that every verifier shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from passatn.tasks import Problem


class Outcome(StrEnum):
    """Only `CORRECT` counts in pass@N.

    A program that raises, fails an assertion, exits early or dies of a signal is incorrect; a wall-clock or CPU limit
    is a timeout; another limit, or the verifier itself failing, is an error.
    """

    CORRECT = "correct"
    INCORRECT = "incorrect"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True)
class Submission:
    """One completion to be judged against its problem."""

    problem: Problem
    completion: str


@dataclass(frozen=True)
class Verdict:
    """The answer of a verifier: the outcome, the text it took for the answer, and why."""

    outcome: Outcome
    extracted: str | None = None
    detail: str = ""


class Verifier(Protocol):
    """Judges completions. A verdict depends on the submission alone: not on thread, order, or what ran before."""

    name: str
    version: str
    """Enters the key under which verdicts are cached: it changes whenever a verdict could."""

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        """One verdict per submission, in order; never raises because of a submission."""

    def close(self) -> None:
        """Release processes; safe to call twice."""
