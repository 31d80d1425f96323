"""The split of a budget of N samples over several models that maximises coverage on the same problems.

With n_m samples from model m, a problem that model m solves with probability p_m is missed with probability
Π_m (1 − p_m)^n_m, so coverage is the mean over problems of 1 − exp(−Σ_m n_m a_m), a_m = −log(1 − p_m): concave in
(n_1, …, n_M). Over real n_m ≥ 0 with Σ n_m = N the optimum is found with a certificate: for a concave C the gap
max_m N ∂C/∂n_m − Σ_m n_m ∂C/∂n_m bounds how far C is from the optimum (Frank & Wolfe, 1956).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Success rates this close to 1 count as this: log(1 − p) must be finite.
_LARGEST_RATE = 1 - 1e-15
_MAX_STEPS = 20_000


@dataclass(frozen=True)
class BudgetSplit:
    """How many samples each model gets, and what coverage that gives beside the simple alternatives."""

    real: Array
    """[models] the optimum over real numbers ≥ 0 with sum N."""
    real_coverage: float
    gap: float
    """No split, real or whole, covers more than `real_coverage` + `gap`."""
    whole: NDArray[np.int64]
    """[models] whole numbers with sum N: the real optimum rounded, then improved by moving single samples."""
    whole_coverage: float
    even_coverage: float
    """Of the even split N / models."""
    best_single: int
    """The model that covers most when it gets all N samples."""
    best_single_coverage: float


def split_budget(success_rates: ArrayLike, n: int, *, tolerance: float = 1e-9) -> BudgetSplit:
    """The best split of n samples over models with these success rates per problem.

    Args:
        success_rates: `[models, problems]` probability that one sample of a model solves a problem, in [0, 1];
            estimated on validation problems, as the rates of test problems are not known.
        n: whole number ≥ 1 of samples in all.
        tolerance: largest `gap` of the real optimum.

    Raises:
        ValueError: rates outside [0, 1] or not `[models, problems]`, or n < 1; names the value.
    """
    rates = np.asarray(success_rates, dtype=np.float64)
    if rates.ndim != 2 or 0 in rates.shape:
        raise ValueError(f"success_rates must be [models, problems], got shape {list(rates.shape)}")
    if not ((rates >= 0) & (rates <= 1)).all():
        bad = rates[~((rates >= 0) & (rates <= 1))][0]
        raise ValueError(f"success_rates must be in [0, 1], got {bad}")
    if n != int(n) or n < 1:
        raise ValueError(f"n must be a whole number >= 1, got {n}")
    exponents = -np.log1p(-np.minimum(rates, _LARGEST_RATE))
    real, gap = _real_optimum(exponents, float(n), tolerance)
    whole = _improve(exponents, _round(real, int(n)))
    singles = [_covered(exponents, n * row) for row in np.eye(len(rates))]
    return BudgetSplit(
        real=real,
        real_coverage=_covered(exponents, real),
        gap=gap,
        whole=whole,
        whole_coverage=_covered(exponents, whole),
        even_coverage=_covered(exponents, np.full(len(rates), n / len(rates))),
        best_single=int(np.argmax(singles)),
        best_single_coverage=max(singles),
    )


def _covered(exponents: Array, split: ArrayLike) -> float:
    """Mean over problems of 1 − exp(−Σ_m n_m a_m)."""
    return float(np.mean(-np.expm1(-(np.asarray(split) @ exponents))))


def _gradient(exponents: Array, split: Array) -> Array:
    """∂C/∂n_m `[models]`: the mean of a_m · exp(−Σ n a)."""
    return np.asarray((exponents * np.exp(-(split @ exponents))).mean(axis=1))


def _real_optimum(exponents: Array, n: float, tolerance: float) -> tuple[Array, float]:
    """Pairwise Frank-Wolfe: move samples from the worst model that has some to the best, with an exact line search."""
    split = np.full(len(exponents), n / len(exponents))
    for _ in range(_MAX_STEPS):
        gradient = _gradient(exponents, split)
        gap = float(n * gradient.max() - split @ gradient)
        if gap <= tolerance:
            break
        best = int(gradient.argmax())
        worst = int(np.where(split > 0, gradient, np.inf).argmin())
        step = _line_search(exponents, split, best, worst)
        split[best] += step
        split[worst] = 0.0 if step == split[worst] else split[worst] - step
    return split, gap


def _line_search(exponents: Array, split: Array, best: int, worst: int) -> float:
    """How many samples to move: the zero of the directional derivative in [0, n_worst], by bisection."""
    direction = exponents[best] - exponents[worst]
    missed = np.exp(-(split @ exponents))

    def slope(step: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.nan_to_num(direction * missed * np.exp(-step * direction)).mean())

    low, high = 0.0, float(split[worst])
    if slope(high) >= 0:
        return high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2


def _round(real: Array, n: int) -> NDArray[np.int64]:
    """Largest remainders: whole numbers with the same sum."""
    whole = np.floor(real).astype(np.int64)
    order = np.argsort(whole - real, kind="stable")
    whole[order[: n - int(whole.sum())]] += 1
    return whole


def _improve(exponents: Array, whole: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move single samples between models as long as that covers more."""
    best = _covered(exponents, whole)
    improved = True
    while improved:
        improved = False
        for giver in range(len(whole)):
            for taker in range(len(whole)):
                if giver == taker or whole[giver] == 0:
                    continue
                trial = whole.copy()
                trial[giver] -= 1
                trial[taker] += 1
                value = _covered(exponents, trial)
                if value > best + 1e-15:
                    whole, best, improved = trial, value, True
    return whole
