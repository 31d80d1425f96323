r"""DFT: each token's cross-entropy times its own probability, so that what is improbable is hardly learnt.

    L = −Σ_t sg(p_t) log p_t        dL/dlog p_t = −p_t

Source: "On the Generalization of SFT: A Reinforcement Learning Perspective with Reward Rectification", arXiv
2508.05629 (Dynamic Fine-Tuning; sg stops the gradient). What is computed, and logged, is the loss that has this
gradient, 1 − p_t: the probability that a sampled token differs from the target.

What it does to confidence: the opposite of DCO, whose weight is largest where p is small. DFT sharpens what the model
says already; it is here as a control of opposite sign.
"""

from torch import Tensor

from passatn.train.objectives.slope import with_slope


def dft(log_p: Tensor) -> Tensor:
    """Losses, of the shape of log_p, the log-probabilities of tokens in nats."""
    given, log_p = log_p, log_p.detach()
    return with_slope(given, -log_p.expm1(), -log_p.exp())
