"""Calibration by rank: is the answer of confidence rank i correct less often the larger i is? (paper fig. 12)

The lemmas of section 4.2 take a policy for calibrated: with answers ranked by the model's confidence q_1 ≥ q_2 ≥ …, the
shares a_i of problems whose i-th answer is correct must not rise with i. Lemma A.1 makes optimal policies so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from passatn.evaluate.plain import fields_to_dict, read_fields

Z = 1.96


@dataclass(frozen=True)
class RankCalibration:
    """One entry per rank, the most confident first; fractions in [0, 1]."""

    num_problems: tuple[int, ...]
    """Problems that have an answer of this rank."""
    num_correct: tuple[int, ...]
    confidence: tuple[float, ...]
    """Mean confidence over those problems."""

    @property
    def accuracy(self) -> tuple[float, ...]:
        return tuple(c / p for c, p in zip(self.num_correct, self.num_problems, strict=True))

    @property
    def interval(self) -> tuple[tuple[float, float], ...]:
        """95 % Wilson intervals of the accuracies."""
        return tuple(wilson_interval(c, p) for c, p in zip(self.num_correct, self.num_problems, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, as results.json stores them."""
        return fields_to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "RankCalibration":
        """The inverse of `to_dict`; raises ValueError naming a field that is missing or unknown."""
        return cls(**read_fields(cls, data))


def calibration_by_rank(
    log_q: Sequence[Sequence[float]], is_correct: Sequence[Sequence[bool]], num_ranks: int
) -> RankCalibration:
    """Counts over problems.

    Args:
        log_q: for each problem the natural log-confidences of its distinct answers, in any order.
        is_correct: aligned with it, whether each answer is correct.
        num_ranks: how many ranks to keep; ranks that no problem has are left out.

    Raises:
        ValueError: the two are not aligned, naming the problem's index, or num_ranks is below 1.
    """
    if num_ranks < 1:
        raise ValueError(f"num_ranks must be at least 1, got {num_ranks}")
    problems, correct, confidence = (np.zeros(num_ranks) for _ in range(3))
    for index, (scores, marks) in enumerate(zip(log_q, is_correct, strict=True)):
        if len(scores) != len(marks):
            raise ValueError(f"problem {index} has {len(scores)} answers and {len(marks)} verdicts")
        order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")[:num_ranks]
        problems[: len(order)] += 1
        correct[: len(order)] += np.asarray(marks, dtype=float)[order]
        confidence[: len(order)] += np.exp(np.asarray(scores, dtype=float)[order])
    held = problems > 0
    return RankCalibration(
        tuple(problems[held].astype(int).tolist()),
        tuple(correct[held].astype(int).tolist()),
        tuple((confidence[held] / problems[held]).tolist()),
    )


def wilson_interval(num_correct: int, num_trials: int) -> tuple[float, float]:
    """95 % interval of a share, right also near 0 and 1; num_trials ≥ 1."""
    share, spread = num_correct / num_trials, Z**2 / num_trials
    centre = (share + spread / 2) / (1 + spread)
    half = Z * np.sqrt(share * (1 - share) / num_trials + spread / (4 * num_trials)) / (1 + spread)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
