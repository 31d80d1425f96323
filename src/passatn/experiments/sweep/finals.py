"""Trials, and the final trainings: the chosen settings with each seed, and the one look at the test problems.

The stopping epoch and the temperature are chosen again for each seed, on validation: they belong to the recipe, and a
person with that seed would do the same. Only then is the test set scored, once for each N, at that epoch and that
temperature.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from passatn.evaluate import Results, write_atomically
from passatn.experiments.config import ConfigError, RunConfig
from passatn.experiments.finetune import training_arguments
from passatn.experiments.problems import encode, read_problems
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.run_directory import RunDirectory
from passatn.experiments.sweep.choose import best_steps, best_stop
from passatn.experiments.sweep.search import should_stop, suggest
from passatn.experiments.sweep.spec import Arm, Params, SweepSpec
from passatn.experiments.sweep.training import Array, Job, Record, remove_weights, run_training, step_of
from passatn.sample import score_problems
from passatn.sample.models import load_model
from passatn.train.weight_ema import WEIGHT_EMA_NAME

FINAL = "final.json"
SAME_WEIGHTS, SAME_ROUNDED = 1e-3, 0.05
"""Share of log p that other batches may move it by on the CPU, in float32, and on a GPU, where training evaluates under
bf16 autocast: there a neighbouring epoch's weights can pass."""
LEAST_LOG_P = -1e6
"""In place of −∞, which JSON lacks."""


@dataclass(frozen=True)
class Sweep:
    """A sweep's settings and its folder."""

    spec: SweepSpec
    folder: Path
    num_train: int
    """Problems in the training data, after filtering."""

    def trial_folder(self, arm: Arm, number: int) -> Path:
        return self.folder / "trials" / arm.slug / f"{number:03d}"

    def final_folder(self, arm: Arm, trial: int, seed: int) -> Path:
        return self.folder / "finals" / arm.slug / f"trial-{trial:03d}-seed-{seed}"

    def trials(self, arm: Arm) -> list[Record]:
        """Those that are done, in order; of the first `num_independent` any may be missing while they run."""
        found = (Record.load(self.trial_folder(arm, number)) for number in range(self.spec.trials))
        return [record for record in found if record is not None]

    def job(self, arm: Arm, params: Params, seed: int, folder: Path) -> Job:
        spec = self.spec
        settings = matched(spec, spec.settings_of(arm, params, seed))
        return Job(folder, settings, params, seed, spec.temperatures, spec.ns, spec.target_column, self.num_train)


def matched(spec: SweepSpec, settings: dict[str, Any]) -> dict[str, Any]:
    """With match: examples, a training that replaces examples ends after as many of them as the others see."""
    args = training_config(settings)
    if args.weight_ema is not None and settings.get("lora") is not None:
        raise ConfigError("weight_ema with lora: a checkpoint's averaged adapter cannot be scored on its own")
    if spec.match == "steps" or not args.replaces_examples:
        return settings
    return settings | {"max_data_passes": args.num_train_epochs}


def training_config(settings: dict[str, Any]) -> Any:
    """The trainer's configuration; raises ConfigError for settings that cannot be."""
    return training_arguments(RunConfig.from_mapping(settings), RunDirectory(Path("unused")))


def run_trial(sweep: Sweep, arm: Arm, number: int) -> str:
    """One trial of the search, unless it is done; returns a note for the progress bar."""
    folder = sweep.trial_folder(arm, number)
    record = Record.load(folder)
    if record is None:
        earlier = [] if number < sweep.spec.num_independent else sweep.trials(arm)[:number]
        params = suggest(sweep.spec, arm, number, earlier)
        job = sweep.job(arm, params, sweep.spec.search_seed, folder)
        record = run_training(
            job,
            wanted=lambda scores: set(),
            stop=lambda scores: should_stop(sweep.spec, arm, earlier, params, scores),
        )
        record.save(folder)
    remove_weights(folder)
    spec = sweep.spec
    return f"{arm.name}: pass@{spec.target_n} {100 * max(record.scores.curve(spec.target_column)):.1f} %"


@dataclass(frozen=True)
class Tested:
    """One N of a final training: where it stopped, and the test problems' log p there."""

    n: int
    epoch: int
    temperature: float
    validation: float
    log_p: tuple[float, ...]


@dataclass(frozen=True)
class Final:
    """A final training and its test scores."""

    arm: str
    trial: int
    """Whose settings it has."""
    params: Params
    seed: int
    steps: int
    examples: int
    scheduled_steps: int
    ids: tuple[str, ...]
    tested: tuple[Tested, ...]

    def at(self, n: int) -> Tested:
        return next(one for one in self.tested if one.n == n)

    @classmethod
    def load(cls, folder: Path) -> "Final | None":
        path = folder / FINAL
        if not path.exists():
            return None
        data = json.loads(path.read_text(encoding="utf-8"))
        tested = tuple(Tested(**(one | {"log_p": tuple(one["log_p"])})) for one in data["tested"])
        return cls(**(data | {"ids": tuple(data["ids"]), "tested": tested}))


