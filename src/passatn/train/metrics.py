"""What a training step logs about coverage: F, p·N, active and replaced examples."""

import torch
from torch import Tensor

from passatn.coverage import confidence_weight

QUANTILES = (0.1, 0.5, 0.9)


def step_metrics(log_p: Tensor, n_passes: float, min_confidence_weight: float) -> dict[str, float]:
    """Statistics of the examples that were weighed in one optimizer step.

    Args:
        log_p: `[examples]`, log-probability of each example in nats.

    Returns:
        `mean_confidence_weight` (mean F), `active_fraction` (F ≥ ε) and mean and quantiles of p·N: an example at
        p·N = 1 is found once per N samples on average, far above it there is nothing left to gain.
    """
    weight = confidence_weight(log_p, n_passes)
    p_times_n = log_p.exp() * n_passes
    quantiles = torch.quantile(p_times_n, torch.tensor(QUANTILES, dtype=log_p.dtype, device=log_p.device)).tolist()
    return {
        "mean_confidence_weight": weight.mean().item(),
        "active_fraction": (weight >= min_confidence_weight).double().mean().item(),
        "p_times_n_mean": p_times_n.mean().item(),
        **{f"p_times_n_q{round(100 * q)}": value for q, value in zip(QUANTILES, quantiles, strict=True)},
    }
