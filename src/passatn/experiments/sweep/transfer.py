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
from passatn.experiments.mistakes import from_one, on_one_line
from passatn.experiments.problems import encode, overlap_notice, read_problems
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.run_directory import RunDirectory
from passatn.experiments.seed_tables import markdown, paired_cell, points_cell, spread_cells
from passatn.experiments.sweep.again import Source, find_sources, repeat
from passatn.experiments.sweep.finals import LEAST_LOG_P
from passatn.experiments.sweep.training import Array, remove_weights, say_nothing
from passatn.experiments.training_parts import weight_dtype
from passatn.sample import score_problems
from passatn.sample.models import load_model

LOG_P = "log_p.json"


class StopAfter(TrainerCallback):
    """Ends a training after so many epochs; the schedule is that of the whole training."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if round(state.epoch) >= self.epochs:
            control.should_training_stop = True


def new_problems_config(source: Source, preset: str | None) -> RunConfig:
    """How the new problems are read and written down for the model: as in the sweep, but for their file's layout."""
    return RunConfig(template=RunConfig.from_mapping(source.settings).template, preset=preset)


def run_source(source: Source, folder: Path, data: str, preset: str | None) -> str:
    """Train one of them and write the new problems' log p to `log_p.json`, unless that is done."""
    written = folder / LOG_P
    run = RunDirectory(folder / "run")
    if not written.exists():
        config = RunConfig.from_mapping(source.settings)
        with quiet_libraries():
            if not run.is_finished:
                stop = StopAfter(source.epoch + 1)
                finetune.train(config, run, say_nothing, resume=run.config.exists(), bar=stop)
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
    config = RunConfig.from_mapping(sources[0].settings)
    trained = read_problems(config.train_data, config, split=config.train_split)
    if overlap := overlap_notice(list(trained), list(new)):
        print(f"warning: {overlap}", flush=True)
    records = repeat(sources, output, digest, run_source, (data, preset), written=LOG_P, workers=workers)
    return table(records, ns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="the folder of a finished sweep")
    parser.add_argument("--data", required=True, help="the new problems: a file, or a data set of the Hub")
    parser.add_argument("--preset", help="the layout of their rows, such as aime")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--arms", help="separated by semicolons; all of them without this")
    parser.add_argument("--ns", default="1,16,64,256,1024")
    parser.add_argument("--workers", type=from_one, default=1)
    args = parser.parse_args()
    arms = [name.strip() for name in args.arms.split(";")] if args.arms else None
    try:
        ns = parse_ns(args.ns, "--ns")
    except ConfigError as error:
        parser.error(str(error))
    with on_one_line():
        shown = transfer(args.sweep, args.data, args.output, preset=args.preset, ns=ns, arms=arms, workers=args.workers)
        print(shown, end="")


if __name__ == "__main__":
    main()
