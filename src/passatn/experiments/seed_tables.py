"""Cells of tables over several seeds: mean ± standard deviation, paired differences with intervals, Markdown."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passatn.evaluate import PairedDifference
from passatn.evaluate.bootstrap import bootstrap_means, percentile_interval

Array = NDArray[np.float64]


def spread_cells(by_seed: ArrayLike) -> list[str]:
    """From fractions `[seeds, columns]`: percent, mean ± sample standard deviation; without it for a single seed."""
    values = 100 * np.asarray(by_seed, dtype=np.float64)
    if len(values) == 1:
        return [f"{value:.1f}" for value in values[0]]
    return [f"{m:.1f} ± {d:.1f}" for m, d in zip(values.mean(axis=0), values.std(axis=0, ddof=1), strict=True)]


def difference_cells(by_seed: ArrayLike) -> list[str]:
    """From differences of fractions `[seeds, problems, columns]`: points, with 95 % intervals over problems."""
    by_problem = np.asarray(by_seed, dtype=np.float64).mean(axis=0)
    low, high = percentile_interval(bootstrap_means(by_problem, num_resamples=4000), 0.95)
    return [
        f"{100 * m:+.1f} [{100 * a:+.1f}, {100 * b:+.1f}]"
        for m, a, b in zip(by_problem.mean(axis=0), low, high, strict=True)
    ]


def paired_cell(difference: PairedDifference, column: int = 0) -> str:
    """Points, with the interval that the comparison has."""
    value, low, high = (100 * of[column] for of in (difference.difference, difference.low, difference.high))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def points_cell(by_seed: ArrayLike) -> str:
    """Differences of fractions `[seeds]` in points, each by itself."""
    return ", ".join(f"{100 * value:+.1f}" for value in np.asarray(by_seed, dtype=np.float64))


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its head."""
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body]) + "\n"
