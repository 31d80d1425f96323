"""The interface of proving step by step: start a theorem, try tactics on its states, any number on each.

    with LeanPool() as lean:                        # a LeanSession
        state = lean.start(Goal("theorem t (a b : Nat) : a + b = b + a"))
        step = lean.apply(state, "exact Nat.add_comm a b")
        isinstance(step, ProofState) and step.is_done

A state knows how it was reached and nothing of the process that knows it, so it outlives that process. Steps are hints:
only `check_proof` says what is proved.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from passatn.lean.check import Goal
from passatn.lean.process import Message


class FailureKind(StrEnum):
    ERROR = "error"
    """Lean refuses the tactic, and says why."""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crash"
    """Processes of Lean died over it, three in a row."""


@dataclass(frozen=True)
class ProofState:
    """Where the proof of `goal` stands after `tactics`. `goals` are those that are open, as Lean prints them."""

    goal: Goal
    tactics: tuple[str, ...]
    goals: tuple[str, ...]

    @property
    def is_done(self) -> bool:
        """No goals: a candidate for `check_proof`."""
        return not self.goals

    @property
    def text(self) -> str:
        """All goals, the one that the next tactic works on first, with a blank line in between."""
        return "\n\n".join(self.goals) or "no goals"

    @property
    def proof(self) -> str:
        return "\n".join(self.tactics)


@dataclass(frozen=True)
class TacticFailure:
    """Why there is no next state."""

    kind: FailureKind
    message: str


Step = ProofState | TacticFailure


class LeanSession(Protocol):
    """Lean, for a search. All methods may be called from several threads."""

    def start(self, goal: Goal) -> ProofState:
        """The first state. Raises GoalError for a statement that Lean does not accept, LeanError without a Lean."""

    def apply(self, state: ProofState, tactic: str) -> Step:
        """What a tactic makes of a state; raises LeanError only where no Lean can be started any more."""

    def check_file(self, text: str) -> tuple[Message, ...]:
        """What Lean says about a whole file."""

    def close(self) -> None:
        """Release processes; safe to call twice."""
