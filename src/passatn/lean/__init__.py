"""Lean 4: the embedded one that comes with pip, and any Lean project. See docs/lean.md."""

from passatn.lean.check import ALLOWED_AXIOMS, Check, Goal, GoalError, Ruling, check_file, check_proof
from passatn.lean.check_many import check_all, check_proofs
from passatn.lean.embedded import EmbeddedLean, embedded_lean
from passatn.lean.errors import LeanError, LeanMemoryError, LeanTimeoutError, LeanUnavailableError
from passatn.lean.pool import LeanPool
from passatn.lean.process import Message
from passatn.lean.project import LeanProject, check_in_project, lean_project
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
    "LeanProject",
    "LeanSession",
    "LeanTimeoutError",
    "LeanUnavailableError",
    "Message",
    "ProofState",
    "Ruling",
    "Step",
    "TacticFailure",
    "check_all",
    "check_file",
    "check_in_project",
    "check_proof",
    "check_proofs",
    "embedded_lean",
    "lean_project",
]
