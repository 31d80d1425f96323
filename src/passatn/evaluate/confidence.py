"""Greedy confidence against accuracy: how sure the model is of its first answer, and how often it is right.

The probability of the greedy answer is the proxy for the largest confidence q_1. At N samples a model that is surer
than it is right wastes its budget on one wrong answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from passatn.evaluate.checks import check_log_p
from passatn.evaluate.plain import fields_to_dict, read_fields


@dataclass(frozen=True)
class ConfidenceHistogram:
    """Problems in bins of equal width by greedy confidence; all numbers but the counts are fractions in [0, 1]."""

    edges: tuple[float, ...]
    """[num_bins + 1], from 0 to 1; a bin holds its left edge, the last bin both edges."""
    counts: tuple[int, ...]
    bin_confidence: tuple[float | None, ...]
    """Mean confidence of the problems of each bin; None where the bin is empty."""
    bin_accuracy: tuple[float | None, ...]
    """Share of the greedy answers of each bin that are correct; None where the bin is empty."""
    mean_confidence: float
    accuracy: float
    calibration_error: float
    """Expected calibration error: mean over problems of |accuracy − confidence| of the problem's bin."""

    def __post_init__(self) -> None:
        for name in ("counts", "bin_confidence", "bin_accuracy"):
            if len(getattr(self, name)) != len(self.edges) - 1:
                raise ValueError(f"{name} has {len(getattr(self, name))} values for {len(self.edges) - 1} bins")

    @property
    def overconfidence(self) -> float:
        """Mean confidence minus accuracy: positive when the model is surer than it is right."""
        return self.mean_confidence - self.accuracy

    @property
    def num_problems(self) -> int:
        return sum(self.counts)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, as results.json stores them."""
        return fields_to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ConfidenceHistogram":
        """The inverse of `to_dict`; raises ValueError naming a field that is missing or unknown."""
        return cls(**read_fields(cls, data))


def confidence_histogram(greedy_log_p: ArrayLike, greedy_correct: ArrayLike, num_bins: int = 10) -> ConfidenceHistogram:
    """Bin problems by the probability of their greedy answer.

    Args:
        greedy_log_p: [P] natural log-probability of the greedy answer, ≤ 0.
        greedy_correct: [P] whether that answer is correct.
    """
    confidence = np.exp(check_log_p(greedy_log_p, "greedy_log_p"))
    correct = np.asarray(greedy_correct, dtype=bool)
    if correct.shape != confidence.shape:
        shapes = f"{list(confidence.shape)} and {list(correct.shape)}"
        raise ValueError(f"greedy_log_p and greedy_correct must have the same shape [P], got {shapes}")
    if num_bins < 1:
        raise ValueError(f"num_bins must be ≥ 1, got {num_bins}")
    edges = np.linspace(0, 1, num_bins + 1)
    bins = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    sum_confidence = np.bincount(bins, weights=confidence, minlength=num_bins)
    sum_correct = np.bincount(bins, weights=correct, minlength=num_bins)
    return ConfidenceHistogram(
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        bin_confidence=_bin_means(sum_confidence, counts),
        bin_accuracy=_bin_means(sum_correct, counts),
        mean_confidence=float(confidence.mean()),
        accuracy=float(correct.mean()),
        calibration_error=float(np.abs(sum_correct - sum_confidence).sum() / len(confidence)),
    )


def _bin_means(sums: np.ndarray, counts: np.ndarray) -> tuple[float | None, ...]:
    return tuple(float(s / c) if c else None for s, c in zip(sums, counts, strict=True))
