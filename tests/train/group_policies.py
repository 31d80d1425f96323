"""Exact expectations over groups of samples of a small categorical policy, by enumeration of all groups."""

from collections.abc import Callable, Iterator
from itertools import combinations

import torch
from torch import Tensor

LOGITS = torch.tensor([0.4, -0.9, 1.1, -1.6], dtype=torch.float64)
BINARY = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
REAL = torch.tensor([0.2, 1.0, 0.0, 0.7], dtype=torch.float64)

Estimator = Callable[[Tensor, Tensor], Tensor]


def groups(logits: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """All outcomes `[groups, n]`, their log-probabilities `[groups, n]`, and each group's probability `[groups]`."""
    outcomes = torch.cartesian_prod(*[torch.arange(len(logits))] * n).reshape(-1, n)
    log_p = torch.log_softmax(logits, 0)[outcomes]
    return outcomes, log_p, log_p.sum(dim=1).exp()


def expected_gradient(
    logits: Tensor, rewards: Tensor, n: int, estimator: Estimator, *, keep: Estimator | None = None
) -> Tensor:
    """E[(1/n) Σ A_i ∇log π(y_i)] `[outcomes]` with respect to the logits; `keep` [groups] leaves groups out."""
    logits = logits.detach().requires_grad_()
    outcomes, log_p, probability = groups(logits, n)
    advantages = estimator(rewards[outcomes], log_p.detach())
    kept = torch.ones(len(outcomes)) if keep is None else keep(rewards[outcomes], log_p.detach())
    ((probability.detach() * kept) @ (advantages * log_p).mean(dim=1)).backward()
    assert logits.grad is not None
    return logits.grad


def variance(logits: Tensor, rewards: Tensor, n: int, estimator: Estimator) -> float:
    """Trace of the covariance of (1/n) Σ A_i ∇log π(y_i)."""
    outcomes, log_p, probability = groups(logits, n)
    scores = torch.eye(len(logits), dtype=torch.float64)[outcomes] - torch.softmax(logits, 0)
    gradients = (estimator(rewards[outcomes], log_p)[:, :, None] * scores).mean(dim=1)
    mean = probability @ gradients
    return float(probability @ (gradients - mean).square().sum(dim=1))


def gradient(objective: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    logits = logits.detach().requires_grad_()
    return torch.autograd.grad(objective(logits), logits)[0]


def success(logits: Tensor) -> Tensor:
    """p, the probability of an outcome with BINARY reward 1."""
    return torch.softmax(logits, 0) @ BINARY


def best_of(logits: Tensor, rewards: Tensor, k: int) -> Tensor:
    """max@k: the expected best reward of k samples."""
    outcomes, _, probability = groups(logits, k)
    return probability @ rewards[outcomes].max(dim=1).values


def random_groups(count: int, n: int, seed: int, *, binary: bool = False) -> Tensor:
    """Rewards `[count, n]` with ties: tenths, or 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    levels = 2 if binary else 11
    return torch.randint(levels, (count, n), generator=generator).double() / (levels - 1)


def subsets_with(i: int, n: int, k: int) -> Iterator[tuple[int, ...]]:
    return (subset for subset in combinations(range(n), k) if i in subset)
