"""A sweep's final trainings interpolated with their base model: WiSE-FT on equal terms.

python -m passatn.experiments.sweep.wise_ft sweeps/mini-math --arms "CE;DCO-256" --output sweeps/mini-math-wise

    θ = (1 − α) θ_base + α θ_tuned        arXiv 2109.01903; for pass@k 2504.10478

A sweep keeps no weights. Each arm's settings for target_n are trained again with the same seeds, confirming ones too
if all arms have them, and interpolated after every epoch. For each N and seed, α, epoch and temperature are chosen
together on the sweep's validation problems, and the test problems are scored at that choice, and at the one with α = 1
(the model itself). Trainings that are done are not run again; one that was killed starts again. The base has to be a
folder of safetensors.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from passatn.coverage import coverage
from passatn.evaluate import write_atomically
from passatn.evaluate.repeats import compare_repeats
from passatn.experiments import finetune
from passatn.experiments.config import ConfigError, RunConfig
from passatn.experiments.mistakes import from_one, on_one_line
from passatn.experiments.problems import EncodedProblems, encode, read_problems
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.run_directory import RunDirectory
from passatn.experiments.seed_tables import markdown, paired_cell, points_cell, spread_cells
from passatn.experiments.sweep.again import Source, find_sources, repeat
from passatn.experiments.sweep.command import INPUTS_FILE, SPEC_FILE
from passatn.experiments.sweep.finals import LEAST_LOG_P
from passatn.experiments.sweep.spec import SweepSpec, read_spec
from passatn.experiments.sweep.training import Array, remove_weights, say_nothing, step_of
from passatn.experiments.training_parts import weight_dtype
from passatn.sample import score_problems
from passatn.sample.models import load_model, load_tokenizer
from passatn.train.averaging import average_models

CHOSEN_FILE = "chosen.json"
ALPHAS = (1.0, 0.9, 0.8, 0.65, 0.5, 0.3)
ITSELF, CHOSEN = "α = 1", "α chosen"


def run_source(source: Source, folder: Path, spec: SweepSpec, alphas: Sequence[float]) -> str:
    """Train one of them, and write what was chosen and the test problems' log p to `chosen.json`, unless done."""
    written = folder / CHOSEN_FILE
    run = RunDirectory(folder / "run")
    if not written.exists():
        # Without the optimizer's state a checkpoint's model is the average of weights, where there is one.
        settings = source.settings | {"save_total_limit": None, "save_only_model": True}
        config = RunConfig.from_mapping(settings)
        with quiet_libraries():
            if not run.is_finished:
                shutil.rmtree(folder / "run", ignore_errors=True)
                finetune.train(config, run, say_nothing)
        record = _choose_and_test(source, config, run, spec, alphas, folder / "average")
        write_atomically(written, (json.dumps(record) + "\n").encode())
    remove_weights(folder / "run")
    return f"{source.arm}, seed {source.seed}"


def _choose_and_test(
    source: Source, config: RunConfig, run: RunDirectory, spec: SweepSpec, alphas: Sequence[float], scratch: Path
) -> dict[str, Any]:
    shutil.rmtree(scratch, ignore_errors=True)  # of a killed call
    steps = sorted(run.checkpoints.glob("checkpoint-*"), key=step_of)
    with quiet_libraries():
        tokenizer = load_tokenizer(str(steps[0]), trust_remote_code=config.trust_remote_code)
        validation, test = (
            encode(read_problems(name, config, split=split), config, tokenizer, limit=None)
            for name, split in ((spec.validation, spec.validation_split), (spec.test, spec.test_split))
        )

    def score(checkpoint: Path, alpha: float, problems: EncodedProblems, temperatures: Sequence[float]) -> Array:
        model = _interpolated(config, checkpoint, alpha, scratch)
        return np.maximum(score_problems(model, problems.answers, temperatures=temperatures), LEAST_LOG_P)

    # [alphas, epochs, problems, temperatures]
    scores = np.array([[score(step, alpha, validation, spec.temperatures) for step in steps] for alpha in alphas])
    rows = []
    for n in spec.ns:
        means = coverage(scores, n).mean(axis=2)
        for name, among in ((ITSELF, [alphas.index(1.0)]), (CHOSEN, list(range(len(alphas))))):
            best = np.unravel_index(np.argmax(means[among]), (len(among), *means.shape[1:]))
            alpha, epoch, temperature = alphas[among[best[0]]], int(best[1]), spec.temperatures[best[2]]
            rows.append(
                {
                    "n": n,
                    "which": name,
                    "alpha": alpha,
                    "epoch": epoch,
                    "temperature": temperature,
                    "ids": [problem.id for problem in test.problems],
                    "validation": float(means[among][best]),
                    "log_p": score(steps[epoch], alpha, test, [temperature])[:, 0].tolist(),
                }
            )
    return {"arm": source.arm, "seed": source.seed, "chosen": rows}


