"""Where a reproduction keeps its files, and its stages: what is finished is used again, what is not is done.

    OUTPUT/reproduce.json          marks the folder, and says at which scale
    OUTPUT/shared/NAME-DIGEST…     outputs of stages; the digest is of the stage's recipe, so that another recipe is
                                   another output, and several tables and figures share one
    OUTPUT/shared/recipes/…        what each digest stands for
    OUTPUT/table1/results.json …   one folder for each table and figure
    OUTPUT/report.html             one page for all of them

A stage's output appears by renaming when it is complete: it is its own marker. A training run is a folder of
`passatn train`, which resumes from its checkpoints.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passatn.evaluate.atomic import write_atomically
from passatn.experiments.config import ConfigError

Say = Callable[[str], None]
MARKER = "reproduce.json"
SHARED = "shared"


@dataclass(frozen=True)
class Workspace:
    """The folder of a reproduction; `say` takes one-line notices."""

    output: Path
    say: Say

    def open(self, settings: Mapping[str, Any]) -> None:
        """Make the folder, or check that it is a reproduction at the same settings, or has a plan's runs and no more.

        Raises:
            ConfigError: it holds something else.
        """
        marker = self.output / MARKER
        if self.output.exists() and not self.output.is_dir():
            raise ConfigError(f"{self.output} is a file: choose another --output")
        if marker.exists():
            before = json.loads(marker.read_text(encoding="utf-8"))
            for key, value in settings.items():
                if before.get(key) != value:
                    raise ConfigError(
                        f"{self.output} holds a reproduction with {key}={before.get(key)!r}, now it is {value!r}: "
                        "choose another --output"
                    )
        elif self.output.exists() and any(path.name != SHARED for path in self.output.iterdir()):
            raise ConfigError(f"{self.output} exists and is not a reproduction: choose another --output")
        else:
            write_atomically(marker, (json.dumps(dict(settings)) + "\n").encode())

    def path(self, name: str, recipe: Mapping[str, Any], suffix: str = "") -> Path:
        """Where the output of a stage belongs; nothing is written."""
        return self.output / SHARED / f"{name}-{digest_of(recipe)}{suffix}"

    def note(self, name: str, recipe: Mapping[str, Any]) -> None:
        """Write down what a stage's digest stands for."""
        file = self.output / SHARED / "recipes" / f"{name}-{digest_of(recipe)}.json"
        if not file.exists():
            write_atomically(file, (json.dumps(recipe, sort_keys=True, indent=1) + "\n").encode())

    def stage(self, name: str, recipe: Mapping[str, Any], make: Callable[[Path], None], suffix: str = "") -> Path:
        """The output of a stage; `make` writes it, a file or a folder, at the path that it is given, if it is missing.

        Args:
            recipe: everything that the output depends on, as JSON values.
        """
        target = self.path(name, recipe, suffix)
        if target.exists():
            self.say(f"{name}: there already")
            return target
        self.say(f"{name} …")
        self.note(name, recipe)
        partial = target.with_name(f"partial-{target.name}")
        remove(partial)
        make(partial)
        partial.rename(target)
        return target


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def digest_of(recipe: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits that tell recipes apart."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]
