"""Cross-entropy, DCOa and GRPO on mini-reasoning: the paper's comparison of section 5.4 at a size for two CPU cores.

    python -m passatn.experiments.mini_reasoning --output runs/mini-reasoning --seeds 3

A small Llama is pre-trained on single operations and fine-tuned on few chains of two, with the step between written
out. All arms start from the same base (GRPO, which needs some success to begin with, from the cross-entropy run after
`warm_epochs`), take the same number of optimizer steps, and are evaluated by samples along the way. Each arm is one
file in the output folder; what is there is not run again.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import LlamaForCausalLM, TrainerCallback

from passatn.evaluate import write_atomically
from passatn.experiments.quiet import quiet_libraries, silence_trainer
from passatn.experiments.small_models import small_llama
from passatn.sample import HFEngine, SampleRequest, SamplingParams
from passatn.tasks import Problem, encode_problems, extract_answer, get_template
from passatn.tasks.mini_reasoning import (
    LONGEST_COMPLETION,
    TEMPLATE,
    build_tokenizer,
    chains,
    singles,
)
from passatn.tasks.prompts import PromptTemplate
from passatn.train import CoverageConfig, CoverageGRPOConfig, CoverageGRPOTrainer, CoverageTrainer, prompt_dataset
from passatn.train.rollout_data import reasoning_dataset
from passatn.verify.exact import ExactVerifier
from passatn.verify.reward import VerifierReward
from passatn.verify.stated import StatedAnswer


@dataclass(frozen=True)
class Settings:
    """Sizes of the experiment."""

    pretrain_steps: int = 1500
    pretrain_batch: int = 128
    num_train: int = 256
    num_eval: int = 120
    num_samples: int = 128
    batch_size: int = 32
    epochs: int = 16
    eval_epochs: tuple[int, ...] = (2, 4, 8, 16)
    learning_rate: float = 1e-3
    warm_epochs: int = 2


RATE_MARK = ", rate "
"""Between the name of an arm and a learning rate other than the default."""


@dataclass(frozen=True)
class Arm:
    """One run: `kind` is ce, dcoa or grpo; `options` are fields of its configuration, over the defaults here."""

    name: str
    kind: str
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)


def main_arms(seed: int) -> list[Arm]:
    return [
        Arm("CE", "ce", seed),
        Arm("DCOa-64", "dcoa", seed, {"n_passes": 64.0}),
        Arm("GRPO", "grpo", seed),
    ]


def variants(seed: int) -> list[Arm]:
    """DCOa with fewer roll-outs, with the paper's hard filter (sequential: stopped on keep too), and at another N."""
    return [
        Arm("DCOa-64, sequential", "dcoa", seed, {"n_passes": 64.0, "sequential_error": 0.05}),
        Arm("DCOa-64, age 16", "dcoa", seed, {"n_passes": 64.0, "max_estimate_age": 16}),
        Arm("DCOa-64, hard", "dcoa", seed, {"n_passes": 64.0, "rollout_weight": "hard"}),
        Arm(
            "DCOa-64, hard, sequential",
            "dcoa",
            seed,
            {"n_passes": 64.0, "rollout_weight": "hard", "sequential_error": 0.05},
        ),
        Arm("DCOa-256", "dcoa", seed, {"n_passes": 256.0}),
    ]


def other_rates(seed: int) -> list[Arm]:
    """Both sides of the comparison at learning rates around the default, so that neither is favoured by it."""
    rates = (3e-4, 3e-3)
    return [
        Arm(f"{name}{RATE_MARK}{rate:g}", kind, seed, options | {"learning_rate": rate})
        for name, kind, options in (("CE", "ce", {}), ("DCOa-64", "dcoa", {"n_passes": 64.0}))
        for rate in rates
    ]


