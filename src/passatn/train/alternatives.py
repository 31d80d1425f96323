r"""Several accepted answers as one example, found when any of them is sampled: confidence="answers".

    p = Σ_a p_a        log p = logsumexp_a log p_a        ∂ log p / ∂ log p_a = p_a / p

so that DCO's loss is −log(1 − (1 − Σ_a p_a)^N), and at N = 1 it is −log Σ_a p_a: each answer is learnt by its share of
what the model says already, and none has to be given up for the one that the data names first. The answers exclude each
other as samples: none may be the beginning of another.

Source: the coverage of DCO (arXiv 2502.07154, section 4.1), whose p is the probability of all correct answers together;
the loss at N = 1 is the marginal likelihood of weakly supervised question answering (arXiv 1909.04849, its "MML").

    {"prompt": "1/2 = ?", "answer": ["0.5", "1/2"]}        passatn train --confidence answers …
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def log_sum_by_group(log_p: Tensor, group_sizes: Tensor) -> Tensor:
    """log Σ_a p_a of each group `[groups]`, from the log-probabilities of all rows `[rows]` in order of their groups.

    Where all rows of a group have p = 0, the gradient is shared equally.
    """
    return _LogSumByGroup.apply(log_p, group_sizes)


class _LogSumByGroup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_p: Tensor, group_sizes: Tensor) -> Tensor:
        index = torch.repeat_interleave(torch.arange(len(group_sizes), device=log_p.device), group_sizes)
        largest = log_p.new_full((len(group_sizes),), -torch.inf).scatter_reduce(0, index, log_p, "amax")
        # Relative to the largest, so that nothing underflows; −inf − (−inf) is to be 0, not NaN.
        relative = torch.where(log_p == largest[index], 0.0, log_p - largest[index]).exp()
        total = log_p.new_zeros(len(group_sizes)).index_add(0, index, relative)
        ctx.save_for_backward(relative / total[index], index)
        return largest + total.log()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        shares, index = ctx.saved_tensors
        return grad[index] * shares, None
