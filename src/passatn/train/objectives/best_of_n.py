r"""Best of N under a checker that errs: the probability that a random one of the accepted samples is right.

A sample is right with probability p. A right one is accepted; a wrong one is accepted too with probability e. Of the
accepted ones among N samples any is taken, of which a share s is right:

    a = p + (1 − p) e        s = p / a        P = s · (1 − (1 − a)^N)
    L = −log P        dL/dlog p = −w        w = 1 − (1 − e) s · (1 − F(N, a))

with F as in DCO. e = 0, a checker without error, is DCO; e = 1, none at all, is cross-entropy, and so is N = 1.

Source: "Compute Aligned Training: Optimizing for Test Time Inference", arXiv 2604.24957, which has best of N with the
best possible answer as target, according to its authors' public documentation: that is DCO, e = 0. The case e > 0 is
derived here: P sums (share of right ones among j accepted = s) over j ≥ 1, and w follows from da/dlog p = (1 − e) p.

What it does to confidence: w falls from 1 at p = 0 to e at p = 1. Right answers must also outnumber the accepted wrong
ones, so confidence is bought beyond 1/N, the more the worse the checker is.
"""

import math

import torch
from torch import Tensor

from passatn.coverage import confidence_weight, log_coverage
from passatn.train.objectives.slope import LOWEST_LOG_P, with_slope


def best_of_n(log_p: Tensor, n: float, false_positive_rate: float) -> Tensor:
    """Losses in nats, of the shape of log_p, the log-probabilities of completions; n ≥ 1, 0 ≤ e ≤ 1."""
    given, log_p = log_p, log_p.detach()
    numbers = torch.where(log_p.isnan(), 0.0, log_p)
    log_a = _log_accepted(numbers, false_positive_rate)
    value = (log_a - log_coverage(log_a, n)) - log_p
    return with_slope(given, value, -best_of_n_weight(numbers, n, false_positive_rate))


def best_of_n_weight(log_p: Tensor, n: float, false_positive_rate: float) -> Tensor:
    """w, of the shape of log_p: 1 at p = 0."""
    log_p = log_p.detach()
    log_a = _log_accepted(log_p, false_positive_rate)
    # 1 − (1 − e) s = e / a, which keeps the digits of a small w.
    others = false_positive_rate * (-log_a).exp() if false_positive_rate > 0 else 0.0
    return others + (1 - false_positive_rate) * (log_p.clamp(min=LOWEST_LOG_P) - log_a).exp() * confidence_weight(
        log_a, n
    )


def _log_accepted(log_p: Tensor, e: float) -> Tensor:
    log_e = torch.full_like(log_p, math.log(e) if e > 0 else -math.inf)
    log_right = log_p.clamp(min=LOWEST_LOG_P) + (math.log1p(-e) if e < 1 else -math.inf)
    # Rounding can end an ulp above log 1.
    return torch.logaddexp(log_e, log_right).clamp(max=0.0)
