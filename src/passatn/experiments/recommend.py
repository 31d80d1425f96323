"""`passatn recommend`: which objective, N of training, epoch, temperature and split to use, and what each gains.

    passatn recommend runs/ce runs/dco-16 runs/dco-256 --n 256
    passatn recommend val/ce val/dco-16 --n 1024 --test test/ce --test test/dco-16

What there is to choose from: `passatn.experiments.candidates`; how it is chosen and judged without the choice's own
optimism: `passatn.experiments.choices`; how N samples are split over models: `passatn.coverage.budget`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from passatn.evaluate import MetricCurve
from passatn.experiments.candidates import Candidate, Pool
from passatn.experiments.choices import Judged, Ladder, Split, folds, judge, ladder
from passatn.experiments.config import ConfigError


@dataclass(frozen=True)
class Advice:
    """The choices from the plainest to the most elaborate, what each gains, and which one to take."""

    pool: Pool
    n: int
    steps: Ladder
    choices: tuple[Judged, ...]
    """One per rung of `steps`, then the even and the best split."""
    gap: float
    """On validation, no split of the candidates it was made of covers more than the best split by more than this."""
    evaluated_on: str

    @property
    def tuned(self) -> Judged:
        """The baseline with all that was measured tuned."""
        return self.choices[self.steps.tuned]

    @property
    def single(self) -> Judged:
        """The best of all candidates."""
        return self.choices[self.steps.single]

    @property
    def even(self) -> Judged:
        return self.choices[-2]

    @property
    def best_split(self) -> Judged:
        return self.choices[-1]

    @property
    def taken(self) -> Judged:
        """The simplest choice that the more elaborate ones do not beat beyond doubt."""
        simple = self._simple
        return self.best_split if _is_better(self._split_gain(simple)) else simple

    @property
    def _simple(self) -> Judged:
        """The best candidate, but that of tuned cross-entropy unless the best one is better beyond doubt."""
        is_clear = _is_better(self.single.over_tuned) or not self.steps.is_cross_entropy
        return self.single if is_clear else self.tuned

    def _split_gain(self, over: Judged) -> MetricCurve:
        """Of the best split, over the best candidate or the tuned baseline."""
        gain = self.best_split.gain if over is self.single else self.best_split.over_tuned
        assert gain is not None
        return gain

    @property
    def sentence(self) -> str:
        chosen = self.taken
        (first, *rest) = chosen.split
        what = f"use {self.pool.candidates[first].label}"
        if rest:
            what = f"split {self.n:,} samples: {self.describe(chosen.split)}"
        text = f"Recommendation: {what}; pass@{self.n:,} {_percent(chosen.curve)} %"
        if chosen is not self.tuned:
            text += (
                f"; gains {_points(chosen.over_tuned)} over {self.tuned.label.replace(', best ', ' with the best ')}"
            )
        return text + f", on {self.evaluated_on}."

    @property
    def warnings(self) -> list[str]:
        """What a reader should know before following the recommendation, one line each."""
        lines = list(self.pool.notices)
        if self.single is not self.tuned and not _is_better(self.single.over_tuned):
            simpler = ": take the simpler one" if self.steps.is_cross_entropy else ""
            lines.append(self._undecided(self.single, self.tuned, self.single.over_tuned) + simpler)
        if self.taken is not self.best_split:
            gain = self._split_gain(self.taken)
            lines.append(self._undecided(self.best_split, self.taken, gain) + ": take the simpler one")
        chosen = dict.fromkeys([*self.taken.split, *(self.tuned.split if self.steps.is_cross_entropy else ())])
        return lines + [line for index in chosen for line in edges(self.pool.candidates[index], self.pool.candidates)]

    def _undecided(self, choice: Judged, simpler: Judged, gain: MetricCurve) -> str:
        """That a choice is no better than a simpler one; both by their number in the table."""
        first, second = (f"{self.choices.index(side) + 1} ({side.label})" for side in (choice, simpler))
        if gain.high[0] < 0:
            return f"{first} is worse than {second}, by {_points(gain)}"
        return f"these problems do not tell {first} from {second}, {_points(gain)}"

    def describe(self, split: Split) -> str:
        """Samples by candidate in words; a single candidate without its number."""
        if len(split) == 1:
            return self.pool.candidates[next(iter(split))].label
        return ", ".join(f"{count:,} of {self.pool.candidates[index].label}" for index, count in split.items())

    def table(self) -> list[tuple[str, ...]]:
        """The choices, numbered from 1, after a row of headings."""
        rows: list[tuple[str, ...]] = [
            ("", "choice", f"pass@{self.n:,}, %", "gain, points", "over", "over tuned baseline")
        ]
        for number, choice in enumerate(self.choices):
            gain = ("", "") if choice.gain is None else (_signed(choice.gain), str((choice.over or 0) + 1))
            over_tuned = _signed(choice.over_tuned) if number > self.steps.tuned else ""
            rows.append((str(number + 1), choice.label, _percent(choice.curve), *gain, over_tuned))
        return rows

    def lines(self) -> list[str]:
        """What stands below the table: what was chosen, the recommendation, and what to beware of."""
        lines = [f"On {self.evaluated_on}; 95 % intervals, gains paired. All validation problems choose:"]
        for number, choice in enumerate(self.choices, start=1):
            agreeing = "" if choice.agreement is None else f" (as {100 * choice.agreement:.0f} % of the parts do)"
            lines.append(f"{number}  {choice.label}: {self.describe(choice.split)}{agreeing}")
        lines.append(f"On validation no split covers more than the best one by more than {100 * self.gap:.2g} points.")
        return [*lines, self.sentence, *(f"Note: {line}." for line in self.warnings)]

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as `--json` prints them; fractions, not points."""
        means = self.pool.all_covered(self.n).mean(axis=1).tolist()
        listed = zip(self.pool.candidates, means, strict=True)
        return {
            "n": self.n,
            "evaluated_on": self.evaluated_on,
            "candidates": [_record(candidate) | {"validation_pass_at_n": mean} for candidate, mean in listed],
            "choices": [
                {
                    "label": choice.label,
                    "split": [{"candidate": index, "samples": count} for index, count in choice.split.items()],
                    "pass_at_n": _interval(choice.curve),
                    "gain": None if choice.gain is None else {"over": choice.over} | _interval(choice.gain),
                    "gain_over_tuned_baseline": _interval(choice.over_tuned),
                    "share_of_folds_that_agree": choice.agreement,
                }
                for choice in self.choices
            ],
            "tuned_baseline": self.steps.tuned,
            "best_single": self.steps.single,
            "recommended": self.choices.index(self.taken),
            "split_gap": self.gap,
            "recommendation": self.sentence,
            "warnings": self.warnings,
        }


