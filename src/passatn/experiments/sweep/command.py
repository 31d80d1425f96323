"""The stages of a sweep: trials, choices, final trainings, confirmation, results.

Everything is checked before the folder is made. Each training leaves a record, so that a killed sweep goes on with
what is missing.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from passatn.evaluate import write_atomically
from passatn.experiments.config import ConfigError, RunConfig
from passatn.experiments.finetune import scheduled_steps
from passatn.experiments.given import read_given_log_p
from passatn.experiments.problems import EncodedProblems, encode, overlap_notice, read_problems, select_fold
from passatn.experiments.progress import make_progress
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.run_directory import environment
from passatn.experiments.sweep import report
from passatn.experiments.sweep.choose import choose
from passatn.experiments.sweep.finals import Sweep, matched, run_final, run_trial, training_config
from passatn.experiments.sweep.jobs import Call, run_chains
from passatn.experiments.sweep.search import check_optuna, needs_optuna
from passatn.experiments.sweep.spec import OWN, Arm, Params, SweepSpec, read_spec
from passatn.experiments.sweep.summary import finalist, same_settings, summarize, target_training, to_results
from passatn.sample.models import load_tokenizer
from passatn.tasks import find_overlap

Say = Callable[[str], None]
SPEC_FILE, INPUTS_FILE = "sweep.yaml", "inputs.json"
MODEL_FILES = frozenset((".safetensors", ".bin", ".json", ".model", ".tiktoken", ".txt", ".jinja", ".py"))
"""Endings of what a model's folder holds: weights, configuration, tokenizer, chat template, code."""


def run_sweep(
    path: Path, folder: Path, say: Say, *, resume: bool = False, num_workers: int = 1, dry_run: bool = False
) -> None:
    """Run (or go on with, or show) the sweep that a file describes."""
    spec, given = read_spec(path)
    if needs_optuna(spec):
        check_optuna()
    is_finished = not dry_run and check_folder(folder, given, resume=resume)
    sweep = Sweep(spec, folder, 0 if is_finished else check_everything(spec, given, say))
    if dry_run:
        print("\n".join(planned(sweep)))
        return
    if is_finished:
        say(f"{folder} is a finished sweep")
    else:
        _begin(spec, folder, given, _inputs(spec))
        _run_stages(sweep, num_workers)
    _finish(sweep, given, write=not is_finished)
    say(f"results: {folder / 'results.md'}")


# ---- before anything is written ----


