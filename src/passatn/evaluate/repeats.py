"""Two ways of training, each repeated with the same seeds: their difference over problems and over seeds.

    compare_repeats(values_ce, values_dco, ns=(1, 256))     # pass@N of each problem: [seeds, problems, len(ns)]

A difference on one pair of models says nothing about the next training. Its mean over S seeds d_1 … d_S has two sources
of error, whose sum is drawn: problems again with replacement, as everywhere here, and for the seeds s/√S times a draw
from Student's t with S − 1 degrees of freedom, s being the standard deviation of d_1 … d_S. Where problems do not
matter this is the t-interval over seeds, which holds for few of them (a bootstrap over three seeds holds the truth in
five of six cases, not in nineteen of twenty); where seeds agree it is the paired comparison of problems.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from passatn.evaluate.bootstrap import bootstrap_means
from passatn.evaluate.checks import FloatArray, check_ns
from passatn.evaluate.compare import PairedDifference, summarize_differences


def compare_repeats(
    values_a: ArrayLike,
    values_b: ArrayLike,
    ns: Sequence[int],
    *,
    confidence: float = 0.95,
    num_resamples: int = 4000,
    seed: int = 0,
) -> PairedDifference:
    """b minus a, from pass@N of each problem `[S, P, len(ns)]`: the same seeds and problems in the same order.

    Wins and losses are counted on the means over seeds. With one seed, the interval is over problems alone.

    Raises ValueError if the shapes differ, or there are fewer than 2 problems.
    """
    a, b = np.asarray(values_a, dtype=np.float64), np.asarray(values_b, dtype=np.float64)
    budgets = check_ns(ns)
    if a.shape != b.shape or a.ndim != 3 or a.shape[2] != len(budgets) or a.shape[0] < 1:
        raise ValueError(
            f"both must have shape [S, P, {len(budgets)}] with S ≥ 1, got {list(a.shape)} and {list(b.shape)}"
        )
    if a.shape[1] < 2:
        raise ValueError("a paired comparison needs at least 2 problems, got 1")
    differences = b - a
    resampled = repeated_means(differences, num_resamples=num_resamples, seed=seed)
    return summarize_differences(differences.mean(axis=0), resampled, budgets, confidence)


def repeated_means(values: FloatArray, *, num_resamples: int, seed: int) -> FloatArray:
    """Draws of the mean of `[S, P, K]` over problems and seeds: `[num_resamples, K]`."""
    num_seeds = len(values)
    means = bootstrap_means(values.mean(axis=0), num_resamples=num_resamples, seed=seed)
    if num_seeds == 1:
        return means
    error = values.mean(axis=1).std(axis=0, ddof=1) / np.sqrt(num_seeds)
    draws = np.random.default_rng([seed, num_seeds]).standard_t(num_seeds - 1, size=(num_resamples, 1))
    return np.asarray(means + error * draws)
