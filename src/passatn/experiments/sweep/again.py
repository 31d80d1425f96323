"""A sweep's final trainings again, for what needs their weights: a sweep keeps none.

Each has a folder of its own under the output, numbered, which remembers what it is of; what is done there is not done
again.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passatn.evaluate import write_atomically
from passatn.experiments.config import ConfigError
from passatn.experiments.sweep.command import SPEC_FILE, check_inputs
from passatn.experiments.sweep.finals import Final, Sweep
from passatn.experiments.sweep.jobs import Call, run_chains
from passatn.experiments.sweep.spec import Arm, read_spec
from passatn.experiments.sweep.summary import target_training

RESULTS = "results.json"
SOURCE = "source.json"


@dataclass(frozen=True)
class Source:
    """A final training to be repeated: its settings, and where it stops."""

    arm: str
    seed: int
    settings: dict[str, Any]
    epoch: int
    """Index of the evaluation after which it stops."""
    temperature: float


def find_sources(folder: Path, arms: Sequence[str] | None) -> list[Source]:
    """The final trainings of a finished sweep for its target_n: by arm, with the seeds that all of them have.

    Raises:
        ConfigError: no finished sweep there, an arm that it does not have, or inputs that have changed since.
    """
    spec, _ = read_spec(folder / SPEC_FILE)
    if not (folder / RESULTS).exists():
        raise ConfigError(f"{folder} is not a finished sweep: passatn sweep --resume goes on with it")
    check_inputs(spec, folder)
    known = [arm.name for arm in spec.arms]
    if unknown := [name for name in arms or () if name not in known]:
        raise ConfigError(f"{folder} has no arm {unknown[0]!r}; its arms: {'; '.join(known)}")
    sweep = Sweep(spec, folder, 0)
    found = [_of_arm(sweep, arm) for arm in spec.arms if not arms or arm.name in arms]
    shared = set.intersection(*({source.seed for source in of} for of in found))
    return [source for of in found for source in of if source.seed in shared]


def _of_arm(sweep: Sweep, arm: Arm) -> list[Source]:
    spec = sweep.spec
    trial, params = target_training(sweep, arm)
    found = []
    for seed in (*spec.seeds, *spec.confirm_seeds):
        if (final := Final.load(sweep.final_folder(arm, trial, seed))) is None:
            continue
        at = final.at(spec.target_n)
        settings = sweep.job(arm, params, seed, Path()).settings
        # The last checkpoint is for resuming; what was evaluated is known.
        settings |= {"eval_data": None, "eval_split": None, "eval_temperatures": None, "save_total_limit": 1}
        found.append(Source(arm.name, seed, settings, at.epoch, at.temperature))
    return found


def repeat(
    sources: Sequence[Source],
    output: Path,
    digest: str,
    run: Callable[..., str],
    arguments: Sequence[Any],
    *,
    written: str,
    workers: int,
) -> list[dict[str, Any]]:
    """Call `run(source, folder, *arguments)` for each, and return what is then in the file `written` of each folder.

    All of it goes to `results.json` in `output` as well.

    Args:
        digest: of what else the result depends on.

    Raises:
        ConfigError: `output` is of something else, or no worker is asked for.
    """
    if workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}")
    folders = [output / f"{number:03d}" for number, _ in enumerate(sources)]
    if (output / SPEC_FILE).exists() or ((output / RESULTS).exists() and not (folders[0] / SOURCE).exists()):
        raise ConfigError(f"{output} holds something else: choose another --output")
    for source, folder in zip(sources, folders, strict=True):
        _check_same(source, digest, folder)
    calls = [[Call(run, (source, folder, *arguments))] for source, folder in zip(sources, folders, strict=True)]
    run_chains(calls, workers, lambda note: print(f"done: {note}", flush=True))
    records = [json.loads((folder / written).read_text(encoding="utf-8")) for folder in folders]
    write_atomically(output / RESULTS, (json.dumps(records) + "\n").encode())
    return records


def _check_same(source: Source, digest: str, folder: Path) -> None:
    """Each folder remembers what it is of: other problems, or another training, would mix two experiments."""
    path, text = folder / SOURCE, json.dumps([source.settings, source.epoch, digest], sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{folder} was begun with another training or other problems: choose another --output")
    write_atomically(path, text.encode())