def check_folder(folder: Path, given: Params, *, resume: bool) -> bool:
    """Whether the folder holds this sweep, finished; raises ConfigError if something else is in the way."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: choose another --output")
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    stored = folder / SPEC_FILE
    if not stored.is_file():
        raise ConfigError(f"{folder} exists and is not a sweep: choose another --output")
    before = yaml.safe_load(stored.read_text(encoding="utf-8"))
    for key in sorted(before.keys() | given.keys()):
        # Texts, as a mapping's order of arms is part of the sweep.
        if json.dumps(before.get(key)) != json.dumps(given.get(key)):
            raise ConfigError(f"{folder} was begun with another {key}: use the same sweep file, or another --output")
    is_finished = (folder / "results.json").exists()
    if not (resume or is_finished):
        raise ConfigError(f"{folder} holds an unfinished sweep: --resume continues it")
    return is_finished


def check_everything(spec: SweepSpec, given: Params, say: Say) -> int:
    """Settings at every corner of every space, and all data; returns the number of training problems.

    Raises:
        ConfigError: one line that names the arm or the file.
    """
    for arm in spec.arms:
        for settings in _settings_to_check(spec, arm):
            try:
                matched(spec, settings)
            except ConfigError as error:
                raise ConfigError(f"arms: {arm.name}: {error}") from None
    if dropped := sorted(OWN & given["recipe"].keys()):
        say(f"recipe: {', '.join(dropped)} left out, since the sweep sets them itself")
    train, validation, test = _read_data(spec, say)
    for paths, arm_name in _given_log_p(spec).items():
        try:
            read_given_log_p(paths, train.problems)
        except ConfigError as error:
            raise ConfigError(f"arms: {arm_name}: {error}") from None
    if pairs := find_overlap(validation.problems, test.problems).pairs:
        raise ConfigError(
            f"{spec.test}: problem {pairs[0].second_id!r} is in {spec.validation} too ({len(pairs)} in all): choices "
            "are made on other problems than the test"
        )
    for name, held_out in (("validation", validation), ("test", test)):
        if notice := overlap_notice(train.problems, held_out.problems):
            say(f"warning: {name}: {notice}")
    return len(train)


def _settings_to_check(spec: SweepSpec, arm: Arm) -> list[Params]:
    points = arm.grid() if spec.search == "grid" else arm.corners()
    return [spec.settings_of(arm, params, spec.search_seed) for params in points]


def _given_log_p(spec: SweepSpec) -> dict[str, str]:
    """Each `given_log_p` of the sweep, which may be several files, and the first arm that has it."""
    found: dict[str, str] = {}
    for arm in spec.arms:
        for settings in _settings_to_check(spec, arm):
            if (paths := settings.get("given_log_p")) is not None:
                found.setdefault(str(paths), arm.name)
    return found


def _read_data(spec: SweepSpec, say: Say) -> list[EncodedProblems]:
    """Training, validation and test problems; what was left out is said."""
    config = RunConfig.from_mapping(spec.settings_of(spec.baseline, {}, spec.search_seed))
    found = []
    with quiet_libraries():
        sources = (config.train_data, spec.validation, spec.test)
        splits = (config.train_split, spec.validation_split, spec.test_split)
        rows = [read_problems(source, config, split=split) for source, split in zip(sources, splits, strict=True)]
        tokenizer = load_tokenizer(config.model, trust_remote_code=config.trust_remote_code)
        for name, loaded, limit in zip(("train", "validation", "test"), rows, (config.limit, None, None), strict=True):
            problems = encode(loaded, config, tokenizer, limit=limit)
            if name == "train" and config.without_fold is not None:
                problems = select_fold(problems, config.without_fold, inside=False)
            found.append(problems)
            for notice in found[-1].notices:
                say(f"{name} data: {notice}")
    return found


def planned(sweep: Sweep) -> list[str]:
    """What would run, in numbers; final trainings are at most one for each arm, N and seed."""
    spec, num_arms = sweep.spec, len(sweep.spec.arms)
    lines, most = [], 0
    for arm in spec.arms:
        args = training_config(spec.settings_of(arm, (arm.corners() or [{}])[0], 0))
        steps = scheduled_steps(args, sweep.num_train)
        batch = args.per_device_train_batch_size * args.gradient_accumulation_steps
        most = max(most, steps)
        examples = min(steps * batch, math.ceil(steps * batch / sweep.num_train) * sweep.num_train)
        more = ", more where learnt examples are replaced" if args.replaces_examples and spec.match == "steps" else ""
        lines.append(f"{arm.name}: {spec.trials} trials of up to {steps:,} steps, {examples:,} examples{more}")
    finals = num_arms * len(spec.ns) * len(spec.seeds)
    confirming = 2 * len(spec.confirm_seeds)
    trials = num_arms * spec.trials
    lines += [
        f"trials: {trials}",
        f"final trainings: {num_arms * len(spec.seeds)} to {finals}",
        f"confirming trainings: {confirming}",
        f"optimizer steps: up to {(trials + finals + confirming) * most:,}",
        f"training problems: {sweep.num_train:,}",
    ]
    return lines


# ---- the stages ----


def _inputs(spec: SweepSpec) -> dict[str, str]:
    """SHA-256 of the files that every training starts from, as far as they are files here."""
    model = Path(str(spec.recipe["model"]))
    sources = [Path(str(spec.recipe["train_data"])), Path(spec.validation), Path(spec.test)]
    sources += [Path(path.strip()) for paths in _given_log_p(spec) for path in paths.split(",")]
    in_folder = sorted(path for path in model.glob("*") if path.suffix in MODEL_FILES)
    files = [*sources, *(in_folder if model.is_dir() else [model])]
    found = {}
    for file in files:
        if file.is_file():
            with file.open("rb") as stream:
                found[str(file)] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _begin(spec: SweepSpec, folder: Path, given: Params, inputs: dict[str, str]) -> None:
    """Write down what the sweep is made from, or see that it has not changed."""
    if not (folder / SPEC_FILE).exists():
        write_atomically(folder / SPEC_FILE, yaml.safe_dump(given, sort_keys=False, allow_unicode=True).encode())
        write_atomically(folder / "environment.json", (json.dumps(environment(), indent=1) + "\n").encode())
    if not (folder / INPUTS_FILE).exists():
        write_atomically(folder / INPUTS_FILE, (json.dumps(inputs, indent=1) + "\n").encode())
    check_inputs(spec, folder, inputs)


def check_inputs(spec: SweepSpec, folder: Path, inputs: dict[str, str] | None = None) -> None:
    """Raise ConfigError if what the sweep was begun with has changed."""
    inputs = _inputs(spec) if inputs is None else inputs
    before = json.loads((folder / INPUTS_FILE).read_text(encoding="utf-8"))
    if changed := sorted(name for name in before | inputs if before.get(name) != inputs.get(name)):
        raise ConfigError(f"{changed[0]} has changed since {folder} was begun: choose another --output")


def _run_stages(sweep: Sweep, num_workers: int) -> None:
    spec = sweep.spec
    first = spec.num_independent
    _stage("trials", [[Call(run_trial, (sweep, arm, k))] for k in range(first) for arm in spec.arms], num_workers)
    led = [[Call(run_trial, (sweep, arm, k)) for k in range(first, spec.trials)] for arm in spec.arms]
    _stage("trials led by earlier ones", led, num_workers)
    _stage("final trainings", _final_chains(sweep), num_workers)
    if spec.confirm_seeds:
        _stage("confirmation", _confirming_chains(sweep), num_workers)


def _final_chains(sweep: Sweep) -> list[list[Call]]:
    chains = []
    for arm in sweep.spec.arms:
        grouped = same_settings(choose(sweep.spec, arm, sweep.trials(arm)))
        for trial, (choice, ns) in grouped.items():
            chains += [[Call(run_final, (sweep, arm, trial, choice.params, ns, s))] for s in sweep.spec.seeds]
    return chains


def _confirming_chains(sweep: Sweep) -> list[list[Call]]:
    chains = []
    spec = sweep.spec
    for arm in (spec.baseline, finalist(sweep)):
        trial, params = target_training(sweep, arm)
        arguments = (sweep, arm, trial, params, [spec.target_n])
        chains += [[Call(run_final, (*arguments, seed))] for seed in spec.confirm_seeds]
    return chains


def _stage(name: str, chains: Sequence[Sequence[Call]], num_workers: int) -> None:
    if not any(chains):
        return
    with make_progress() as progress:
        task = progress.add_task(name, total=sum(map(len, chains)), note="")
        run_chains(chains, num_workers, lambda note: progress.update(task, advance=1, note=note))


def _finish(sweep: Sweep, given: Params, *, write: bool) -> None:
    """The tables; results.json comes last and marks a finished sweep."""
    outcome = summarize(sweep)
    if write:
        report.write_report(outcome, sweep.folder)
        results = to_results(given, outcome)
        write_atomically(sweep.folder / "results.json", (json.dumps(results, ensure_ascii=False) + "\n").encode())
    report.show(outcome)
