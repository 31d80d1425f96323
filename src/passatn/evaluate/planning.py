"""How many samples, or problems, a wanted interval of pass@N takes.

The interval of a mean over P problems has half-width z √(V/P). V, the variance over problems of the unbiased estimate
from m samples, falls with m from that of single guesses to that of the true C^N, which more samples do not lower. With
success rates p ~ Beta(a, b), fitted as for the extrapolation, correct counts c are beta-binomial and

    V(m) = Σ_c P(c | m, a, b) e(c)² − (E C^N)²,   e(c) = 1 − C(m − c, N)/C(m, N),   V(∞) = Var (1 − (1 − p)^N).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import ArrayLike

from passatn.coverage import pass_at_n
from passatn.evaluate.checks import check_counts
from passatn.evaluate.extrapolate import fit_beta

MAX_SAMPLES = 2**20
"""Per problem; a plan that needs more is called out of reach."""


@dataclass(frozen=True)
class SamplePlan:
    """Half-widths are fractions, as pass@N is."""

    n: int
    half_width: float
    """What is wanted."""
    expected_now: float | None
    """With the samples there are; None if some problem has fewer than N."""
    expected_limit: float
    """With these problems and any number of samples."""
    num_samples: int | None
    """Per problem, in all; None where no number of samples is enough."""
    num_problems: int
    """Of this kind, with `num_samples` samples (or with as many as now, at least N), for the wanted half-width."""


def plan_samples(
    num_samples: ArrayLike, num_correct: ArrayLike, n: int, half_width: float, *, confidence: float = 0.95
) -> SamplePlan:
    """From counts `[P]` of a first, smaller run.

    Raises:
        ValueError: a half-width outside (0, 0.5), N < 1, or counts that are all correct or all incorrect.
    """
    samples, correct = check_counts(num_samples, num_correct)
    if not 0 < half_width < 0.5:
        raise ValueError(f"half_width must be between 0 and 0.5, got {half_width}")
    if n != int(n) or n < 1:
        raise ValueError(f"N must be a whole number ≥ 1, got {n}")
    a, b = fit_beta(samples, correct)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)

    def width(variance: float) -> float:
        return z * math.sqrt(max(variance, 0.0) / len(samples))

    now = int(samples.min())
    limit = width(limit_variance(a, b, n))
    needed = None
    if limit < half_width and width(estimate_variance(a, b, n, MAX_SAMPLES)) <= half_width:
        needed = _smallest(lambda m: width(estimate_variance(a, b, n, m)) <= half_width, n, MAX_SAMPLES)
    variance = estimate_variance(a, b, n, needed or max(now, n))
    return SamplePlan(
        n=int(n),
        half_width=half_width,
        expected_now=width(estimate_variance(a, b, n, now)) if now >= n else None,
        expected_limit=limit,
        num_samples=needed,
        num_problems=math.ceil(variance * (z / half_width) ** 2),
    )


def estimate_variance(a: float, b: float, n: int, num_samples: int) -> float:
    """V(m): the variance over problems of the unbiased pass@n from m ≥ n samples, for p ~ Beta(a, b)."""
    counts = torch.arange(num_samples + 1, dtype=torch.float64)
    wrong = num_samples - counts
    log_binomial = -_log_beta(counts + 1, wrong + 1) - math.log(num_samples + 1)
    mass = (log_binomial + _log_beta(counts + a, wrong + b) - _log_beta(a, b)).exp().numpy()
    estimates = np.asarray(pass_at_n(num_samples, counts.numpy(), n))
    return float(mass @ estimates**2 - (1 - _miss(a, b, n)) ** 2)


def limit_variance(a: float, b: float, n: int) -> float:
    """V(∞): the variance over problems of the true 1 − (1 − p)^n."""
    return _miss(a, b, 2 * n) - _miss(a, b, n) ** 2


def _miss(a: float, b: float, n: int) -> float:
    """E (1 − p)^n = B(a, b + n)/B(a, b)."""
    return math.exp(_log_beta(a, b + n) - _log_beta(a, b))


def _log_beta(x: torch.Tensor | float, y: torch.Tensor | float) -> torch.Tensor:
    x, y = (torch.as_tensor(value, dtype=torch.float64) for value in (x, y))
    return torch.lgamma(x) + torch.lgamma(y) - torch.lgamma(x + y)


def _smallest(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The smallest number in low … high for which `holds`, which it does from some number on."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
