"""`passatn train`: fine-tune a model on a file of problems by one objective, watching exact pass@N on held-out ones.

passatn train --config recipe.yaml --output runs/dco-256 --n_passes 256
"""

import math
import os
from collections.abc import Callable
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from passatn.evaluate import ProblemResult, Results
from passatn.evaluate.callback import Evaluation, PassAtNCallback
from passatn.experiments.config import RunConfig
from passatn.experiments.problems import EncodedProblems, load_encoded, overlap_notice
from passatn.experiments.quiet import silence_trainer
from passatn.experiments.run_directory import MetricsFile, RunDirectory
from passatn.sample.models import load_model
from passatn.tasks import EncodedExample
from passatn.train import CoverageConfig, CoverageTrainer

Say = Callable[[str], None]


def plan(config: RunConfig, run: RunDirectory, say: Say) -> dict[str, Any]:
    """What a run would do, without doing it: data, steps, parameters and memory. Loads the model and the data."""
    model, tokenizer = load_model(config.model, dtype=config.dtype, trust_remote_code=config.trust_remote_code)
    train, held_out = _load_data(config, tokenizer, say)
    args = _training_arguments(config, run)
    batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    steps_per_epoch = math.ceil(len(train) / batch)
    tokens = sum(len(example.prompt_ids) + len(example.completion_ids) for (example, *_) in train.answers)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    steps = args.max_steps if args.max_steps > 0 else math.ceil(steps_per_epoch * args.num_train_epochs)
    return {
        "training problems": len(train),
        "held-out problems": 0 if held_out is None else len(held_out),
        "optimizer steps": steps,
        "parameters": parameters,
        "tokens per epoch": tokens,
        "training FLOPs (6 · parameters · tokens)": 6 * parameters * tokens * steps / steps_per_epoch,
        "memory for weights, gradients and AdamW (GB)": round(16 * parameters / 1e9, 2),
        "arguments": " ".join(f"--{key} {value}" for key, value in config.to_mapping().items()),
    }


def train(config: RunConfig, run: RunDirectory, say: Say, *, resume: bool = False, bar: Any = None) -> Results | None:
    """Run (or resume) the training of `config` in `run`; results.json is written last.

    Args:
        say: takes one-line notices.
        bar: an optional TrainerCallback that shows progress.

    Returns:
        The evaluation of the final model, if there are held-out problems.
    """
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    model, tokenizer = load_model(config.model, dtype=config.dtype, trust_remote_code=config.trust_remote_code)
    problems, held_out = _load_data(config, tokenizer, say)
    trainer = CoverageTrainer(
        model,
        args=_training_arguments(config, run),
        train_dataset=_dataset(problems),
        processing_class=tokenizer,
        peft_config=_lora(config),
    )
    silence_trainer(trainer)
    trainer.add_callback(MetricsFile(run.metrics))
    if bar is not None:
        trainer.add_callback(bar)
    if held_out is not None:
        trainer.add_callback(HeldOut(trainer, held_out, config, run))
    trainer.train(resume_from_checkpoint=run.last_checkpoint if resume else None)
    if trainer.ended_early:
        say(f"training {trainer.ended_early}")
    return _finish(trainer, tokenizer, held_out, config, run)


class HeldOut(PassAtNCallback):
    """Exact pass@N after each epoch; each evaluation is a file of its own, so that a resumed run has them all."""

    def __init__(
        self, trainer: CoverageTrainer, problems: EncodedProblems, config: RunConfig, run: RunDirectory
    ) -> None:
        super().__init__(
            trainer, problems.answers, ns=config.eval_ns, stop_at_n=config.stop_at_n, patience=config.patience
        )
        self.encoded, self.config, self.run = problems, config, run

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        super().on_epoch_end(args, state, control, **kwargs)
        if state.is_world_process_zero:
            last = self.history[-1]
            path = self.run.evaluations / f"step-{last.step:06d}.json"
            evaluation_results(self.encoded, last, self.config, self.run).save(path)


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


def _load_data(
    config: RunConfig, tokenizer: PreTrainedTokenizerBase, say: Say
) -> tuple[EncodedProblems, EncodedProblems | None]:
    train = load_encoded(config.train_data, config, tokenizer, split=config.train_split, limit=config.limit)
    held_out = None
    if config.eval_data:
        held_out = load_encoded(config.eval_data, config, tokenizer, split=config.eval_split, limit=config.eval_limit)
    for name, problems in (("train", train), ("held-out", held_out)):
        for notice in problems.notices if problems is not None else []:
            say(f"{name} data: {notice}")
    if held_out is not None and (notice := overlap_notice(train.problems, held_out.problems)):
        say(f"warning: {notice}")
    return train, held_out


def _training_arguments(config: RunConfig, run: RunDirectory) -> CoverageConfig:
    on_gpu = torch.cuda.is_available()
    defaults: dict[str, Any] = {
        "use_cpu": not on_gpu,
        "bf16": on_gpu,
        "gradient_checkpointing": on_gpu,
        "report_to": "none",
        "save_strategy": "epoch",
        "save_total_limit": 2,
        "logging_steps": 1,
        "disable_tqdm": True,
        "max_length": None,
    }
    return CoverageConfig(**(defaults | config.training | {"output_dir": str(run.checkpoints)}))


def _dataset(problems: EncodedProblems) -> Dataset:
    examples: list[EncodedExample] = [answers[0] for answers in problems.answers]
    columns: dict[str, Any] = {
        "input_ids": [[*example.prompt_ids, *example.completion_ids] for example in examples],
        "labels": [[-100] * len(example.prompt_ids) + list(example.completion_ids) for example in examples],
    }
    groups = [problem.metadata.get("group_id") for problem in problems.problems]
    if any(group is not None for group in groups):
        columns["group_id"] = groups
    return Dataset.from_dict(columns)


def _lora(config: RunConfig) -> Any:
    if config.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(task_type="CAUSAL_LM", **config.lora)


def _finish(
    trainer: CoverageTrainer,
    tokenizer: PreTrainedTokenizerBase,
    held_out: EncodedProblems | None,
    config: RunConfig,
    run: RunDirectory,
) -> Results | None:
    """Store the last evaluation and the final model; the model's folder, whole or absent, marks a finished run."""
    results = None
    if held_out is not None and trainer.is_world_process_zero():
        results = Results.load(max(run.evaluations.glob("step-*.json")))
        results.save(run.results)
    partial = run.model.with_name("model.partial")
    trainer.save_model(str(partial))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(partial)
        (partial / "training_args.bin").unlink(missing_ok=True)
        os.replace(partial, run.model)
    return results