def run_final(sweep: Sweep, arm: Arm, trial: int, params: Params, ns: Sequence[int], seed: int) -> str:
    """A final training for the N that chose this trial, unless it is done; returns a note for the progress bar."""
    folder = sweep.final_folder(arm, trial, seed)
    if Final.load(folder) is None:
        columns = [sweep.spec.ns.index(n) for n in ns]
        job = sweep.job(arm, params, seed, folder)
        record = run_training(job, wanted=lambda scores: best_steps(scores, columns))
        final = _test(sweep, arm, trial, record, columns, job)
        write_atomically(folder / FINAL, (json.dumps(asdict(final)) + "\n").encode())
    remove_weights(folder)
    return f"{arm.name}, seed {seed}"


def _test(sweep: Sweep, arm: Arm, trial: int, record: Record, columns: Sequence[int], job: Job) -> Final:
    """Score the test problems with the weights of the chosen epochs, each at the chosen temperatures only."""
    spec, scores = sweep.spec, record.scores
    stops = {column: best_stop(scores, column) for column in columns}
    log_p: dict[int, Array] = {}
    ids: tuple[str, ...] = ()
    for epoch in sorted({epoch for epoch, _ in stops.values()}):
        mine = [column for column in columns if stops[column][0] == epoch]
        temperatures = sorted({spec.temperatures[stops[column][1]] for column in mine})
        ids, scored = _score_test(spec, job, scores.steps[epoch], temperatures)
        for column in mine:
            log_p[column] = scored[:, temperatures.index(spec.temperatures[stops[column][1]])]
    tested = tuple(
        Tested(
            n=spec.ns[column],
            epoch=stops[column][0],
            temperature=spec.temperatures[stops[column][1]],
            validation=float(scores.values[stops[column]][column]),
            log_p=tuple(np.maximum(log_p[column], LEAST_LOG_P).tolist()),
        )
        for column in columns
    )
    return Final(
        arm.name, trial, record.params, record.seed, record.steps[-1], record.examples[-1], record.scheduled_steps,
        ids, tested,
    )  # fmt: skip


def _score_test(spec: SweepSpec, job: Job, step: int, temperatures: Sequence[float]) -> tuple[tuple[str, ...], Array]:
    """Ids `[P]` and log p `[P, temperatures]` of the test problems under the checkpoint of one step."""
    config = RunConfig.from_mapping(job.settings)
    run = RunDirectory(job.folder)
    checkpoint = next(path for path in run.checkpoints.glob("checkpoint-*") if step_of(path) == step)
    with quiet_libraries():
        dtype = "float32" if config.dtype == "auto" and config.lora is None else config.dtype
        model, tokenizer = load_model(str(checkpoint), dtype=dtype, trust_remote_code=config.trust_remote_code)
        _put_average(model, checkpoint)
        validation, test = (
            encode(read_problems(source, config, split=split), config, tokenizer, limit=None)
            for source, split in ((spec.validation, spec.validation_split), (spec.test, spec.test_split))
        )
    device: Any = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    _check_weights(score_problems(model, validation.answers)[:, 0], run, step, checkpoint)
    scored = score_problems(model, test.answers, temperatures=temperatures)
    return tuple(problem.id for problem in test.problems), scored


@torch.no_grad()
def _put_average(model: Any, checkpoint: Path) -> None:
    """With `weight_ema` a checkpoint holds the average, which is what was evaluated, beside the model's own weights."""
    path = checkpoint / WEIGHT_EMA_NAME
    if path.is_file():
        average = load_file(path)
        for name, parameter in model.named_parameters():
            if name in average:
                parameter.copy_(average[name])


def _check_weights(log_p: Array, run: RunDirectory, step: int, checkpoint: Path) -> None:
    """Raise ConfigError unless these are the weights that were scored on validation while they were trained."""
    known = Results.load(run.evaluations / f"step-{step:06d}.json").column("log_p")
    assert known is not None
    now, before = (np.maximum(values, LEAST_LOG_P) for values in (log_p, known))
    difference = float(np.abs(now - before).mean())
    tolerance = SAME_ROUNDED if torch.cuda.is_available() else SAME_WEIGHTS
    if difference > tolerance * max(1.0, float(np.abs(before).mean())):
        raise ConfigError(
            f"{checkpoint}: its log p of validation answers differ by {difference:.3g} on average from those during "
            "training: these are not the weights that were chosen"
        )
