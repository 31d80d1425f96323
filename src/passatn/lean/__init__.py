"""Lean 4: the embedded one that comes with pip, and any Lean project. See docs/lean.md."""

from passatn.lean.check import ALLOWED_AXIOMS, Check, Goal, GoalError, Ruling, check_file, check_proof
from passatn.lean.embedded import EmbeddedLean, embedded_lean
from passatn.lean.errors import LeanError, LeanMemoryError, LeanTimeoutError, LeanUnavailableError
from passatn.lean.pool import LeanPool
from passatn.lean.process import Message
from passatn.lean.session import FailureKind, LeanSession, ProofState, Step, TacticFailure

__all__ = [
    "ALLOWED_AXIOMS",
    "Check",
    "EmbeddedLean",
    "FailureKind",
    "Goal",
    "GoalError",
    "LeanError",
    "LeanMemoryError",
    "LeanPool",
    "LeanSession",
    "LeanTimeoutError",
    "LeanUnavailableError",
    "Message",
    "ProofState",
    "Ruling",
    "Step",
    "TacticFailure",
    "check_file",
    "check_proof",
    "embedded_lean",
]
