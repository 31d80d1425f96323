"""A run's folder: config.yaml, environment.json, metrics.jsonl, checkpoints/, evaluations/, model/, results.json.

Nothing overwrites an existing run unless told to; a finished run has model/, which is written last.
"""

import importlib.metadata
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from passatn.evaluate import write_atomically
from passatn.experiments.config import ConfigError

PACKAGES = ("passatn", "torch", "transformers", "trl", "accelerate", "peft", "datasets", "numpy")


class RunDirectory:
    """The folder of one run.

    Args:
        path: where; created when the run begins.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.evaluations = path / "evaluations"
        self.model = path / "model"
        self.results = path / "results.json"
        self.metrics = path / "metrics.jsonl"
        self.config = path / "config.yaml"

    @property
    def is_finished(self) -> bool:
        return self.model.exists()

    @property
    def last_checkpoint(self) -> str | None:
        return get_last_checkpoint(str(self.checkpoints)) if self.checkpoints.is_dir() else None

    def begin(self, config: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Make the folder ready, or refuse.

        Raises:
            ConfigError: the folder holds something and neither `resume` nor `overwrite` says what to do with it, or
                the run to resume was configured differently.
        """
        if resume and overwrite:
            raise ConfigError("--resume and --overwrite exclude each other")
        occupied = self.path.exists() and any(self.path.iterdir())
        if occupied and not self.config.exists():
            raise ConfigError(f"{self.path} exists and is not a run of passatn: choose another --output")
        if occupied and overwrite:
            shutil.rmtree(self.path)
        elif occupied and not resume:
            raise ConfigError(f"{self.path} holds an unfinished run: --resume continues it, --overwrite starts anew")
        elif occupied:
            self._check_same(config)
            return
        self.evaluations.mkdir(parents=True)
        write_atomically(self.path / "environment.json", (json.dumps(environment(), indent=1) + "\n").encode())
        write_atomically(self.config, yaml.safe_dump(config, sort_keys=False).encode())

    def _check_same(self, config: dict[str, Any]) -> None:
        before = yaml.safe_load(self.config.read_text())
        for key in sorted(before.keys() | config.keys()):
            if before.get(key) != config.get(key):
                raise ConfigError(
                    f"{self.path} was begun with {key}={before.get(key)!r}, now it is {config.get(key)!r}: resume with "
                    "the same settings, or --overwrite"
                )


def environment() -> dict[str, Any]:
    """Versions and device that the numbers were made with."""
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "device": device,
        "threads": torch.get_num_threads(),
        "world_size": int(os.environ.get("WORLD_SIZE", "1")),
        "packages": versions,
    }


class MetricsFile(TrainerCallback):
    """Append every log entry to metrics.jsonl; a resumed run first drops what lies after its checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero or not self.path.exists():
            return
        lines = self.path.read_text().splitlines()
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= state.global_step]
        write_atomically(self.path, "".join(line + "\n" for line in kept).encode())

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and logs:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": state.global_step, "epoch": state.epoch} | logs) + "\n")
