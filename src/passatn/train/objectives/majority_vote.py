r"""Majority vote: the negative logarithm of the probability that at least k of N samples are right.

    L = −log B        B = P(Bin(N, p) ≥ k) = Σ_{i=k}^N C(N, i) p^i (1 − p)^(N−i)
    dL/dlog p = −w        w = k C(N, k) p^k (1 − p)^(N−k) / B

Source: "Compute Aligned Training: Optimizing for Test Time Inference", arXiv 2604.24957, the binomial surrogate with a
fixed threshold, as its authors' public documentation of the objective gives it; derived again here (the sum telescopes
when it is differentiated). k = ⌊N/2⌋ + 1 is a majority for certain. A plurality needs fewer votes where the wrong ones
are spread, so k may be set. k = 1 is DCO, k = N is N times cross-entropy.

What it does to confidence: w falls from k at p = 0 to 0 at p = 1, and is near k until p nears k/N. Where DCO stops at
1/N, this one stops above k/N, a confidence at which votes are won.
"""

import torch
from torch import Tensor

from passatn.coverage.numerics import log1mexp, widen
from passatn.train.objectives.slope import LOWEST_LOG_P, with_slope


def majority_vote(log_p: Tensor, num_votes: int, threshold: int) -> Tensor:
    """Losses in nats, of the shape of log_p, the log-probabilities of completions; 1 ≤ threshold ≤ num_votes."""
    log_b, weight = _evaluate(log_p.detach(), num_votes, threshold)
    return with_slope(log_p, -log_b, -weight)


def majority_weight(log_p: Tensor, num_votes: int, threshold: int) -> Tensor:
    """w/k, of the shape of log_p: the weight of an example as a share of the largest one, 1 at p = 0."""
    return _evaluate(log_p.detach(), num_votes, threshold)[1] / threshold


def _evaluate(log_p: Tensor, n: int, k: int) -> tuple[Tensor, Tensor]:
    """log B and w, in log_p's dtype."""
    wide = widen(log_p)
    held = wide.clamp(min=LOWEST_LOG_P)
    log_terms = _log_terms(held, n)
    upper, lower = log_terms[..., k:].logsumexp(-1), log_terms[..., :k].logsumexp(-1)
    # Whichever tail is small is the one that has digits.
    log_b = torch.where(lower < upper, torch.log1p(-lower.exp()), upper)
    weight = k * (log_terms[..., k] - log_b).exp()
    return (log_b + k * (wide - held)).to(log_p.dtype), weight.to(log_p.dtype)


def _log_terms(log_p: Tensor, n: int) -> Tensor:
    """`[..., n + 1]`: log of the probability that exactly i of n samples are right."""
    i = torch.arange(n + 1, dtype=log_p.dtype, device=log_p.device)
    total = torch.tensor(float(n + 1), dtype=log_p.dtype, device=log_p.device)
    log_binomial = total.lgamma() - (i + 1).lgamma() - (n - i + 1).lgamma()
    log_q = log1mexp(log_p)[..., None]
    # At p = 1 the factor (1 − p)^0 is 1, not 0 · −∞.
    return log_binomial + i * log_p[..., None] + torch.where(i == n, 0.0, (n - i) * log_q)
