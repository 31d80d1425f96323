r"""Pass@k Training: the analytic advantage for groups of k drawn from the n roll-outs.

    ρ = 1 − C(n − c, k) / C(n, k)          expected reward of a random group of k, c of n roll-outs correct
    σ = √(ρ (1 − ρ))                       its standard deviation
    A = (1 − ρ) / σ                        of a correct roll-out
    A = (1 − ρ − C(n − c − 1, k − 1) / C(n − 1, k − 1)) / σ       of an incorrect one

Source: "Pass@k Training for Adaptively Balancing Exploration and Exploitation of Large Reasoning Models", arXiv
2508.10751, checked against the authors' published code, which adds 1e-6 to σ; here σ = 0 gives 0.

Times σ this is 1/k of the advantage of `pkpo` without a baseline, less ρ. That baseline sees the roll-out itself: the
expected gradient of A·σ is (1/k − 1/n) ∇pass@k: the direction of pass@k for one problem, and nothing at k = n. The
division by σ is a bias between problems: those count more for which σ is small, above all those that k roll-outs
nearly always solve. `normalize=False` leaves it out. Once more than n − k roll-outs are correct all advantages are
zero, though the rewards differ.
"""

import torch
from torch import Tensor

from passatn.coverage import pass_at_n
from passatn.train.advantages.checks import check_k, check_rewards


def pass_at_k(rewards: Tensor, *, k: int, normalize: bool = True) -> Tensor:
    """Advantages `[groups, group_size]` for rewards 0 and 1 of that shape; 1 ≤ k ≤ group_size.

    Args:
        normalize: divide by σ, as the paper does.
    """
    check_rewards(rewards, binary=True)
    n = rewards.shape[1]
    check_k(k, n)
    num_correct = rewards.sum(dim=1, keepdim=True).to(torch.int64)
    rho = pass_at_n(n, num_correct, k)
    # A group of k with this incorrect roll-out has no correct one. Nobody asks where all n are correct.
    others_fail = 1 - pass_at_n(n - 1, num_correct.clamp(max=n - 1), k - 1) if k > 1 else torch.ones_like(rho)
    advantages = torch.where(rewards == 1, 1 - rho, 1 - rho - others_fail)
    if normalize:
        sigma = (rho * (1 - rho)).sqrt()
        advantages = torch.where(sigma > 0, advantages / sigma, 0.0)
    return advantages.to(rewards.dtype)