def pretrain(settings: Settings, folder: Path) -> None:
    """The base model: single operations by cross-entropy; an existing one is left alone."""
    if (folder / "model.safetensors").exists():
        return
    model = small_llama(build_tokenizer(), hidden=96, layers=3, context=40, initializer_range=0.06)
    args = CoverageConfig(
        **_common(folder),
        loss_normalization="token",
        num_train_epochs=1,
        per_device_train_batch_size=settings.pretrain_batch,
        learning_rate=3e-3,
        lr_scheduler_type="linear",
        warmup_steps=min(100, settings.pretrain_steps // 4),
        adam_beta2=0.98,
        weight_decay=0.1,
        max_length=None,
    )
    problems = singles(settings.pretrain_steps * settings.pretrain_batch, seed=0)
    dataset = _tokenised(problems, get_template("raw"))
    with quiet_libraries():
        trainer = CoverageTrainer(model, args=args, train_dataset=dataset, processing_class=build_tokenizer())
        silence_trainer(trainer)
        trainer.train()
    _save(trainer.model, folder)


def run_arm(arm: Arm, settings: Settings, base: Path, output: Path) -> None:
    """Train one arm and store what it solves along the way; see `Evaluation` for the numbers."""
    file = output / f"{arm.name}-seed{arm.seed}.json"
    if file.exists():
        return
    start = _warm(settings, output, arm.seed) if arm.kind == "grpo" else base
    model = LlamaForCausalLM.from_pretrained(start)
    with quiet_libraries():
        trainer = {"ce": _coverage, "dcoa": _coverage, "grpo": _grpo}[arm.kind](arm, settings, model, output)
        silence_trainer(trainer)
        keep = _warm(settings, output, arm.seed) if arm.kind == "ce" and RATE_MARK not in arm.name else None
        evaluation = Evaluation(settings, first_epoch=settings.warm_epochs if arm.kind == "grpo" else 0, keep=keep)
        trainer.add_callback(evaluation)
        began = time.monotonic()
        trainer.train()
    record = {
        "arm": asdict(arm),
        "settings": asdict(settings),
        "evaluations": evaluation.records,
        "seconds": round(time.monotonic() - began - evaluation.seconds, 1),
        "ended_early": getattr(trainer, "ended_early", None),
        "log": [entry for entry in trainer.state.log_history if "loss" in entry or "surrogate_loss" in entry],
    }
    write_atomically(file, json.dumps(record).encode())


class Evaluation(TrainerCallback):
    """Samples validation and test chains at the end of some epochs, and counts per problem.

    Each record: epoch, step, and for each split `num_correct` and `most_frequent`, the samples that were right and
    those that ended in the most frequent answer, per problem.
    """

    def __init__(self, settings: Settings, *, first_epoch: int, keep: Path | None) -> None:
        self.records: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._settings, self._first_epoch, self._keep = settings, first_epoch, keep

    def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        settings = self._settings
        epoch = self._first_epoch + round(state.epoch)
        if self._keep is not None and epoch == settings.warm_epochs:
            _save(model, self._keep)
        if epoch not in settings.eval_epochs:
            return
        began = time.monotonic()
        record: dict[str, Any] = {"epoch": epoch, "step": state.global_step}
        for split in ("validation", "test"):
            problems = chains(split, settings.num_eval, seed=7)
            correct, frequent = count_answers(model, problems, settings.num_samples)
            record |= {f"{split}_num_correct": correct, f"{split}_most_frequent": frequent}
        self.records.append(record)
        self.seconds += time.monotonic() - began


def count_answers(model: Any, problems: Sequence[Problem], num_samples: int) -> tuple[list[int], list[int]]:
    """Of each problem's samples, how many are right and how many end in the most frequent answer."""
    tokenizer = build_tokenizer()
    examples, _ = encode_problems(tokenizer, TEMPLATE, problems)
    requests = [
        SampleRequest(problem.id, example.prompt_ids)
        for problem, example in zip(problems, examples, strict=True)
        if example is not None
    ]
    params = SamplingParams(n=num_samples, max_new_tokens=LONGEST_COMPLETION, seed=1)
    answers: dict[str, Counter[str]] = {problem.id: Counter() for problem in problems}
    for completion in HFEngine(model, tokenizer).sample(requests, params):
        stated = extract_answer(TEMPLATE, completion.text) if completion.finished else None
        if stated is not None:
            answers[completion.problem_id][stated] += 1
    return (
        [answers[problem.id][problem.answers[0]] for problem in problems],
        [max(answers[problem.id].values(), default=0) for problem in problems],
    )


def _coverage(arm: Arm, settings: Settings, model: Any, output: Path) -> Any:
    problems = chains("finetune", settings.num_train, seed=100 + arm.seed)
    options: dict[str, Any] = _common(output / f"{arm.name}-{arm.seed}") | _schedule(arm, settings)
    options |= {"num_train_epochs": settings.epochs, "per_device_train_batch_size": settings.batch_size}
    options |= {"max_length": None}
    if arm.kind == "ce":
        args = CoverageConfig(**(options | arm.options))
        return CoverageTrainer(
            model, args=args, train_dataset=_tokenised(problems, TEMPLATE), processing_class=build_tokenizer()
        )
    options |= {"confidence": "rollouts", "rollout_max_new_tokens": LONGEST_COMPLETION}
    return CoverageTrainer(
        model,
        args=CoverageConfig(**(options | arm.options)),
        train_dataset=reasoning_dataset(problems, TEMPLATE),
        processing_class=build_tokenizer(),
        verifier=StatedAnswer(ExactVerifier(), TEMPLATE),
    )


def _grpo(arm: Arm, settings: Settings, model: Any, output: Path) -> Any:
    """As many optimizer steps as the other arms take after `warm_epochs`, with eight roll-outs per problem."""
    problems = chains("finetune", settings.num_train, seed=100 + arm.seed)
    options: dict[str, Any] = {"num_generations": 8, "learning_rate": 1e-4} | arm.options
    options = _common(output / f"{arm.name}-{arm.seed}") | _schedule(arm, settings) | options
    options |= {"num_train_epochs": settings.epochs - settings.warm_epochs}
    options |= {"per_device_train_batch_size": settings.batch_size * options["num_generations"]}
    args = CoverageGRPOConfig(max_completion_length=LONGEST_COMPLETION, **options)
    reward = VerifierReward(ExactVerifier(), TEMPLATE)
    return CoverageGRPOTrainer(
        model,
        reward_funcs=reward,
        args=args,
        train_dataset=prompt_dataset(problems, TEMPLATE),
        processing_class=build_tokenizer(),
    )


def _common(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_steps": 10,
    }


def _schedule(arm: Arm, settings: Settings) -> dict[str, Any]:
    return {
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": 1000 + arm.seed,
    }


def _tokenised(problems: Sequence[Problem], template: PromptTemplate) -> Dataset:
    examples = [example for example in encode_problems(build_tokenizer(), template, problems)[0] if example is not None]
    return Dataset.from_dict(
        {
            "input_ids": [[*example.prompt_ids, *example.completion_ids] for example in examples],
            "labels": [[-100] * len(example.prompt_ids) + list(example.completion_ids) for example in examples],
        }
    )


def _warm(settings: Settings, output: Path, seed: int) -> Path:
    return output / f"warm-{settings.warm_epochs}-seed{seed}"


def _save(model: Any, folder: Path) -> None:
    """Once: a run that was killed after it, and trains again, has the same weights there."""
    if (folder / "model.safetensors").exists():
        return
    partial = folder.with_name(folder.name + ".partial")
    model.save_pretrained(partial)
    build_tokenizer().save_pretrained(partial)
    partial.rename(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/mini-reasoning"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--variants", type=int, default=0, help="seeds of the variants of DCOa")
    parser.add_argument("--rates", type=int, default=0, help="seeds of CE and DCOa at other learning rates")
    parser.add_argument("--epochs", type=int, default=Settings.epochs)
    parser.add_argument("--num-train", type=int, default=Settings.num_train)
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = Settings(epochs=args.epochs, num_train=args.num_train)
    pretrain(settings, args.output / "base")
    arms = [arm for seed in range(args.seeds) for arm in main_arms(seed)]
    arms += [arm for seed in range(args.variants) for arm in variants(seed)]
    for arm in arms + [arm for seed in range(args.rates) for arm in other_rates(seed)]:
        run_arm(arm, settings, args.output / "base", args.output)
        print(f"{arm.name}, seed {arm.seed}: done", flush=True)


if __name__ == "__main__":
    main()
