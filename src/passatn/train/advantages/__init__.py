r"""Advantage estimators: from the rewards of groups of roll-outs to the weight of each roll-out's log-likelihood.

Each file is one estimator, a pure function `rewards [groups, group_size] -> advantages [groups, group_size]`; a group
holds the independent roll-outs of one problem. Trainers average over a group, so the estimated gradient is

    (1/n) Σ_i A_i ∇log π(y_i)        n = group_size

and every estimator is scaled for that: those called unbiased have ∇J of their objective J as its expectation.

    name          J, for one problem                    biased?                       rewards   source
    group_mean    pass@1                                scaled by 1 − 1/n             real      2503.20783
    pass_at_k     pass@k                                yes: divides by σ of pass@k   0 and 1   2508.10751
    pkpo          max@k (pass@k of rewards 0 and 1)     no                            real      2505.15201
    loo_max       max@k, groups cut into blocks of k    no                            real ≥ 0  2503.19595
    maxrl         log p, to order n − 1 (or n)          no                            0 and 1   2602.02710
    unlikeliness  none                                  yes: rare ones weigh more     real ≥ 0  2506.02355

    advantage = get_advantage("pkpo", k=4)
    advantage(rewards)

For unbiasedness over several problems the groups must be kept or dropped without regard to their rewards. Dropping
those whose rewards are all equal and refilling weighs every problem by what it gave before as long as such groups had
zero advantage (`zero_on_equal_rewards`); else it changes the objective.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from passatn.train.advantages.group_mean import group_mean
from passatn.train.advantages.loo_max import loo_max
from passatn.train.advantages.maxrl import maxrl
from passatn.train.advantages.pass_at_k import pass_at_k
from passatn.train.advantages.pkpo import pkpo
from passatn.train.advantages.unlikeliness import unlikeliness

__all__ = [
    "ADVANTAGES",
    "Advantage",
    "get_advantage",
    "group_mean",
    "loo_max",
    "maxrl",
    "pass_at_k",
    "pkpo",
    "unlikeliness",
]

ADVANTAGES: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {function.__name__: function for function in (group_mean, pass_at_k, pkpo, loo_max, maxrl, unlikeliness)}
)


@dataclass(frozen=True)
class Advantage:
    """An estimator with its options, called with rewards `[groups, group_size]` and, where it needs them, log_p.

    Raises, when called, the ValueError of the estimator: an option or a reward outside its range.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, rewards: Tensor, log_p: Tensor | None = None) -> Tensor:
        arguments = {"log_p": log_p} if self.needs_log_p else {}
        return ADVANTAGES[self.name](rewards, **arguments, **self.options)

    @property
    def needs_log_p(self) -> bool:
        """Whether it takes the log-probability of each roll-out, `[groups, group_size]` in nats."""
        return "log_p" in inspect.signature(ADVANTAGES[self.name]).parameters

    def zero_on_equal_rewards(self, group_size: int) -> bool:
        """Whether a group that is all wrong, and one that is all right, have zero advantages."""
        rewards = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, group_size)
        log_p = -torch.arange(group_size, dtype=torch.float64).expand(2, group_size)
        return bool(self(rewards, log_p).abs().max() < 1e-9)


def get_advantage(name: str, **options: Any) -> Advantage:
    """The estimator of that name; its options are the keyword arguments of its function.

    Raises ValueError, one line, for an unknown name or option, with those there are.
    """
    if name not in ADVANTAGES:
        raise ValueError(f"unknown advantage {name!r}; there are {', '.join(ADVANTAGES)}")
    known = [option for option in inspect.signature(ADVANTAGES[name]).parameters if option not in ("rewards", "log_p")]
    for option in options:
        if option not in known:
            raise ValueError(f"advantage {name!r} has no option {option!r}; it has {', '.join(known) or 'none'}")
    return Advantage(name, MappingProxyType(options))
