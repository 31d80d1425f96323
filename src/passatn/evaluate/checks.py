"""The input contract that every estimator in this folder shares."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def check_ns(ns: Sequence[int]) -> tuple[int, ...]:
    """The budgets N as whole numbers, checked: at least one, all ≥ 1, strictly increasing."""
    values = tuple(int(n) for n in ns)
    if not values:
        raise ValueError("ns is empty: give at least one N")
    for given, n in zip(ns, values, strict=True):
        if given != n or n < 1:
            raise ValueError(f"N must be a whole number ≥ 1, got {given}")
    for previous, n in pairwise(values):
        if n <= previous:
            raise ValueError(f"ns must increase, got {n} after {previous}")
    return values


def check_log_p(log_p: ArrayLike, name: str = "log_p") -> FloatArray:
    """Natural log-probabilities [P] as float64: not empty, no NaN, nothing above 0; −inf is allowed."""
    values = np.asarray(log_p, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} must have shape [P] with P ≥ 1, got shape {list(values.shape)}")
    bad = np.isnan(values) | (values > 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"{name}[{row}] must be ≤ 0, got {values[row]}")
    return values


def check_counts(num_samples: ArrayLike, num_correct: ArrayLike) -> tuple[IntArray, IntArray]:
    """Sample counts [P] and correct counts [P] as int64, with 0 ≤ correct ≤ samples and samples ≥ 1."""
    samples, correct = np.asarray(num_samples), np.asarray(num_correct)
    if samples.ndim != 1 or samples.size == 0 or samples.shape != correct.shape:
        shapes = f"{list(samples.shape)} and {list(correct.shape)}"
        raise ValueError(f"num_samples and num_correct must both have shape [P] with P ≥ 1, got {shapes}")
    bad = (samples < 1) | (correct < 0) | (correct > samples) | (samples % 1 != 0) | (correct % 1 != 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"row {row}: {correct[row]} correct of {samples[row]} samples is not possible")
    return samples.astype(np.int64), correct.astype(np.int64)
