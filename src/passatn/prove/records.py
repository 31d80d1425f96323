"""What a search leaves behind: one record per theorem and slice of the budget, from which every number is computed.

A slice is the roll-outs number `first_sample` … `first_sample + num_samples − 1` of a theorem, or one best-first
search. Roll-outs are independent, so the slices of a theorem add up (`merge`), and pass@N follows from their counts by
the unbiased estimator. Records are JSON Lines: one object a line, as `to_dict` makes it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any, Self

from passatn.evaluate.records import ProblemResult


class End(StrEnum):
    """Why a roll-out stopped. Only PROVED counts."""

    PROVED = "proved"
    """No goals left, and Lean accepted the whole proof from scratch."""
    UNCHECKED = "unchecked"
    """No goals left, but the whole proof was not accepted."""
    ERROR = "error"
    """Lean does not accept the tactic."""
    TIMEOUT = "timeout"
    """A tactic ran into its time limit."""
    MEMORY = "memory"
    CRASH = "crash"
    TOO_LONG = "too_long"
    """The model did not end the tactic within its limit of tokens, or the state did not fit into the model."""
    DEPTH = "depth"
    """The limit of tactics in one proof."""
    TIME = "time"
    """The theorem's time limit."""


@dataclass(frozen=True)
class FoundProof:
    """A proof whose last step left no goals."""

    tactics: tuple[str, ...]
    num_found: int
    """Roll-outs that ended in it; 1 in a best-first search."""
    log_prob: float
    """Σ log p(tactic | state) at temperature 1, in nats; NaN, in JSON null, from an engine that does not know it."""
    is_checked: bool
    """Lean accepted the whole file in a fresh process."""
    detail: str = ""
    """Why it did not."""
    found_at: int | None = None
    """Tactics that the search had drawn on this theorem when it was found, where tactics have an order."""


@dataclass(frozen=True)
class DepthCounts:
    """What happened to the states that are reached by the same number of tactics."""

    num_states: int = 0
    """Distinct states (as texts) from which tactics were drawn."""
    num_drawn: int = 0
    num_distinct: int = 0
    """Distinct (state, tactic) pairs among them."""
    num_valid: int = 0
    """Distinct pairs that Lean accepted."""
    num_valid_drawn: int = 0
    """Draws that Lean accepted."""


@dataclass(frozen=True)
class SearchRecord:
    """One theorem, one slice of the budget."""

    theorem: str
    statement: str
    method: str
    """"rollouts" or "best_first"."""
    num_samples: int
    """Roll-outs; a best-first search is one sample, correct if it found a proof."""
    num_correct: int
    """Roll-outs that ended in a checked proof."""
    first_sample: int = 0
    header: str = ""
    num_tactics: int = 0
    """Tactics drawn from the model."""
    num_tried: int = 0
    """Distinct (state, tactic) pairs that Lean was asked about."""
    ends: Mapping[str, int] = field(default_factory=dict)
    """Roll-outs by `End`; they sum to num_samples (in a best-first search: tactics tried, by what became of them)."""
    lengths: Mapping[int, int] = field(default_factory=dict)
    """Roll-outs by the number of tactics they drew."""
    depths: tuple[DepthCounts, ...] = ()
    proofs: tuple[FoundProof, ...] = ()
    """Distinct ones, the most frequent first."""
    seconds: float = 0.0
    """Of wall clock, from the first state to the last answer; theorems are searched side by side."""
    problem: str = ""
    """Why there was no search at all: Lean does not accept the statement. Counts as not proved."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Of the theorem: length of the known proof, family …"""

    def __post_init__(self) -> None:
        if not self.theorem:
            raise ValueError("theorem: expected a name")
        if self.num_samples < 1 or not 0 <= self.num_correct <= self.num_samples:
            raise ValueError(f"num_correct: {self.num_correct} of {self.num_samples} samples cannot be")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without what is empty."""
        record = asdict(self)
        record["lengths"] = {str(length): count for length, count in self.lengths.items()}
        for proof in record["proofs"]:
            proof["log_prob"] = None if math.isnan(proof["log_prob"]) else proof["log_prob"]
        return {name: value for name, value in record.items() if value not in ("", (), {}, [])}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ValueError or TypeError for what is not one."""
        values = dict(record)
        values["lengths"] = {int(length): count for length, count in values.get("lengths", {}).items()}
        values["depths"] = tuple(DepthCounts(**counts) for counts in values.get("depths", ()))
        values["proofs"] = tuple(
            FoundProof(**(proof | {"tactics": tuple(proof["tactics"]), "log_prob": _number(proof["log_prob"])}))
            for proof in values.get("proofs", ())
        )
        return cls(**values)


