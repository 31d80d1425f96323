"""Depth and width of the trees that searches went through: how many tactics a model gives a chance at a state.

From W equally probable tactics, n draws show W (1 − (1 − 1/W)^n) distinct ones on average. The *equivalent
width* of states is the W that explains how many were seen, so that it can be compared between runs that drew
differently often. It is exact for the first state of a theorem, which all roll-outs share; deeper states are drawn from
unequally often, and it is too low there.

The *tactics per step* of a found proof of K tactics is exp(−log p / K), p its probability under the model: N_eff, if
the training did what arXiv 2502.07154, section 5.2 intends. Among found proofs the probable ones are over-represented.

    width(records).equivalent, depth_profiles(records)[0].valid_per_state
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from passatn.evaluate.bootstrap import bootstrap_means, percentile_interval
from passatn.prove.analysis import choose_proofs
from passatn.prove.records import DepthCounts, SearchRecord

Array = NDArray[np.float64]

_WIDEST = 1e9


@dataclass(frozen=True)
class DepthProfile:
    """The states that were reached by `depth` tactics, over all theorems. None: there was nothing to divide by."""

    depth: int
    counts: DepthCounts

    @property
    def draws_per_state(self) -> float | None:
        return _ratio(self.counts.num_drawn, self.counts.num_states)

    @property
    def distinct_per_state(self) -> float | None:
        return _ratio(self.counts.num_distinct, self.counts.num_states)

    @property
    def valid_per_state(self) -> float | None:
        """Distinct tactics that Lean accepted: the branching of the tree that was searched."""
        return _ratio(self.counts.num_valid, self.counts.num_states)

    @property
    def valid_share(self) -> float | None:
        """Of distinct (state, tactic) pairs."""
        return _ratio(self.counts.num_valid, self.counts.num_distinct)

    @property
    def valid_share_of_draws(self) -> float | None:
        return _ratio(self.counts.num_valid_drawn, self.counts.num_drawn)


def depth_profiles(records: Sequence[SearchRecord]) -> list[DepthProfile]:
    """One per depth, added up over theorems."""
    total: dict[int, Counter[str]] = {}
    for record in records:
        for depth, counts in enumerate(record.depths):
            total.setdefault(depth, Counter()).update(asdict(counts))
    return [DepthProfile(depth, DepthCounts(**counts)) for depth, counts in sorted(total.items())]


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % bootstrap interval over theorems; infinite where there is no bound."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Width:
    """How widely a run searched: to be read against the N_eff that its model was trained for."""

    num_theorems: int
    """Those from whose first state tactics were drawn."""
    draws: Interval
    """From the first state."""
    distinct: Interval
    valid: Interval
    """Distinct ones that Lean accepted."""
    equivalent: Interval
    """Number of equally probable tactics that would have shown as many distinct ones."""
    tactics_per_step: Interval | None
    """exp(−log p / K) of the most probable proof found, geometric mean over the theorems proved."""


def width(records: Sequence[SearchRecord], *, num_resamples: int = 2000, seed: int = 0) -> Width | None:
    """The widths at the first states, and along found proofs; None without a first state."""
    roots = [record.depths[0] for record in records if record.depths and record.depths[0].num_drawn]
    if not roots:
        return None
    # Records of several slices count the first state once in each, so that a slice is the unit.
    draws, distinct, valid = (
        np.array([getattr(root, name) / root.num_states for root in roots])
        for name in ("num_drawn", "num_distinct", "num_valid")
    )
    numbers, which = np.unique(draws, return_inverse=True)
    # [theorems, 3 + J]: the last columns say which of the J numbers of draws a theorem had.
    values = np.column_stack([draws, distinct, valid, np.eye(len(numbers))[which]])
    resampled = bootstrap_means(values, num_resamples=num_resamples, seed=seed)
    everything = np.vstack([values.mean(axis=0), resampled])
    widths = _equivalent_widths(everything[:, 1], everything[:, 3:], numbers)
    return Width(
        num_theorems=len(roots),
        draws=_interval(everything[:, 0], len(roots), 0),
        distinct=_interval(everything[:, 1], len(roots), 0),
        valid=_interval(everything[:, 2], len(roots), 0),
        equivalent=_interval(widths, len(roots), 1),
        tactics_per_step=_tactics_per_step(records, num_resamples, seed),
    )


def equivalent_width(draws: Sequence[int], distinct: Sequence[int]) -> float:
    """The W with Σ W (1 − (1 − 1/W)^n_i) = Σ d_i over states with n_i draws, d_i of them distinct; ∞ if all were."""
    numbers = np.asarray(draws, dtype=np.float64)
    shares = np.full((1, len(numbers)), 1 / len(numbers))
    return float(_equivalent_widths(np.array([np.mean(distinct)]), shares, numbers)[0])


def _equivalent_widths(distinct: Array, shares: Array, draws: Array) -> Array:
    """Mean distinct tactics `[R]` of states of which shares `[R, J]` had draws `[J]` → `[R]`, by bisection of log W."""

    def expected(log_width: Array) -> Array:
        width = np.exp(log_width)[:, None]
        # At W = 1 the logarithm is −∞: one tactic is seen, however often one draws.
        with np.errstate(divide="ignore"):
            seen = -width * np.expm1(draws * np.log1p(-1 / width))
        return np.asarray((shares * seen).sum(axis=1))

    low, high = np.zeros(len(distinct)), np.full(len(distinct), math.log(_WIDEST))
    unbounded = expected(high) <= distinct
    for _ in range(60):
        middle = (low + high) / 2
        too_narrow = expected(middle) < distinct
        low, high = np.where(too_narrow, middle, low), np.where(too_narrow, high, middle)
    return np.where(unbounded, math.inf, np.exp((low + high) / 2))


def _tactics_per_step(records: Sequence[SearchRecord], num_resamples: int, seed: int) -> Interval | None:
    logs = []
    for record in records:
        for best in choose_proofs(record, keep="probable"):
            if not math.isnan(best.log_prob):
                logs.append(-best.log_prob / len(best.tactics))
    if not logs:
        return None
    values = np.array(logs)[:, None]
    resampled = bootstrap_means(values, num_resamples=num_resamples, seed=seed)
    return _interval(np.exp(np.vstack([values.mean(axis=0), resampled])[:, 0]), len(logs), 1)


def _interval(values: Array, num_theorems: int, least: float) -> Interval:
    """The first value is the estimate, the others are resampled ones. One theorem alone says nothing about others."""
    if num_theorems == 1:
        return Interval(float(values[0]), least, math.inf)
    with np.errstate(invalid="ignore"):
        low, high = percentile_interval(values[1:, None], 0.95)
    # Between two infinite values numpy interpolates to NaN.
    ends = [math.inf if math.isnan(end) else float(end) for end in (low[0], high[0])]
    return Interval(float(values[0]), *ends)
