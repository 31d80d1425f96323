"""The demo's training runs: a small Llama that learns mini-MATH, and its fine-tuning by one objective.

Every run uses transformers' Llama, the coverage trainer and exact scoring, as a run on a large model would. One arm:

    run_arm(Arm("DCO-256", n_passes=256), settings, base_dir, output_file)
"""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import LlamaForCausalLM, TrainerCallback

from passatn.evaluate.callback import PassAtNCallback
from passatn.experiments.quiet import quiet_libraries, silence_trainer
from passatn.experiments.small_models import small_llama
from passatn.sample import HFEngine, SampleRequest
from passatn.tasks import EncodedExample
from passatn.tasks.mini_math import (
    FUNCTION_IDS,
    MAX_COMPLETION_LENGTH,
    MiniMathBatch,
    Split,
    build_tokenizer,
    sample_problems,
)
from passatn.train import CoverageConfig, CoverageTrainer

Progress = Callable[[int, int], None]
"""Called with (steps done, steps planned)."""

TEMPERATURES = (1.0, 1.15, 1.35, 1.6, 2.0, 2.5, 3.2)


@dataclass(frozen=True)
class Settings:
    """Sizes of the experiment; the defaults are the full demo."""

    pretrain_steps: int = 1200
    pretrain_batch: int = 128
    epochs: int = 16
    num_train: int = 1000
    num_eval: int = 1000
    batch_size: int = 32


@dataclass(frozen=True)
class Arm:
    """One fine-tuning run.

    Args:
        learning_rate: of all weights but the embedding, constant.
        embedding_rate: of the embedding; with `reset_rows_only`, of the ten reset rows alone, the rest frozen.
        ema: decay per step of an exponential moving average of the weights, which is then what is evaluated.
    """

    name: str
    n_passes: float = 1.0
    min_confidence_weight: float = 0.3
    learning_rate: float = 1e-3
    embedding_rate: float = 1e-2
    reset_rows_only: bool = False
    ema: float | None = None
    seed: int = 0


