"""A run's folder: config.yaml, environment.json, metrics.jsonl, checkpoints/, evaluations/, model/, results.json.

Nothing overwrites an existing run unless told to; a finished run has model/, which is written last.
"""

import importlib.metadata
import json
import math
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

    def evaluation_files(self) -> list[Path]:
        """One results.json per evaluation on held-out problems, in order of steps."""
        return sorted(self.evaluations.glob("step-*.json"))

    def evaluation_file(self, step: int) -> Path:
        return self.evaluations / f"step-{step:06d}.json"

    def check(self, config: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Whether a run of these settings may use the folder; nothing is written or deleted.

        Raises:
            ConfigError: the folder holds something else, another run, or an unfinished one and neither `resume` nor
                `overwrite` says what to do with it. A finished run with the same settings passes.
        """
        if resume and overwrite:
            raise ConfigError("--resume and --overwrite exclude each other")
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"{self.path} is a file: choose another --output")
        if not self._is_occupied():
            return
        if not self.config.exists():
            raise ConfigError(f"{self.path} exists and is not a run of passatn: choose another --output")
        if overwrite:
            return
        if not (resume or self.is_finished):
            raise ConfigError(f"{self.path} holds an unfinished run: --resume continues it, --overwrite starts anew")
        self._check_same(config)

    def begin(self, config: dict[str, Any], *, overwrite: bool = False) -> None:
        """Make the folder of a new run, in place of an old one if told to; a run to be resumed is left as it is."""
        if overwrite and self._is_occupied():
            shutil.rmtree(self.path)
        self.evaluations.mkdir(parents=True, exist_ok=True)
        if not self.config.exists():
            write_atomically(self.config, yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())
            write_atomically(self.path / "environment.json", (json.dumps(environment(), indent=1) + "\n").encode())

    def remove_empty_folders(self) -> None:
        """Undo the making of a folder in which no run has begun; one that holds a file is left alone."""
        if self.path.is_dir() and not self._is_occupied():
            shutil.rmtree(self.path)

    def _is_occupied(self) -> bool:
        return self.path.is_dir() and any(not path.is_dir() for path in self.path.rglob("*"))

    def _check_same(self, config: dict[str, Any]) -> None:
        before = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        if not isinstance(before, dict):
            raise ConfigError(f"{self.config}: expected `key: value` lines; --overwrite starts anew")
        for key in sorted(before.keys() | config.keys()):
            if before.get(key) != config.get(key):
                raise ConfigError(
                    f"{self.path} was begun with {key}={before.get(key)!r}, now it is {config.get(key)!r}: use the "
                    "same settings, another --output, or --overwrite"
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
    """Append every log entry to metrics.jsonl; a resumed run first drops what lies after its checkpoint.

    A number that JSON lacks is written as the string "nan", "inf" or "-inf".
    """

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
            plain = {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in logs.items()}
            with self.path.open("a") as file:
                file.write(json.dumps({"step": state.global_step, "epoch": state.epoch} | plain) + "\n")
