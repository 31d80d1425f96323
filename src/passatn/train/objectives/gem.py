r"""GEM: the gradient of cross-entropy with a sharpened distribution q ∝ p^(1/β) in place of the model's own.

    L = Σ_v sg(q_v) (log p_v − log p_y)        ∂L/∂z_v = q_v − [v = y]        q = softmax(z/β), 0 < β ≤ 1

Source: "Preserving Diversity in Supervised Fine-Tuning of Large Language Models", arXiv 2408.16673, with a linear h
(h' = 1) and q treated as a constant; β = 0.7 is the value in wide use. What is computed, and logged, is the loss that
has this gradient,

    L = β log Σ_v exp(z_v/β) − z_y = β · (cross-entropy of softmax(z/β)),

which is at least 0, and cross-entropy itself at β = 1. (The sum above is less by β times the entropy of q.) So GEM fits
the model at temperature β, and the model is sampled at temperature 1.

What it does to confidence: the push is 1 − q_y where that of cross-entropy is 1 − p_y, and q_y is nearer to 1 than p_y
for a target that leads. It is pushed on less, at the cost of its strongest rivals, and the tail keeps its mass.
"""

from torch import Tensor


def gem(logits: Tensor, labels: Tensor, beta: float) -> Tensor:
    """Losses `[tokens]` in nats of logits `[tokens, vocabulary]` and labels `[tokens]`; 0 < beta ≤ 1."""
    return beta * (logits / beta).logsumexp(-1) - logits.gather(-1, labels[:, None])[:, 0]
