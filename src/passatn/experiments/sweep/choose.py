"""For each N the trial, the epoch and the temperature with the best pass@N on validation, and what sits on an edge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passatn.experiments.sweep.spec import Arm, Params, SweepSpec
from passatn.experiments.sweep.training import Record, Scores


@dataclass(frozen=True)
class Choice:
    """What was chosen for one N."""

    n: int
    trial: int
    params: Params
    epoch: int
    """Index of the evaluation after which training would have stopped."""
    temperature: int
    """Index among the sweep's temperatures."""
    validation: float
    edges: tuple[str, ...]
    """One sentence for each quantity whose choice sits on an edge: the best may lie beyond."""


def best_stop(scores: Scores, column: int) -> tuple[int, int]:
    """(epoch, temperature) with the highest pass@N at one N; of equal ones the earliest epoch, then the first."""
    epoch, temperature = np.unravel_index(np.argmax(scores.values[:, :, column]), scores.values.shape[:2])
    return int(epoch), int(temperature)


def best_steps(scores: Scores, columns: Sequence[int]) -> set[int]:
    """The optimizer steps at which training would stop for these N."""
    return {scores.steps[best_stop(scores, column)[0]] for column in columns} if scores.steps else set()


def choose(spec: SweepSpec, arm: Arm, records: Sequence[Record]) -> list[Choice]:
    """For each N of the sweep; of equal trials the first."""
    return [_choose(spec, arm, records, column) for column in range(len(spec.ns))]


def _choose(spec: SweepSpec, arm: Arm, records: Sequence[Record], column: int) -> Choice:
    best = [float(record.scores.values[:, :, column].max()) for record in records]
    trial = int(np.argmax(best))
    record = records[trial]
    epoch, temperature = best_stop(record.scores, column)
    edges = (*_setting_edges(arm, record), *_epoch_edge(spec, record, epoch), *temperature_edge(spec, temperature))
    return Choice(spec.ns[column], trial, record.params, epoch, temperature, best[trial], edges)


def _setting_edges(arm: Arm, record: Record) -> list[str]:
    found = []
    for dimension in arm.space:
        value = record.params[dimension.name]
        if side := dimension.edge(value):
            wider = "larger" if side == "upper" else "smaller"
            found.append(f"{dimension.name} = {value:g} is at the {side} edge of its range: try {wider} ones")
    return found


def _epoch_edge(spec: SweepSpec, record: Record, epoch: int) -> list[str]:
    """An objective that ends its training itself has nothing beyond; one that has used up its examples may have."""
    is_cut = spec.match == "examples" or record.is_pruned or not record.ended_early
    if epoch == len(record.steps) - 1 and is_cut:
        return [f"epoch {epoch + 1} is the last one: train longer"]
    if epoch == 0 and len(record.steps) > 1:
        return ["epoch 1 is the first one scored: try smaller learning rates"]
    return []


def temperature_edge(spec: SweepSpec, index: int) -> list[str]:
    chosen, grid = spec.temperatures[index], spec.temperatures
    if len(grid) == 1 or min(grid) < chosen < max(grid):
        return []
    wider = "higher" if chosen == max(grid) else "lower"
    return [f"temperature {chosen:g} is the {'highest' if wider == 'higher' else 'lowest'} one: try {wider} ones"]
