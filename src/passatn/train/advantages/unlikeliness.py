r"""The unlikeliness reward: among the correct roll-outs of a group, a likely one is worth less than a rare one.

    r_i = R_i (1 − β rank_i / n)      rank_i = number of roll-outs in the group that are less likely than i
    A_i = r_i − mean(r)

Source: "Rewarding the Unlikely: Lifting GRPO Beyond Distribution Sharpening", arXiv 2506.02355, checked against the
authors' published code (β = 0.25). Three things differ from that code: it ranks by the mean log-probability of a token,
here roll-outs rank by their probability; it breaks ties by position, here equal ones share the mean of their ranks, as
copies of one text must; and it divides by the group's standard deviation, which `normalize=True` does here.

Knowingly biased: the expected gradient is that of no function of p. Of two correct answers that raise p alike, the
rarer is raised more, by up to β; groups that are all correct push towards their rare members.
"""

from torch import Tensor

from passatn.train.advantages.checks import check_rewards
from passatn.train.advantages.group_mean import group_mean

TIE = 1e-4
"""Log-probabilities closer than this, in nats, are equal: padding changes the last digits of a copy's."""


def unlikeliness(rewards: Tensor, log_p: Tensor, *, beta: float = 0.25, normalize: bool = False) -> Tensor:
    """Advantages `[groups, group_size]` for rewards ≥ 0 of that shape.

    Args:
        log_p: `[groups, group_size]`, log-probability of each roll-out under the policy that drew it, in nats.
        beta: in [0, 1], what the likeliest of very many loses; 0 is `group_mean`.
        normalize: divide by the group's standard deviation (plus 1e-6), as the paper does.
    """
    check_rewards(rewards, minimum=0.0)
    if not 0 <= beta <= 1:
        raise ValueError(f"beta must be in [0, 1], got {beta}")
    if log_p.shape != rewards.shape or not bool(log_p.isfinite().all()):
        raise ValueError(f"log_p must be finite numbers {list(rewards.shape)}, one per reward, got {list(log_p.shape)}")
    shaped = rewards * (1 - beta * ranks(log_p).to(rewards.dtype) / rewards.shape[1])
    advantages = group_mean(shaped)
    if normalize:
        advantages = advantages / (shaped.std(dim=1, keepdim=True) + 1e-6)
    return advantages


def ranks(log_p: Tensor) -> Tensor:
    """`[groups, group_size]`: how many of the group are less likely, ties counting half; 0 is the least likely."""
    difference = log_p[:, :, None] - log_p[:, None, :]
    is_less, is_equal = difference > TIE, difference.abs() <= TIE
    return is_less.sum(dim=2) + (is_equal.sum(dim=2) - 1) / 2
