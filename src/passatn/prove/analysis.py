"""What searches did, computed from their records: success within a budget of tactics, lengths, cost, who found what.

Everything here takes merged records (`passatn.prove.records.merge`), one per theorem.

Budget of T tactics. With roll-outs that draw m tactics each on a theorem (its mean), T pays for k = T/m of them: ⌊k⌋,
and one more with probability k − ⌊k⌋, so that success is (1 − k + ⌊k⌋) pass@⌊k⌋ + (k − ⌊k⌋) pass@⌈k⌉ with the unbiased
pass@N of the counts. More than were drawn cannot be known: there the value at all of them stands, a lower bound. A
best-first search has succeeded within T if a checked proof was found at its T-th tactic or before.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from passatn.coverage import pass_at_n
from passatn.evaluate import MetricCurve, metric_curve
from passatn.evaluate.pass_at_n import count_values
from passatn.prove.records import FoundProof, SearchRecord

LENGTH_BINS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 6), (7, 10), (11, 20), (21, None))
"""Numbers of tactics of a known proof that are counted together; None is no end."""


Keep = Literal["shortest", "probable"]
"""Which proof of a theorem comes first."""


def choose_proofs(record: SearchRecord, *, keep: Keep = "shortest", limit: int = 1) -> list[FoundProof]:
    """Up to `limit` distinct checked proofs, the best first; the choice does not depend on their order.

    Of equally short proofs the most probable comes first, of equally probable ones the shortest. A probability that is
    not known counts as the lowest.

    Raises:
        ValueError: `keep` is unknown, or `limit` below 1.
    """
    if keep not in get_args(Keep):
        raise ValueError(f"keep must be one of {', '.join(get_args(Keep))}, got {keep!r}")
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")

    def rank(proof: FoundProof) -> tuple[float, float, tuple[str, ...]]:
        length, unlikely = float(len(proof.tactics)), math.inf if math.isnan(proof.log_prob) else -proof.log_prob
        return (length, unlikely, proof.tactics) if keep == "shortest" else (unlikely, length, proof.tactics)

    return sorted((proof for proof in record.proofs if proof.is_checked), key=rank)[:limit]


def known_length(record: SearchRecord) -> int | None:
    """Tactics of the theorem's known proof, if the metadata has it: `num_steps`, else the length of `proof`."""
    steps, proof = record.metadata.get("num_steps"), record.metadata.get("proof")
    if isinstance(steps, int):
        return steps
    return len(proof) if isinstance(proof, list | tuple) and proof else None


def tactic_budgets(records: Sequence[SearchRecord]) -> list[int]:
    """Powers of two up to the most tactics that any theorem was given."""
    largest = max((record.num_tactics for record in records), default=1)
    return [2**power for power in range(max(1, largest).bit_length())]


def success_within_tactics(records: Sequence[SearchRecord], budgets: Sequence[int]) -> MetricCurve:
    """Share of the theorems that are proved within T tactics, for each T; `detail["lower_bound_from"]` is the first T
    that some theorem without a proof was not given (None: there is none)."""
    values = np.array([[_within(record, budget) for budget in budgets] for record in records])
    least = min((_most_known(record) for record in records), default=math.inf)
    beyond = next((budget for budget in budgets if budget > least), None)
    return metric_curve("success within T tactics", values, budgets, detail={"lower_bound_from": beyond})


def _within(record: SearchRecord, budget: int) -> float:
    if record.method != "rollouts":
        places = [proof.found_at for proof in record.proofs if proof.is_checked and proof.found_at is not None]
        return float(bool(places) and min(places) <= budget)
    if record.num_tactics == 0:
        return float(record.num_correct > 0)
    affordable = min(budget * record.num_samples / record.num_tactics, record.num_samples)
    whole = math.floor(affordable)
    low, high = (_coverage(record, min(n, record.num_samples)) for n in (whole, whole + 1))
    return low + (affordable - whole) * (high - low)


def _most_known(record: SearchRecord) -> float:
    """The largest budget at which the value of this theorem is known; a statement that Lean refuses is never proved."""
    is_settled = record.num_correct > 0 or record.problem
    return math.inf if is_settled else record.num_tactics


def _coverage(record: SearchRecord, n: int) -> float:
    return float(pass_at_n(record.num_samples, record.num_correct, n)) if n else 0.0


