r"""MaxRL: maximum likelihood with roll-outs, the mean of the gradients of the successes.

The likelihood of success is expanded in failures, log p = −Σ_{m≥1} (1 − p)^m / m, and cut off at order T:

    J_T = −Σ_{m=1}^T (1 − p)^m / m        ∇J_T = Σ_{m=1}^T ∇pass@m / m = (1 − (1 − p)^T) ∇p / p

T = 1 is pass@1, T → ∞ is log p. With c of n roll-outs correct,

    success_mean       A_i = n R_i / c           (0 if c = 0)      expectation ∇J_n
    control_variate    A_i = n R_i / c − 1       (−1 if c = 0)     expectation ∇J_n
    centered           A_i = n R_i / c − 1       (0 if c = 0)      expectation ∇J_{n−1}

Source: "Maximum Likelihood Reinforcement Learning", arXiv 2602.02710. Derived here from J_T; the three agree with how
others describe the paper's equations 9 and 10 and its algorithm 1. Given c ≥ 1 the mean score of the successes has the
expectation ∇log p, and c ≥ 1 has the probability 1 − (1 − p)^n: this is ∇J_n. The mean score of all roll-outs has the
expectation 0 and may be subtracted. Where it is subtracted from groups with c ≥ 1 only, the rest, groups without a
success, with the mean score −∇p / (1 − p) and the probability (1 − p)^n, is missing: this is ∇J_n − (1 − p)^{n−1} ∇p,
which is one order less. So the order of the objective is that of the group, and `centered`, (R_i − mean) / mean, has
zero advantage where all rewards are equal.
"""

import torch
from torch import Tensor

from passatn.train.advantages.checks import check_rewards

VARIANTS = ("centered", "control_variate", "success_mean")


def maxrl(rewards: Tensor, *, variant: str = "centered") -> Tensor:
    """Advantages `[groups, group_size]` for rewards 0 and 1 of that shape."""
    check_rewards(rewards, binary=True)
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    mean = rewards.mean(dim=1, keepdim=True)
    likelihood = torch.where(mean > 0, rewards / mean, 0.0)
    if variant == "success_mean":
        return likelihood
    if variant == "control_variate":
        return likelihood - 1
    return torch.where(mean > 0, likelihood - 1, 0.0)
