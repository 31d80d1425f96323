"""Whole proofs checked from scratch, as the last word of a search: by the embedded Lean, or by that of a Lean project.

    check = embedded_checks(timeout_seconds=60, memory_mb=2048)
    rulings = check(goal, [("intro h", "exact h.2")])

It demands what `passatn.lean.check_proofs` and `check_in_project` demand. What runs into a limit is not proved.
"""

from collections.abc import Sequence

from passatn.lean import (
    Check,
    Goal,
    LeanError,
    LeanProject,
    LeanTimeoutError,
    LeanUnavailableError,
    Ruling,
    check_in_project,
    check_proofs,
)
from passatn.lean.syntax import indent
from passatn.prove.loop import CheckGoal, CheckProofs
from passatn.prove.search import Proof


def proof_text(tactics: Proof) -> str:
    """A proof as text, one tactic below the other."""
    return "\n".join(tactics)


def whole_file(goal: Goal, tactics: Proof) -> str:
    """What a person would save: header, statement, proof; `passatn.lean.check_file` accepts it if it is one."""
    header = f"{goal.header.rstrip()}\n" if goal.header.strip() else ""
    return f"{header}{goal.statement.strip()} := by\n{indent(proof_text(tactics))}\n"


def embedded_checks(*, timeout_seconds: float = 60.0, memory_mb: int = 2048) -> CheckProofs:
    """By the embedded Lean, many in one process; `timeout_seconds` is for each proof."""

    def check(goal: Goal, proofs: Sequence[Proof]) -> list[Check]:
        try:
            texts = [proof_text(proof) for proof in proofs]
            return check_proofs(goal, texts, timeout_seconds=timeout_seconds, memory_mb=memory_mb)
        except LeanUnavailableError:
            raise
        except LeanError as error:
            return [Check(Ruling.ERROR, str(error)) for _ in proofs]

    return check


def embedded_goal_check(*, timeout_seconds: float = 60.0, memory_mb: int = 2048) -> CheckGoal:
    """Whether the embedded Lean accepts header and statement as a whole file; what it compiles, `embedded_checks` uses.

    A state that opens step by step is not enough: searching is in vain where no whole proof could be accepted.
    """

    def check(goal: Goal) -> None:
        check_proofs(goal, [], timeout_seconds=timeout_seconds, memory_mb=memory_mb)

    return check


def project_checks(project: LeanProject, *, timeout_seconds: float = 300.0, memory_mb: int = 8192) -> CheckProofs:
    """By a project's Lean, each proof in a process of its own, which imports anew what the header names."""

    def check_one(goal: Goal, proof: Proof) -> Check:
        try:
            return check_in_project(
                project, goal, proof_text(proof), timeout_seconds=timeout_seconds, memory_mb=memory_mb
            )
        except LeanUnavailableError:
            raise
        except LeanTimeoutError as error:
            return Check(Ruling.TIMEOUT, str(error))
        except LeanError as error:
            return Check(Ruling.ERROR, str(error))

    return lambda goal, proofs: [check_one(goal, proof) for proof in proofs]
