"""`passatn train` with `trainer: grpo`: reinforcement learning on a file of problems, watching sampled pass@N.

passatn train --config recipes/grpo-math.yaml --output runs/grpo

The folder of the run, resuming and the model at the end are those of `experiments/finetune.py`, which calls this module
for what differs: the data are prompts, the reward is a verifier's, and held-out problems are sampled.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.integrations import is_deepspeed_zero3_enabled

from passatn.experiments.config import ConfigError, RunConfig
from passatn.experiments.held_out_samples import HeldOutSamples
from passatn.experiments.problems import PromptedProblems, overlap_notice, prompts, read_problems
from passatn.experiments.run_directory import RunDirectory
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
from passatn.tasks import ProblemSet, get_template
from passatn.train import CoverageGRPOConfig, CoverageGRPOTrainer, prompt_dataset
from passatn.verify.reward import VerifierReward

NEED_ANSWERS = ("math", "exact")
"""Verifiers that compare with accepted answers: a problem without one would never be solved."""


@dataclass
class GRPOParts:
    """What a training is made of, loaded and checked."""

    args: CoverageGRPOConfig
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    train: PromptedProblems
    held_out: PromptedProblems | None
    reward: VerifierReward

    def close(self) -> None:
        """Release the verifier's processes."""
        self.reward.close()


def load(config: RunConfig, run: RunDirectory, say: Say) -> GRPOParts:
    """Settings and files before the model: what is wrong with them shows at once."""
    args = grpo_arguments(config, run)
    train_rows = read_problems(config.train_data, config, split=config.train_split)
    eval_rows = read_problems(config.eval_data, config, split=config.eval_split) if config.eval_data else None
    reward = VerifierReward(named_verifier(config), get_template(config.template), strict=config.strict_format)
    model, tokenizer = load_model(config.model, dtype=weight_dtype(config), trust_remote_code=config.trust_remote_code)
    train = _prompts(train_rows, config, tokenizer, limit=config.limit)
    held_out = _prompts(eval_rows, config, tokenizer, limit=config.eval_limit) if eval_rows else None
    for name, problems in (("train", train), ("held-out", held_out)):
        for notice in problems.notices if problems is not None else []:
            say(f"{name} data: {notice}")
    if missing := direct_notice(config):
        say(f"train data: {missing}")
    if held_out is not None and (overlap := overlap_notice(train.problems, held_out.problems)):
        say(f"warning: {overlap}")
    return GRPOParts(args, model, tokenizer, train, held_out, reward)


def grpo_arguments(config: RunConfig, run: RunDirectory) -> CoverageGRPOConfig:
    """The trainer's configuration; raises ConfigError for settings that cannot be, or not together."""
    try:
        return CoverageGRPOConfig(**(device_defaults() | config.training | {"output_dir": str(run.checkpoints)}))
    except (TypeError, ValueError, RuntimeError, ImportError) as error:
        raise ConfigError(f"training settings: {error}") from error


def build_trainer(parts: GRPOParts, config: RunConfig, run: RunDirectory) -> CoverageGRPOTrainer:
    """The trainer, with the evaluation on held-out problems if there are any."""
    try:
        trainer = CoverageGRPOTrainer(
            parts.model,
            reward_funcs=parts.reward,
            args=parts.args,
            train_dataset=prompt_dataset(parts.train.problems, parts.reward.template),
            processing_class=parts.tokenizer,
            peft_config=lora_config(config),
        )
    except (RuntimeError, ImportError) as error:
        raise ConfigError(f"training settings: {error}") from error
    if parts.held_out is None:
        return trainer
    if trainer.is_fsdp_enabled or is_deepspeed_zero3_enabled():
        raise ConfigError(
            "eval_data: held-out problems are sampled from the model itself, which FSDP and ZeRO-3 spread over "
            "processes: leave eval_data out, and sample the finished model (passatn sample)"
        )
    trainer.add_callback(HeldOutSamples(trainer, parts.held_out, parts.reward, config, run))
    return trainer


def plan(parts: GRPOParts, config: RunConfig) -> dict[str, Any]:
    """What a run would do, in numbers, by what they are called."""
    args, held_out = parts.args, parts.held_out
    steps, rollouts = scheduled_steps(args, len(parts.train.problems)), rollouts_per_step(args)
    most = {"roll-outs per step, at most": rollouts * args.max_generation_rounds} if args.refill_groups else {}
    evaluation = {} if held_out is None else {"samples per evaluation": len(held_out.problems) * config.eval_samples}
    return {
        "training problems": len(parts.train.problems),
        "held-out problems": 0 if held_out is None else len(held_out.problems),
        "optimizer steps": steps,
        "roll-outs per step, at least": rollouts,
        **most,
        "roll-outs in all, at least": steps * rollouts,
        **evaluation,
        **model_costs(parts.model, config),
    }


def rollouts_per_step(args: CoverageGRPOConfig) -> int:
    """New roll-outs that an optimizer step is trained on, over all processes."""
    batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    return batch // args.num_iterations


def scheduled_steps(args: CoverageGRPOConfig, num_problems: int) -> int:
    """Optimizer steps of a run; an epoch's last problems that fill no batch are left out, as in TRL's sampler."""
    if args.max_steps > 0:
        return args.max_steps
    assert args.steps_per_generation is not None
    micro_batches = num_problems // args.groups_per_batch * args.steps_per_generation * args.num_iterations
    per_epoch = max(1, math.ceil(micro_batches / args.gradient_accumulation_steps))
    return math.ceil(per_epoch * args.num_train_epochs)


def _prompts(
    loaded: ProblemSet, config: RunConfig, tokenizer: PreTrainedTokenizerBase, *, limit: int | None
) -> PromptedProblems:
    """Prompts within the length limits; with a verifier that compares answers, of problems that have one."""
    verifier = config.verifier or "math"
    if verifier not in NEED_ANSWERS:
        return prompts(loaded, config, tokenizer, limit=limit)
    answered = replace(loaded, problems=tuple(problem for problem in loaded if problem.answers))
    if not answered:
        raise ConfigError(f"{loaded.source}: no problem has an accepted answer, which the verifier {verifier} needs")
    chosen = prompts(answered, config, tokenizer, limit=limit)
    missing = len(loaded) - len(answered)
    notices = [f"{missing} problems without an accepted answer were left out"] if missing else []
    return replace(chosen, notices=[*chosen.notices, *notices])
