"""What the demo's page says, sentence by sentence, from the numbers of that very run.

A finding states what was measured, also when it is not what was expected: every comparison has both wordings.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from passatn.evaluate import ConfidenceHistogram, frontier
from passatn.experiments.demo_analysis import NS, ArmRun, Row


def findings(
    rows: Mapping[str, Row], runs: Mapping[str, Sequence[ArmRun]], histograms: Mapping[str, ConfidenceHistogram]
) -> list[str]:
    """The page's findings, in order; rows and runs by the names of the demo's arms."""
    sentences = [_over_training(runs["CE"])]
    sentences += [_against_ce(rows, [row for row in rows.values() if row.kind == "dco"])]
    coverage_runs = [row for row in rows.values() if row.kind in ("ce", "dco")]
    if len(coverage_runs) > 2:
        sentences.append(_frontier(coverage_runs))
    sentences.append(_confidence(histograms))
    sentences += _ended_early(runs)
    return sentences


def warning(rows: Mapping[str, Row]) -> str:
    """What this experiment does not show, with the run at tuned learning rates where there is one."""
    text = (
        "This shows a mechanism: what over-training by cross-entropy does to pass@N, and what limiting confidence does "
        "at the same settings. It is no evidence that DCO beats well-tuned cross-entropy. The base model already has "
        "the skill and only ten embedding rows were reset, so there is little room for any objective."
    )
    if "CE, tuned rates" not in rows:
        return text + " Learning rates were not tuned here; the full demo draws cross-entropy at tuned rates beside."
    tuned = rows["CE, tuned rates"]
    coverage_rows = [row for row in rows.values() if row.kind == "dco"]
    parts = []
    for n in (16, 256, 1024):
        best = max(coverage_rows, key=lambda row: row.at(n))
        parts.append(f"pass@{n} {_percent(tuned.at(n))} against {_percent(best.at(n))} ({best.name})")
    return (
        f"{text} At learning rates tuned for this task (the backbone's over thirty times lower, only the ten reset "
        f"rows trained fast, weights averaged) cross-entropy reached {', '.join(parts)}: the high learning rate of the "
        "other runs does a large part of the damage. Tune the learning rate first."
    )


def _over_training(runs: Sequence[ArmRun]) -> str:
    history = np.mean([run.over_training() for run in runs], axis=0)
    epochs = runs[0].epochs
    parts = []
    for n in (1, 256, 4096):
        values = history[:, NS.index(n)]
        best = int(values.argmax())
        last = f"{_percent(values[-1])} after epoch {epochs[-1]:g}"
        if best == len(values) - 1:
            parts.append(f"pass@{n} rose to {last}, its highest")
        else:
            parts.append(f"pass@{n} was highest after epoch {epochs[best]:g} ({_percent(values[best])}) and {last}")
    return "Cross-entropy over training: " + "; ".join(parts) + "."


def _against_ce(rows: Mapping[str, Row], coverage_rows: Sequence[Row]) -> str:
    final, tuned = rows["CE, last epoch"], rows["CE, best epoch and temperature per N"]
    parts = []
    for row in coverage_rows:
        assert row.n_passes is not None
        n = int(row.n_passes)
        parts.append(f"{row.name} {_points(row.at(n) - final.at(n))} and {_points(row.at(n) - tuned.at(n))}")
    return (
        "DCO at the N of its training, in points of pass@N, against cross-entropy trained to the end, and against "
        "cross-entropy with the epoch and temperature chosen on validation: " + "; ".join(parts) + "."
    )


def _frontier(rows: Sequence[Row]) -> str:
    best = frontier({row.name: row.mean.tolist() for row in rows})
    shown = (1, 16, 256, 4096)
    winners = "; ".join(f"N = {n}: {best.winner[NS.index(n)]}" for n in shown)
    n_of = {row.name: row.n_passes or 1.0 for row in rows}
    training_ns = [n_of[best.winner[NS.index(n)]] for n in shown]
    rises = all(a <= b for a, b in pairwise(training_ns)) and training_ns[0] < training_ns[-1]
    verdict = "The best training N rises with the test N" if rises else "The best training N did not rise steadily here"
    return f"{verdict}. The best model at the end of training, without any tuning: {winners}."


def _confidence(histograms: Mapping[str, ConfidenceHistogram]) -> str:
    parts = [
        f"{name} {histogram.mean_confidence:.3f} against {histogram.accuracy:.3f}"
        for name, histogram in histograms.items()
    ]
    return "Mean confidence in the greedy answer against its accuracy, at the end: " + "; ".join(parts) + "."


def _ended_early(runs: Mapping[str, Sequence[ArmRun]]) -> list[str]:
    ended = [run for group in runs.values() for run in group if run.ended_early]
    if not ended:
        return []
    names = ", ".join(
        f"{run.arm.name} (seed {run.arm.seed}) at step {run.data['steps_done']} of {run.data['steps_planned']}"
        for run in ended
    )
    return [
        f"Ended early, because too few training examples were left with F(N, p) at or above the threshold: {names}. "
        "Replacement weighs more examples for each step, so equal steps are not equal examples: the table has both."
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")
