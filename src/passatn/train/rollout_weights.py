"""From roll-outs to the weight of an example: c of n verified correct, F(N, p) with p estimated by them (DCOa).

Source: chain-of-thought training of arXiv 2502.07154, section 5.4. With p̂ = c/n:

soft, plug-in     F(N, p̂), F as in equation 4; the paper's
soft, posterior   E[F(N, p)] for p ~ Beta(a + c, b + n − c): F is convex where it falls, so F(N, p̂) of few roll-outs is
                  too sure of itself, most of all at c = 0, where it is 1
hard              1 if p̂ < a limit, else 0; the filter of the paper's published code

All three fall in c, so that "keep the example" is "at most so many correct" (`max_correct`).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from passatn.coverage import confidence_weight

# exp(−50) of the density's peak is below what float64 adds to 1.
_TAIL = 50.0


def plug_in_weight(num_correct: int, num_rollouts: int, n_passes: float) -> float:
    """F(N, c/n)."""
    log_p = math.log(num_correct / num_rollouts) if num_correct else -math.inf
    return float(confidence_weight(log_p, n_passes))


@lru_cache(maxsize=4096)
def posterior_weight(num_correct: int, num_rollouts: int, n_passes: float, prior: tuple[float, float]) -> float:
    """E[F(N, p)] under Beta(a + c, b + n − c), `prior` = (a, b); to about 1e-13.

    The trapezoidal rule in t = log(p/(1 − p)): there density and F are analytic in a strip of half-width about π/2
    whatever N is, and fall off exponentially, so its error falls exponentially with the step.
    """
    a, b = prior[0] + num_correct, prior[1] + num_rollouts - num_correct
    log_mode, log_rest = math.log(a / (a + b)), math.log(b / (a + b))
    peak = a * log_mode + b * log_rest
    # log p ≤ t and log(1 − p) ≤ −t bound the density's logarithm by a·t and −b·t.
    low, high = (peak - _TAIL) / a, (_TAIL - peak) / b
    step = min(1 / 8, math.sqrt(1 / a + 1 / b) / 3)
    t = np.linspace(low, high, math.ceil((high - low) / step) + 1)
    log_p, log_q = -np.logaddexp(0, -t), -np.logaddexp(0, t)
    density = np.exp(a * log_p + b * log_q - peak)
    return float(density @ confidence_weight(log_p, n_passes) / density.sum())


@dataclass(frozen=True)
class RolloutWeight:
    """The weight of an example, and whether it is kept.

    Args:
        n_passes: N.
        min_weight: ε; a soft weight below it discards the example (0: none is discarded).
        prior: (a, b) of the Beta prior for the posterior expectation; None: plug-in.
        hard_max_success: keep, with weight 1, what has p̂ below this, instead of weighing by F; None: soft.
    """

    n_passes: float
    min_weight: float
    prior: tuple[float, float] | None = None
    hard_max_success: float | None = None

    def __call__(self, num_correct: int, num_rollouts: int) -> float:
        """The weight of an example that is kept, in [0, 1]."""
        if self.hard_max_success is not None:
            return 1.0
        if self.prior is not None:
            return posterior_weight(num_correct, num_rollouts, self.n_passes, self.prior)
        return plug_in_weight(num_correct, num_rollouts, self.n_passes)

    def keeps(self, num_correct: int, num_rollouts: int) -> bool:
        if self.hard_max_success is not None:
            return num_correct / num_rollouts < self.hard_max_success
        return self(num_correct, num_rollouts) >= self.min_weight

    def max_correct(self, num_rollouts: int) -> int:
        """The largest number of correct roll-outs with which an example is kept; −1 if it never is."""
        # Both rules fall in c: halve the range between "kept" and "discarded".
        kept, discarded = -1, num_rollouts + 1
        while discarded - kept > 1:
            middle = (kept + discarded) // 2
            kept, discarded = (middle, discarded) if self.keeps(middle, num_rollouts) else (kept, middle)
        return kept
