"""Figure 1: the model's confidence in its greedy answer over training, and how often it is right where it is surest.

(a) cross-entropy over training; (b) accuracy among its most confident answers at the end; (c) DCO over training;
(d) the end of training by training N.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from passatn.evaluate import Results
from passatn.evaluate.most_confident import SHARES, MostConfident, most_confident
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.direct import Direct, TrainedRun, quarters
from passatn.experiments.reproduce.plans import Plan, direct_plan
from passatn.experiments.reproduce.recipes import direct_recipe
from passatn.experiments.reproduce.section import Section, Table
from passatn.experiments.reproduce.words import setting_of
from passatn.report.reproduce_confidence import Confidences, plot_confidence_panels

TOP_SHARE = 0.1


def recipe(context: Context) -> dict[str, Any]:
    found = direct_recipe(context.scale, quick=context.quick)
    return Direct(context, found).inputs() | {"shares": list(SHARES)}


def plan(context: Context) -> Plan:
    found = direct_recipe(context.scale, quick=context.quick)
    return direct_plan(context, found, found.train_ns)


@dataclass(frozen=True)
class Measured:
    """Greedy answers of one run at one time of training."""

    run: str
    n_passes: int
    epoch: float
    confidence: np.ndarray
    is_correct: np.ndarray

    @property
    def label(self) -> str:
        return f"epoch {self.epoch:g}"

    @property
    def surest(self) -> list[MostConfident]:
        return most_confident(self.confidence, self.is_correct)


def section(context: Context) -> Section:
    found = direct_recipe(context.scale, quick=context.quick)
    stages = Direct(context, found)
    sources: list[Path] = []
    over = {n: _measure(stages, n, sources) for n in (1, found.compared_n)}
    at_end = {n: over[n][-1] if n in over else _measure(stages, n, sources, last=True)[-1] for n in found.train_ns}
    everything = [*over[1], *over[found.compared_n], *(at_end[n] for n in found.train_ns if n not in over)]
    return Section(
        setting=setting_of(stages, [m.run for m in at_end.values()])
        + " Confidence is the probability of the greedy answer, as in the paper's section 4.3.",
        findings=_findings(over, at_end, found.compared_n),
        tables=[_table(everything)],
        csv={"fig1.csv": _csv(everything), "fig1-most-confident.csv": _csv_surest(everything)},
        pictures={"fig1.png": lambda path: _plot(path, over, at_end, found.compared_n)},
        numbers={
            "runs": [
                {"run": m.run, "epoch": m.epoch, "confidence": m.confidence.tolist(), "correct": m.is_correct.tolist()}
                for m in everything
            ]
        },
        sources=sources,
    )


def _measure(stages: Direct, n: int, sources: list[Path], *, last: bool = False) -> list[Measured]:
    run = stages.run(n)
    moments = quarters(run.moments)[-1:] if last else quarters(run.moments)
    measured = []
    for moment in moments:
        results = stages.evaluate(run, moment)
        sources.append(stages.evaluation_file(run, moment))
        measured.append(_measured(run, moment.epoch, results))
    return measured


def _measured(run: TrainedRun, epoch: float, results: Results) -> Measured:
    log_p, correct = results.column("greedy_log_p"), results.column("greedy_correct")
    assert log_p is not None
    assert correct is not None
    return Measured(run.name, run.n_passes, epoch, np.exp(log_p), correct)


def _findings(over: Mapping[int, Sequence[Measured]], at_end: Mapping[int, Measured], n: int) -> list[str]:
    lines = []
    for of in over.values():
        first, last = of[0], of[-1]
        lines.append(
            f"{last.run}: mean confidence {_pct(first.confidence.mean())} after {first.label}, "
            f"{_pct(last.confidence.mean())} after {last.label}; accuracy {_pct(first.is_correct.mean())} and "
            f"{_pct(last.is_correct.mean())}."
        )
    top = next(entry for entry in over[1][-1].surest if entry.share == TOP_SHARE)
    lines.append(
        f"Of the tenth of the problems on which CE is surest at the end (mean confidence "
        f"{_pct(top.mean_confidence)}), {_pct(top.accuracy)} are right ({top.num_correct} of {top.num_problems})."
    )
    means = [float(at_end[m].confidence.mean()) for m in at_end]
    falls = all(a >= b for a, b in pairwise(means))
    parts = ", ".join(f"{at_end[m].run} {_pct(mean)}" for m, mean in zip(at_end, means, strict=True))
    lines.append(f"At the end of training mean confidence {'falls' if falls else 'does not fall'} with N: {parts}.")
    return lines


def _table(everything: Sequence[Measured]) -> Table:
    rows = []
    for m in everything:
        top = next(entry for entry in m.surest if entry.share == TOP_SHARE)
        numbers = (m.confidence.mean(), m.is_correct.mean(), top.mean_confidence, top.accuracy)
        rows.append((f"{m.run}, {m.label}", *(f"{100 * number:.1f}" for number in numbers)))
    columns = ("", "mean confidence", "accuracy", "confidence, surest tenth", "accuracy, surest tenth")
    return Table(f"Greedy answers to {len(everything[0].confidence)} test problems, percent.", columns, tuple(rows))


def _csv(everything: Sequence[Measured]) -> Table:
    rows = [
        (m.run, m.epoch, index, float(confidence), int(correct))
        for m in everything
        for index, (confidence, correct) in enumerate(zip(m.confidence, m.is_correct, strict=True))
    ]
    return Table("", ("run", "epoch", "problem", "confidence", "correct"), tuple(rows))


def _csv_surest(everything: Sequence[Measured]) -> Table:
    rows = [
        (m.run, m.epoch, top.share, top.num_problems, top.num_correct, top.mean_confidence, top.accuracy)
        for m in everything
        for top in m.surest
    ]
    columns = ("run", "epoch", "share", "problems", "correct", "mean confidence", "accuracy")
    return Table("", columns, tuple(rows))


def _plot(path: Path, over: Mapping[int, Sequence[Measured]], at_end: Mapping[int, Measured], n: int) -> Path:
    def drawn(m: Measured, name: str) -> Confidences:
        return Confidences(name, m.confidence.tolist(), m.n_passes, m.surest)

    return plot_confidence_panels(
        path,
        over_training={
            f"(a) {over[1][-1].run} over training": [drawn(m, m.label) for m in over[1]],
            f"(c) {over[n][-1].run} over training": [drawn(m, m.label) for m in over[n]],
        },
        surest=[drawn(m, m.run) for m in (over[1][-1], over[n][-1])],
        at_end=[drawn(m, m.run) for m in at_end.values()],
    )


def _pct(value: Any) -> str:
    return f"{100 * float(value):.1f} %"
