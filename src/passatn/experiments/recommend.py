"""`passatn recommend`: how a budget of N samples is best split over several models.

    passatn recommend val/ce val/dco-16 val/dco-256 --n 1024 --test test/ce --test test/dco-16 --test test/dco-256

The split is chosen on the validation runs (`passatn.coverage.budget`, optimal with a certificate) and, as a choice
looks too good where it was made, evaluated elsewhere: on test runs of the same models, or else by cross-fitting, each
half of the problems under the split that the other half chooses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passatn.coverage import pass_at_n
from passatn.coverage.budget import BudgetSplit, split_budget
from passatn.evaluate import MetricCurve, Results, metric_curve
from passatn.experiments.config import ConfigError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recommendation:
    """A split and what it and its alternatives give on problems that did not choose it."""

    names: tuple[str, ...]
    n: int
    split: tuple[int, ...]
    """Samples of each model."""
    gap: float
    """On validation, no split covers more than this one by more than this (a fraction)."""
    rows: tuple[tuple[str, MetricCurve], ...]
    """What is sampled, and its pass@n: the best single model, the even split, the best split."""
    gain: MetricCurve
    """The best split minus the best single model, paired."""
    evaluated_on: str


@dataclass(frozen=True)
class _Runs:
    """Aligned over problems: log p `[models, P]` where known, else counts."""

    log_p: Array | None
    samples: NDArray[np.int64] | None
    correct: NDArray[np.int64] | None

    @property
    def num_problems(self) -> int:
        known = self.log_p if self.log_p is not None else self.samples
        assert known is not None
        return int(known.shape[1])

    def rates(self) -> Array:
        if self.log_p is not None:
            return np.asarray(np.exp(self.log_p))
        assert self.samples is not None
        assert self.correct is not None
        return np.asarray(self.correct / self.samples)

    def covered(self, split: Sequence[int]) -> Array:
        """[P] probability that at least one of the samples is correct: without bias where it is known from counts."""
        missed = np.ones(self.num_problems)
        for model, count in enumerate(split):
            if count == 0:
                continue
            if self.log_p is not None:
                missed *= np.exp(count * np.log1p(-np.minimum(np.exp(self.log_p[model]), 1 - 1e-15)))
            else:
                assert self.samples is not None
                assert self.correct is not None
                missed *= 1 - pass_at_n(self.samples[model], self.correct[model], count)
        return 1 - missed

    def subset(self, chosen: NDArray[np.bool_]) -> "_Runs":
        def of(values: Any) -> Any:
            return None if values is None else values[:, chosen]

        return _Runs(of(self.log_p), of(self.samples), of(self.correct))

    @property
    def fewest_samples(self) -> float:
        return np.inf if self.samples is None else float(self.samples.min())


def recommend(
    validation: Sequence[Results], n: int, *, test: Sequence[Results] | None = None, seed: int = 0
) -> Recommendation:
    """The split of n samples over the models.

    Raises:
        ConfigError: fewer than two runs, runs over different problems, or too few samples for n.
    """
    if len(validation) < 2:
        raise ConfigError("a budget is split over at least two runs")
    names = tuple(run.name for run in validation)
    chosen_on = _aligned(validation)
    split = split_budget(chosen_on.rates(), n)
    if test:
        if len(test) != len(validation):
            raise ConfigError(f"{len(validation)} validation runs, but {len(test)} test runs: give one for each")
        where = f"{(held_out := _aligned(test)).num_problems} test problems"
        parts = [(held_out, split)]
    else:
        if chosen_on.num_problems < 2:
            raise ConfigError("one problem cannot both choose a split and judge it: give --test runs, or more problems")
        where = f"{chosen_on.num_problems} validation problems, each half under the split that the other half chose"
        half = np.random.default_rng(seed).permutation(chosen_on.num_problems) % 2 == 0
        parts = [(chosen_on.subset(side), split_budget(chosen_on.subset(~side).rates(), n)) for side in (half, ~half)]
    for runs, _ in parts:
        if runs.fewest_samples < n:
            raise ConfigError(f"n = {n} needs as many samples of every problem, some have {int(runs.fewest_samples)}")
    columns = [
        np.concatenate([runs.covered(_counts_of(kind, part, n, len(names))) for runs, part in parts])
        for kind in ("single", "even", "best")
    ]
    single = f"{names[split.best_single]} alone" if test else "the best single model of the other half"
    labels = (single, "the even split", "the best split")
    rows = [
        (label, metric_curve("pass@N", column[:, None], [n])) for label, column in zip(labels, columns, strict=True)
    ]
    gain = metric_curve("gain", (columns[2] - columns[0])[:, None], [n], is_fraction=False)
    return Recommendation(names, n, tuple(split.whole.tolist()), split.gap, tuple(rows), gain, where)


def _counts_of(kind: str, split: BudgetSplit, n: int, num_models: int) -> list[int]:
    if kind == "single":
        return [n if model == split.best_single else 0 for model in range(num_models)]
    if kind == "even":
        return [n // num_models + (model < n % num_models) for model in range(num_models)]
    return [int(count) for count in split.whole]


def _aligned(runs: Sequence[Results]) -> _Runs:
    """The runs over the problems of the first, in its order."""
    ids = runs[0].ids
    columns: dict[str, list[Any]] = {"log_p": [], "num_samples": [], "num_correct": []}
    for run in runs:
        place = {problem_id: row for row, problem_id in enumerate(run.ids)}
        if different := set(ids) ^ place.keys():
            raise ConfigError(
                f"{run.name} and {runs[0].name} differ in problem {min(different)!r}: same problems please"
            )
        rows = [place[problem_id] for problem_id in ids]
        for name, values in columns.items():
            column = run.column(name)
            if column is not None:
                values.append(column[rows])
    complete: dict[str, Any] = {name: np.stack(values) for name, values in columns.items() if len(values) == len(runs)}
    if "log_p" in complete:
        return _Runs(complete["log_p"], None, None)
    if "num_samples" not in complete:
        raise ConfigError("the runs share neither log_p nor counts of samples")
    return _Runs(None, complete["num_samples"], complete["num_correct"])
