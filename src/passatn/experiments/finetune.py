"""`passatn train`: fine-tune a model on a file of problems by one objective, watching exact pass@N on held-out ones.

passatn train --config recipe.yaml --output runs/dco-256 --n_passes 256

With `trainer: grpo` the parts and the trainer are those of `experiments/grpo.py`; the folder of the run is the same.
"""

import json
import math
import shlex
import shutil
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import yaml
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from passatn.evaluate import ProblemResult, Results
from passatn.evaluate.callback import Evaluation, PassAtNCallback
from passatn.experiments import grpo
from passatn.experiments.config import ConfigError, RunConfig
from passatn.experiments.decoding import grid, with_settings
from passatn.experiments.given import read_given_log_p
from passatn.experiments.problems import EncodedProblems, encode, overlap_notice, read_problems, select_fold
from passatn.experiments.quiet import silence_trainer
from passatn.experiments.run_directory import MetricsFile, RunDirectory
from passatn.experiments.training_parts import (
    Say,
    device_defaults,
    direct_notice,
    lora_config,
    model_costs,
    named_verifier,
    weight_dtype,
)
from passatn.sample.models import load_model
from passatn.tasks import EncodedExample
from passatn.train import CoverageConfig, CoverageGRPOTrainer, CoverageTrainer
from passatn.train.given import GIVEN_COLUMN
from passatn.verify.reward import PROBLEM_COLUMN


def plan(config: RunConfig, run: RunDirectory, say: Say) -> dict[str, Any]:
    """What a run would do, without doing it: data, steps, parameters and memory. Loads the model and the data."""
    with closing(_load(config, run, say)) as parts:
        numbers = grpo.plan(parts, config) if isinstance(parts, grpo.GRPOParts) else _coverage_plan(parts, config)
    return {**numbers, "arguments": shlex.join(as_arguments(config.to_mapping()))}


def _coverage_plan(parts: "_Parts", config: RunConfig) -> dict[str, Any]:
    args, train = parts.args, parts.train
    batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    steps_per_epoch = math.ceil(len(train) / batch)
    examples = [example for answers in _trained_answers(train, args) for example in answers]
    tokens = sum(len(example.prompt_ids) + len(example.completion_ids) for example in examples)
    costs = model_costs(parts.model, config)
    steps = scheduled_steps(args, len(train))
    rollouts = {"roll-outs per step, at least": batch * args.num_rollouts} if args.draws_rollouts else {}
    return {
        "training problems": len(train),
        "held-out problems": 0 if parts.held_out is None else len(parts.held_out),
        "optimizer steps": steps,
        **rollouts,
        **costs,
        "tokens per epoch": tokens,
        "training FLOPs (6 · parameters · tokens)": 6 * costs["parameters"] * tokens * steps // steps_per_epoch,
    }


def scheduled_steps(args: CoverageConfig, num_examples: int) -> int:
    """Optimizer steps of a run on so many examples, unless it ends early."""
    batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    per_epoch = math.ceil(num_examples / batch)
    return args.max_steps if args.max_steps > 0 else math.ceil(per_epoch * args.num_train_epochs)


def train(
    config: RunConfig,
    run: RunDirectory,
    say: Say,
    *,
    resume: bool = False,
    overwrite: bool = False,
    bar: TrainerCallback | None = None,
) -> Results | None:
    """Run (or resume) the training of `config` in `run`; model and data are checked before anything is written.

    Args:
        say: takes one-line notices.
        resume, overwrite: what to do with an existing run; without either it is refused.
        bar: an optional callback that shows progress.

    Returns:
        The evaluation of the final model, if there are held-out problems.
    """
    run.check(config.to_mapping(), resume=resume, overwrite=overwrite)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    with closing(_load(config, run, say)) as parts:
        return _train(parts, config, run, say, resume=resume, overwrite=overwrite, bar=bar)


def _train(
    parts: "_Parts | grpo.GRPOParts",
    config: RunConfig,
    run: RunDirectory,
    say: Say,
    *,
    resume: bool,
    overwrite: bool,
    bar: TrainerCallback | None,
) -> Results | None:
    try:
        trainer = _build_trainer(parts, config, run, say)
    except BaseException:
        run.remove_empty_folders()
        raise
    if trainer.is_world_process_zero():
        run.begin(config.to_mapping(), overwrite=overwrite)
    trainer.accelerator.wait_for_everyone()
    if bar is not None:
        trainer.add_callback(bar)
    checkpoint = run.last_checkpoint if resume else None
    if resume:
        say(
            f"resuming from {checkpoint}"
            if checkpoint
            else f"{run.path} has no checkpoint yet: training from the start"
        )
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.ended_early:
        say(f"training {trainer.ended_early}")
    return _finish(trainer, parts, config, run)


