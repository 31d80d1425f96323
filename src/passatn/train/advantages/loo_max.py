r"""Leave-one-out max@k: what the best reward of k roll-outs would lose without roll-out i.

    A_i = k (max_j R_j − max_{j≠i} R_j)      over the k roll-outs of its block

Source: "Optimizing Language Models for Inference Time Objectives using Reinforcement Learning", arXiv 2503.19595; it is
the case n = k of arXiv 2505.15201, eq. 33. There the terms of a block are summed, here averaged: hence the factor k.
A group larger than k is cut into blocks of k in its order, which averages independent estimates; `pkpo` averages over
all subsets instead and has the smaller variance. The best of no roll-outs counts as 0, so k = 1 is R_i.

Unbiased for ∇max@k. Only the single best roll-out of a block has a nonzero advantage, and none where the best two tie.
"""

import torch
from torch import Tensor

from passatn.train.advantages.checks import check_k, check_rewards


def loo_max(rewards: Tensor, *, k: int | None = None) -> Tensor:
    """Advantages `[groups, group_size]` for rewards ≥ 0 of that shape.

    Args:
        k: size of a block, a divisor of the group size; None: the whole group.
    """
    check_rewards(rewards, minimum=0.0)
    n = rewards.shape[1]
    k = n if k is None else k
    check_k(k, n)
    if n % k:
        raise ValueError(f"groups of {n} cannot be cut into blocks of k={k}; pkpo takes any k up to the group size")
    blocks = rewards.reshape(-1, k)
    if k == 1:
        return rewards.clone()
    best, position = blocks.topk(2, dim=1)
    lead = k * (best[:, :1] - best[:, 1:])
    return torch.zeros_like(blocks).scatter(1, position[:, :1], lead).reshape(rewards.shape)
