"""log p of each example from per-token log-probabilities, ℓ = Σ_t log p(y_t | x, y_<t) in nats, and what follows.

A NaN log p (a model that has diverged) gives a NaN loss and counts as active, so that it shows in the log as it does
in TRL; the functions of `passatn.coverage` would refuse it.
"""

from typing import Any

import torch
from torch import Tensor

from passatn.coverage import confidence_weight, log_coverage
from passatn.train.alternatives import log_sum_by_group


def coverage_losses(log_p: Tensor, n_passes: float) -> Tensor:
    """−log C^N `[examples]` (eq. 3), differentiable."""
    is_nan = log_p.isnan()
    return torch.where(is_nan, log_p, -log_coverage(log_p.masked_fill(is_nan, 0.0), n_passes))


def confidence_weights(log_p: Tensor, n_passes: float) -> Tensor:
    """F(N, p) `[examples]` (eq. 4), without gradient."""
    log_p = log_p.detach()
    return confidence_weight(log_p.masked_fill(log_p.isnan(), -torch.inf), n_passes)


def example_log_probs(
    token_log_probs: Tensor, label_mask: Tensor, inputs: dict[str, Any], *, any_of_group: bool = False
) -> tuple[Tensor, Tensor]:
    """log p of each example and its number of tokens, as `sum_examples`; log p at most 0.

    Args:
        any_of_group: the rows of a group are answers of which any will do, so that their p is a sum, not a product.
    """
    log_p, num_tokens = sum_examples(token_log_probs, label_mask, inputs)
    if any_of_group:
        rows = {name: value for name, value in inputs.items() if name != "group_sizes"}
        log_p = log_sum_by_group(sum_examples(token_log_probs, label_mask, rows)[0], inputs["group_sizes"])
    # Rounding in a log-softmax can exceed log 1 = 0 by an ulp; a shift keeps the gradient, a clamp would drop it.
    return log_p - log_p.detach().clamp(min=0), num_tokens


def sum_examples(values: Tensor, label_mask: Tensor, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Sum values of tokens over each example of a micro-batch.

    Args:
        values: `[rows, length − 1]`, zero where `label_mask` is False.
        label_mask: `[rows, length − 1]` bool, True on completion tokens.
        inputs: the collated batch. `seq_idx` `[1, length]` marks the examples of a padding-free batch (stretches
            without completion tokens are padding) and `group_sizes` `[groups]` the number of rows of each group
            (whole-proof confidence).

    Returns:
        `(sums, num_tokens)`, each `[examples]`; sums in float64 (float32 on devices without it), with gradient 1 with
        respect to every completion token.
    """
    dtype = torch.float32 if values.device.type == "mps" else torch.float64
    tokens = values.to(dtype)
    if "seq_idx" in inputs:
        index = inputs["seq_idx"][0, 1:].long()
        size = int(inputs["seq_idx"].max()) + 1
        sums, num_tokens = _sum_by(tokens[0], index, size), _sum_by(label_mask[0].long(), index, size)
        sums, num_tokens = sums[num_tokens > 0], num_tokens[num_tokens > 0]
    else:
        sums, num_tokens = tokens.sum(-1), label_mask.sum(-1)
    if "group_sizes" in inputs:
        sizes = inputs["group_sizes"]
        index = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
        sums, num_tokens = _sum_by(sums, index, len(sizes)), _sum_by(num_tokens, index, len(sizes))
    return sums, num_tokens


def _sum_by(values: Tensor, index: Tensor, size: int) -> Tensor:
    return values.new_zeros(size).index_add(0, index, values)
