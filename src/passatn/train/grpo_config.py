"""Configuration of the GRPO baseline and of pass@N-aware reinforcement learning: TRL's GRPOConfig and five fields.

The defaults are the baseline of arXiv 2502.07154, section 5.2: Dr. GRPO (arXiv 2503.20783), no KL term, one update per
batch of roll-outs, 8 of them per problem at temperature 1, learning rate 1e-6 after 20 steps of warm-up. The paper's
batch of 128 problems is 1,024 roll-outs: per_device_train_batch_size × gradient_accumulation_steps × processes.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import SchedulerType
from trl import GRPOConfig

from passatn.train.advantages import Advantage, get_advantage

# Losses that are a mean over roll-outs, and so can be scaled to those that a short batch has.
REFILL_LOSSES = ("dr_grpo", "grpo")


@dataclass
class CoverageGRPOConfig(GRPOConfig):
    """GRPOConfig with an advantage estimator and the refilling of groups whose rewards are all equal.

    Args:
        advantage: the estimator, by its name in `passatn.train.advantages`: "group_mean" is Dr. GRPO.
        advantage_options: its keyword arguments, {"k": 4}.
        refill_groups: groups whose rewards are all equal leave the batch, and further problems take their place until
            it is full.
        max_generation_rounds: how often roll-outs are generated for one batch at most. A batch that is not full then
            (or after one pass over the data) is trained on as it is, averaged over the groups it has; without any
            group the weights stay as they are. Either is logged.
        max_data_passes: end once this many passes over the data have been rolled out; where groups are dropped that is
            before the last scheduled step. The paper's epochs are such passes. None: run all scheduled steps.

    Raises:
        ValueError: a field is out of range, or cannot be combined with the rest.
    """

    _VALID_DICT_FIELDS = [*GRPOConfig._VALID_DICT_FIELDS, "advantage_options"]  # noqa: RUF012 (TRL's own class attribute)

    advantage: str = field(default="group_mean", metadata={"help": "Advantage estimator: group_mean is Dr. GRPO."})
    advantage_options: dict[str, Any] | str | None = field(
        default=None, metadata={"help": 'Options of the advantage estimator, as JSON: {"k": 4}.'}
    )
    refill_groups: bool = field(
        default=True, metadata={"help": "Replace groups whose rewards are all equal until the batch is full."}
    )
    max_generation_rounds: int = field(
        default=10, metadata={"help": "Most generation rounds per batch; a batch that is not full then stays short."}
    )
    max_data_passes: float | None = field(
        default=None, metadata={"help": "End after this many passes over the data (None: all scheduled steps)."}
    )
    # Other defaults than TRL's.
    loss_type: str = field(default="dr_grpo", metadata={"help": "See GRPOConfig; dr_grpo has no length bias."})
    scale_rewards: str = field(default="none", metadata={"help": "Must be none: the estimator sets the scale."})
    lr_scheduler_type: SchedulerType | str = field(
        default="constant_with_warmup", metadata={"help": "The scheduler type to use."}
    )
    warmup_steps: float = field(default=20, metadata={"help": "Steps of linear warm-up."})
    # A NaN loss must show: the Trainer's default replaces it by the running average.
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Hide NaN and inf losses from the log."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale_rewards != "none":
            raise ValueError(
                f"scale_rewards must be 'none', got {self.scale_rewards!r}: the advantage estimator sets the scale"
            )
        if self.multi_objective_aggregation != "sum_then_normalize":
            raise ValueError(
                "multi_objective_aggregation must be 'sum_then_normalize': the advantage estimator takes the sum"
            )
        if self.max_generation_rounds < 1:
            raise ValueError(f"max_generation_rounds must be at least 1, got {self.max_generation_rounds}")
        if self.max_data_passes is not None:
            if not self.max_data_passes > 0:
                raise ValueError(f"max_data_passes must be positive, got {self.max_data_passes}")
            if not self.refill_groups:
                raise ValueError(
                    "max_data_passes counts passes under refilling; without refill_groups set num_train_epochs instead"
                )
        if self.refill_groups and self.loss_type not in REFILL_LOSSES:
            raise ValueError(
                f"refill_groups needs a loss that is a mean over roll-outs, {' or '.join(REFILL_LOSSES)}, got "
                f"loss_type={self.loss_type!r}; set refill_groups=False to keep groups with equal rewards"
            )
        # An option that does not fit shows now, not after the first roll-outs.
        assert self.num_generations is not None
        group = torch.zeros(1, self.num_generations)
        self.estimator(group, group)

    @property
    def groups_per_batch(self) -> int:
        """Number of groups that roll-outs are generated for at a time, over all processes."""
        assert self.generation_batch_size is not None
        assert self.num_generations is not None
        return self.generation_batch_size // self.num_generations

    @property
    def estimator(self) -> Advantage:
        """The advantage estimator with its options."""
        options = self.advantage_options or {}
        if not isinstance(options, dict):
            raise ValueError(f'advantage_options must be a mapping such as {{"k": 4}}, got {options!r}')
        return get_advantage(self.advantage, **options)
