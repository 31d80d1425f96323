"""How confident a policy should be: the one that maximises expected coverage, and bounds on its largest confidence.

Answers i = 1 ... K have accuracies a_i, the probability that answer i is the correct one, and a policy gives them
confidences q_i that sum to 1. Its expected coverage is sum_i a_i (1 - (1 - q_i)^N) (arXiv 2502.07154, appendix A).
At the optimum a_i (1 - q_i)^(N - 1) is the same for all answers with q_i > 0 and no larger for the rest, which gives
everything below in closed form. Write m = 1 / (N - 1) and rank the accuracies so that a_1 is the largest.

Evaluated in float64 on the host; tensors return to their device, without gradient.
"""

from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import torch

from passatn.coverage.numerics import LOG_2, NumpyInput, as_floating, epsilon, like_input, narrow, to_numpy
from passatn.coverage.validation import checked_accuracies, checked_n, require

Floats: TypeAlias = npt.NDArray[np.float64]


@overload
def optimal_confidences(accuracies: torch.Tensor, n: NumpyInput | torch.Tensor) -> torch.Tensor: ...
@overload
def optimal_confidences(accuracies: NumpyInput, n: NumpyInput) -> npt.NDArray[np.floating]: ...
def optimal_confidences(accuracies: Any, n: Any) -> Any:
    """The policy [..., K] that maximises the expected coverage of n samples, aligned with the accuracies.

    q_i = max(0, 1 - u (a_1 / a_i)^m), with u the maximum over k of (k - 1) / sum_{i <= k} (a_1 / a_i)^m. It is
    calibrated (Lemma A.1): a more accurate answer never gets less confidence.

    accuracies: [..., K] in any order, from 0 to 1; they need not sum to 1, and an accuracy of 0 gets confidence 0.
    n: real, at least 1, scalar or broadcasting with the leading shape; n = 1 puts all mass on the first maximum.
    Returns the accuracies' kind and dtype (float32 or float64), each row summing to 1.
    ValueError, naming the value: an accuracy outside 0 ... 1 or NaN, a row without a positive one, n below 1 or NaN.

    >>> optimal_confidences(np.array([0.2, 0.6, 0.2]), 2).round(3).tolist()
    [0.143, 0.714, 0.143]
    """
    given = as_floating(accuracies)
    values = checked_accuracies(given)
    n = checked_n(to_numpy(n), beside=values)
    order = np.argsort(-values, axis=-1, kind="stable")
    q = _ranked_optimum(np.take_along_axis(values, order, axis=-1), n)
    aligned = np.empty_like(q)
    np.put_along_axis(aligned, np.broadcast_to(order, q.shape), q, axis=-1)
    return narrow(like_input(aligned, given), given.dtype)


@overload
def max_confidence_bounds(
    accuracies: torch.Tensor, n: NumpyInput | torch.Tensor, *, k: int | None = None, mass: float | None = None
) -> tuple[torch.Tensor, torch.Tensor]: ...
@overload
def max_confidence_bounds(
    accuracies: NumpyInput, n: NumpyInput, *, k: int | None = None, mass: float | None = None
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]: ...
def max_confidence_bounds(accuracies: Any, n: Any, *, k: int | None = None, mass: float | None = None) -> Any:
    """Lower and upper bound on the optimal policy's largest confidence q_1 (the roles of Lemmas 4.3 and 4.2).

    The lower bound is 1 - (a_2 / a_1)^m. The upper bound is by default the minimum over k of
    1 - (k - 1) / sum_{i <= k} (a_1 / a_i)^m, which the optimum attains. Both fall with n and are 1 at n = 1.

    `k` or `mass` = 1 - epsilon ask for the weaker upper bound of figure 11, which knows only a_1 and that the k most
    accurate answers hold a total accuracy of at least `mass`: 1 / (1 + ((mass - a_1) / ((k - 1) a_1))^m), and 1 if
    mass <= a_1. Given k alone, mass is what the first k answers hold. Given mass alone, k is the smallest number of
    answers that hold it, in each row. Given both, they are taken as they are, and fewer than k answers may be listed:
    those not listed are only assumed to be no more accurate than the last one listed.

    accuracies: [..., K], n: see optimal_confidences. k: 1 or more; mass: above 0, at most 1.
    Returns two arrays of the leading shape broadcast with n, of the accuracies' kind and dtype.
    ValueError, naming the value: as optimal_confidences; k above K without mass; a mass that the answers do not hold.

    >>> [round(float(b), 3) for b in max_confidence_bounds([0.4, 0.3, 0.1, 0.1, 0.1], 2, k=2)]
    [0.25, 0.571]
    """
    given = as_floating(accuracies)
    values = -np.sort(-checked_accuracies(given), axis=-1)
    n = checked_n(to_numpy(n), beside=values)
    lower = _lower_bound(values, n)
    if k is None and mass is None:
        upper = _ranked_optimum(values, n)[..., 0]
    else:
        # A sum of K accuracies is only known up to the roundings of the sum and of the dtype they came in.
        rounding = values.shape[-1] * epsilon(values) + 4 * epsilon(given)
        others = _accuracy_of_others(values, k, mass, rounding)
        upper = np.where(n == 1, 1.0, 1 / (1 + np.exp(-_log_power(values[..., 0], others, n))))
    return narrow(like_input(lower, given), given.dtype), narrow(like_input(upper, given), given.dtype)


