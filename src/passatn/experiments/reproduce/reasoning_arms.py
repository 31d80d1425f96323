"""The three arms beyond the demo, as settings of `passatn train`: SmolLM2 at scale `small`, the paper's at `paper`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.recipes import LLAMA_8B, SMOLLM2

KINDS: Mapping[str, str] = {"CE": "ce", "DCOa-64": "dcoa", "GRPO": "grpo"}
NS = (1, 16, 64)
EPOCHS = (1, 3, 5)
"""Those of table 3."""
NUM_SAMPLES = 64


@dataclass(frozen=True)
class Sizes:
    """What differs between the scales; `longest` is of a completion, in tokens."""

    training: Mapping[str, Any]
    longest: int
    rollouts: Mapping[str, Any]


_PAPER = Sizes(
    {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "learning_rate": 2e-5},
    longest=1024,
    rollouts={"n_passes": 64, "num_rollouts": 64},
)
_SMALL = Sizes(
    {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 4, "learning_rate": 1e-4}
    | {"max_prompt_tokens": 160, "max_answer_tokens": 192, "limit": 1000},
    longest=256,
    rollouts={"n_passes": 64, "num_rollouts": 64},
)
_QUICK = Sizes(
    {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "learning_rate": 1e-3}
    | {"max_prompt_tokens": 512, "max_answer_tokens": 64, "limit": 12, "num_train_epochs": 3},
    longest=12,
    rollouts={"n_passes": 8, "num_rollouts": 8},
)
_COMMON: Mapping[str, Any] = {
    "preset": "math",
    "template": "alpaca",
    "skip_bad_rows": True,
    "num_train_epochs": 5,
    "lr_scheduler_type": "constant_with_warmup",
    "warmup_steps": 20,
    "max_grad_norm": 1.0,
    "weight_decay": 0.0,
    "save_strategy": "epoch",
    "save_total_limit": 64,
    "seed": 0,
}
# What differs with GRPO; max_data_passes since the paper's epochs count the problems that are dropped.
_GRPO: Mapping[str, Any] = {
    "trainer": "grpo",
    "template": "r1",
    "verifier": "math",
    "num_generations": 8,
    "learning_rate": 1e-6,
    "max_data_passes": 5,
}


def sizes_of(context: Context) -> Sizes:
    if context.scale == "paper":
        return _PAPER
    return _QUICK if context.quick else _SMALL


def arm_settings(context: Context) -> dict[str, dict[str, Any]]:
    """All settings of the three runs, by the names of the arms."""
    sizes = sizes_of(context)
    shape = LLAMA_8B if context.scale == "paper" else SMOLLM2
    source, split = context.math_data("train")
    common = {"model": context.model or shape.name, "train_data": source, **_COMMON, **sizes.training}
    common |= {} if split is None else {"train_split": split}
    drawn = {"confidence": "rollouts", "verifier": "math", **sizes.rollouts, "rollout_max_new_tokens": sizes.longest}
    return {"CE": common | {"n_passes": 1}, "DCOa-64": common | drawn, "GRPO": _grpo(common, sizes.longest)}


def _grpo(common: Mapping[str, Any], longest: int) -> dict[str, Any]:
    """As many problems a batch as the other arms; its size counts their roll-outs."""
    accumulation = common["gradient_accumulation_steps"] * _GRPO["num_generations"]
    # The text of r1 is longer than that of the other arms' template.
    prompts = {"max_prompt_tokens": common["max_prompt_tokens"] + 128} if "max_prompt_tokens" in common else {}
    own = {"gradient_accumulation_steps": accumulation, "max_completion_length": longest}
    return {**common, **_GRPO, **own, **prompts}