def pretrain(
    settings: Settings,
    output_dir: Path,
    progress: Progress,
    seed: int = 0,
    *,
    hidden_size: int = 96,
    num_layers: int = 3,
) -> None:
    """Train the base model on fresh problems by cross-entropy and save it; an existing one is left alone."""
    if (output_dir / "model.safetensors").exists():
        return
    model = small_llama(
        build_tokenizer(), hidden=hidden_size, layers=num_layers, context=16, initializer_range=0.06, seed=seed
    )
    # Tokens far apart from the start: fine-tuning moves ten of these rows, at a rate set for unit scale.
    torch.nn.init.normal_(model.model.embed_tokens.weight)
    batch = sample_problems("pretrain", settings.pretrain_steps * settings.pretrain_batch, seed=seed)
    args = _config(
        output_dir,
        n_passes=1.0,
        loss_normalization="token",
        num_train_epochs=1,
        per_device_train_batch_size=settings.pretrain_batch,
        learning_rate=3e-3,
        lr_scheduler_type="linear",
        warmup_steps=min(100, settings.pretrain_steps // 4),
        adam_beta2=0.98,
        weight_decay=0.1,
    )
    trainer = _trainer(model, args, batch, progress)
    trainer.train()
    partial = output_dir.with_name(output_dir.name + ".partial")
    trainer.model.save_pretrained(partial)
    build_tokenizer().save_pretrained(partial)
    partial.rename(output_dir)


def run_arm(arm: Arm, settings: Settings, base_dir: Path, output_file: Path, progress: Progress) -> None:
    """Fine-tune the base model by one objective and store exact scores at the end of every epoch.

    The stored arrays: `log_p_test` and `log_p_validation` `[evaluations, problems, temperatures]`, `steps` and
    `epochs` `[evaluations]`, `greedy_log_p` and `greedy_correct` `[problems]` at the end, and counters.
    """
    if output_file.exists():
        return
    model = LlamaForCausalLM.from_pretrained(base_dir)
    reset_function_embeddings(model, seed=arm.seed)
    args = _config(
        output_file.parent,
        n_passes=arm.n_passes,
        min_confidence_weight=arm.min_confidence_weight,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        lr_scheduler_type="constant",
        max_grad_norm=1.0,
        seed=1000 + arm.seed,
        dataloader_drop_last=True,
        weight_ema=arm.ema,
    )
    batch = sample_problems("finetune", settings.num_train, seed=100 + arm.seed)
    trainer = _trainer(model, args, batch, progress, optimizers=(_optimizer(model, arm), None))
    callback = EvaluateBothSplits(trainer, settings)
    trainer.add_callback(callback)
    trainer.train()
    with trainer.averaged_weights():
        log_p, correct = greedy_answers(trainer.model, _split("test", settings))
    log = [entry for entry in trainer.state.log_history if "examples_seen" in entry]
    temporary = output_file.with_suffix(".partial.npz")
    arrays: dict[str, Any] = {
        **{f"log_p_{split}": np.stack([entry.log_p for entry in history]) for split, history in callback.items()},
        "steps": [entry.step for entry in callback.history("test")],
        "epochs": [entry.epoch for entry in callback.history("test")],
        "temperatures": TEMPERATURES,
        "greedy_log_p": log_p,
        "greedy_correct": correct,
        "steps_done": trainer.state.global_step,
        "steps_planned": trainer.state.max_steps,
        "examples_seen": log[-1]["examples_seen"],
        "examples_replaced": log[-1].get("examples_replaced", 0),
        "ended_early": trainer.ended_early or "",
    }
    np.savez(temporary, **arrays)
    os.replace(temporary, output_file)


def reset_function_embeddings(model: LlamaForCausalLM, seed: int) -> None:
    """Put the ten functions behind new instruction tokens: their embeddings become their mean plus 0.1·noise."""
    rows: torch.Tensor = model.model.embed_tokens.weight.data
    noise = torch.randn(len(FUNCTION_IDS), rows.shape[1], generator=torch.Generator().manual_seed(seed))
    rows[list(FUNCTION_IDS)] = rows[list(FUNCTION_IDS)].mean(0) + 0.1 * noise


def encoded(batch: MiniMathBatch) -> list[list[EncodedExample]]:
    """Each problem's one accepted answer, as `score_problems` takes it."""
    lengths = batch.completion_lengths.tolist()
    prompts, completions = batch.prompt_ids.tolist(), batch.completion_ids.tolist()
    return [
        [EncodedExample(tuple(prompt), tuple(completion[:length]))]
        for prompt, completion, length in zip(prompts, completions, lengths, strict=True)
    ]


def greedy_answers(model: torch.nn.Module, batch: MiniMathBatch) -> tuple[np.ndarray, np.ndarray]:
    """Greedy completions: log-probability `[problems]` and whether each is the answer `[problems]` (paper §4.3)."""
    engine = HFEngine(model, build_tokenizer())
    problems = [problem[0] for problem in encoded(batch)]
    requests = [SampleRequest(str(index), problem.prompt_ids) for index, problem in enumerate(problems)]
    completions = engine.greedy(requests, max_new_tokens=MAX_COMPLETION_LENGTH)
    correct = [
        tuple(found.token_ids) == problem.completion_ids for found, problem in zip(completions, problems, strict=True)
    ]
    return np.array([found.log_prob for found in completions]), np.array(correct)


class EvaluateBothSplits(TrainerCallback):
    """Exact scores of validation and test problems at the end of each epoch."""

    def __init__(self, trainer: CoverageTrainer, settings: Settings) -> None:
        self._callbacks = {
            split: PassAtNCallback(
                trainer, encoded(_split(split, settings)), every="epoch", temperatures=TEMPERATURES, prefix=split
            )
            for split in ("validation", "test")
        }

    def history(self, split: str) -> list[Any]:
        return self._callbacks[split].history

    def items(self) -> list[tuple[str, list[Any]]]:
        return [(split, callback.history) for split, callback in self._callbacks.items()]

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for callback in self._callbacks.values():
            callback.on_epoch_end(args, state, control, **kwargs)


class ReportProgress(TrainerCallback):
    """Tell someone how many steps are done."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % 10 == 0 or state.global_step == state.max_steps:
            self.progress(state.global_step, state.max_steps)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.progress(state.global_step, state.global_step)


def _split(name: Split, settings: Settings) -> MiniMathBatch:
    return sample_problems(name, settings.num_eval, seed=7)


def _config(output_dir: Path, **settings: Any) -> CoverageConfig:
    return CoverageConfig(
        output_dir=str(output_dir),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        logging_steps=31,
        disable_tqdm=True,
        max_length=None,
        **settings,
    )


def _trainer(
    model: LlamaForCausalLM, args: CoverageConfig, batch: MiniMathBatch, progress: Progress, **kwargs: Any
) -> CoverageTrainer:
    examples = [example for answers in encoded(batch) for example in answers]
    dataset = Dataset.from_dict(
        {
            "input_ids": [[*example.prompt_ids, *example.completion_ids] for example in examples],
            "labels": [[-100] * len(example.prompt_ids) + list(example.completion_ids) for example in examples],
        }
    )
    with quiet_libraries():
        trainer = CoverageTrainer(model, args=args, train_dataset=dataset, processing_class=build_tokenizer(), **kwargs)
    silence_trainer(trainer)
    trainer.add_callback(ReportProgress(progress))
    return trainer


def _optimizer(model: LlamaForCausalLM, arm: Arm) -> torch.optim.Optimizer:
    embedding = model.model.embed_tokens.weight
    if arm.reset_rows_only:
        mask = torch.zeros_like(embedding)
        mask[list(FUNCTION_IDS)] = 1
        embedding.register_hook(lambda gradient: gradient * mask)
    others = [parameter for parameter in model.parameters() if parameter is not embedding]
    groups = [{"params": [embedding], "lr": arm.embedding_rate}, {"params": others, "lr": arm.learning_rate}]
    return torch.optim.AdamW(groups, lr=arm.learning_rate, weight_decay=0.0)


def arm_fingerprint(arm: Arm, settings: Settings) -> str:
    """What a stored result depends on, as text."""
    return repr((dataclasses.asdict(arm), dataclasses.asdict(settings), TEMPERATURES))
