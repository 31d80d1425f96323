"""What an estimator demands of rewards; each check is one line that names the value."""

import torch
from torch import Tensor


def check_rewards(rewards: Tensor, *, binary: bool = False, minimum: float = -torch.inf) -> None:
    """ValueError unless rewards are `[groups, group_size]` floats, finite, and 0 or 1 (`binary`) or ≥ `minimum`."""
    if rewards.dim() != 2 or not rewards.is_floating_point():
        raise ValueError(f"rewards must be floats [groups, group_size], got {rewards.dtype} {list(rewards.shape)}")
    if not bool(rewards.isfinite().all()):
        raise ValueError("rewards must be finite; a NaN comes from a reward function that returned None")
    if binary and not bool(((rewards == 0) | (rewards == 1)).all()):
        bad = rewards[(rewards != 0) & (rewards != 1)][0].item()
        raise ValueError(f"this estimator is defined for rewards 0 and 1, got {bad:g}; pkpo takes real rewards")
    if bool((rewards < minimum).any()):
        raise ValueError(f"this estimator is defined for rewards >= {minimum:g}, got {rewards.min().item():g}")


def check_k(k: int, group_size: int, *, most: int | None = None) -> None:
    """ValueError unless 1 ≤ k ≤ `most` (default: the group size)."""
    most = group_size if most is None else most
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= most:
        raise ValueError(f"k must be a whole number from 1 to {most} in groups of {group_size}, got {k!r}")
