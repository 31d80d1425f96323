"""What is to be proved, by name: a statement for Lean, and what is known about it.

A problem of `passatn.tasks` is a theorem if its metadata holds `statement` (`theorem NAME … : …`, no `:=`) and, if
needed, `header` (Lean text before it). Its prompt is not used: a search asks the model about states.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from passatn.lean import Goal
from passatn.lean.syntax import theorem_name
from passatn.tasks.problem import Problem, ProblemError

_NOT_METADATA = ("statement", "header")


@dataclass(frozen=True)
class Theorem:
    """`name` tells theorems apart; it need not be the one in the statement."""

    name: str
    goal: Goal
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, problem: Problem) -> "Theorem":
        """Raises ProblemError: there is no statement, or it is none; names the problem."""
        statement, header = problem.metadata.get("statement"), problem.metadata.get("header", "")
        if not isinstance(statement, str) or not isinstance(header, str):
            raise ProblemError(
                f"problem {problem.id!r}: proof search needs `statement` (a text, theorem NAME … : …) and, if it "
                "is needed, `header` (a text), in the metadata or as fields of their own"
            )
        try:
            theorem_name(statement)
        except ValueError as error:
            raise ProblemError(f"problem {problem.id!r}: {error}, got {' '.join(statement.split()):.80}") from None
        kept = {key: value for key, value in problem.metadata.items() if key not in _NOT_METADATA}
        try:
            json.dumps(kept, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ProblemError(f"problem {problem.id!r}: its metadata cannot be written as JSON ({error})") from None
        return cls(problem.id, Goal(statement, header), kept)


def theorems_of(problems: Iterable[Problem]) -> list[Theorem]:
    """All of them. Raises ProblemError for the first that is none."""
    return [Theorem.of(problem) for problem in problems]