@dataclass(frozen=True)
class LengthGroup:
    """Theorems whose known proofs have `first` to `last` tactics; `first` None: theorems without a known proof."""

    first: int | None
    last: int | None
    num_theorems: int
    num_found: int
    coverage: tuple[float, ...]
    """pass@N at the N that were asked for."""

    @property
    def label(self) -> str:
        if self.first is None:
            return "unknown"
        if self.last is None:
            return f"{self.first} and more"
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"


def by_known_length(records: Sequence[SearchRecord], ns: Sequence[int]) -> list[LengthGroup]:
    """pass@N of theorems grouped by the length of the known proof; groups without a theorem are left out."""
    groups: dict[tuple[int | None, int | None], list[SearchRecord]] = {}
    for record in records:
        groups.setdefault(_bin(known_length(record)), []).append(record)
    ordered = sorted(groups, key=lambda bounds: math.inf if bounds[0] is None else bounds[0])
    return [_length_group(bounds, groups[bounds], ns) for bounds in ordered]


def _bin(length: int | None) -> tuple[int | None, int | None]:
    if length is None:
        return None, None
    return next(bounds for bounds in LENGTH_BINS if bounds[1] is None or length <= bounds[1])


def _length_group(
    bounds: tuple[int | None, int | None], records: Sequence[SearchRecord], ns: Sequence[int]
) -> LengthGroup:
    samples, correct = [r.num_samples for r in records], [r.num_correct for r in records]
    coverage = tuple(count_values(samples, correct, ns).mean(axis=0).tolist())
    return LengthGroup(*bounds, len(records), sum(count > 0 for count in correct), coverage)


@dataclass(frozen=True)
class FoundLength:
    """Theorems whose shortest found proof has `length` tactics, compared with the known proof."""

    length: int
    num_theorems: int
    num_shorter: int
    num_equal: int
    num_longer: int


def by_found_length(records: Sequence[SearchRecord]) -> list[FoundLength]:
    """Found theorems by the length of the shortest proof found."""
    groups: dict[int, list[int | None]] = {}
    for record in records:
        for proof in choose_proofs(record):
            groups.setdefault(len(proof.tactics), []).append(known_length(record))
    return [
        FoundLength(
            length,
            len(known),
            num_shorter=sum(other is not None and length < other for other in known),
            num_equal=sum(length == other for other in known),
            num_longer=sum(other is not None and length > other for other in known),
        )
        for length, known in sorted(groups.items())
    ]


def ends(records: Sequence[SearchRecord]) -> dict[str, int]:
    """Roll-outs by what ended them, the most frequent first; in a best-first search, tactics by what became of them."""
    total: Counter[str] = Counter()
    for record in records:
        total.update({str(end): count for end, count in record.ends.items()})
    return dict(total.most_common())


@dataclass(frozen=True)
class Cost:
    """What a search took."""

    num_samples: int
    num_tactics: int
    num_tried: int
    """Distinct pairs of state and tactic that Lean was asked about."""
    theorem_seconds: float
    """Summed over theorems, which are searched side by side: more than what a clock on the wall shows."""


def cost(records: Sequence[SearchRecord]) -> Cost:
    return Cost(
        num_samples=sum(record.num_samples for record in records),
        num_tactics=sum(record.num_tactics for record in records),
        num_tried=sum(record.num_tried for record in records),
        theorem_seconds=math.fsum(record.seconds for record in records),
    )


@dataclass(frozen=True)
class FoundBy:
    """Successes of several runs on the theorems that all of them have."""

    theorems: tuple[str, ...]
    num_correct: NDArray[np.int64]
    """`[runs, theorems]` roll-outs that ended in a checked proof."""

    @property
    def num_found(self) -> list[int]:
        """Theorems that each run proved."""
        return [int(count) for count in (self.num_correct > 0).sum(axis=1)]

    @property
    def num_alone(self) -> list[int]:
        """Theorems that each run proved and no other run did."""
        found = self.num_correct > 0
        return [int((row & (found.sum(axis=0) == 1)).sum()) for row in found]

    @property
    def num_union(self) -> int:
        return int((self.num_correct > 0).any(axis=0).sum())


def found_by(runs: Sequence[Sequence[SearchRecord]]) -> FoundBy:
    """Who found what.

    Raises:
        ValueError: the runs have no theorem in common.
    """
    correct = [{record.theorem: record.num_correct for record in records} for records in runs]
    shared = [theorem for theorem in correct[0] if all(theorem in other for other in correct)]
    if not shared:
        raise ValueError("the searches have no theorem in common")
    return FoundBy(tuple(shared), np.array([[counts[theorem] for theorem in shared] for counts in correct]))
