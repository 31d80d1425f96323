r"""Label smoothing: cross-entropy against targets that give every token of the vocabulary a share.

    L = (1 − ε) · (−log p_y) + ε · (1/V) Σ_v (−log p_v)        ∂L/∂z_v = p_v − (1 − ε)·[v = y] − ε/V

Source: "Rethinking the Inception Architecture for Computer Vision", arXiv 1512.00567, section 7.
ε = 0 is cross-entropy.

What it does to confidence: the loss is least at p_y = 1 − ε + ε/V, so no token is pushed to certainty, and a completion
of T tokens to no more than about (1 − ε)^T. The cap does not depend on how many samples will be drawn.
"""

from torch import Tensor


def label_smoothing(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Losses `[tokens]` in nats of logits `[tokens, vocabulary]` and labels `[tokens]`; 0 ≤ smoothing < 1."""
    log_p = logits.log_softmax(-1)
    return -(1 - smoothing) * log_p.gather(-1, labels[:, None])[:, 0] - smoothing * log_p.mean(-1)
