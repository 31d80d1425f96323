"""pass@N over a set of problems, with an interval.

From exact probabilities: mean over problems of C^N = 1 − (1 − p)^N (paper eq. 2).
From samples: mean over problems of the unbiased 1 − C(n−c, N)/C(n, N), for N ≤ n.

What the interval covers: the mean over the population that the problems were drawn from, for this one trained model.
It is a percentile bootstrap whose unit is the problem. With samples, a problem that is drawn brings its own sampling
noise, so the spread between problems already holds both sources: which problems, and which samples. (Drawing samples
again inside the drawn problems would count the second source twice and shift the centre: at N = n a problem with one
correct sample has estimate 1, and resamples of its samples have mean 1 − 1/e.)
It does not cover another training seed, nor the gap between p and a lower bound on p.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from passatn.coverage import coverage, pass_at_n
from passatn.evaluate.bootstrap import coverage_interval
from passatn.evaluate.checks import FloatArray, check_counts, check_log_p, check_ns
from passatn.evaluate.plain import fields_to_dict, read_fields

Source = Literal["exact", "lower bound", "samples"]


@dataclass(frozen=True)
class PassAtN:
    """A pass@N curve: fractions in [0, 1], one per N, with the ends of an interval."""

    ns: tuple[int, ...]
    estimate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    source: Source
    """exact: p known; lower bound: p of some accepted answers; samples: unbiased estimate from counts."""
    num_problems: int
    confidence: float = 0.95
    num_resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.source not in get_args(Source):
            raise ValueError(f"source must be one of {', '.join(get_args(Source))}, got {self.source!r}")
        check_ns(self.ns)
        for name in ("estimate", "low", "high"):
            values = getattr(self, name)
            if len(values) != len(self.ns):
                raise ValueError(f"{name} has {len(values)} values for {len(self.ns)} values of N")
            if not all(isinstance(value, (int, float)) and 0 <= value <= 1 for value in values):
                raise ValueError(f"{name} must be numbers in [0, 1], got {list(values)}")

    def at(self, n: int) -> float:
        """The estimate at one N of the curve."""
        if n not in self.ns:
            raise ValueError(f"no pass@{n} here: the curve has N = {', '.join(map(str, self.ns))}")
        return self.estimate[self.ns.index(n)]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, as results.json stores them."""
        return fields_to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PassAtN":
        """The inverse of `to_dict`; raises ValueError naming a field that is missing, unknown or wrong."""
        return cls(**read_fields(cls, data))


def pass_at_n_from_log_p(
    log_p: ArrayLike,
    ns: Sequence[int],
    *,
    is_exact: bool = True,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> PassAtN:
    """pass@N from known probabilities.

    Args:
        log_p: [P] natural log of the probability that one sample is correct, summed over the accepted answers; ≤ 0,
            −inf allowed.
        ns: increasing whole numbers ≥ 1.
        is_exact: False when the accepted answers scored are not all the correct ones: the curve is then a lower bound.
    """
    values = coverage_values(check_log_p(log_p), check_ns(ns))
    source: Source = "exact" if is_exact else "lower bound"
    return summarize_values(values, ns, source, confidence=confidence, num_resamples=num_resamples, seed=seed)


def pass_at_n_from_counts(
    num_samples: ArrayLike,
    num_correct: ArrayLike,
    ns: Sequence[int],
    *,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> PassAtN:
    """pass@N estimated without bias from counts [P] of samples and of correct samples.

    Raises ValueError when an N is larger than the fewest samples of any problem: no unbiased estimate exists there.
    """
    values = count_values(num_samples, num_correct, ns)
    return summarize_values(values, ns, "samples", confidence=confidence, num_resamples=num_resamples, seed=seed)


def coverage_values(log_p: FloatArray, ns: Sequence[int]) -> FloatArray:
    """C^N of every problem: log_p [P] → [P, len(ns)]."""
    return np.asarray(coverage(log_p[:, None], np.asarray(ns, dtype=np.float64)[None, :]), dtype=np.float64)


def count_values(num_samples: ArrayLike, num_correct: ArrayLike, ns: Sequence[int]) -> FloatArray:
    """The unbiased estimate of every problem: counts [P] → [P, len(ns)]."""
    samples, correct = check_counts(num_samples, num_correct)
    budgets = check_ns(ns)
    if budgets[-1] > samples.min():
        row = int(np.argmin(samples))
        raise ValueError(
            f"pass@{budgets[-1]} needs {budgets[-1]} samples of every problem, but row {row} has {samples[row]}: "
            f"draw more samples or ask for N ≤ {samples[row]}"
        )
    return np.asarray(pass_at_n(samples[:, None], correct[:, None], np.asarray(budgets)[None, :]), dtype=np.float64)


def summarize_values(
    values: FloatArray, ns: Sequence[int], source: Source, *, confidence: float, num_resamples: int, seed: int
) -> PassAtN:
    """A curve from one number per problem and N: values [P, len(ns)] in [0, 1]."""
    low, high = coverage_interval(values, confidence=confidence, num_resamples=num_resamples, seed=seed)
    return PassAtN(
        ns=check_ns(ns),
        estimate=tuple(np.clip(values.mean(axis=0), 0, 1).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        source=source,
        num_problems=len(values),
        confidence=confidence,
        num_resamples=num_resamples,
        seed=seed,
    )
