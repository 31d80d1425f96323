r"""Entropy-gated cross-entropy (EAFT): each token's loss times how undecided the model is.

    L = −g log p_y        g = sg((H_K / log K)^a)        H_K = entropy of the K most probable tokens, renormalised

Source: "Entropy-Adaptive Fine-Tuning: Resolving Confident Conflicts to Mitigate Forgetting", arXiv 2601.02151, with
K = 20 and the linear gate, a = 1. Of the paper we had the abstract and descriptions: the top-K entropy over log K and
the powers of it follow them; that no gradient flows through g, and that the K probabilities are renormalised, follow
the implementations that cite it (some of which divide by 3.0, which is log 20). a = 0 is cross-entropy.

What it does to confidence: where the model is sure, rightly or wrongly, little is learnt. Answers that are known are
not pushed to certainty, and those that contradict the model are not learnt either. The loss that is logged is L: with
the gate a constant within each step, there is no function of the weights whose gradient it is.
"""

import math

import torch
from torch import Tensor


def entropy_gated(logits: Tensor, labels: Tensor, top_k: int, power: float) -> Tensor:
    """Losses `[tokens]` in nats of logits `[tokens, vocabulary]` and labels `[tokens]`; top_k ≥ 2, power ≥ 0."""
    with torch.no_grad():
        kept = logits.topk(min(top_k, logits.shape[-1]), dim=-1).values
        log_p = kept.log_softmax(-1)
        entropy = -torch.xlogy(log_p.exp(), log_p.exp()).sum(-1)
        gate = (entropy / math.log(kept.shape[-1])).clamp(0, 1).pow(power)
    return -gate * logits.log_softmax(-1).gather(-1, labels[:, None])[:, 0]
