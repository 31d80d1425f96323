"""When to stop rolling out a candidate: as soon as keep or discard is decided, at a stated error rate.

A candidate is kept if at most `max_correct` of its n roll-outs are correct. The roll-outs are independent draws of one
distribution, so given their total T every order of them is equally likely, and the number correct among the first m is
hypergeometric: nothing is assumed about p, N or a prior. The rule looks at m = m_1 < … < m_K = n and

- discards once c ≥ u_k, where the chance of ever crossing u_1 … u_k is at most error · √(m_k/n) for T = max_correct,
  the largest total that is kept (much of it early: the last look needs none, since then all roll-outs are there);
- keeps once c ≤ l_k, where the same holds for T = max_correct + 1, the smallest total that is discarded.

c grows with T in distribution, so that these two are the worst cases. Hence the guarantee: whatever p is, the decision
differs from that of all n roll-outs with probability at most `error`, for each candidate. A certain decision (more
than max_correct are correct already, or too few are left) costs no error and is included.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

NUM_LOOKS = 8


@dataclass(frozen=True)
class StoppingRule:
    """At look k, after `looks[k]` roll-outs, c ≥ `discard_from[k]` or c ≤ `keep_up_to[k]` stops."""

    looks: tuple[int, ...]
    discard_from: tuple[int, ...]
    keep_up_to: tuple[int, ...]

    def decide(self, look: int, num_correct: int) -> bool | None:
        """True: keep, False: discard, None: go on. The last look always decides."""
        if num_correct >= self.discard_from[look]:
            return False
        return True if num_correct <= self.keep_up_to[look] else None


@lru_cache(maxsize=64)
def stopping_rule(
    num_rollouts: int, max_correct: int, error: float | None, *, keeps_early: bool = True
) -> StoppingRule:
    """The rule for "keep if at most `max_correct` of `num_rollouts` are correct".

    Args:
        max_correct: in 0 … num_rollouts; num_rollouts keeps everything.
        error: at most 1/2; None looks once, after all roll-outs.
        keeps_early: False stops only to discard, so that what is kept has all its roll-outs.
    """
    if error is None or max_correct >= num_rollouts:
        return StoppingRule((num_rollouts,), (max_correct + 1,), (max_correct,))
    looks = tuple(sorted({math.ceil(num_rollouts * k / NUM_LOOKS) for k in range(1, NUM_LOOKS + 1)}))
    upper = _boundaries(num_rollouts, max_correct, looks, error)
    if not keeps_early:
        return StoppingRule(looks, tuple(upper), (*[-1] * (len(looks) - 1), max_correct))
    # Wrong roll-outs are to "keep" what correct ones are to "discard".
    most_wrong = num_rollouts - max_correct - 1
    lower = [
        m - boundary for m, boundary in zip(looks, _boundaries(num_rollouts, most_wrong, looks, error), strict=True)
    ]
    # Stopping on fewer outcomes only takes error away.
    keep_up_to = (min(below, above - 1) for below, above in zip(lower, upper, strict=True))
    return StoppingRule(looks, tuple(upper), tuple(keep_up_to))


def _boundaries(n: int, total: int, looks: tuple[int, ...], error: float) -> list[int]:
    """The smallest u_k with P(c ≥ u_j at some look j ≤ k) ≤ error · √(m_k/n), `total` of the n roll-outs being correct.

    "Correct" stands for either side: the boundary that keeps is that of the wrong roll-outs.
    """
    mass, drawn, spent = [1.0], 0, 0.0
    boundaries = []
    for m in looks:
        mass = _advance(mass, total, n - drawn, m - drawn)
        drawn = m
        boundary = len(mass)
        while boundary > 0 and spent + mass[boundary - 1] <= error * math.sqrt(m / n):
            boundary -= 1
            spent += mass[boundary]
        mass = mass[:boundary]
        # No count above m or above the total is possible, and the last look decides without error.
        boundaries.append(total + 1 if m == n else min(boundary, total + 1))
    return boundaries


def _advance(mass: list[float], total: int, left: int, count: int) -> list[float]:
    """P(c correct so far) after `count` of the `left` roll-outs that remain, from that before them."""
    after = [0.0] * (total + 1)
    ways = math.comb(left, count)
    for c, probability in enumerate(mass):
        correct_left = total - c
        if correct_left < 0:
            continue
        for more in range(max(0, count - (left - correct_left)), min(count, correct_left) + 1):
            after[c + more] += probability * (
                math.comb(correct_left, more) * math.comb(left - correct_left, count - more) / ways
            )
    return after
