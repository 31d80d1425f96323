r"""The advantage of Dr. GRPO: A_i = R_i − mean(R), without division by the standard deviation or the length.

Source: "Understanding R1-Zero-Like Training", arXiv 2503.20783; the GRPO baseline of arXiv 2502.07154. The mean
includes R_i itself, so the expected gradient is (1 − 1/n) ∇E[R]: the direction is unbiased, the scale a little short.
Groups with equal rewards have zero advantage.
"""

from torch import Tensor

from passatn.train.advantages.checks import check_rewards


def group_mean(rewards: Tensor) -> Tensor:
    """R_i − mean(R) `[groups, group_size]`, for real rewards of that shape."""
    check_rewards(rewards)
    return rewards - rewards.mean(dim=1, keepdim=True)
