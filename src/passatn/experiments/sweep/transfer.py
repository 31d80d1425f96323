"""A sweep's final trainings on other problems: chosen on one data set, asked about another (Table 5's question).

python -m passatn.experiments.sweep.transfer sweeps/math --data aime24.jsonl --preset aime --output transfer/aime24

A sweep keeps no weights. Each arm's settings for target_n are trained again with the same seeds, confirming ones among
them, up to the epoch that was chosen on the sweep's validation problems; there the new problems are scored at the
temperature that was chosen with it. Nothing is tuned on them. Trainings that are done are not run again.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from passatn.coverage import coverage
from passatn.evaluate import Results, write_atomically
from passatn.evaluate.repeats import compare_repeats
from passatn.experiments import finetune
from passatn.experiments.config import ConfigError, RunConfig, parse_ns
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.run_directory import RunDirectory
from passatn.experiments.seed_tables import markdown, paired_cell, points_cell, spread_cells
from passatn.experiments.sweep.command import SPEC_FILE
from passatn.experiments.sweep.finals import Final, Sweep
from passatn.experiments.sweep.jobs import Call, run_chains
from passatn.experiments.sweep.spec import read_spec
from passatn.experiments.sweep.summary import target_training
from passatn.experiments.sweep.training import Array, log_p_at, remove_weights
from passatn.tasks import load_problems

PROBLEMS, RESULTS = "problems.jsonl", "results.json"


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


def find_sources(folder: Path, problems: Path, arms: Sequence[str] | None) -> list[Source]:
    """The final trainings of a finished sweep for its target_n, in the order of arms and seeds.

    Raises:
        ConfigError: no sweep there, an arm that it does not have, or no final training of an arm.
    """
    spec, _ = read_spec(folder / SPEC_FILE)
    known = [arm.name for arm in spec.arms]
    if unknown := [name for name in arms or () if name not in known]:
        raise ConfigError(f"{folder} has no arm {unknown[0]!r}; its arms: {', '.join(known)}")
    sweep = Sweep(spec, folder, 0)
    found = []
    for arm in spec.arms:
        if arms and arm.name not in arms:
            continue
        trial, params = target_training(sweep, arm)
        finals = {seed: Final.load(sweep.final_folder(arm, trial, seed)) for seed in (*spec.seeds, *spec.confirm_seeds)}
        done = {seed: final for seed, final in finals.items() if final is not None}
        if not done:
            raise ConfigError(f"{folder}: the final trainings of {arm.name} are missing: use passatn sweep --resume")
        for seed, final in done.items():
            at = final.at(spec.target_n)
            settings = sweep.job(arm, params, seed, Path()).settings | {
                "eval_data": str(problems),
                "eval_split": None,
                "eval_temperatures": None if at.temperature == 1 else [at.temperature],
            }
            found.append(Source(arm.name, seed, settings, at.epoch, at.temperature))
    return found


def run_source(source: Source, folder: Path) -> str:
    """Train one of them and write the new problems' log p to `log_p.json`, unless that is done."""
    written = folder / "log_p.json"
    if not written.exists():
        run = RunDirectory(folder / "run")
        if not run.is_finished:
            with quiet_libraries():
                config = RunConfig.from_mapping(source.settings)
                finetune.train(config, run, _say_nothing, resume=run.config.exists(), bar=StopAfter(source.epoch + 1))
        last = Results.load(run.evaluation_files()[source.epoch])
        log_p = np.maximum(log_p_at(last, source.temperature), -1e6)
        record = {"arm": source.arm, "seed": source.seed, "epoch": source.epoch, "temperature": source.temperature}
        ids = [problem.id for problem in last.problems]
        write_atomically(written, (json.dumps({**record, "ids": ids, "log_p": log_p.tolist()}) + "\n").encode())
    remove_weights(folder / "run")
    return f"{source.arm}, seed {source.seed}"


def _say_nothing(line: str) -> None:
    """Notices about data were given when the sweep ran."""


def table(records: Sequence[dict[str, Any]], ns: Sequence[int]) -> str:
    """Markdown: percent of pass@N by arm, mean ± deviation over seeds, and each arm minus the first, same seeds.

    Args:
        records: of `log_p.json`.
    """
    values = {arm: _by_seed(records, arm, ns) for arm in dict.fromkeys(record["arm"] for record in records)}
    baseline = next(iter(values))
    rows = [["N", "arm", "seeds", "pass@N", f"minus {baseline}", "by seed"]]
    for column, n in enumerate(ns):
        for arm, by_seed in values.items():
            means = np.array([of[:, column].mean() for of in by_seed.values()])
            row = [str(n), arm, str(len(means)), spread_cells(means[:, None])[0]]
            rows.append(row + (["", ""] if arm == baseline else _difference(values[baseline], by_seed, column, n)))
    return markdown(rows)


def _by_seed(records: Sequence[dict[str, Any]], arm: str, ns: Sequence[int]) -> dict[int, Array]:
    """Seed → pass@N of each problem, `[P, len(ns)]`."""
    return {
        record["seed"]: np.stack([coverage(np.array(record["log_p"]), n) for n in ns], axis=-1)
        for record in records
        if record["arm"] == arm
    }


def _difference(baseline: dict[int, Array], other: dict[int, Array], column: int, n: int) -> list[str]:
    shared = sorted(baseline.keys() & other.keys())
    a, b = (np.stack([of[seed][:, column : column + 1] for seed in shared]) for of in (baseline, other))
    return [paired_cell(compare_repeats(a, b, [n])), points_cell((b - a).mean(axis=(1, 2)))]


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
    problems = output / PROBLEMS
    with quiet_libraries():
        rows = list(load_problems(data, preset=preset))
    text = "".join(json.dumps(problem.to_record(), ensure_ascii=False) + "\n" for problem in rows).encode()
    if problems.exists() and problems.read_bytes() != text:
        raise ConfigError(f"{output} was begun with other problems: choose another --output")
    sources = find_sources(sweep, problems, arms)
    write_atomically(problems, text)
    folders = [output / f"{number:03d}" for number, _ in enumerate(sources)]
    for source, folder in zip(sources, folders, strict=True):
        _check_same(source, folder)
    calls = [[Call(run_source, (source, folder))] for source, folder in zip(sources, folders, strict=True)]
    run_chains(calls, workers, lambda note: print(f"done: {note}", flush=True))
    records = [json.loads((folder / "log_p.json").read_text(encoding="utf-8")) for folder in folders]
    write_atomically(output / RESULTS, (json.dumps(records) + "\n").encode())
    return table(records, ns)


def _check_same(source: Source, folder: Path) -> None:
    """Each folder remembers what it is of: another sweep, or other arms, would mix two experiments."""
    path, text = folder / "source.json", json.dumps(source.settings, sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{folder} is of another training: choose another --output")
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
    except ValueError as error:
        parser.error(str(error))
    print(shown, end="")


if __name__ == "__main__":
    main()
