"""Training runs in the shared folder: made or resumed where they are missing, and their checkpoints."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passatn.experiments import finetune
from passatn.experiments.config import RunConfig
from passatn.experiments.progress import TrainingBar
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.reproduce.context import Context
from passatn.experiments.run_directory import RunDirectory

RESUME_FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")


@dataclass(frozen=True)
class Moment:
    """The weights of a run at one time of training; epoch 0 is the base model."""

    epoch: float
    model: Path | str

    @property
    def label(self) -> str:
        return f"epoch {self.epoch:g}"


def trained(
    context: Context, name: str, stem: str, settings: Mapping[str, Any], recipe: Mapping[str, Any]
) -> RunDirectory:
    """The finished run; an unfinished one is resumed.

    Args:
        name: what notices call it.
        stem, recipe: name its folder; `recipe` is everything that the run depends on.
        settings: keys of `passatn train`.
    """
    directory = RunDirectory(context.workspace.path(stem, recipe))
    if directory.is_finished:
        context.say(f"{name}: trained already")
    else:
        context.say(f"{name}: training …")
        context.workspace.note(stem, recipe)
        _train(RunConfig.from_mapping(settings), directory, context.say)
    # Only for resuming, and three quarters of the bytes.
    for checkpoint in directory.checkpoints.glob("checkpoint-*"):
        for file in RESUME_FILES:
            (checkpoint / file).unlink(missing_ok=True)
    return directory


def checkpoint_states(directory: RunDirectory) -> dict[Path, dict[str, Any]]:
    """The trainer's state (step, epoch …) of each checkpoint, in order."""
    folders = sorted(directory.checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    return {folder: json.loads((folder / "trainer_state.json").read_text(encoding="utf-8")) for folder in folders}


def moments_of(directory: RunDirectory) -> list[Moment]:
    """The checkpoints of a run, in order."""
    return [Moment(round(state["epoch"], 2), folder) for folder, state in checkpoint_states(directory).items()]


def _train(config: RunConfig, directory: RunDirectory, say: Callable[[str], None]) -> None:
    bar = TrainingBar()
    try:
        with quiet_libraries():
            finetune.train(config, directory, say, resume=directory.config.exists(), bar=bar)
    finally:
        bar.stop()
