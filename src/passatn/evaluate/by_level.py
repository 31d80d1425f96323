"""The weight F(N, p) by level of difficulty: which problems a coverage objective still learns from (paper fig. 13).

F(N, p) = N p (1 − p)^(N−1) / (1 − (1 − p)^N), eq. 4, falls with p: easy problems, those of large p, weigh little.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from passatn.coverage import confidence_weight
from passatn.evaluate.checks import check_log_p

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class LevelWeights:
    """F over the problems of one level."""

    level: str
    num_problems: int
    mean: float
    quantiles: tuple[float, ...]
    """At QUANTILES."""
    active: float
    """Share of the problems with F at or above the threshold of replacement."""


def weights_by_level(
    log_p: ArrayLike, levels: Sequence[Any], n: float, *, threshold: float = 0.3
) -> list[LevelWeights]:
    """F(n, p) of problems [P] with known log p, by their level; levels in sorted order, problems without one left out.

    Raises ValueError if the two have different lengths, or no problem has a level.
    """
    weights = np.asarray(confidence_weight(check_log_p(log_p), n))
    if len(levels) != len(weights):
        raise ValueError(f"{len(levels)} levels for {len(weights)} problems")
    known = sorted({level for level in levels if level is not None})
    if not known:
        raise ValueError("no problem has a level")
    return [_level(str(level), weights[[other == level for other in levels]], threshold) for level in known]


def _level(name: str, weights: np.ndarray, threshold: float) -> LevelWeights:
    quantiles = tuple(np.quantile(weights, QUANTILES).tolist())
    return LevelWeights(name, len(weights), float(weights.mean()), quantiles, float((weights >= threshold).mean()))