class HeldOut(PassAtNCallback):
    """Exact pass@N after each epoch; each evaluation is a file of its own, so that a resumed run has them all."""

    def __init__(
        self, trainer: CoverageTrainer, problems: EncodedProblems, config: RunConfig, run: RunDirectory
    ) -> None:
        super().__init__(
            trainer,
            problems.answers,
            ns=config.eval_ns,
            stop_at_n=config.stop_at_n,
            patience=config.patience,
            temperatures=(1.0, *config.eval_temperatures),
        )
        self.encoded, self.config, self.run = problems, config, run

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Read what a resumed run had measured up to its checkpoint; what lies after it will be measured again."""
        self.history = []
        for path in self.run.evaluation_files():
            results = Results.load(path)
            log_p = results.column("log_p")
            if results.run["step"] <= state.global_step and log_p is not None:
                self.history.append(Evaluation(results.run["step"], results.run["epoch"], log_p[:, np.newaxis]))
            elif state.is_world_process_zero:
                path.unlink()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._evaluate_and_store(state, control)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The epoch before, where a run was killed between its checkpoint and the evaluation that follows it."""
        if state.global_step and float(state.epoch or 0).is_integer():
            self._catch_up(state, control)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._catch_up(state, control)

    def _catch_up(self, state: Any, control: Any) -> None:
        if not self.history or self.history[-1].step != state.global_step:
            self._evaluate_and_store(state, control)

    def _evaluate_and_store(self, state: Any, control: Any) -> None:
        self._evaluate(state, control)
        if state.is_world_process_zero:
            last = self.history[-1]
            evaluation_results(self.encoded, last, self.config, self.run).save(self.run.evaluation_file(last.step))


def evaluation_results(
    problems: EncodedProblems, evaluation: Evaluation, config: RunConfig, run: RunDirectory
) -> Results:
    """One exact evaluation in the form of results.json."""
    records = [
        ProblemResult(
            id=problem.id,
            log_p=float(log_p),
            # Scored answers are the accepted strings; other strings may be correct as well.
            is_exact=False,
            metadata={key: value for key, value in problem.metadata.items() if key in ("level", "subject")},
        )
        for problem, log_p in zip(problems.problems, evaluation.log_p[:, 0], strict=True)
    ]
    settings = grid(config.eval_temperatures, [1.0])
    records = list(with_settings(records, settings, evaluation.log_p[:, 1:].T))
    n_passes = config.training.get("n_passes", 1.0)
    description = {
        "name": run.path.name,
        "n_passes": n_passes,
        "step": evaluation.step,
        "epoch": evaluation.epoch,
        "model": config.model,
        "eval_data": config.eval_data,
    }
    return Results.from_problems(description, records, ns=config.eval_ns)


@dataclass
class _Parts:
    """What a training is made of, loaded and checked."""

    args: CoverageConfig
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    train: EncodedProblems
    held_out: EncodedProblems | None
    given_log_p: list[float] | None = None

    def close(self) -> None:
        """Nothing is open: the trainer closes what it opens."""


def _load(config: RunConfig, run: RunDirectory, say: Say) -> _Parts | grpo.GRPOParts:
    """Settings and files before the model: what is wrong with them shows at once."""
    if config.trainer == "grpo":
        return grpo.load(config, run, say)
    args = training_arguments(config, run)
    train_rows = read_problems(config.train_data, config, split=config.train_split)
    eval_rows = read_problems(config.eval_data, config, split=config.eval_split) if config.eval_data else None
    model, tokenizer = load_model(config.model, dtype=weight_dtype(config), trust_remote_code=config.trust_remote_code)
    train = encode(train_rows, config, tokenizer, limit=config.limit)
    if config.without_fold is not None:
        train = select_fold(train, config.without_fold, inside=False)
    given = None if config.given_log_p is None else read_given_log_p(config.given_log_p, train.problems)
    held_out = encode(eval_rows, config, tokenizer, limit=config.eval_limit) if eval_rows else None
    for name, problems in (("train", train), ("held-out", held_out)):
        for notice in problems.notices if problems is not None else []:
            say(f"{name} data: {notice}")
    if args.draws_rollouts and (missing := _reasoning_notice(train, config)):
        say(f"train data: {missing}")
    if held_out is not None and (overlap := overlap_notice(train.problems, held_out.problems)):
        say(f"warning: {overlap}")
    return _Parts(args, model, tokenizer, train, held_out, given)


