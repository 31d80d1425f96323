"""Checkpoints that are either whole or absent: written aside, then renamed.

`transformers` resumes from the highest-numbered `checkpoint-*` folder, so a save that was killed half-way must never
carry that name. The staging folder starts with an underscore, which uploads to the Hub ignore as well.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from transformers import Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, get_last_checkpoint, rotate_checkpoints

STAGING_FOLDER = "_incomplete"
COVERAGE_STATE_NAME = "coverage_state.json"


def checkpoint_to_resume(output_dir: str | None, asked: str | bool | None) -> str | None:
    """The folder to resume from: the one that is asked for, or with True the last one of `output_dir`.

    Raises:
        ValueError: there is none.
    """
    if asked is not True:
        return asked or None
    found = get_last_checkpoint(str(output_dir)) if Path(str(output_dir)).is_dir() else None
    if found is None:
        raise ValueError(f"no checkpoint to resume from in {output_dir}")
    return str(found)


def refuse_other_objective(checkpoint: str, state: Mapping[str, Any], objective: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the setting, if a checkpoint's state was written with another objective."""
    for name, value in objective.items():
        if (before := state.get(name)) != value:
            raise ValueError(
                f"{checkpoint} was written with {name}={before}, this run has {name}={value}: it cannot be resumed "
                "here (its weights can be the model of a new run)"
            )


class AtomicCheckpointMixin(Trainer):
    """Makes `Trainer._save_checkpoint` atomic and adds this trainer's own state to the folder."""

    _staging: bool = False

    def coverage_state(self) -> dict[str, Any]:
        """State of the trainer beyond what `Trainer` saves, as JSON values."""
        raise NotImplementedError

    def _get_output_dir(self, trial: Any) -> str:
        run_dir = super()._get_output_dir(trial)
        return os.path.join(run_dir, STAGING_FOLDER) if self._staging else run_dir

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        run_dir = Path(self._get_output_dir(trial))
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        staged, final = run_dir / STAGING_FOLDER / name, run_dir / name
        if self.args.should_save:
            shutil.rmtree(staged.parent, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self._save_staged(model, trial)
        self.accelerator.wait_for_everyone()
        # Trainer looked for the best checkpoint among the staged ones.
        best = run_dir / f"{PREFIX_CHECKPOINT_DIR}-{self.state.best_global_step}"
        if self.state.best_global_step and (best == final or best.is_dir()):
            self.state.best_model_checkpoint = str(best)
        if self.args.should_save:
            self.state.save_to_json(str(staged / "trainer_state.json"))
            (staged / COVERAGE_STATE_NAME).write_text(json.dumps(self.coverage_state()))
            _publish(staged, final)
        self.accelerator.wait_for_everyone()
        if self.args.push_to_hub:
            self._push_from_checkpoint(str(final))
        if self.args.should_save:
            rotate_checkpoints(
                output_dir=str(run_dir),
                save_total_limit=self.args.save_total_limit,
                best_model_checkpoint=self.state.best_model_checkpoint,
                use_mtime=True,
            )

    def _save_staged(self, model: nn.Module, trial: Any) -> None:
        push_to_hub = self.args.push_to_hub
        self._staging, self.args.push_to_hub = True, False
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._staging, self.args.push_to_hub = False, push_to_hub


def _publish(staged: Path, final: Path) -> None:
    if final.exists():
        # An older run's folder of the same step: moved aside first, so that the name is never half of each.
        outdated = staged.parent / f"outdated-{final.name}"
        final.rename(outdated)
    staged.rename(final)
    shutil.rmtree(staged.parent, ignore_errors=True)


def read_coverage_state(checkpoint: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The trainer's own state in a checkpoint folder; None when another trainer wrote it."""
    path = Path(checkpoint) / COVERAGE_STATE_NAME
    return json.loads(path.read_text()) if path.exists() else None
