"""A ladder of choices among candidates, each judged on problems that did not make it.

The best of many candidates looks too good on the problems where it is the best, by the more the more there are. With K
folds over problems (cross-fitting) each fold is judged under what the other folds choose, so that every problem's
number is that of a choice it had no part in; with test runs the choices of all validation problems are judged there.
What is judged is thus the way of choosing: the folds may differ in what they choose.

Intervals are bootstraps over problems. Where candidates are nearly equal, folds that choose differently lean towards
what is worse on themselves, so that a bootstrap of the judged numbers alone is too narrow (measured with equal
candidates and 10 folds: intervals of nominally 95 % held the true gain in 80 %). Intervals of gains therefore choose
again in every resample, each fold by the others as before (then they held it always: they err on the wide side). So do
those of splits, in fewer resamples, as a split takes longer to choose: their intervals are normal ones, from the
deviation. What test runs judge is taken as given.

The ladder: the baseline as it is usually trained (cross-entropy, last epoch, the model's own distribution); its best
epoch; its best temperature too; then the same over all runs; then N samples over several candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from passatn.coverage import split_budget
from passatn.evaluate import MetricCurve, metric_curve
from passatn.evaluate.bootstrap import bootstrap_means, percentile_interval
from passatn.experiments.candidates import Array, Candidate, Pool
from passatn.experiments.progress import make_progress

MAX_FOLDS = 10
CONFIDENCE = 0.95
MAX_IN_SPLIT = 20
"""Candidates among which a budget is split: the best of each run, then the best of the rest."""
SPLIT_TOLERANCE = 1e-5
"""Of coverage: a thousandth of a point."""
SPLIT_RESAMPLES, RESAMPLED_TOLERANCE = 100, 1e-3

EVEN = "the best of each run, evenly"
SPLIT = "the best split"
Split = Mapping[int, int]
"""Number of samples by index of the candidate."""


@dataclass(frozen=True)
class Rung:
    """A choice of one candidate from `members`."""

    label: str
    members: tuple[int, ...]
    """On ties the first one is taken; those of simpler rungs come first."""
    over: int | None
    """The rung that it is held against; None for the first."""


@dataclass(frozen=True)
class Ladder:
    """Rungs without repetition: a choice that nothing was measured for is not among them."""

    rungs: tuple[Rung, ...]
    tuned: int
    """The rung of the baseline with all its choices."""
    single: int
    """The rung of all candidates."""
    is_cross_entropy: bool
    """Whether the baseline is; else it is the first run."""


@dataclass(frozen=True)
class Judged:
    """A choice, what it gives, and what it gains."""

    label: str
    split: Split
    """What all validation problems choose."""
    curve: MetricCurve
    over: int | None
    gain: MetricCurve | None
    """Paired, against the choice number `over`."""
    over_tuned: MetricCurve
    """Paired, against the tuned baseline."""
    agreement: float | None
    """Share of the folds that choose the same candidate; None for splits, and with test runs."""


def ladder(candidates: Sequence[Candidate]) -> Ladder:
    """The rungs of these candidates; the baseline is the runs of cross-entropy, else the first run."""
    is_base = [candidate.is_cross_entropy for candidate in candidates]
    baseline = "cross-entropy"
    is_cross_entropy = any(is_base)
    if not is_cross_entropy:
        baseline = candidates[0].run
        is_base = [candidate.run == baseline for candidate in candidates]
    decoding = _decoding(candidates)
    epoch = "epoch" if not all(candidate.is_last for candidate in candidates) else ""
    last = f", last {epoch}" if epoch else ""
    best = f", best {epoch}" if epoch else ""
    both = ", best " + " and ".join(part for part in (epoch, decoding) if part)
    rungs: list[Rung] = []
    where: list[int] = []
    steps: list[tuple[str, bool, bool, bool, int | None]] = [
        (baseline + last, True, True, True, None),
        (baseline + best, True, False, True, 0),
        (baseline + both, True, False, False, 1),
        ("best run" + last, False, True, True, 0),
        ("best run" + best, False, False, True, 3),
        ("best run" + both, False, False, False, 4),
    ]
    for label, only_base, only_last, only_default, over in steps:
        wanted = {
            index: None
            for index, candidate in enumerate(candidates)
            if (is_base[index] or not only_base)
            and (candidate.is_last or not only_last)
            and (candidate.is_default or not only_default)
        }
        before = [index for rung in rungs for index in rung.members if index in wanted]
        members = list(dict.fromkeys([*before, *wanted]))
        same = [number for number, rung in enumerate(rungs) if set(rung.members) == set(members)]
        if not same:
            rungs.append(Rung(label, tuple(members), None if over is None else where[over]))
        where.append(same[0] if same else len(rungs) - 1)
    return Ladder(tuple(rungs), tuned=where[2], single=where[5], is_cross_entropy=is_cross_entropy)


def _decoding(candidates: Sequence[Candidate]) -> str:
    """What of the way to sample was varied."""
    names = ("temperature", "top-p")
    return " and ".join(
        name for axis, name in enumerate(names) if len({candidate.setting[axis] for candidate in candidates}) > 1
    )


def judge(pool: Pool, steps: Ladder, n: int, *, test: Pool | None = None, seed: int = 0) -> tuple[list[Judged], float]:
    """The choices of all rungs, then the even and the best split.

    Args:
        test: the same candidates over other problems, on which the choices are judged instead of by cross-fitting.

    Returns:
        The choices, and by how much at most another split of the candidates it was made of covers more than the best
        one, on all problems of `pool` (a fraction).
    """
    scores = pool.all_covered(n)
    final, gap = _choose(pool.candidates, steps, scores, pool.rates, n)
    if test is not None:
        by_fold: list[list[Split]] = []
        values = np.stack([test.covered(split) for split in final])
        resampled = bootstrap_means(values.T)
        resplit = None
    else:
        by_fold, values, resampled, resplit = _cross_fit(pool, steps, scores, n, seed)
    titles = [(rung.label, rung.over) for rung in steps.rungs] + [(EVEN, steps.single), (SPLIT, steps.single)]
    judged = []
    for number, (split, (label, over)) in enumerate(zip(final, titles, strict=True)):
        agreeing = [chosen[number] == split for chosen in by_fold if number < len(steps.rungs)]
        few = resplit if number >= len(steps.rungs) else None
        judged.append(
            Judged(
                label=label,
                split=split,
                curve=metric_curve("pass@N", values[number][:, None], [n]),
                over=over,
                gain=None if over is None else _gain(values, resampled, few, number, over, n),
                over_tuned=_gain(values, resampled, few, number, steps.tuned, n),
                agreement=sum(agreeing) / len(agreeing) if agreeing else None,
            )
        )
    return judged, gap


def _cross_fit(
    pool: Pool, steps: Ladder, scores: Array, n: int, seed: int
) -> tuple[list[list[Split]], Array, Array, Array]:
    """The choices that each fold is judged under, pass@n `[choices, P]`, and its means `[resamples, choices]`.

    The means are given twice: of many resamples without the splits, and of few with them.
    """
    parts = folds(pool.num_problems, seed)
    by_fold = []
    values = np.zeros((len(steps.rungs) + 2, pool.num_problems))
    for part in parts:
        others = np.setdiff1d(np.arange(pool.num_problems), part)
        chosen, _ = _choose(pool.candidates, steps, scores[:, others], pool.rates[:, others], n)
        values[:, part] = [pool.of_problems(part).covered(split) for split in chosen]
        by_fold.append(chosen)
    return by_fold, values, _rechosen(scores, steps, parts), _resplit(pool, steps, scores, parts, n)


def folds(num_problems: int, seed: int = 0) -> list[NDArray[np.int64]]:
    """Up to `MAX_FOLDS` parts of nearly equal size, at random."""
    order = np.random.default_rng(seed).permutation(num_problems)
    return [np.sort(part) for part in np.array_split(order, min(MAX_FOLDS, num_problems))]


def _gain(values: Array, resampled: Array, few: Array | None, number: int, against: int, n: int) -> MetricCurve:
    """Of one choice over another. values: `[choices, P]`; resampled, few: `[resamples, choices]` their means.

    The interval is a percentile one; from `few` resamples, where they are given, the normal one.
    """
    mean = float((values[number] - values[against]).mean())
    if few is None:
        low, high = percentile_interval(resampled[:, [number]] - resampled[:, [against]], CONFIDENCE)
    else:
        reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * (few[:, [number]] - few[:, [against]]).std(axis=0, ddof=1)
        low, high = mean - reach, mean + reach
    ends: tuple[list[float], list[float]] = low.tolist(), high.tolist()
    return MetricCurve("gain", (n,), (mean,), tuple(ends[0]), tuple(ends[1]), values.shape[1], is_fraction=False)


def _rechosen(scores: Array, steps: Ladder, parts: Sequence[NDArray[np.int64]]) -> Array:
    """[resamples, rungs] mean pass@n where each resample of the problems chooses anew, each part by the others.

    scores: `[candidates, P]`.
    """
    sums = []
    for part in parts:
        alone = np.zeros_like(scores)
        alone[:, part] = scores[:, part]
        sums.append(bootstrap_means(alone.T))
    by_part = np.stack(sums, axis=1)  # [resamples, parts, candidates]: one seed, so the resamples are the same ones
    by_others = by_part.sum(axis=1, keepdims=True) - by_part
    columns = []
    for rung in steps.rungs:
        members = np.array(rung.members)
        best = members[by_others[:, :, members].argmax(axis=2)]
        columns.append(np.take_along_axis(by_part, best[:, :, None], axis=2)[:, :, 0].sum(axis=1))
    return np.stack(columns, axis=1)


def _resplit(pool: Pool, steps: Ladder, scores: Array, parts: Sequence[NDArray[np.int64]], n: int) -> Array:
    """[resamples, choices] as `_rechosen` with the splits, in few resamples.

    scores: `[candidates, P]`.
    """
    num_problems = pool.num_problems
    within = [pool.of_problems(part) for part in parts]
    others = [np.setdiff1d(np.arange(num_problems), part) for part in parts]
    rng = np.random.default_rng(0)
    means = np.zeros((SPLIT_RESAMPLES, len(steps.rungs) + 2))
    with make_progress(description_width=0) as progress:
        task = progress.add_task("intervals of splits", total=len(means), note="")
        for row in means:
            drawn = np.bincount(rng.integers(num_problems, size=num_problems), minlength=num_problems)
            for part, part_pool, rest in zip(parts, within, others, strict=True):
                columns = np.repeat(rest, drawn[rest]) if drawn[rest].any() else rest
                chosen, _ = _choose(
                    pool.candidates, steps, scores[:, columns], pool.rates[:, columns], n, RESAMPLED_TOLERANCE
                )
                row += [drawn[part] @ part_pool.covered(split) for split in chosen]
            progress.advance(task)
    return means / num_problems


def _choose(
    candidates: Sequence[Candidate],
    steps: Ladder,
    scores: Array,
    rates: Array,
    n: int,
    tolerance: float = SPLIT_TOLERANCE,
) -> tuple[list[Split], float]:
    """What the problems of these columns choose at every rung, and how to split, with the gap of the best split.

    scores, rates: `[candidates, P]`, pass@n and pass@1.
    """
    means = scores.mean(axis=1)
    chosen: list[Split] = [{rung.members[int(np.argmax(means[list(rung.members)]))]: n} for rung in steps.rungs]
    ranked = [int(index) for index in np.argsort(-means, kind="stable")]
    by_run: dict[str, int] = {}
    for index in ranked:
        by_run.setdefault(candidates[index].run, index)
    best = list(by_run.values())
    spread = [n // len(best) + (place < n % len(best)) for place in range(len(best))]
    even = {index: count for index, count in zip(best, spread, strict=True) if count}
    among = sorted([*best, *(index for index in ranked if index not in best)][:MAX_IN_SPLIT])
    split = split_budget(rates[among], n, tolerance=tolerance)
    whole = {index: count for index, count in zip(among, split.whole.tolist(), strict=True) if count}
    return [*chosen, even, whole], split.gap
