"""What limiting confidence can gain at most: a calibrated policy against the best one for N samples.

Let the i-th answer of a problem be right with probability a_i, and let the model know: cross-entropy ends at q = a. For
N samples the best policy is another one (arXiv 2502.07154, section 4.1; `optimal_confidences`), and what a sampler
makes of the calibrated model lies between the two:

    Σ a_i (1 − (1 − q_i)^N)      calibrated    q_i = a_i
                                 tempered      q_i ∝ a_i^(1/T), the best T
                                 cut           q_i ∝ a_i^(1/T) on the k most probable answers, the best T and k
                                 optimum       q = optimal_confidences(a, N)
    a_1 + … + a_N                distinct      N different answers, the most probable ones

`optimum − tempered` is what training for N can gain over a temperature that is tuned, for such problems. That "cut"
reaches nearly all of it says that the best policy leaves answers out; token by token a sampler cannot.

    headroom(zipf(1000, 1.0), 256).optimum
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passatn.coverage.policy import optimal_confidences
from passatn.coverage.validation import checked_accuracies

Floats = NDArray[np.float64]
TEMPERATURES = tuple(float(t) for t in np.geomspace(0.25, 8.0, 121))


@dataclass(frozen=True)
class Headroom:
    """pass@N of the policies, as fractions."""

    calibrated: float
    tempered: float
    temperature: float
    """The best one."""
    cut: float
    optimum: float
    distinct: float


def headroom(accuracies: ArrayLike, n: int, *, temperatures: Sequence[float] = TEMPERATURES) -> Headroom:
    """The policies for one problem whose answers are right with these probabilities `[A]`, in any order, sum ≤ 1.

    Where they sum to less than 1, the rest is wrong for certain; a policy draws among the answers given.

    Raises:
        ValueError: a probability that is none, or n < 1.
    """
    a = np.sort(checked_accuracies(accuracies))[::-1]
    if n < 1:
        raise ValueError(f"n must be a whole number from 1, got {n}")
    a = a[a > 0]
    best, warm, cut = 0.0, 1.0, 0.0
    for temperature in temperatures:
        weights = (a / a[0]) ** (1 / temperature)
        value = _covered(a, weights / weights.sum(), n)
        if value > best:
            best, warm = value, temperature
        cut = max(cut, *(_covered(a, _first(weights, k), n) for k in _cuts(len(a), n)))
    return Headroom(
        calibrated=_covered(a, a / a.sum(), n),
        tempered=best,
        temperature=warm,
        cut=cut,
        optimum=_covered(a, np.asarray(optimal_confidences(a, n)), n),
        distinct=float(a[:n].sum()),
    )


def zipf(num_answers: int, exponent: float) -> Floats:
    """[num_answers] a_i ∝ i^(−exponent)."""
    weights = np.arange(1, num_answers + 1, dtype=np.float64) ** -exponent
    return np.asarray(weights / weights.sum())


def _cuts(num_answers: int, n: int) -> list[int]:
    """Numbers of answers to keep: some twenty, from one to a few times n."""
    return sorted({min(num_answers, max(1, round(float(k)))) for k in np.geomspace(1, 8 * n, 20)})


def _first(weights: Floats, k: int) -> Floats:
    kept = np.where(np.arange(len(weights)) < k, weights, 0.0)
    return np.asarray(kept / kept.sum())


def _covered(a: Floats, q: Floats, n: int) -> float:
    with np.errstate(divide="ignore"):
        return float((a * -np.expm1(n * np.log1p(-np.minimum(q, 1.0)))).sum())
