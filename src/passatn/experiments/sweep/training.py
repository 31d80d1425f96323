"""One training of a sweep: a run of `passatn train`, and a record of what it scored on validation after each epoch.

A training that was killed goes on from its last checkpoint; one with a record is done and never run again. Of the
checkpoints only those stay that may still be needed, and of older ones only the weights.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import TrainerCallback

from passatn.evaluate import Results, write_atomically
from passatn.evaluate.pass_at_n import coverage_values
from passatn.experiments import finetune
from passatn.experiments.config import ConfigError, RunConfig
from passatn.experiments.decoding import label_of
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.run_directory import RunDirectory
from passatn.report.training import read_entries

Array = NDArray[np.float64]
RECORD = "record.json"


@dataclass(frozen=True)
class Scores:
    """pass@N on validation after each epoch of a training, `values` being `[epochs, temperatures, ns]`."""

    steps: tuple[int, ...]
    epochs: tuple[float, ...]
    values: Array

    @classmethod
    def read(cls, run: RunDirectory, temperatures: Sequence[float], ns: Sequence[int]) -> "Scores":
        found = [Results.load(path) for path in run.evaluation_files()]
        values = [[coverage_values(log_p_at(one, t), ns).mean(axis=0) for t in temperatures] for one in found]
        shaped = np.array(values).reshape(len(found), len(temperatures), len(ns))
        return cls(tuple(one.run["step"] for one in found), tuple(one.run["epoch"] for one in found), shaped)

    def curve(self, column: int) -> list[float]:
        """After each epoch, pass@N of one N at its best temperature."""
        return [float(value) for value in self.values[:, :, column].max(axis=1)]


def log_p_at(results: Results, temperature: float) -> Array:
    """log p of each problem of an evaluation, at one of its temperatures."""
    if temperature == 1:
        known = results.column("log_p")
        assert known is not None
        return known
    label = label_of((temperature, 1.0))
    return np.array([problem.log_p_by_setting[label] for problem in results.problems])


@dataclass(frozen=True)
class Record:
    """A finished training."""

    params: dict[str, Any]
    seed: int
    steps: tuple[int, ...]
    """Optimizer steps after each epoch that was scored."""
    epochs: tuple[float, ...]
    examples: tuple[int, ...]
    """Examples weighed by then, replaced ones among them."""
    scheduled_steps: int
    values: list[Any] = field(default_factory=list)
    """`[epochs][temperatures][ns]`, pass@N on validation."""
    is_pruned: bool = False

    @property
    def scores(self) -> Scores:
        return Scores(self.steps, self.epochs, np.array(self.values))

    @property
    def ended_early(self) -> bool:
        """Whether the objective itself ended the training, or the pruner did."""
        return self.steps[-1] < self.scheduled_steps

    def save(self, folder: Path) -> None:
        write_atomically(folder / RECORD, (json.dumps(asdict(self)) + "\n").encode())

    @classmethod
    def load(cls, folder: Path) -> "Record | None":
        """The record of a training that is done, else None."""
        path = folder / RECORD
        if not path.exists():
            return None
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            lists = {name: tuple(data[name]) for name in ("steps", "epochs", "examples")}
            return cls(**(data | lists))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: not a record of a training ({error}): delete its folder") from None


Wanted = Callable[[Scores], set[int]]
"""The steps whose weights may still be needed, given what is known so far."""
Stop = Callable[[Sequence[float]], bool]
"""Whether training should end, given pass@target_n after each epoch so far."""


class AfterEpoch(TrainerCallback):
    """Deletes checkpoints that are not needed any more, and ends training where a pruner says so."""

    def __init__(self, run: RunDirectory, read: Callable[[], Scores], wanted: Wanted, stop: Callable[[], bool]) -> None:
        self.run, self.read, self.wanted, self.stop = run, read, wanted, stop

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        wanted = self.wanted(self.read())
        for folder in self.run.checkpoints.glob("checkpoint-*"):
            step = step_of(folder)
            if step < state.global_step and step not in wanted:
                shutil.rmtree(folder)
            elif step < state.global_step:
                for path in (folder / "optimizer.pt", folder / "scheduler.pt"):
                    path.unlink(missing_ok=True)
        if self.stop():
            control.should_training_stop = True


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


@dataclass(frozen=True)
class Job:
    """What is trained, and what its record says about it."""

    folder: Path
    settings: dict[str, Any]
    params: dict[str, Any]
    seed: int
    temperatures: tuple[float, ...]
    ns: tuple[int, ...]
    target_column: int
    num_train: int


def run_training(job: Job, wanted: Wanted, stop: Stop = lambda _: False) -> Record:
    """Train, or go on, to the end; the run's folder is left with the checkpoints that are wanted."""
    run = RunDirectory(job.folder)

    def read() -> Scores:
        return Scores.read(run, job.temperatures, job.ns)

    def ends() -> bool:
        return stop(read().curve(job.target_column))

    # Killed between the decision to end and the end: the decision stands.
    is_over = run.last_checkpoint is not None and run.evaluation_files() and ends()
    if not (run.is_finished or is_over):
        with quiet_libraries():
            config = RunConfig.from_mapping(job.settings)
            bar = AfterEpoch(run, read, wanted, ends)
            finetune.train(config, run, say_nothing, resume=run.config.exists(), bar=bar)
    scores = read()
    entries = read_entries(run.metrics)
    seen = {entry["step"]: entry["examples_seen"] for entry in entries if "examples_seen" in entry}
    passes = dict(zip(scores.steps, scores.epochs, strict=True))
    scheduled = _scheduled_steps(run)
    return Record(
        params=job.params,
        seed=job.seed,
        steps=scores.steps,
        epochs=scores.epochs,
        # TRL's own loss does not count examples; it takes each once an epoch.
        examples=tuple(int(seen.get(step, round(passes[step] * job.num_train))) for step in scores.steps),
        scheduled_steps=scheduled,
        values=scores.values.tolist(),
        is_pruned=scores.steps[-1] < scheduled and ends(),
    )


def _scheduled_steps(run: RunDirectory) -> int:
    state = Path(str(run.last_checkpoint)) / "trainer_state.json"
    return int(json.loads(state.read_text(encoding="utf-8"))["max_steps"])


def remove_weights(folder: Path) -> None:
    """What a training leaves of its models; its evaluations and its metrics stay."""
    run = RunDirectory(folder)
    for path in (run.checkpoints, run.model, run.model.with_name("model.partial")):
        shutil.rmtree(path, ignore_errors=True)


def say_nothing(line: str) -> None:
    """Notices about the data are the same for every training, and were given once."""
