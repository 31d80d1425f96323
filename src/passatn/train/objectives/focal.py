r"""Focal loss: cross-entropy that fades as the target becomes probable.

    L = −(1 − p)^γ log p        dL/dlog p = −(1 − p)^γ + γ p (1 − p)^(γ − 1) log p

Source: "Focal Loss for Dense Object Detection", arXiv 1708.02002, equation 4, without its class weights. There p is the
probability of one prediction: here of a token, or of a whole completion. γ = 0 is cross-entropy.

What it does to confidence: what is probable already is pushed less, as in DCO. But (1 − p)^γ is near 1 until p is near
1, whatever the number of samples: for a completion it acts where DCO acts at N of a few, and not at N of hundreds.
"""

import torch
from torch import Tensor

from passatn.train.objectives.slope import with_slope


def focal(log_p: Tensor, gamma: float) -> Tensor:
    """Losses in nats, of the shape of log_p, the log-probabilities of tokens or of completions; gamma ≥ 0."""
    given, log_p = log_p, log_p.detach()
    p, complement = log_p.exp(), -log_p.expm1()
    # p log p / (1 − p): 0 at p = 0 and −1 at p = 1, where its parts are 0 · ∞ and 0 / 0.
    ratio = torch.where(p == 0, 0.0, torch.where(complement == 0, -1.0, p * log_p / complement))
    factor = complement.pow(gamma)
    return with_slope(given, -factor * log_p, factor * (gamma * ratio - 1))
