"""Configuration of the coverage trainer: TRL's SFTConfig plus the fields of Direct Coverage Optimization.

Source: "Rethinking Fine-Tuning when Scaling Test-Time Compute", arXiv 2502.07154, section 5.1 and appendix B.
"""

import math
from dataclasses import dataclass, field

from trl import SFTConfig

from passatn.train.objectives.config import SAMPLED, ObjectiveConfig
from passatn.train.rollout_config import RolloutConfig

CONFIDENCES = ("completion", "proof", "rollouts")
LOSS_NORMALIZATIONS = ("sequence", "token")


@dataclass
class CoverageConfig(RolloutConfig, ObjectiveConfig, SFTConfig):
    """SFTConfig with the objective −log(1 − (1 − p)^N) and the replacement of examples that are already learnt.

    `objective` names another loss in its place (see `ObjectiveConfig` for its options).

    Args:
        n_passes: N ≥ 1, the number of samples that will be drawn per problem at test time. 1 is cross-entropy.
        min_confidence_weight: ε in [0, 1). Examples with F(N, p) < ε are replaced until the batch is full of
            active ones (appendix B). None is the paper's value: 0.3, and 0.01 with confidence="rollouts"; with
            objectives other than "dco", which the paper does not have, it is 0. 0 weights every example and replaces
            none. In place of F, majority_vote and best_of_n have the weight of their gradient, as a share of its
            largest value.
        min_active_fraction: training ends, and says so, once fewer than this fraction of the last pass over the
            data had F ≥ ε.
        max_data_passes: end once this many passes over the data have been weighed; with replacement that can be
            before the last scheduled step. None: run all scheduled steps.
        confidence: whose probability p is. "completion": of one completion. "proof": of all rows with the same
            `group_id` together (whole-proof DCO, section 5.3); a group then counts as one example everywhere,
            in `per_device_train_batch_size` too. "rollouts": of any correct answer, whatever the reasoning before it,
            estimated by roll-outs of the current weights (DCOa, section 5.4; see `RolloutConfig` for its fields). F is
            then a constant weight on the cross-entropy of the given reasoning and answer.
        loss_normalization: "sequence" divides Σ −log C^N by the number of examples in the global batch;
            "token" by their number of completion tokens, so that the gradient is F times TRL's mean token loss.
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
        metadata={"help": "Probability of one completion, of a group, or by roll-outs.", "choices": list(CONFIDENCES)},
    )
    loss_normalization: str = field(
        default="sequence",
        metadata={"help": "Divide by examples or by completion tokens.", "choices": list(LOSS_NORMALIZATIONS)},
    )
    skip_bad_examples: bool = field(
        default=False, metadata={"help": "Skip and count over-long or border-merging examples instead of stopping."}
    )
    # A NaN loss must show: the Trainer's default replaces it by the running average.
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Hide NaN and inf losses from the log."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_confidence_weight is None:
            paper = 0.01 if self.confidence == "rollouts" else 0.3
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
        self.check_objective(self.n_passes, self.min_confidence_weight, self.confidence)
        self.check_rollouts(self.n_passes, self.min_confidence_weight)
        if self.max_data_passes is not None:
            if not self.max_data_passes > 0:
                raise ValueError(f"max_data_passes must be positive, got {self.max_data_passes}")
            if not self.replaces_examples:
                raise ValueError(
                    "max_data_passes counts passes under replacement; without it (n_passes=1 or "
                    "min_confidence_weight=0) set num_train_epochs instead"
                )

    @property
    def replaces_examples(self) -> bool:
        """Whether learnt examples are replaced. F(1, p) = 1, so nothing is ever replaced at N = 1."""
        discards = self.min_confidence_weight > 0 or (self.draws_rollouts and self.rollout_weight == "hard")
        return self.n_passes != 1 and discards

    @property
    def draws_rollouts(self) -> bool:
        """Whether success rates are estimated by roll-outs. At N = 1 every weight is 1, and none is drawn."""
        return self.confidence == "rollouts" and self.n_passes != 1

    @property
    def is_plain_sft(self) -> bool:
        """Whether TRL's own loss is taken unchanged: N = 1 normalised by tokens."""
        return self.objective == "dco" and self.n_passes == 1 and self.loss_normalization == "token"

    @property
    def draws_candidates(self) -> bool:
        """Whether batches come from the candidate stream rather than from TRL's data loader."""
        return self.replaces_examples or self.draws_rollouts

    @property
    def activity(self) -> str:
        """What makes an example part of a batch, in words."""
        if self.draws_rollouts and self.rollout_weight == "hard":
            return f"a success rate below {self.hard_max_success:g}"
        weight = "F(N, p)" if self.objective == "dco" else "a weight"
        return f"{weight} >= {self.min_confidence_weight:g} at N = {self.n_passes:g}"

    @property
    def loss_in_words(self) -> str:
        """What an error that refuses a combination calls this configuration."""
        if self.objective == "dco":
            return f"n_passes={self.n_passes:g}"
        at = f" at n_passes={self.n_passes:g}" if self.objective in SAMPLED else ""
        return f"objective={self.objective!r}{at}"
