"""What else N samples of one problem give: pass^N, best-of-N, maj@N, distinct answers.

Each is an expectation over N samples drawn without replacement from the n that were taken, so it is an unbiased
estimate for N fresh samples. All but the majority vote are exact sums over hypergeometric probabilities
C(m, N)/C(n, N), which the estimator of pass@N computes: C(m, N)/C(n, N) = 1 − pass@N with n − m correct.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passatn.coverage import pass_at_n

Array = NDArray[np.float64]


def all_inside(num_samples: ArrayLike, num_inside: ArrayLike, n: ArrayLike) -> Array:
    """C(num_inside, N)/C(num_samples, N): the probability that all N samples come from `num_inside` of them."""
    samples, inside = np.asarray(num_samples), np.asarray(num_inside)
    return np.asarray(1.0 - pass_at_n(samples, samples - inside, n), dtype=np.float64)


def pass_hat_n(num_samples: ArrayLike, num_correct: ArrayLike, n: ArrayLike) -> Array:
    """pass^N: the probability that all N samples are correct (arXiv 2406.12045), broadcast over its arguments.

    Raises:
        ValueError: counts out of range, or N > num_samples.
    """
    return all_inside(num_samples, num_correct, n)


def distinct_answers(counts: ArrayLike, ns: Sequence[int], *, num_silent: int = 0) -> Array:
    """Expected number of distinct answers among N samples of one problem.

    Args:
        counts: `[answers]` how often each answer was sampled.
        num_silent: further samples, without an answer.

    Returns:
        `[len(ns)]`.

    Raises:
        ValueError: N larger than the number of samples.
    """
    answers = np.asarray(counts, dtype=np.int64)
    total = answers.sum() + num_silent
    return np.asarray(pass_at_n(total, answers[:, None], np.asarray(ns)[None, :]).sum(axis=0))


def best_of_n(scores: ArrayLike, correct: ArrayLike, ns: Sequence[int], counts: ArrayLike | None = None) -> Array:
    """Probability that the highest-scored of N samples of one problem is correct; ties are broken at random.

    Args:
        scores: `[answers]` a reward model's score, or any number by which one sample is preferred to another.
        correct: `[answers]` whether each is correct.
        counts: `[answers]` how often each was sampled (None: once each).

    Returns:
        `[len(ns)]`.

    Raises:
        ValueError: a NaN score, or N larger than the number of samples.
    """
    values, flags = np.asarray(scores, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("scores must not be NaN")
    weights = np.ones(len(values), dtype=np.int64) if counts is None else np.asarray(counts)
    levels, level_of = np.unique(values, return_inverse=True)
    sizes = np.bincount(level_of, weights, minlength=len(levels))
    accuracy = np.bincount(level_of, weights * flags, minlength=len(levels)) / sizes
    at_most = np.cumsum(sizes).astype(np.int64)
    # P(best ≤ level), then P(best = level) by differences.
    below = all_inside(at_most[-1], at_most[:, None], np.asarray(ns)[None, :])
    return np.asarray(accuracy @ np.diff(below, axis=0, prepend=0.0))


def majority_at_n(
    counts: ArrayLike,
    correct: ArrayLike,
    ns: Sequence[int],
    *,
    num_silent: int = 0,
    num_draws: int = 1000,
    seed: int = 0,
) -> Array:
    """Probability that the most frequent answer among N samples of one problem is correct; ties at random.

    The vote has no closed form: `num_draws` subsets of N samples are drawn (standard error at most
    0.5 / √num_draws), except for N = 1 and for N = all samples, which are exact.

    Args:
        counts: `[answers]` how often each distinct answer was sampled.
        correct: `[answers]` whether it is correct.
        num_silent: further samples, which state no answer and have no vote.

    Returns:
        `[len(ns)]`.

    Raises:
        ValueError: N larger than the number of samples.
    """
    answers, flags = np.asarray(counts, dtype=np.int64), np.asarray(correct, dtype=np.float64)
    total = int(answers.sum()) + num_silent
    generator = np.random.default_rng(seed)
    values = []
    for n in ns:
        if not 1 <= n <= total:
            raise ValueError(f"maj@{n} needs {n} samples, the problem has {total}")
        if n == 1:
            values.append(float(answers @ flags) / total)
            continue
        draws = 1 if n == total else num_draws
        votes = generator.multivariate_hypergeometric(np.append(answers, num_silent), n, size=draws)[:, :-1]
        winners = (votes == votes.max(axis=1, keepdims=True, initial=0)) & (votes > 0)
        values.append(float(((winners @ flags) / winners.sum(axis=1).clip(min=1)).mean()))
    return np.array(values)
