"""pass@N beyond the samples taken: a Beta distribution of success rates over problems, fitted to counts.

If a problem's success rate p is Beta(a, b) distributed over problems, correct counts are beta-binomial and
pass@N = 1 − E[(1 − p)^N] = 1 − Γ(b + N) Γ(a + b) / (Γ(b) Γ(a + b + N)). The fit is by maximum likelihood. What it
rests on is the shape of the distribution near p = 0, where no sample has been correct yet: `hold_out_check` hides
samples and compares the prediction with what the hidden ones show, and should be looked at before it is believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from passatn.evaluate.checks import check_counts, check_ns
from passatn.evaluate.pass_at_n import count_values

_STEPS = 200
_LOG_BOUND = 12.0


@dataclass(frozen=True)
class Extrapolation:
    """Predicted pass@N, with a bootstrap interval over problems that takes the Beta shape as given."""

    ns: tuple[int, ...]
    estimate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    a: float
    b: float


@dataclass(frozen=True)
class HoldOutCheck:
    """A prediction from `num_kept` samples per problem against the unbiased estimate from all of them."""

    ns: tuple[int, ...]
    num_kept: int
    predicted: tuple[float, ...]
    observed: tuple[float, ...]

    @property
    def largest_error(self) -> float:
        """Largest |predicted − observed|, as a fraction."""
        return max(abs(p - o) for p, o in zip(self.predicted, self.observed, strict=True))


def extrapolate_pass_at_n(
    num_samples: ArrayLike,
    num_correct: ArrayLike,
    ns: Sequence[int],
    *,
    confidence: float = 0.95,
    num_resamples: int = 200,
    seed: int = 0,
) -> Extrapolation:
    """pass@N at any N from counts `[P]`.

    Raises:
        ValueError: no correct sample at all, or none incorrect: nothing to fit.
    """
    samples, correct = check_counts(num_samples, num_correct)
    budgets = check_ns(ns)
    _refuse_trivial(samples, correct)
    draws = np.random.default_rng(seed).multinomial(
        len(samples), np.full(len(samples), 1 / len(samples)), num_resamples
    )
    weights = np.concatenate([np.ones((1, len(samples))), draws])
    log_a, log_b = _fit(samples, correct, weights)
    curves = _predict(log_a, log_b, budgets)
    tail = (1 - confidence) / 2
    low, high = np.quantile(curves[1:], [tail, 1 - tail], axis=0)
    return Extrapolation(
        budgets,
        tuple(curves[0].tolist()),
        tuple(low.tolist()),
        tuple(high.tolist()),
        float(log_a[0].exp()),
        float(log_b[0].exp()),
    )


def hold_out_check(
    num_samples: ArrayLike, num_correct: ArrayLike, num_kept: int, ns: Sequence[int], *, seed: int = 0
) -> HoldOutCheck:
    """Keep `num_kept` random samples of each problem, extrapolate, and compare with all samples.

    Raises:
        ValueError: `num_kept` is not below the number of samples, or an N exceeds it.
    """
    samples, correct = check_counts(num_samples, num_correct)
    if not 1 <= num_kept < samples.min():
        raise ValueError(f"num_kept must be between 1 and {samples.min() - 1}, got {num_kept}")
    kept = np.random.default_rng(seed).hypergeometric(correct, samples - correct, num_kept)
    predicted = extrapolate_pass_at_n(np.full(len(samples), num_kept), kept, ns, num_resamples=2).estimate
    observed = count_values(samples, correct, ns).mean(axis=0)
    return HoldOutCheck(check_ns(ns), num_kept, predicted, tuple(observed.tolist()))


def fit_beta(num_samples: ArrayLike, num_correct: ArrayLike) -> tuple[float, float]:
    """(a, b) of the Beta distribution of success rates over problems, by maximum likelihood from counts `[P]`.

    Raises:
        ValueError: no correct sample at all, or none incorrect: nothing to fit.
    """
    samples, correct = check_counts(num_samples, num_correct)
    _refuse_trivial(samples, correct)
    log_a, log_b = _fit(samples, correct, np.ones((1, len(samples))))
    return float(log_a[0].exp()), float(log_b[0].exp())


def _refuse_trivial(samples: NDArray[np.int64], correct: NDArray[np.int64]) -> None:
    if correct.sum() == 0 or (correct == samples).all():
        raise ValueError("this needs both correct and incorrect samples: take more samples")


def _fit(samples: NDArray[np.int64], correct: NDArray[np.int64], weights: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Maximum-likelihood (log a, log b) `[R]` for each row of weights `[R, P]`, by damped Newton steps."""
    pairs, inverse = np.unique(np.stack([samples, correct], axis=1), axis=0, return_inverse=True)
    grouped = np.zeros((len(weights), len(pairs)))
    for row, weight in zip(grouped, weights, strict=True):
        np.add.at(row, inverse.ravel(), weight)
    n, c = (torch.from_numpy(column.astype(np.float64)) for column in pairs.T)
    w = torch.from_numpy(grouped)
    mean = (w @ (c / n)) / w.sum(1)
    log_a = mean.clamp(1e-6, 1 - 1e-6).log()
    log_b = (1 - mean).clamp(1e-6, 1 - 1e-6).log()
    best = _log_likelihood(log_a, log_b, n, c, w)
    damping = torch.ones_like(log_a)
    for _ in range(_STEPS):
        step_a, step_b, slope = _newton_step(log_a, log_b, n, c, w, damping)
        new_a, new_b = (log_a + step_a).clamp(-_LOG_BOUND, _LOG_BOUND), (log_b + step_b).clamp(-_LOG_BOUND, _LOG_BOUND)
        value = _log_likelihood(new_a, new_b, n, c, w)
        better = value >= best
        log_a, log_b = torch.where(better, new_a, log_a), torch.where(better, new_b, log_b)
        best = torch.where(better, value, best)
        damping = torch.where(better, damping / 4, damping * 8).clamp(1e-12, 1e12)
        if float(slope.max()) < 1e-9 * float(w.sum(1).max()):
            break
    return log_a, log_b