def merge(records: Iterable[SearchRecord]) -> list[SearchRecord]:
    """One record per theorem, in order of first appearance; counts add up and equal proofs are joined.

    Distinct states of two slices are counted in each: `depths` of a merged record is an upper bound of distinct ones.

    Raises:
        ValueError: two slices of a theorem overlap, or differ in statement or method.
    """
    slices: dict[str, list[SearchRecord]] = {}
    for record in records:
        slices.setdefault(record.theorem, []).append(record)
    return [_merged(sorted(found, key=lambda record: record.first_sample)) for found in slices.values()]


def problem_results(records: Sequence[SearchRecord]) -> list[ProblemResult]:
    """Merged records as the counts that `passatn.evaluate` works with."""
    return [
        ProblemResult(
            id=record.theorem,
            num_samples=record.num_samples,
            num_correct=record.num_correct,
            num_timeouts=record.ends.get(End.TIMEOUT, 0) if record.method == "rollouts" else None,
            metadata=record.metadata,
        )
        for record in records
    ]


def _merged(slices: list[SearchRecord]) -> SearchRecord:
    first = slices[0]
    if len(slices) == 1:
        return first
    for before, after in pairwise(slices):
        if (before.statement, before.header, before.method) != (after.statement, after.header, after.method):
            raise ValueError(f"{first.theorem}: two records differ in statement or method")
        if before.first_sample + before.num_samples > after.first_sample:
            raise ValueError(f"{first.theorem}: the samples from {after.first_sample} are there twice")
    return SearchRecord(
        theorem=first.theorem,
        statement=first.statement,
        method=first.method,
        header=first.header,
        first_sample=first.first_sample,
        num_samples=sum(record.num_samples for record in slices),
        num_correct=sum(record.num_correct for record in slices),
        num_tactics=sum(record.num_tactics for record in slices),
        num_tried=sum(record.num_tried for record in slices),
        ends=_added(record.ends for record in slices),
        lengths=_added(record.lengths for record in slices),
        depths=_added_depths([record.depths for record in slices]),
        proofs=_joined([proof for record in slices for proof in record.proofs]),
        seconds=sum(record.seconds for record in slices),
        problem=first.problem,
        metadata=first.metadata,
    )


def _number(log_prob: float | None) -> float:
    return math.nan if log_prob is None else float(log_prob)


def _added(counts: Iterable[Mapping[Any, int]]) -> dict[Any, int]:
    total: Counter[Any] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)


def _added_depths(slices: Sequence[tuple[DepthCounts, ...]]) -> tuple[DepthCounts, ...]:
    added = []
    for depth in range(max(map(len, slices))):
        here = [asdict(counts[depth]) for counts in slices if depth < len(counts)]
        added.append(DepthCounts(**{name: sum(counts[name] for counts in here) for name in here[0]}))
    return tuple(added)


def _joined(proofs: Sequence[FoundProof]) -> tuple[FoundProof, ...]:
    by_tactics: dict[tuple[str, ...], FoundProof] = {}
    for proof in proofs:
        known = by_tactics.get(proof.tactics)
        if known is None:
            by_tactics[proof.tactics] = proof
            continue
        by_tactics[proof.tactics] = FoundProof(
            proof.tactics, known.num_found + proof.num_found, known.log_prob, known.is_checked, known.detail
        )
    return tuple(sorted(by_tactics.values(), key=lambda proof: -proof.num_found))
