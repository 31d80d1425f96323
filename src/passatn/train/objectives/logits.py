"""Objectives of the whole distribution over the next token: one forward pass that keeps its logits.

The trainer's usual pass projects the hidden states in tiles and never holds the logits of a batch. The objectives here
need a gradient through them, so they are held once, `[rows, length, vocabulary]` in the model's dtype; what is derived
from them in float32 is made tile by tile and made again in the backward pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

TILE = 1024
"""Tokens per tile."""

TokenLoss = Callable[[Tensor, Tensor], Tensor]
"""Logits `[tokens, vocabulary]` in float32 and labels `[tokens]` to losses `[tokens]`."""


@dataclass
class TokenOutputs:
    """What TRL's fused head returns, and the losses; each `[rows, length − 1]` and zero where there is no label."""

    log_probs: Tensor
    entropy: Tensor
    is_top1: Tensor
    losses: Tensor
    label_mask: Tensor
    aux_loss: Tensor | None


def forward_logits(model: nn.Module, loss: TokenLoss, /, *, labels: Tensor, **inputs: Any) -> TokenOutputs:
    """Run the model's own forward pass and evaluate `loss` on the tokens that have a label other than −100."""
    outputs = model(**inputs)
    labels = labels[:, 1:].to(outputs.logits.device)
    mask = labels != -100
    tiles = [
        checkpoint(_evaluate, loss, *tile, use_reentrant=False, preserve_rng_state=False)
        for tile in zip(outputs.logits[:, :-1][mask].split(TILE), labels[mask].split(TILE), strict=True)
    ]
    columns = [torch.cat(column) for column in zip(*tiles, strict=True)]
    log_probs, entropy, is_top1, losses = (
        column.new_zeros(mask.shape).masked_scatter(mask, column) for column in columns
    )
    return TokenOutputs(log_probs, entropy, is_top1, losses, mask, getattr(outputs, "aux_loss", None))


def _evaluate(loss: TokenLoss, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    logits = logits.float()
    with torch.no_grad():
        log_p = logits.log_softmax(-1)
        entropy = -torch.xlogy(log_p.exp(), log_p.exp()).sum(-1)
        is_top1 = logits.argmax(-1) == labels
        chosen = log_p.gather(-1, labels[:, None])[:, 0]
    return chosen, entropy, is_top1, loss(logits, labels)
