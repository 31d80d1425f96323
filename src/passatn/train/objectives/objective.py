"""What the trainer asks of an objective: a forward pass, the losses of examples, and how much is left to learn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from passatn.train.likelihood import sum_examples
from passatn.train.objectives.logits import forward_logits


@dataclass(frozen=True)
class Objective:
    """A loss on completions.

    Args:
        inputs: what `loss` takes: "log_p" of completions, `[examples]`; "token_log_p" of their tokens, `[tokens]`;
            "token_entropy", those and the entropy of the distribution over each token; "logits", `[tokens,
            vocabulary]`, and labels. It gives a loss in nats for each example, or each token.
        weight: log_p of examples to a weight in [0, 1] that falls in p from 1: what is below `min_confidence_weight`
            counts as learnt. None: there is no such thing.
    """

    name: str
    inputs: str
    loss: Callable[..., Tensor]
    weight: Callable[[Tensor], Tensor] | None = None

    @property
    def of_examples(self) -> bool:
        """Whether it is a function of the probabilities of whole completions."""
        return self.inputs == "log_p"

    def forward(self, model: nn.Module, *args: Any, **inputs: Any) -> Any:
        """TRL's forward pass with `fused_lm_head=True`, or one with the same outputs and the losses of tokens."""
        if self.inputs != "logits":
            return model(*args, **inputs)
        del inputs["fused_lm_head"]
        return forward_logits(model, self.loss, **inputs)

    def losses(self, outputs: Any, log_p: Tensor, inputs: dict[str, Any]) -> Tensor:
        """Loss of each example `[examples]`: the objective's, or the sum of those of its tokens.

        Args:
            outputs: of `forward`.
            log_p: `[examples]`, of `example_log_probs`.
            inputs: the collated batch, as for `example_log_probs`.
        """
        if self.of_examples:
            return self.loss(log_p)
        mask = outputs.label_mask
        if self.inputs == "logits":
            values = outputs.losses
        else:
            columns = [outputs.log_probs] if self.inputs == "token_log_p" else [outputs.log_probs, outputs.entropy]
            chosen = self.loss(*(column[mask] for column in columns))
            values = chosen.new_zeros(mask.shape).masked_scatter(mask, chosen)
        return sum_examples(values, mask, inputs)[0]

    def weights(self, log_p: Tensor) -> Tensor:
        """`weight`, where there is one, without gradient; 1 for a NaN, which thus stays in the batch and shows."""
        if self.weight is None:
            return torch.ones_like(log_p)
        return self.weight(log_p.detach().masked_fill(log_p.isnan(), -torch.inf))
