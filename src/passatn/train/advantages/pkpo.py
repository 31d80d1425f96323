r"""PKPO: unbiased gradient weights of max@k, the expected best reward of k roll-outs, from n ≥ k of them.

With rewards 0 and 1, max@k is pass@k. Over random subsets I of the group (M for their best reward),

    none             A_i = k E[M(I) : |I| = k, i ∈ I]                                           eq. 19, n s_i
    sloo             A_i = k E[M(I) : i ∈ I] − k n/(n − 1) E[M(I) : |I| = k, i ∉ I]             eq. 29; k < n
    sloo_minus_one   A_i = k E[M(I) − M(I∖i) : |I| = k, i ∈ I]                                  eq. 33; k ≥ 2

Source: "Pass@K Policy Optimization", arXiv 2505.15201, whose weights are summed where ours are averaged: hence the
factor n. What is subtracted does not depend on roll-out i, so all three have the expectation ∇max@k; the paper prefers
sloo_minus_one for its variance. At k = 1 the paper takes the mean of the other rewards as the baseline (eq. 26), and so
does sloo_minus_one here: A_i = R_i − mean_{j≠i} R_j. The other two have nonzero advantages where all rewards are equal.

Sorted, R_(0) ≤ R_(1) ≤ …, each expectation is a sum over the position j of the best reward, with a ratio of binomials
as its probability.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from passatn.train.advantages.checks import check_k, check_rewards

BASELINES = ("sloo_minus_one", "sloo", "none")


def pkpo(rewards: Tensor, *, k: int, baseline: str = "sloo_minus_one") -> Tensor:
    """Advantages `[groups, group_size]` for real rewards of that shape; 1 ≤ k ≤ group_size (less 1 for "sloo")."""
    check_rewards(rewards)
    if baseline not in BASELINES:
        raise ValueError(f"baseline must be one of {', '.join(BASELINES)}, got {baseline!r}")
    n = rewards.shape[1]
    needs_others = baseline == "sloo" or (baseline == "sloo_minus_one" and k == 1)
    check_k(k, n, most=n - 1 if needs_others else n)
    ordered, order = rewards.to(_precision(rewards)).sort(dim=1)
    weights = _weights(n, k, baseline).to(ordered)
    return torch.empty_like(ordered).scatter(1, order, ordered @ weights.T).to(rewards.dtype)


def _precision(rewards: Tensor) -> torch.dtype:
    return torch.float32 if rewards.device.type == "mps" else torch.float64


@lru_cache(maxsize=64)
def _weights(n: int, k: int, baseline: str) -> Tensor:
    """`[n, n]`: the weight of the reward at sorted position j in the advantage of the roll-out at position i."""
    if baseline == "none":
        return k * _best_with(n, k)
    size = k if baseline == "sloo" or k == 1 else k - 1
    scale = n / (n - 1) if baseline == "sloo" else 1.0
    return k * (_best_with(n, k) - scale * _best_without(n, size))


def _best_with(n: int, size: int) -> Tensor:
    """`[n, n]`: probability that j is the last position of a random subset of that size which holds i."""
    subsets = math.comb(n - 1, size - 1)
    at_i = [math.comb(i, size - 1) / subsets for i in range(n)]
    after_i = [math.comb(j - 1, size - 2) / subsets if j > 0 and size > 1 else 0.0 for j in range(n)]
    return (
        torch.tensor(after_i, dtype=torch.float64).expand(n, n).triu(1) + torch.tensor(at_i, dtype=torch.float64).diag()
    )


def _best_without(n: int, size: int) -> Tensor:
    """`[n, n]`: probability that j is the last position of a random subset of that size which does not hold i."""
    last = [math.comb(below, size - 1) / math.comb(n - 1, size) for below in range(n)]
    weights = torch.tensor(last, dtype=torch.float64)
    return weights.expand(n, n).tril(-1) + weights.roll(1).expand(n, n).triu(1)