def _interpolated(config: RunConfig, checkpoint: Path, alpha: float, scratch: Path) -> Any:
    """The model α of the way from the base to a checkpoint, on the GPU if there is one."""
    with quiet_libraries():
        if alpha != 1:
            average_models([Path(config.model), checkpoint], scratch, alpha=alpha, overwrite=True)
        folder = str(checkpoint if alpha == 1 else scratch)
        model, _ = load_model(folder, dtype=weight_dtype(config), trust_remote_code=config.trust_remote_code)
        shutil.rmtree(scratch, ignore_errors=True)
    device: Any = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device)


def table(records: Sequence[dict[str, Any]], ns: Sequence[int]) -> str:
    """Markdown: percent of pass@N by arm, without and with the base, mean ± deviation over seeds; differences paired.

    Args:
        records: of `chosen.json`, the same seeds for each arm.
    """
    arms = list(dict.fromkeys(record["arm"] for record in records))
    rows = [["N", "arm", ITSELF, CHOSEN, "gain", "by seed", f"minus {arms[0]}, both chosen", "chosen α"]]
    for n in ns:
        chosen = {arm: _by_seed(records, arm, n, CHOSEN) for arm in arms}
        for arm in arms:
            itself = _by_seed(records, arm, n, ITSELF)
            gain = compare_repeats(itself, chosen[arm], [n])
            cells = [spread_cells(of.mean(axis=1))[0] for of in (itself, chosen[arm])]
            against = "" if arm == arms[0] else paired_cell(compare_repeats(chosen[arms[0]], chosen[arm], [n]))
            by_seed = points_cell((chosen[arm] - itself).mean(axis=(1, 2)))
            alphas = ", ".join(f"{one['alpha']:g}" for one in _rows(records, arm, n, CHOSEN))
            rows.append([str(n), arm, *cells, paired_cell(gain), by_seed, against, alphas])
    seeds, problems, _ = _by_seed(records, arms[0], ns[0], ITSELF).shape
    return f"{problems} problems, {seeds} seeds\n\n{markdown(rows)}"


def _rows(records: Sequence[dict[str, Any]], arm: str, n: int, which: str) -> list[dict[str, Any]]:
    """In the order of seeds."""
    mine = sorted((record for record in records if record["arm"] == arm), key=lambda record: record["seed"])
    return [row for record in mine for row in record["chosen"] if (row["n"], row["which"]) == (n, which)]


def _by_seed(records: Sequence[dict[str, Any]], arm: str, n: int, which: str) -> Array:
    """pass@N of each problem, `[S, P, 1]`, in the order of seeds."""
    return np.stack([coverage(np.array(row["log_p"]), n)[:, None] for row in _rows(records, arm, n, which)])


def interpolate(
    sweep: Path, output: Path, *, alphas: Sequence[float] = ALPHAS, arms: Sequence[str] | None = None, workers: int = 1
) -> str:
    """Run what is missing, write `results.json` with the raw log p, and return the table.

    Raises:
        ConfigError: no finished sweep, an unknown arm, shares outside 0 … 1 or without 1, or another's `output`.
    """
    _check_alphas(alphas)
    spec, _ = read_spec(sweep / SPEC_FILE)
    # Epoch and temperature are chosen here, with α.
    sources = [replace(source, epoch=-1, temperature=1.0) for source in find_sources(sweep, arms)]
    for source in sources:
        _check_base(source)
    inputs = json.loads((sweep / INPUTS_FILE).read_text(encoding="utf-8"))
    digest = json.dumps([*alphas, *spec.ns, *spec.temperatures, inputs, spec.validation_split, spec.test_split])
    records = repeat(sources, output, digest, run_source, (spec, alphas), written=CHOSEN_FILE, workers=workers)
    return table(records, spec.ns)


def _check_base(source: Source) -> None:
    """Before anything is trained: whether the base can be averaged with."""
    model = Path(source.settings["model"])
    if source.settings.get("lora") is not None:
        raise ConfigError(f"{source.arm}: with lora only an adapter is trained, which has no base to interpolate with")
    if not list(model.glob("*.safetensors")):
        raise ConfigError(f"{model}: weights are averaged between folders of safetensors: download or convert the base")


def _check_alphas(alphas: Sequence[float]) -> None:
    if 1.0 not in alphas or not all(0 <= alpha <= 1 for alpha in alphas):
        raise ConfigError(
            f"alphas lie between 0 and 1, 1 among them, got {', '.join(f'{alpha:g}' for alpha in alphas)}"
        )


def _parse_alphas(given: str) -> list[float]:
    try:
        return [float(alpha) for alpha in given.split(",")]
    except ValueError:
        raise ConfigError(f"--alphas: expected numbers separated by commas, got {given!r}") from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="the folder of a finished sweep")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--arms", help="separated by semicolons; all of them without this")
    parser.add_argument("--alphas", default=",".join(f"{alpha:g}" for alpha in ALPHAS))
    parser.add_argument("--workers", type=from_one, default=1)
    args = parser.parse_args()
    arms = [name.strip() for name in args.arms.split(";")] if args.arms else None
    try:
        alphas = _parse_alphas(args.alphas)
        _check_alphas(alphas)
    except ConfigError as error:
        parser.error(str(error))
    with on_one_line():
        print(interpolate(args.sweep, args.output, alphas=alphas, arms=arms, workers=args.workers), end="")


if __name__ == "__main__":
    main()
