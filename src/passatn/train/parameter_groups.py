"""A learning rate of their own for parameters that start from nothing: new embeddings, a new head.

    passatn train --new_parameters 'embed_tokens|lm_head' --new_parameters_learning_rate 1e-2 …

What was pre-trained wants small steps, what is new wants large ones. The schedule (warm-up, decay) scales both rates
alike; weight decay stays what it is for each parameter. The `learning_rate` in the log is that of the others.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim import Optimizer
from transformers import Trainer


@dataclass
class ParameterGroupConfig:
    """Which parameters are new, and how fast they learn.

    Args:
        new_parameters: a regular expression, searched for in the names of the parameters. A tied weight has several
            names, of which one has to match.
        new_parameters_learning_rate: their learning rate; `learning_rate` is that of the others.
    """

    new_parameters: str | None = field(
        default=None, metadata={"help": "Regular expression: names of parameters with a learning rate of their own."}
    )
    new_parameters_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of the parameters that new_parameters names."}
    )

    def check_parameter_groups(self) -> None:
        """Raise ValueError naming the field that is wrong or missing."""
        if (self.new_parameters is None) != (self.new_parameters_learning_rate is None):
            raise ValueError("new_parameters and new_parameters_learning_rate go together: set both, or neither")
        if self.new_parameters is None or self.new_parameters_learning_rate is None:
            return
        try:
            re.compile(self.new_parameters)
        except re.error as error:
            raise ValueError(f"new_parameters {self.new_parameters!r} is no regular expression: {error}") from None
        if not 0 <= self.new_parameters_learning_rate < math.inf:
            raise ValueError(
                f"new_parameters_learning_rate must be a number >= 0, got {self.new_parameters_learning_rate}"
            )


class ParameterGroupMixin(Trainer):
    """Splits each parameter group of the optimizer that `Trainer` makes into the others' and the new parameters'."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config: Any = self.args
        for name, applies in {
            "DeepSpeed": self.is_deepspeed_enabled,
            "an optimizer that is given to the trainer": self.optimizer is not None,
        }.items():
            if config.new_parameters is not None and applies:
                raise ValueError(f"new_parameters_learning_rate cannot be combined with {name}")
        if config.new_parameters is not None:
            model: Any = self.model
            find_new(model, config.new_parameters)  # before anything is written

    def create_optimizer(self, model: Any = None) -> Optimizer:
        is_new = self.optimizer is None
        optimizer: Optimizer = super().create_optimizer(model)
        args: Any = self.args
        if is_new and args.new_parameters is not None:
            trained: Any = self.model if model is None else model
            split_groups(optimizer, trained, args.new_parameters, args.new_parameters_learning_rate)
        return optimizer


def split_groups(optimizer: Optimizer, model: nn.Module, pattern: str, learning_rate: float) -> None:
    """Give the parameters whose name `pattern` is found in a rate of their own, before the first step.

    The groups that were there stay, in order, with what is left in them; those of the new parameters follow.

    Raises:
        ValueError: no parameter that is trained has such a name.
    """
    new = find_new(model, pattern)
    added = []
    for group in optimizer.param_groups:
        chosen = [parameter for parameter in group["params"] if id(parameter) in new]
        if chosen:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in new]
            added.append({**group, "params": chosen, "lr": learning_rate})
    for group in added:
        optimizer.add_param_group(group)


def find_new(model: nn.Module, pattern: str) -> set[int]:
    """The `id` of each parameter that is trained and whose name, or one of whose names, the pattern is found in.

    Raises:
        ValueError: there is none.
    """
    named = model.named_parameters(remove_duplicate=False)
    new = {id(parameter) for name, parameter in named if parameter.requires_grad and re.search(pattern, name)}
    if not new:
        names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        raise ValueError(
            f"new_parameters {pattern!r} is in the name of no parameter that is trained; there are {names[0]} … "
            f"{names[-1]}"
        )
    return new