def _ranked_optimum(a: Floats, n: Floats) -> Floats:
    """The water-filling q_i = max(0, 1 - u (a_1 / a_i)^m) for a_1 >= a_2 >= ..., in logs: m is unbounded near N = 1."""
    ranks = np.arange(a.shape[-1])
    log_w = _log_power(a[..., :1], a, n[..., None])
    # Infinities stand for a = 0 and k = 1; N = 1, where nothing here has a meaning, is settled below.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        log_u = np.max(np.log(ranks) - np.logaddexp.accumulate(log_w, axis=-1), axis=-1, keepdims=True)
        q = np.where(a > 0, np.maximum(0.0, -np.expm1(log_u + log_w)), 0.0)
    q = np.where(n[..., None] == 1, ranks == 0, q)
    return q / q.sum(axis=-1, keepdims=True)


def _lower_bound(a: Floats, n: Floats) -> Floats:
    """q_1 >= 1 - (a_2 / a_1)^m, from (a_1 / a_i)^m >= (a_1 / a_2)^m for i >= 2 in the water-filling."""
    if a.shape[-1] == 1:
        return np.ones(np.broadcast_shapes(a.shape[:-1], n.shape))
    return np.where(n == 1, 1.0, -np.expm1(-_log_power(a[..., 0], a[..., 1], n)))


def _accuracy_of_others(a: Floats, k: int | None, mass: float | None, rounding: float) -> Floats:
    """What ranks 2 ... k hold on average, (mass - a_1) / (k - 1); a_2 is at least that, which bounds q_1."""
    ranks, held = _ranks_and_mass(a, k, mass, rounding)
    others = held - a[..., 0]
    others = np.where(others <= rounding, 0.0, others)
    return np.minimum(others / np.maximum(ranks - 1, 1), a[..., 0])


def _ranks_and_mass(
    a: Floats, k: int | None, mass: float | None, rounding: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The number of ranks k [...] and the accuracy they hold [...], completed and checked against the accuracies."""
    num_answers, held = a.shape[-1], np.cumsum(a, axis=-1)
    if k is not None and (k < 1 or k != int(k)):
        raise ValueError(f"k must be a whole number of answers, at least 1, got {k}")
    if mass is None:
        if k is None or k > num_answers:
            raise ValueError(f"k must be at most the number of answers, {num_answers}, when mass is not given, got {k}")
        return np.asarray(k), held[..., int(k) - 1]
    if not 0 < mass <= 1:
        raise ValueError(f"mass must be above 0 and at most 1, got {mass}")
    if k is None:
        require(held[..., -1] >= mass - rounding, held[..., -1], f"accuracies must sum to at least mass = {mass}")
        return 1 + np.sum(held < mass - rounding, axis=-1), np.asarray(mass)
    most = held[..., min(int(k), num_answers) - 1] + max(int(k) - num_answers, 0) * a[..., -1]
    require(most >= mass - rounding, most, f"the first k = {k} answers must be able to hold mass = {mass}")
    return np.asarray(k), np.asarray(mass)


def _log_power(a_1: Floats, a: Floats, n: Floats) -> Floats:
    """m log(a_1 / a) with m = 1 / (N - 1): infinite for a = 0, and without meaning at N = 1."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Near equality a difference of logarithms would cancel, and m magnifies what is lost.
        near = -np.log1p(-(a_1 - a) / a_1)
        return np.where(near < LOG_2, near, np.log(a_1) - np.log(a)) / (n - 1)
