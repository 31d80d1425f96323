"""Configuration of the coverage trainer: TRL's SFTConfig plus the fields of Direct Coverage Optimization.

Source: "Rethinking Fine-Tuning when Scaling Test-Time Compute", arXiv 2502.07154, section 5.1 and appendix B.
"""

import math
from dataclasses import dataclass, field

from trl import SFTConfig

CONFIDENCES = ("completion", "proof")
LOSS_NORMALIZATIONS = ("sequence", "token")


@dataclass
class CoverageConfig(SFTConfig):
    """SFTConfig with the objective −log(1 − (1 − p)^N) and the replacement of examples that are already learnt.

    Args:
        n_passes: N ≥ 1, the number of samples that will be drawn per problem at test time. 1 is cross-entropy.
        min_confidence_weight: ε in [0, 1). Examples with F(N, p) < ε are replaced until the batch is full of
            active ones (appendix B; the paper's value is 0.3). 0 weights every example and replaces none.
        min_active_fraction: training ends, and says so, once fewer than this fraction of the last pass over the
            data had F ≥ ε.
        max_data_passes: end once this many passes over the data have been weighed; with replacement that can be
            before the last scheduled step. None: run all scheduled steps.
        confidence: whose probability p is. "completion": of one completion. "proof": of all rows with the same
            `group_id` together (whole-proof DCO, section 5.3); a group then counts as one example everywhere,
            in `per_device_train_batch_size` too.
        loss_normalization: "sequence" divides Σ −log C^N by the number of examples in the global batch;
            "token" by their number of completion tokens, so that the gradient is F times TRL's mean token loss.
        skip_bad_examples: leave out (and count) examples longer than `max_length` and those whose tokens merge
            across the prompt/completion border, instead of stopping with an error.

    Raises:
        ValueError: a field is out of range, or cannot be combined with the rest (see `train/checks.py`).
    """

    n_passes: float = field(default=1.0, metadata={"help": "N: samples per problem at test time (1 = cross-entropy)."})
    min_confidence_weight: float = field(
        default=0.3, metadata={"help": "Replace examples with F(N, p) below this (0 = weights without replacement)."}
    )
    min_active_fraction: float = field(
        default=0.1, metadata={"help": "End training when fewer of the last pass's examples than this have F >= ε."}
    )
    max_data_passes: float | None = field(
        default=None, metadata={"help": "End after this many passes over the data (None: all scheduled steps)."}
    )
    confidence: str = field(
        default="completion",
        metadata={"help": "Probability of what: one completion, or a whole group.", "choices": list(CONFIDENCES)},
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
        return self.n_passes != 1 and self.min_confidence_weight > 0

    @property
    def is_plain_sft(self) -> bool:
        """Whether TRL's own loss is taken unchanged: N = 1 normalised by tokens."""
        return self.n_passes == 1 and self.loss_normalization == "token"