def recommend(pool: Pool, n: int, *, test: Pool | None = None, seed: int = 0) -> Advice:
    """What to use for n samples a problem, and what each choice gains.

    Args:
        pool: candidates over validation problems, from `read_pool`.
        test: the same candidates over test problems; without it choices are judged by cross-fitting.

    Raises:
        ConfigError: one candidate only, too few problems, too few samples for n, or test runs of other candidates.
    """
    if len(pool.candidates) < 2:
        raise ConfigError("one candidate leaves nothing to choose: give at least two runs, epochs or temperatures")
    judged_on = pool if test is None else matching(pool, test)
    if test is None and pool.num_problems < 2:
        raise ConfigError("one problem cannot both choose and judge: give --test runs, or more problems")
    if judged_on.fewest_samples < n:
        raise ConfigError(f"n = {n} needs as many samples of every problem, some have {int(judged_on.fewest_samples)}")
    where = f"{judged_on.num_problems:,} test problems"
    if test is None:
        parts = len(folds(pool.num_problems))
        where = f"{pool.num_problems:,} validation problems, each of {parts} parts under what the other parts chose"
    steps = ladder(pool.candidates)
    choices, gap = judge(pool, steps, n, test=None if test is None else judged_on, seed=seed)
    return Advice(pool, n, steps, tuple(choices), gap, where)


def matching(pool: Pool, test: Pool) -> Pool:
    """The numbers of `test` for the candidates of `pool`: run by run in their order, by step and setting."""
    runs, others = (list(dict.fromkeys(c.run for c in side.candidates)) for side in (pool, test))
    if len(runs) != len(others):
        raise ConfigError(f"{len(runs)} validation runs, but {len(others)} test runs: give one for each")
    if shared := set(pool.ids) & set(test.ids):
        raise ConfigError(
            f"problem {min(shared)!r} is among the validation and the test problems ({len(shared)} in all): choices "
            "are judged on other problems than those that made them"
        )
    place = {(others.index(c.run), c.step, c.setting): row for row, c in enumerate(test.candidates)}
    rows = []
    for candidate in pool.candidates:
        key = runs.index(candidate.run), candidate.step, candidate.setting
        if key not in place:
            raise ConfigError(f"the test runs have no numbers for {candidate.label}: evaluate it there too")
        other = test.candidates[place[key]]
        if candidate.training and other.training and candidate.training != other.training:
            raise ConfigError(
                f"--test run {runs.index(candidate.run) + 1} is of {other.training}, the validation run in its place "
                f"of {candidate.training}: give them in the same order"
            )
        rows.append(place[key])
    return test.of_candidates(rows)


def edges(chosen: Candidate, candidates: Sequence[Candidate]) -> list[str]:
    """Where a choice is the last that was tried, so that what lies beyond may be better still."""
    same = [candidate for candidate in candidates if candidate.run == chosen.run]
    lines = []
    steps = {candidate.step for candidate in same}
    if len(steps) > 1 and chosen.is_last:
        lines.append(f"{chosen.label}: its last epoch is its best, training for longer may be better")
    tried = sorted({candidate.setting[0] for candidate in same})
    if len(tried) > 1 and chosen.setting[0] in (tried[0], tried[-1]):
        which, way = ("largest", "larger") if chosen.setting[0] == tried[-1] else ("smallest", "smaller")
        lines.append(f"{chosen.label}: the {which} temperature tried, {way} ones may be better")
    trained = {c.n_passes for c in candidates if c.objective == chosen.objective and c.n_passes is not None}
    if len(trained) > 1 and chosen.n_passes == max(trained):
        lines.append(f"{chosen.label}: the largest N_train tried, larger ones may be better")
    return lines


def _percent(curve: MetricCurve) -> str:
    return f"{100 * curve.estimate[0]:.1f} ({100 * curve.low[0]:.1f} – {100 * curve.high[0]:.1f})"


def _signed(gain: MetricCurve) -> str:
    # Rounded first, and 0 added, so that there is no −0.0.
    mean, low, high = (round(100 * ends[0], 1) + 0.0 for ends in (gain.estimate, gain.low, gain.high))
    return f"{mean:+.1f} ({low:+.1f} – {high:+.1f})"


def _points(gain: MetricCurve) -> str:
    return _signed(gain).replace(" (", " points (", 1)


def _is_better(gain: MetricCurve | None) -> bool:
    return gain is not None and gain.low[0] > 0


def _interval(curve: MetricCurve) -> dict[str, float]:
    return {"estimate": curve.estimate[0], "low": curve.low[0], "high": curve.high[0]}


def _record(candidate: Candidate) -> dict[str, Any]:
    record = asdict(candidate)
    temperature, top_p = record.pop("setting")
    return record | {"temperature": temperature, "top_p": top_p}
