"""A curve of another quantity than pass@N over N: maj@N, best-of-N, pass^N, distinct answers, …"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from passatn.evaluate.bootstrap import bootstrap_means, coverage_interval, percentile_interval
from passatn.evaluate.checks import FloatArray, check_ns
from passatn.evaluate.plain import fields_to_dict, read_fields


@dataclass(frozen=True)
class MetricCurve:
    """Means over problems, one per N, with the ends of a bootstrap interval over problems, as `PassAtN` explains."""

    metric: str
    """What it is, as reports show it: "maj@N", "best-of-N by log_prob", …"""
    ns: tuple[int, ...]
    estimate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    num_problems: int
    is_fraction: bool = True
    """Whether it is a fraction in [0, 1], shown in percent; otherwise a number."""
    confidence: float = 0.95
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What else one needs to know to read it."""

    def __post_init__(self) -> None:
        check_ns(self.ns)
        for name in ("estimate", "low", "high"):
            if len(getattr(self, name)) != len(self.ns):
                raise ValueError(f"{name} has {len(getattr(self, name))} values for {len(self.ns)} values of N")

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, as results.json stores them."""
        return fields_to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "MetricCurve":
        """The inverse of `to_dict`; raises ValueError naming a field that is missing, unknown or wrong."""
        return cls(**read_fields(cls, data))


def metric_curve(
    metric: str,
    values: FloatArray,
    ns: Sequence[int],
    *,
    is_fraction: bool = True,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
    detail: Mapping[str, Any] | None = None,
) -> MetricCurve:
    """The curve of values `[P, len(ns)]`, one row per problem."""
    if is_fraction:
        low, high = coverage_interval(values, confidence=confidence, num_resamples=num_resamples, seed=seed)
    else:
        low, high = percentile_interval(bootstrap_means(values, num_resamples=num_resamples, seed=seed), confidence)
    return MetricCurve(
        metric=metric,
        ns=check_ns(ns),
        estimate=tuple(values.mean(axis=0).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        num_problems=len(values),
        is_fraction=is_fraction,
        confidence=confidence,
        detail=detail or {},
    )
