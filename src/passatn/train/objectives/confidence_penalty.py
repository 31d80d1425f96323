r"""Confidence penalty: cross-entropy less β times the entropy of the distribution over the next token.

    L = −log p_y − β H        H = −Σ_v p_v log p_v

Source: "Regularizing Neural Networks by Penalizing Confident Output Distributions", arXiv 1701.06548, equation 2.
β = 0 is cross-entropy.

What it does to confidence: as label smoothing it stops every token short of certainty, whatever the number of samples;
the pull towards the uniform distribution is by KL(p‖u) instead of KL(u‖p), weak for what is nearly certain.
"""

from torch import Tensor


def confidence_penalty(log_p: Tensor, entropy: Tensor, beta: float) -> Tensor:
    """Losses `[tokens]` from the labels' log-probabilities and the entropies, `[tokens]` in nats; beta ≥ 0."""
    return -log_p - beta * entropy
