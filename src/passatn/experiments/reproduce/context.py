"""What an experiment is told: its name, the scale, where things are, and whom to tell."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from passatn.experiments.config import ConfigError
from passatn.experiments.reproduce.workspace import Say, Workspace

Scale = Literal["demo", "small", "paper"]
SCALES: tuple[str, ...] = get_args(Scale)


@dataclass(frozen=True)
class Context:
    """One call of `passatn reproduce`.

    Args:
        name: of the table or figure.
        data_dir: folder with the real data sets; None reads them from the Hub.
        model: a folder or Hub id in place of the recipe's model (scales small and paper).
        quick: sizes that show that it runs and say nothing (tests).
    """

    name: str
    scale: Scale
    workspace: Workspace
    data_dir: Path | None = None
    model: str | None = None
    quick: bool = False

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ConfigError(f"--scale {self.scale}: expected {', '.join(SCALES)}")
        if self.scale == "demo" and self.model is not None:
            raise ConfigError("--model goes with --scale small or paper: the demo makes its own model")
        if self.data_dir is not None and not self.data_dir.is_dir():
            raise ConfigError(f"--data-dir {self.data_dir}: no such folder")

    @property
    def say(self) -> Say:
        return self.workspace.say

    @property
    def folder(self) -> Path:
        """Where the files of this table or figure go."""
        return self.workspace.output / self.name

    @property
    def shared(self) -> Path:
        return self.workspace.output / "shared"

    def data_file(self, pattern: str) -> Path | None:
        """The one file in --data-dir that matches, such as `math_train*.jsonl*`; None without a folder.

        Raises:
            ConfigError: none or several match.
        """
        if self.data_dir is None:
            return None
        found = sorted(self.data_dir.glob(pattern))
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            raise ConfigError(f"--data-dir {self.data_dir}: expected one file {pattern}, found {names}")
        return found[0]

    def math_data(self, split: str) -> tuple[str, str | None]:
        """Where the problems of MATH are, and the split to take, if it is not a file of one."""
        file = self.data_file(f"math_{split}*.jsonl*")
        return ("math", split) if file is None else (str(file), None)
