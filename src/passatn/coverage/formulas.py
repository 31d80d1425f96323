"""The equations of arXiv 2502.07154 as they are evaluated: with a = log(1 - p), so that no digit of a small p is lost.

Input contract: log_p and n are working-precision arrays of one kind, numpy or torch, with log_p <= 0 (-inf allowed)
and n >= 1 finite. Nothing is checked here. Infinite intermediates are meant: where a branch divides by or
multiplies with zero, `where` takes the other one.
"""

import math
from typing import Any

from passatn.coverage.numerics import epsilon, log1mexp, namespace


def coverage(log_p: Any, n: Any) -> Any:
    """Eq. 2 for one problem: C^N = 1 - (1 - p)^N."""
    a = log1mexp(log_p)
    return -namespace(log_p).expm1(n * a)


def log_coverage(log_p: Any, n: Any) -> Any:
    """Eq. 3 without its sign: log C^N = log(1 - (1 - p)^N)."""
    xp = namespace(log_p)
    a = log1mexp(log_p)
    log_c = xp.where(_is_rare(log_p, n), xp.log(n) + log_p, log1mexp(n * a))
    return xp.where(n == 1, log_p, log_c)


def confidence_weight(log_p: Any, n: Any) -> Any:
    """Eq. 4: F(N, p) = N p (1 - p)^(N - 1) / (1 - (1 - p)^N), the derivative of log C^N in log p."""
    xp = namespace(log_p)
    a = log1mexp(log_p)
    log_f = xp.log(n) + log_p + (n - 1) * a - log1mexp(n * a)
    f = xp.exp(xp.clip(log_f, None, 0.0))
    return xp.where((n == 1) | _is_rare(log_p, n), 1.0, f)


def confidence_weight_slope(log_p: Any, n: Any) -> Any:
    """dF/dlog p = F (1 - F) - F (N - 1) p / (1 - p).

    At p = 1, the edge of the domain, where the one-sided slope is unbounded for 1 < N < 2, it is taken to be 0.
    """
    xp = namespace(log_p)
    a = log1mexp(log_p)
    f = confidence_weight(log_p, n)
    falling = xp.exp(xp.log(f) + xp.log(n - 1) + log_p - a)
    return xp.where(log_p == 0, 0.0, f * (1 - f) - falling)


def _is_rare(log_p: Any, n: Any) -> Any:
    """Whether N p is below the rounding error, so that C^N = N p and F = 1 in working precision, even if p is 0."""
    return log_p < math.log(epsilon(log_p)) - namespace(n).log(n)
