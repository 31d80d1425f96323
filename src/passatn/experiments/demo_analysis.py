"""From the demo's stored scores to its table: final models, tuned baselines, frontier, confidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from passatn.coverage import coverage
from passatn.evaluate import (
    ConfidenceHistogram,
    PassAtN,
    confidence_histogram,
    pass_at_n_from_log_p,
    tuned_pass_at_n,
)
from passatn.experiments.mini_math import Arm

NS = tuple(2**k for k in range(13))
SHOWN_NS = (1, 16, 64, 256, 1024, 4096)


@dataclass(frozen=True)
class ArmRun:
    """One finished fine-tuning run with its scores; log_p is `[evaluations, problems, temperatures]` per split."""

    arm: Arm
    data: dict[str, np.ndarray]

    @classmethod
    def load(cls, arm: Arm, file: Path) -> "ArmRun":
        with np.load(file) as stored:
            return cls(arm, {name: stored[name] for name in stored.files})

    @property
    def epochs(self) -> list[float]:
        return [float(epoch) for epoch in self.data["epochs"]]

    @property
    def ended_early(self) -> str:
        return str(self.data["ended_early"])

    def log_p(self, split: str = "test") -> np.ndarray:
        """Final model at temperature 1: `[problems]`."""
        return self.data[f"log_p_{split}"][-1, :, 0]

    def over_training(self, ns: Sequence[int] = NS, split: str = "test") -> np.ndarray:
        """pass@N after each epoch at temperature 1: `[evaluations, len(ns)]`."""
        log_p = self.data[f"log_p_{split}"][:, :, 0]
        return np.stack([coverage(log_p, n).mean(axis=1) for n in ns], axis=1)


@dataclass(frozen=True)
class Row:
    """One line of the table: a model, or a way to choose one, over all seeds."""

    name: str
    kind: Literal["ce", "dco", "baseline", "other"]
    curves: tuple[PassAtN, ...]
    """One per seed."""
    n_passes: float | None = None
    note: str = ""

    @property
    def mean(self) -> np.ndarray:
        """pass@N averaged over seeds `[len(NS)]`."""
        return np.mean([curve.estimate for curve in self.curves], axis=0)

    @property
    def sd(self) -> np.ndarray | None:
        """Standard deviation over seeds; None for a single one."""
        if len(self.curves) == 1:
            return None
        return np.std([curve.estimate for curve in self.curves], axis=0, ddof=1)

    def at(self, n: int) -> float:
        return float(self.mean[NS.index(n)])


def final_row(name: str, runs: Sequence[ArmRun]) -> Row:
    """The models at the end of training."""
    arm = runs[0].arm
    kind: Literal["ce", "dco", "baseline"] = "baseline" if arm.ema is not None else "ce" if arm.n_passes == 1 else "dco"
    curves = tuple(pass_at_n_from_log_p(run.log_p(), NS) for run in runs)
    return Row(name, kind, curves, arm.n_passes if kind == "dco" else None)


def tuned_row(name: str, runs: Sequence[ArmRun], *, epochs: bool, temperatures: bool) -> Row:
    """Cross-entropy with the epoch and/or temperature chosen on validation for each N, seed by seed."""
    curves, chosen = [], []
    for run in runs:
        grid = _grid(run, epochs=epochs, temperatures=temperatures)
        labels = [f"epoch {epoch:g}, T = {temperature:g}" for epoch, temperature in grid.settings]
        tuned = tuned_pass_at_n(grid.validation, grid.test, NS, labels)
        curves.append(tuned.curve)
        chosen.append(tuned.labels)
    note = "; ".join(f"N = {n}: {chosen[0][NS.index(n)]}" for n in SHOWN_NS)
    return Row(name, "baseline", tuple(curves), note=note)


@dataclass(frozen=True)
class _Grid:
    settings: list[tuple[float, float]]
    validation: np.ndarray
    test: np.ndarray


def _grid(run: ArmRun, *, epochs: bool, temperatures: bool) -> _Grid:
    rows = range(len(run.epochs)) if epochs else [len(run.epochs) - 1]
    columns = range(len(run.data["temperatures"])) if temperatures else [0]
    pairs = [(row, column) for row in rows for column in columns]
    return _Grid(
        [(run.epochs[row], float(run.data["temperatures"][column])) for row, column in pairs],
        *(
            np.stack([run.data[f"log_p_{split}"][row, :, column] for row, column in pairs])
            for split in ("validation", "test")
        ),
    )


def confidence(runs: Sequence[ArmRun]) -> ConfidenceHistogram:
    """Greedy confidence of the final models against accuracy, over the problems of all seeds (paper fig. 1)."""
    return confidence_histogram(
        np.concatenate([run.data["greedy_log_p"] for run in runs]),
        np.concatenate([run.data["greedy_correct"] for run in runs]),
    )


def arm_record(run: ArmRun) -> dict[str, Any]:
    """Raw numbers of one run for results.json: per-problem scores of the final model, pass@N after each epoch."""
    arm = run.arm
    return {
        "name": arm.name,
        "seed": arm.seed,
        "n_passes": arm.n_passes,
        "min_confidence_weight": arm.min_confidence_weight,
        "learning_rate": arm.learning_rate,
        "embedding_rate": arm.embedding_rate,
        "reset_rows_only": arm.reset_rows_only,
        "ema": arm.ema,
        "steps": int(run.data["steps_done"]),
        "steps_planned": int(run.data["steps_planned"]),
        "examples_seen": int(run.data["examples_seen"]),
        "examples_replaced": int(run.data["examples_replaced"]),
        "ended_early": run.ended_early,
        "epochs": run.epochs,
        "ns": list(NS),
        "pass_at_n_after_each_epoch": run.over_training().round(6).tolist(),
        "log_p_test": run.log_p().round(6).tolist(),
        "greedy_log_p": run.data["greedy_log_p"].round(6).tolist(),
        "greedy_correct": run.data["greedy_correct"].astype(int).tolist(),
    }
