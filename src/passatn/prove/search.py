"""What a search of one theorem is to the loop that runs many: it asks for tactics, tries them, and has proofs checked.

The loop (`passatn.prove.loop`) opens the theorem, then answers what the search asks for, in any order and interleaved
with other theorems, until nothing is asked for any more:

    start(first state)      → nodes to draw tactics from
    drawn(node, draws)      → attempts for Lean
    tried(attempt, step)    → nodes
    and when nothing is under way: candidates() → proofs to be checked → checked(…), then more() → nodes, or the end

A search does no work of its own and knows neither model nor Lean. What it asks for next must not depend on the order of
the answers, so that a record is the same however the work was batched.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from passatn.lean import Check, ProofState, Step
from passatn.prove.records import SearchRecord
from passatn.prove.tactic_model import Draws
from passatn.prove.theorem import Theorem

Proof = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A path of tactics and the state to which it led; `key` names the random numbers of its draws."""

    state: ProofState
    key: bytes
    log_prob: float = 0.0
    """Σ log p(tactic | state) along the path."""

    @property
    def depth(self) -> int:
        return len(self.state.tactics)

    def child(self, state: ProofState, tactic: str, log_prob: float) -> "Node":
        key = hashlib.blake2b(self.key + tactic.encode(), digest_size=16).digest()
        return Node(state, key, self.log_prob + log_prob)


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """Draws that are wanted from a node."""

    node: Node
    indices: range


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """A tactic to be tried on a node's state."""

    node: Node
    tactic: str
    count: int
    log_prob: float


class Search(Protocol):
    """One theorem, one slice of its budget."""

    theorem: Theorem

    def start(self, first: ProofState) -> Sequence[Wanted]: ...

    def drawn(self, wanted: Wanted, draws: Draws | None) -> Sequence[Attempt]:
        """`draws` are None where the state was too long for the model."""

    def tried(self, attempt: Attempt, step: Step) -> Sequence[Wanted]: ...

    def candidates(self) -> Sequence[Proof]:
        """Proofs that left no goals and have not been checked."""

    def checked(self, checks: Sequence[Check]) -> None:
        """The rulings on `candidates()`, in their order."""

    def more(self) -> Sequence[Wanted]:
        """What is to be done when nothing is under way; nothing ends the search."""

    def out_of_time(self) -> None:
        """Whatever is under way is lost; `candidates` are still checked."""

    def refused(self, problem: str) -> None:
        """Lean does not accept the statement."""

    def record(self, seconds: float) -> SearchRecord: ...


def root(first: ProofState, theorem: Theorem, first_sample: int) -> Node:
    """The node of a theorem's first state, with random numbers of its own for each slice."""
    name = f"{first_sample} {theorem.name}"
    return Node(first, hashlib.blake2b(name.encode(), digest_size=16).digest())