def training_arguments(config: RunConfig, run: RunDirectory) -> CoverageConfig:
    """The trainer's configuration; raises ConfigError for settings that cannot be, or not together."""
    if config.trainer != "coverage":
        raise ConfigError(f"trainer: {config.trainer} is for passatn train alone, here it must be coverage")
    defaults = device_defaults() | {"max_length": None}
    try:
        return CoverageConfig(**(defaults | config.training | {"output_dir": str(run.checkpoints)}))
    except (TypeError, ValueError, RuntimeError, ImportError) as error:
        raise ConfigError(f"training settings: {error}") from error


def _build_trainer(
    parts: _Parts | grpo.GRPOParts, config: RunConfig, run: RunDirectory, say: Say
) -> CoverageTrainer | CoverageGRPOTrainer:
    trainer: CoverageTrainer | CoverageGRPOTrainer
    if isinstance(parts, grpo.GRPOParts):
        trainer = grpo.build_trainer(parts, config, run)
    else:
        trainer = _build_coverage_trainer(parts, config, run, say)
    silence_trainer(trainer)
    trainer.add_callback(MetricsFile(run.metrics))
    return trainer


def _build_coverage_trainer(parts: _Parts, config: RunConfig, run: RunDirectory, say: Say) -> CoverageTrainer:
    try:
        trainer = CoverageTrainer(
            parts.model,
            args=parts.args,
            train_dataset=_dataset(parts.train, parts.args, parts.given_log_p),
            processing_class=parts.tokenizer,
            peft_config=lora_config(config),
            verifier=named_verifier(config),
        )
    except (RuntimeError, ImportError) as error:
        raise ConfigError(f"training settings: {error}") from error
    kept: Any = trainer.train_dataset
    if parts.args.confidence != "proof" and len(kept) < len(parts.train):
        reason = (
            "have F below min_confidence_weight, or exceed max_length," if parts.given_log_p else "exceed max_length"
        )
        say(f"train data: {len(parts.train) - len(kept)} examples {reason} and were left out")
    if parts.held_out is not None:
        trainer.add_callback(HeldOut(trainer, parts.held_out, config, run))
    return trainer


def _reasoning_notice(problems: EncodedProblems, config: RunConfig) -> str | None:
    """One line if what is trained on has no reasoning, which roll-outs are there to sum over."""
    if notice := direct_notice(config):
        return notice
    without = sum(not problem.reasoning for problem in problems.problems)
    return f"{without} of {len(problems)} problems have no reasoning" if without else None


def _trained_answers(problems: EncodedProblems, args: CoverageConfig) -> list[list[EncodedExample]]:
    """Of each problem: all accepted answers with `confidence: answers`, else the first one."""
    return problems.answers if args.confidence == "answers" else [answers[:1] for answers in problems.answers]


def _dataset(problems: EncodedProblems, args: CoverageConfig, given_log_p: list[float] | None) -> Dataset:
    trained = _trained_answers(problems, args)
    examples = [example for answers in trained for example in answers]
    columns: dict[str, Any] = {
        "input_ids": [[*example.prompt_ids, *example.completion_ids] for example in examples],
        "labels": [[-100] * len(example.prompt_ids) + list(example.completion_ids) for example in examples],
    }
    groups: list[Any] = [problem.metadata.get("group_id") for problem in problems.problems]
    if args.confidence == "answers":
        groups = [number for number, answers in enumerate(trained) for _ in answers]
    if any(group is not None for group in groups):
        columns["group_id"] = groups
    if given_log_p is not None:
        columns[GIVEN_COLUMN] = given_log_p
    if args.draws_rollouts:
        columns[PROBLEM_COLUMN] = [json.dumps(p.to_record(), ensure_ascii=False) for p in problems.problems]
    return Dataset.from_dict(columns)


def as_arguments(settings: dict[str, Any]) -> list[str]:
    """Settings as `--key value` words that read back as they are."""
    words = []
    for key, value in settings.items():
        text = yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("\n...\n").strip()
        words += [f"--{key}", text]
    return words


def _finish(
    trainer: CoverageTrainer | CoverageGRPOTrainer,
    parts: _Parts | grpo.GRPOParts,
    config: RunConfig,
    run: RunDirectory,
) -> Results | None:
    """Store the last evaluation and the final model; the model's folder, whole or absent, marks a finished run."""
    results = None
    is_main = trainer.is_world_process_zero()
    if parts.held_out is not None and is_main:
        results = Results.load(run.evaluation_files()[-1])
        results.save(run.results)
    partial = run.model.with_name("model.partial")
    if is_main:
        shutil.rmtree(partial, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    trainer.save_model(str(partial))
    if is_main:
        parts.tokenizer.save_pretrained(partial)
        (partial / "training_args.bin").unlink(missing_ok=True)
        partial.replace(run.model)
    trainer.accelerator.wait_for_everyone()
    return results
