"""What a training step logs about coverage: F, p·N, active and replaced examples."""

import torch
from torch import Tensor

QUANTILES = (0.1, 0.5, 0.9)
WEIGHT_NAMES = ("mean_confidence_weight", "active_fraction")
NAMES = (
    *WEIGHT_NAMES,
    "p_times_n_mean",
    *(f"p_times_n_q{round(100 * quantile)}" for quantile in QUANTILES),
)


def step_metrics(log_p: Tensor, weight: Tensor, n_passes: float, min_confidence_weight: float) -> dict[str, float]:
    """Statistics of the examples that were weighed in one optimizer step.

    Args:
        log_p: `[examples]`, log-probability of each example in nats.
        weight: `[examples]`, F(N, p) of each.

    Returns:
        `mean_confidence_weight` (mean F), `active_fraction` (F ≥ ε) and mean and quantiles of p·N: an example at
        p·N = 1 is found once per N samples on average, far above it there is nothing left to gain.
    """
    p_times_n = log_p.exp() * n_passes
    is_active = (weight >= min_confidence_weight).to(weight.dtype)
    means = torch.stack([weight, is_active, p_times_n]).mean(dim=1)
    quantiles = torch.quantile(p_times_n, torch.tensor(QUANTILES, dtype=log_p.dtype, device=log_p.device))
    # One transfer from the device for all of them.
    return dict(zip(NAMES, torch.cat([means, quantiles]).tolist(), strict=True))