def _log_likelihood(log_a: Tensor, log_b: Tensor, n: Tensor, c: Tensor, w: Tensor) -> Tensor:
    """Σ w [log B(a + c, b + n − c) − log B(a, b)], up to a constant `[R]`."""
    a, b = log_a.exp()[:, None], log_b.exp()[:, None]
    terms = torch.lgamma(a + c) + torch.lgamma(b + n - c) - torch.lgamma(a + b + n)
    return (w * (terms - torch.lgamma(a) - torch.lgamma(b) + torch.lgamma(a + b))).sum(1)


def _newton_step(
    log_a: Tensor, log_b: Tensor, n: Tensor, c: Tensor, w: Tensor, damping: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """A Levenberg-damped Newton step in (log a, log b), and the size of the gradient, each `[R]`."""
    a, b = log_a.exp()[:, None], log_b.exp()[:, None]
    psi, psi1 = torch.special.digamma, lambda x: torch.special.polygamma(1, x)
    both, both1 = psi(a + b) - psi(a + b + n), psi1(a + b) - psi1(a + b + n)
    da = (w * (psi(a + c) - psi(a) + both)).sum(1)
    db = (w * (psi(b + n - c) - psi(b) + both)).sum(1)
    daa = (w * (psi1(a + c) - psi1(a) + both1)).sum(1)
    dbb = (w * (psi1(b + n - c) - psi1(b) + both1)).sum(1)
    dab = (w * both1).sum(1)
    a, b = a[:, 0], b[:, 0]
    ga, gb = a * da, b * db
    haa, hbb, hab = a * a * daa + ga, b * b * dbb + gb, a * b * dab
    # A shift that makes the Hessian of the concave part negative definite.
    shift = damping + torch.relu(torch.maximum(haa, hbb) + hab.abs())
    haa, hbb = haa - shift, hbb - shift
    determinant = haa * hbb - hab * hab
    step_a = -(hbb * ga - hab * gb) / determinant
    step_b = -(haa * gb - hab * ga) / determinant
    return step_a.clamp(-2, 2), step_b.clamp(-2, 2), torch.maximum(ga.abs(), gb.abs())


def _predict(log_a: Tensor, log_b: Tensor, ns: Sequence[int]) -> NDArray[np.float64]:
    """pass@N under each fitted Beta: `[R, len(ns)]`."""
    a, b = log_a.exp()[:, None], log_b.exp()[:, None]
    n = torch.tensor(ns, dtype=torch.float64)[None, :]
    log_miss = torch.lgamma(b + n) + torch.lgamma(a + b) - torch.lgamma(b) - torch.lgamma(a + b + n)
    return np.asarray((-torch.expm1(log_miss)).clamp(0, 1).numpy())
