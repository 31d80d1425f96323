"""Configuration of the coverage trainer: TRL's SFTConfig plus the fields of Direct Coverage Optimization.

Source: "Rethinking Fine-Tuning when Scaling Test-Time Compute", arXiv 2502.07154, section 5.1 and appendix B.
"""

import math
from dataclasses import dataclass, field

from trl import SFTConfig

from passatn.train.n_schedule import NScheduleConfig
from passatn.train.objectives.config import SAMPLED, ObjectiveConfig
from passatn.train.parameter_groups import ParameterGroupConfig
from passatn.train.rollout_config import RolloutConfig

CONFIDENCES = ("completion", "proof", "answers", "given", "rollouts")
LOSS_NORMALIZATIONS = ("sequence", "token")


@dataclass
class CoverageConfig(RolloutConfig, NScheduleConfig, ObjectiveConfig, ParameterGroupConfig, SFTConfig):
    """SFTConfig with the objective −log(1 − (1 − p)^N) and the replacement of examples that are already learnt.

    `objective` names another loss in its place (see `ObjectiveConfig` for its options), `new_parameters` what has a
    learning rate of its own (see `ParameterGroupConfig`).

    Args:
        n_passes: N ≥ 1, the number of samples that will be drawn per problem at test time. 1 is cross-entropy. See
            `NScheduleConfig` for an N that changes while training runs.
        min_confidence_weight: ε in [0, 1). Examples with F(N, p) < ε are replaced until the batch is full of
            active ones (appendix B). None is the paper's value: 0.3, and 0.01 with confidence="rollouts", or "given",
            which has as constant a weight; with objectives other than "dco", which the paper does not have, it is 0.
            0 weights every example and replaces none. In place of F, majority_vote and best_of_n have the weight of
            their gradient, as a share of its largest value.
        min_active_fraction: training ends, and says so, once fewer than this fraction of the last pass over the
            data had F ≥ ε.
        max_data_passes: end once this many passes over the data have been weighed; with replacement that can be
            before the last scheduled step. None: run all scheduled steps.
        confidence: whose probability p is. "completion": of one completion. "proof": of all rows with the same
            `group_id` together (whole-proof DCO, section 5.3); a group then counts as one example everywhere,
            in `per_device_train_batch_size` too. "answers": of any of the rows with the same `group_id`, which are the
            accepted answers to one prompt; their probabilities are added (see `train/alternatives.py`). "given": of the
            example under another model, in a column `given_log_p`; F is then a constant weight on the cross-entropy,
            and examples with F < ε are left out at the start (see `train/given.py`). "rollouts": of any correct answer,
            whatever the reasoning before it, estimated by roll-outs of the current weights (DCOa, section 5.4; see
            `RolloutConfig` for its fields). F is then a constant weight on the cross-entropy of the given reasoning and
            answer.
        loss_normalization: "sequence" divides Σ −log C^N by the number of examples in the global batch;
            "token" by their number of completion tokens, so that the gradient is F times TRL's mean token loss.
        weight_ema: decay d in (0, 1) of an exponential moving average of the weights over optimizer steps (see
            `train/weight_ema.py`), which is what is evaluated and what `save_model` writes. The trainer's model keeps
            its own weights, which roll-outs are drawn with; `CoverageTrainer.averaged_weights` puts the average in. A
            checkpoint has the model's own weights, to be resumed exactly, and the average beside them
            (weight_ema.safetensors); with `save_only_model`, the average alone as the model. None: no average.
        skip_bad_examples: leave out (and count) examples longer than `max_length` and those whose tokens merge
            across the prompt/completion border, instead of stopping with an error.

    Raises:
        ValueError: a field is out of range, or cannot be combined with the rest (see `train/checks.py`).
    """

    n_passes: float = field(default=1.0, metadata={"help": "N: samples per problem at test time (1 = cross-entropy)."})
    # None stands for the paper's value until __post_init__ has filled it in.
    min_confidence_weight: float = field(
        default=None,  # type: ignore[assignment]
        metadata={"help": "Replace examples with F(N, p) below this (0 = weights without replacement)."},
    )
    min_active_fraction: float = field(
        default=0.1, metadata={"help": "End training when fewer of the last pass's examples than this have F >= ε."}
    )
    max_data_passes: float | None = field(
        default=None, metadata={"help": "End after this many passes over the data (None: all scheduled steps)."}
    )
    confidence: str = field(
        default="completion",
        metadata={
            "help": "Probability of a completion, of all or any of a group, given, or by roll-outs.",
            "choices": list(CONFIDENCES),
        },
    )
    loss_normalization: str = field(
        default="sequence",
        metadata={"help": "Divide by examples or by completion tokens.", "choices": list(LOSS_NORMALIZATIONS)},
    )
    weight_ema: float | None = field(
        default=None, metadata={"help": "Decay of a moving average of the weights, which is then evaluated and saved."}
    )
    skip_bad_examples: bool = field(
        default=False, metadata={"help": "Skip and count over-long or border-merging examples instead of stopping."}
    )
    # A NaN loss must show: the Trainer's default replaces it by the running average.
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Hide NaN and inf losses from the log."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_confidence_weight is None:
            paper = 0.01 if self.confidence in ("rollouts", "given") else 0.3
            self.min_confidence_weight = paper if self.objective == "dco" else 0.0
        if self.sequential_stops is None:
            self.sequential_stops = "both" if self.rollout_weight == "hard" else "discard"
        if not (math.isfinite(self.n_passes) and self.n_passes >= 1):
            raise ValueError(f"n_passes must be a finite number >= 1, got {self.n_passes}")
        if not 0 <= self.min_confidence_weight < 1:
            raise ValueError(f"min_confidence_weight must be in [0, 1), got {self.min_confidence_weight}")
        if not 0 <= self.min_active_fraction <= 1:
            raise ValueError(f"min_active_fraction must be in [0, 1], got {self.min_active_fraction}")
        if self.confidence not in CONFIDENCES:
            raise ValueError(f"confidence must be one of {CONFIDENCES}, got {self.confidence!r}")
        if self.loss_normalization not in LOSS_NORMALIZATIONS:
            raise ValueError(
                f"loss_normalization must be one of {LOSS_NORMALIZATIONS}, got {self.loss_normalization!r}"
            )
        if self.confidence == "answers" and self.loss_normalization == "token":
            raise ValueError(
                "confidence='answers' needs loss_normalization='sequence': its answers differ in their number of tokens"
            )
        if self.weight_ema is not None and not 0 < self.weight_ema < 1:
            raise ValueError(f"weight_ema must be in (0, 1) or None, got {self.weight_ema}")
        if self.n_passes_mixture is not None:
            self.n_passes_mixture = list(self.n_passes_mixture)
        self.check_n_schedule(
            self.n_passes,
            objective=self.objective,
            confidence=self.confidence,
            majority_threshold=self.majority_threshold,
        )
        self.check_objective(self.largest_n, self.min_confidence_weight, self.confidence)
        self.check_rollouts(self.n_passes, self.min_confidence_weight)
        self.check_parameter_groups()
        if self.max_data_passes is not None:
            if not self.max_data_passes > 0:
                raise ValueError(f"max_data_passes must be positive, got {self.max_data_passes}")
            if not self.replaces_examples:
                raise ValueError(
                    "max_data_passes counts passes under replacement; without it (n_passes=1, "
                    "min_confidence_weight=0 or confidence='given') set num_train_epochs instead"
                )

    @property
    def largest_n(self) -> float:
        """The largest N of any step."""
        return max(self.n_passes, self.n_passes_start or 1.0)

    @property
    def has_groups(self) -> bool:
        """Whether rows that share a `group_id` are one example."""
        return self.confidence in ("proof", "answers")

    @property
    def replaces_examples(self) -> bool:
        """Whether learnt examples are replaced. F(1, p) = 1, so nothing is ever replaced at N = 1."""
        discards = self.min_confidence_weight > 0 or (self.draws_rollouts and self.rollout_weight == "hard")
        return self.largest_n != 1 and discards and self.confidence != "given"

    @property
    def draws_rollouts(self) -> bool:
        """Whether success rates are estimated by roll-outs. At N = 1 every weight is 1, and none is drawn."""
        return self.confidence == "rollouts" and self.n_passes != 1

    @property
    def weighs_given(self) -> bool:
        """Whether weights come from given probabilities. At N = 1 every weight is 1, and none is needed."""
        return self.confidence == "given" and self.n_passes != 1

    @property
    def is_plain_sft(self) -> bool:
        """Whether TRL's own loss is taken unchanged: N = 1 normalised by tokens."""
        return self.objective == "dco" and self.largest_n == 1 and self.loss_normalization == "token"

    @property
    def draws_candidates(self) -> bool:
        """Whether batches come from the candidate stream rather than from TRL's data loader."""
        return self.replaces_examples or self.draws_rollouts

    def activity(self, n: float) -> str:
        """What makes an example part of a batch at N = n, in words."""
        if self.draws_rollouts and self.rollout_weight == "hard":
            return f"a success rate below {self.hard_max_success:g}"
        weight = "F(N, p)" if self.objective == "dco" else "a weight"
        return f"{weight} >= {self.min_confidence_weight:g} at N = {n:g}"

    @property
    def loss_in_words(self) -> str:
        """What an error that refuses a combination calls this configuration."""
        if self.objective == "dco":
            return f"n_passes={self.largest_n:g}"
        at = f" at n_passes={self.largest_n:g}" if self.objective in SAMPLED else ""
        return f"objective={self.objective!r}{at}"
