"""How much an arm depends on being tuned: the area under pass@N over the grid of settings and epochs.

The mean over trials and epochs of pass@N on validation at temperature 1, as if the settings and the stopping epoch had
been drawn by chance, and the quartiles of the same numbers. Over a grid that is the area itself. Where the search is
TPE it is an estimate from the trials that were drawn at random, which are the same points for every arm; later trials
are where pass@N is high, and would flatter each arm in its own way.

A training that ended by itself keeps its last model, so its last score stands for the epochs that are missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passatn.experiments.sweep.spec import SweepSpec
from passatn.experiments.sweep.training import Array, Record


@dataclass(frozen=True)
class Robustness:
    """One arm; fractions `[len(ns)]`."""

    mean: tuple[float, ...]
    low: tuple[float, ...]
    """First quartile."""
    median: tuple[float, ...]
    high: tuple[float, ...]
    """Third quartile."""
    num_trials: int
    num_epochs: int


def robustness(spec: SweepSpec, records: Sequence[Record], num_epochs: int) -> Robustness:
    """Over the trials of one arm that were not led by earlier ones; a trial's epochs are filled up to `num_epochs`."""
    values = np.concatenate([_filled(record, num_epochs) for record in records[: spec.num_random]])
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    return Robustness(
        mean=tuple(values.mean(axis=0).tolist()),
        low=tuple(low.tolist()),
        median=tuple(median.tolist()),
        high=tuple(high.tolist()),
        num_trials=len(records[: spec.num_random]),
        num_epochs=num_epochs,
    )


def _filled(record: Record, num_epochs: int) -> Array:
    """[num_epochs, ns] at temperature 1, which is the first."""
    known = record.scores.values[:, 0]
    return np.concatenate([known, np.repeat(known[-1:], num_epochs - len(known), axis=0)])
