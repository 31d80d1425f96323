"""A sweep's final trainings on other problems: chosen on one data set, asked about another (Table 5's question).

python -m passatn.experiments.sweep.transfer sweeps/math --data aime24.jsonl --preset aime --output transfer/aime24

A sweep keeps no weights. Each arm's settings for target_n are trained again with the same seeds, confirming ones too if
all arms have them, up to the epoch that was chosen on the sweep's validation problems; the new problems are scored by
that model at the temperature that was chosen with it. Nothing is tuned on them, and none is left out for its length.
Trainings that are done are not run again.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from passatn.coverage import coverage
from passatn.evaluate import write_atomically
from passatn.evaluate.repeats import compare_repeats
from passatn.experiments import finetune
from passatn.experiments.config import ConfigError, RunConfig, parse_ns
from passatn.experiments.problems import encode, overlap_notice, read_problems
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.run_directory import RunDirectory
from passatn.experiments.seed_tables import markdown, paired_cell, points_cell, spread_cells
from passatn.experiments.sweep.command import SPEC_FILE, check_inputs
from passatn.experiments.sweep.finals import LEAST_LOG_P, Final, Sweep
from passatn.experiments.sweep.jobs import Call, run_chains
from passatn.experiments.sweep.spec import Arm, read_spec
from passatn.experiments.sweep.summary import target_training
from passatn.experiments.sweep.training import Array, remove_weights
from passatn.experiments.training_parts import weight_dtype
from passatn.sample import score_problems
from passatn.sample.models import load_model

RESULTS = "results.json"


@dataclass(frozen=True)
class Source:
    """A final training to be repeated: its settings, and where it stops."""

    arm: str
    seed: int
    settings: dict[str, Any]
    epoch: int
    """Index of the evaluation after which it stops."""
    temperature: float


class StopAfter(TrainerCallback):
    """Ends a training after so many epochs; the schedule is that of the whole training."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if round(state.epoch) >= self.epochs:
            control.should_training_stop = True


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
        raise ConfigError(f"{folder} has no arm {unknown[0]!r}; its arms: {', '.join(known)}")
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


def new_problems_config(source: Source, preset: str | None) -> RunConfig:
    """How the new problems are read and written down for the model: as in the sweep, but for their file's layout."""
    return RunConfig(template=RunConfig.from_mapping(source.settings).template, preset=preset)


def run_source(source: Source, folder: Path, data: str, preset: str | None) -> str:
    """Train one of them and write the new problems' log p to `log_p.json`, unless that is done."""
    written = folder / "log_p.json"
    run = RunDirectory(folder / "run")
    if not written.exists():
        config = RunConfig.from_mapping(source.settings)
        with quiet_libraries():
            if not run.is_finished:
                stop = StopAfter(source.epoch + 1)
                finetune.train(config, run, _say_nothing, resume=run.config.exists(), bar=stop)
            model, tokenizer = load_model(
                str(run.model), dtype=weight_dtype(config), trust_remote_code=config.trust_remote_code
            )
            new = new_problems_config(source, preset)
            problems = encode(read_problems(data, new, split=None), new, tokenizer, limit=None)
        device: Any = "cuda" if torch.cuda.is_available() else "cpu"
        model.to(device)
        log_p = score_problems(model, problems.answers, temperatures=[source.temperature])[:, 0]
        record = {
            "arm": source.arm,
            "seed": source.seed,
            "epoch": source.epoch,
            "temperature": source.temperature,
            "ids": [problem.id for problem in problems.problems],
            "log_p": np.maximum(log_p, LEAST_LOG_P).tolist(),
        }
        write_atomically(written, (json.dumps(record) + "\n").encode())
    remove_weights(folder / "run")
    return f"{source.arm}, seed {source.seed}"


def _say_nothing(line: str) -> None:
    """Notices about the training data were given when the sweep ran."""


def table(records: Sequence[dict[str, Any]], ns: Sequence[int]) -> str:
    """Markdown: percent of pass@N by arm, mean ± deviation over seeds, and each arm minus the first.

    Args:
        records: of `log_p.json`, the same seeds for each arm.
    """
    values = {arm: _by_seed(records, arm, ns) for arm in dict.fromkeys(record["arm"] for record in records)}
    baseline = next(iter(values))
    rows = [["N", "arm", "pass@N", f"minus {baseline}", "by seed"]]
    for column, n in enumerate(ns):
        for arm, by_seed in values.items():
            row = [str(n), arm, spread_cells(by_seed[:, :, column].mean(axis=1)[:, None])[0], "", ""]
            if arm != baseline:
                a, b = (of[:, :, column : column + 1] for of in (values[baseline], by_seed))
                row[3:] = [paired_cell(compare_repeats(a, b, [n])), points_cell((b - a).mean(axis=(1, 2)))]
            rows.append(row)
    seeds, problems, _ = values[baseline].shape
    return f"{problems} problems, {seeds} seeds\n\n{markdown(rows)}"


def _by_seed(records: Sequence[dict[str, Any]], arm: str, ns: Sequence[int]) -> Array:
    """pass@N of each problem, `[S, P, len(ns)]`, in the order of seeds."""
    mine = sorted((record for record in records if record["arm"] == arm), key=lambda record: record["seed"])
    return np.stack([np.stack([coverage(np.array(of["log_p"]), n) for n in ns], axis=-1) for of in mine])


def transfer(
    sweep: Path,
    data: str,
    output: Path,
    *,
    preset: str | None,
    ns: Sequence[int],
    arms: Sequence[str] | None = None,
    workers: int = 1,
) -> str:
    """Run what is missing, write `results.json` with the raw log p, and return the table."""
    sources = find_sources(sweep, arms)
    new = read_problems(data, new_problems_config(sources[0], preset), split=None)
    digest = "\n".join(json.dumps(problem.to_record(), ensure_ascii=False) for problem in new)
    folders = [output / f"{number:03d}" for number, _ in enumerate(sources)]
    for source, folder in zip(sources, folders, strict=True):
        check_same(source, digest, folder)
    config = RunConfig.from_mapping(sources[0].settings)
    trained = read_problems(config.train_data, config, split=config.train_split)
    if overlap := overlap_notice(list(trained), list(new)):
        print(f"warning: {overlap}", flush=True)
    calls = [
        [Call(run_source, (source, folder, data, preset))] for source, folder in zip(sources, folders, strict=True)
    ]
    run_chains(calls, workers, lambda note: print(f"done: {note}", flush=True))
    records = [json.loads((folder / "log_p.json").read_text(encoding="utf-8")) for folder in folders]
    write_atomically(output / RESULTS, (json.dumps(records) + "\n").encode())
    return table(records, ns)


def check_same(source: Source, digest: str, folder: Path) -> None:
    """Each folder remembers what it is of: other problems, or another training, would mix two experiments."""
    path, text = folder / "source.json", json.dumps([source.settings, source.epoch, digest], sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{folder} was begun with another training or other problems: choose another --output")
    write_atomically(path, text.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="the folder of a finished sweep")
    parser.add_argument("--data", required=True, help="the new problems: a file, or a data set of the Hub")
    parser.add_argument("--preset", help="the layout of their rows, such as aime")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--arms", help="separated by semicolons; all of them without this")
    parser.add_argument("--ns", default="1,16,64,256,1024")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    arms = [name.strip() for name in args.arms.split(";")] if args.arms else None
    try:
        shown = transfer(
            args.sweep, args.data, args.output, preset=args.preset, ns=parse_ns(args.ns, "--ns"), arms=arms,
            workers=args.workers,
        )  # fmt: skip
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(shown, end="")


if __name__ == "__main__":
    main()
