"""How often the model is right where it is surest: accuracy among its most confident answers (paper fig. 1b and 3d)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

SHARES = (0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class MostConfident:
    """The problems with the most confident answers."""

    share: float
    """Of all problems that are counted here."""
    num_problems: int
    num_correct: int
    mean_confidence: float

    @property
    def accuracy(self) -> float:
        return self.num_correct / self.num_problems


def most_confident(
    confidence: ArrayLike, is_correct: ArrayLike, shares: Sequence[float] = SHARES
) -> list[MostConfident]:
    """Accuracy among the ⌈share · P⌉ problems of highest confidence, for each share; of equals the first ones.

    Args:
        confidence: [P] probability of the model's first answer, in [0, 1].
        is_correct: [P] whether it is correct.
        shares: in (0, 1].
    """
    values, correct = np.asarray(confidence, dtype=float), np.asarray(is_correct, dtype=bool)
    if values.ndim != 1 or values.size == 0 or values.shape != correct.shape:
        raise ValueError(f"both must have shape [P], P ≥ 1, got {list(values.shape)} and {list(correct.shape)}")
    if any(not 0 < share <= 1 for share in shares):
        raise ValueError(f"shares must lie in (0, 1], got {list(shares)}")
    order = np.argsort(-values, kind="stable")
    counts = [math.ceil(share * len(values) - 1e-9) for share in shares]
    return [
        MostConfident(share, count, int(correct[order[:count]].sum()), float(values[order[:count]].mean()))
        for share, count in zip(shares, counts, strict=True)
    ]
