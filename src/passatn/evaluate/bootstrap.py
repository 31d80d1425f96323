"""The percentile bootstrap over problems, vectorised and bounded in memory.

A problem is the unit that is drawn: all its numbers stay together. One seed gives one set of resamples for a given
number of problems, so two runs over the same problems are resampled alike.
"""

import numpy as np

from passatn.evaluate.checks import FloatArray

MAX_CELLS = 4_000_000
"""Most entries of the matrix of weights [resamples, P] held at once (32 MB)."""


def bootstrap_means(values: FloatArray, *, num_resamples: int = 2000, seed: int = 0) -> FloatArray:
    """Means over problems, drawn again with replacement.

    Args:
        values: [P, K] one row per problem.

    Returns:
        [num_resamples, K].
    """
    if num_resamples < 1:
        raise ValueError(f"num_resamples must be ≥ 1, got {num_resamples}")
    num_problems = len(values)
    rng = np.random.default_rng(seed)
    chunk = max(1, MAX_CELLS // num_problems)
    parts = []
    for start in range(0, num_resamples, chunk):
        weights = _draw_weights(rng, min(chunk, num_resamples - start), num_problems)
        parts.append(weights @ values / num_problems)
    return np.concatenate(parts)


def _draw_weights(rng: np.random.Generator, rows: int, num_problems: int) -> FloatArray:
    """How often each problem is drawn in each resample: [rows, P], each row sums to P."""
    drawn = rng.integers(num_problems, size=(rows, num_problems))
    drawn += num_problems * np.arange(rows)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=rows * num_problems)
    return counts.reshape(rows, num_problems).astype(np.float64)


def percentile_interval(resampled: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """The central interval that holds `confidence` of the resampled values: [R, K] → low [K], high [K]."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return low, high


def coverage_interval(
    values: FloatArray, *, confidence: float = 0.95, num_resamples: int = 2000, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Interval for the mean over problems of numbers in [0, 1]: [P, K] → low [K], high [K].

    Where every problem has 0 (or every one has 1) a resample cannot vary; there the far end is the value of the mean
    at which such a draw still has probability (1 − confidence)/2, which holds for any distribution on [0, 1]. One
    problem alone says nothing about others: [0, 1].
    """
    num_problems = len(values)
    resampled = bootstrap_means(values, num_resamples=num_resamples, seed=seed)
    low, high = percentile_interval(resampled, confidence)
    if num_problems == 1:
        return np.zeros_like(low), np.ones_like(high)
    floor = ((1 - confidence) / 2) ** (1 / num_problems)
    high = np.where((values == 0).all(axis=0), 1 - floor, high)
    low = np.where((values == 1).all(axis=0), floor, low)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)
