"""What the trainers of `passatn train` have in common: defaults by device, the adapter, the verifier, the costs."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedModel

from passatn.experiments.config import ConfigError, RunConfig
from passatn.tasks import get_template
from passatn.verify.registry import get_verifier
from passatn.verify.stated import StatedAnswer
from passatn.verify.verdict import Verifier

Say = Callable[[str], None]
"""Takes one-line notices."""


def device_defaults() -> dict[str, Any]:
    """Settings of a trainer that a recipe need not name."""
    on_gpu = torch.cuda.is_available()
    return {
        "use_cpu": not on_gpu,
        "bf16": on_gpu and torch.cuda.is_bf16_supported(),
        "gradient_checkpointing": on_gpu,
        "report_to": "none",
        "save_strategy": "epoch",
        "save_total_limit": 2,
        "logging_steps": 1,
        "disable_tqdm": True,
    }


def weight_dtype(config: RunConfig) -> str:
    """All weights are trained in float32 unless told otherwise; beside an adapter they stay as stored."""
    return "float32" if config.dtype == "auto" and config.lora is None else config.dtype


def lora_config(config: RunConfig) -> Any:
    """The adapter to train, or None for all weights."""
    if config.lora is None:
        return None
    from peft import LoraConfig

    try:
        return LoraConfig(**({"task_type": "CAUSAL_LM"} | config.lora))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"lora {config.lora}: {error}") from error


def named_verifier(config: RunConfig) -> str | Verifier:
    """What judges roll-outs: a name, which the trainer opens and closes, but for `exact`, which needs the template."""
    name = config.verifier or "math"
    return StatedAnswer(get_verifier(name), get_template(config.template)) if name == "exact" else name


def direct_notice(config: RunConfig) -> str | None:
    """One line if the template leaves no place for reasoning, which roll-outs are there for."""
    if "{reasoning}" in get_template(config.template).completion:
        return None
    return f"the template {config.template} has no place for reasoning: the model is trained to answer directly"


def model_costs(model: PreTrainedModel, config: RunConfig) -> dict[str, Any]:
    """Parameters, and the memory that they take in training, by what a plan calls them."""
    weight_bytes = sum(parameter.numel() * parameter.itemsize for parameter in model.parameters())
    parameters, trained = sum(parameter.numel() for parameter in model.parameters()), _count_trained(model, config)
    return {
        "parameters": parameters,
        "trained parameters": trained,
        "memory for weights, gradients and AdamW (GB)": round((weight_bytes + 12 * trained) / 1e9, 2),
    }


def _count_trained(model: PreTrainedModel, config: RunConfig) -> int:
    """Parameters with a gradient. With `lora` the adapter is put into the model to be counted."""
    if config.lora is None:
        return sum(parameter.numel() for parameter in model.parameters())
    from peft import get_peft_model

    adapted = get_peft_model(model, lora_config(config))
    return sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
