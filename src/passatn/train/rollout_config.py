"""The fields of CoverageConfig for confidence="rollouts": chain-of-thought training with online success estimates.

Source: DCOa, arXiv 2502.07154, section 5.4.
"""

import math
from dataclasses import dataclass, field

from passatn.train.rollout_weights import RolloutWeight

ROLLOUT_WEIGHTS = ("soft", "hard")
ROLLOUT_ESTIMATES = ("plug-in", "posterior")
SEQUENTIAL_STOPS = ("both", "discard")

ROLLOUT_OBJECTIVE = [
    "num_rollouts",
    "rollout_temperature",
    "rollout_max_new_tokens",
    "rollout_weight",
    "hard_max_success",
    "rollout_estimate",
    "rollout_prior_successes",
    "rollout_prior_failures",
    "max_estimate_age",
    "sequential_error",
    "sequential_stops",
]
"""The fields that must be the same when a run is resumed."""


@dataclass
class RolloutConfig:
    """How success rates are estimated, and what follows from them.

    Args:
        num_rollouts: n, roll-outs per candidate and estimate (the paper: n = N = 64).
        rollout_temperature: at which they are drawn; 1 samples the model itself.
        rollout_max_new_tokens: longest roll-out; a longer one counts as wrong. None: twice the longest completion of
            the training data.
        rollout_weight: "soft" multiplies the cross-entropy by F(N, p̂) and discards F < `min_confidence_weight`;
            "hard" discards p̂ ≥ `hard_max_success` and leaves the cross-entropy as it is.
        hard_max_success: the limit of "hard" (0.1 in the paper's code).
        rollout_estimate: "plug-in" takes F at p̂ = c/n; "posterior" takes the expectation of F under the Beta posterior.
        rollout_prior_successes, rollout_prior_failures: a and b of its prior (1, 1: uniform; 0.5, 0.5: Jeffreys).
        max_estimate_age: optimizer steps for which an estimate is used again. 0: fresh ones at every step, as in the
            paper. An estimate that is older is made anew when its candidate comes up.
        sequential_error: None draws all n roll-outs. Otherwise those of a candidate stop as soon as keep or discard is
            decided; the decision differs from that of all n with at most this probability, whatever p is.
        sequential_stops: "discard" draws all n of what is kept, so that its weight is as without stopping. "both" stops
            for either decision, and F of what is kept then rests on few roll-outs: for N = n = 64, an error of 0.05
            and p = 0.05, the plug-in F is 0.41 on average, where all n give 0.23 and p itself 0.13. None: "both" for
            the hard filter, whose weight is 1 in any case, else "discard".
        rollout_parity_tolerance: nats per token by which an engine with weights of its own may differ from the
            trainer's model after a transfer (None: by the model's dtype; an engine in bfloat16 needs about 0.1).
    """

    num_rollouts: int = field(default=64, metadata={"help": "Roll-outs per candidate and estimate."})
    rollout_temperature: float = field(default=1.0, metadata={"help": "Temperature of the roll-outs."})
    rollout_max_new_tokens: int | None = field(
        default=None, metadata={"help": "Longest roll-out (None: twice the longest training completion)."}
    )
    rollout_weight: str = field(
        default="soft", metadata={"help": "F(N, p), or a filter on p.", "choices": list(ROLLOUT_WEIGHTS)}
    )
    hard_max_success: float = field(default=0.1, metadata={"help": "The hard filter keeps success rates below this."})
    rollout_estimate: str = field(
        default="plug-in",
        metadata={"help": "F at c/n, or its posterior expectation.", "choices": list(ROLLOUT_ESTIMATES)},
    )
    rollout_prior_successes: float = field(default=1.0, metadata={"help": "a of the Beta(a, b) prior."})
    rollout_prior_failures: float = field(default=1.0, metadata={"help": "b of the Beta(a, b) prior."})
    max_estimate_age: int = field(default=0, metadata={"help": "Steps for which an estimate is used again."})
    sequential_error: float | None = field(
        default=None, metadata={"help": "Stop roll-outs once keep/discard is decided at this error rate (None: off)."}
    )
    # None stands for the weight's own value until __post_init__ of CoverageConfig has filled it in.
    sequential_stops: str = field(
        default=None,  # type: ignore[assignment]
        metadata={"help": "Which decisions stop roll-outs early.", "choices": list(SEQUENTIAL_STOPS)},
    )
    rollout_parity_tolerance: float | None = field(
        default=None, metadata={"help": "Nats per token an engine may differ by after a weight transfer."}
    )

    def rollout_rule(self, n_passes: float, min_weight: float) -> RolloutWeight:
        """The weight that these settings give to an estimate."""
        return RolloutWeight(
            n_passes,
            min_weight,
            prior=(self.rollout_prior_successes, self.rollout_prior_failures)
            if self.rollout_estimate == "posterior"
            else None,
            hard_max_success=self.hard_max_success if self.rollout_weight == "hard" else None,
        )

    def check_rollouts(self, n_passes: float, min_weight: float) -> None:
        """Raise ValueError for a field out of range, or fields that do not go together; names it and its value."""
        for name, choices in (
            ("rollout_weight", ROLLOUT_WEIGHTS),
            ("rollout_estimate", ROLLOUT_ESTIMATES),
            ("sequential_stops", SEQUENTIAL_STOPS),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        for name, least in (("num_rollouts", 1), ("rollout_max_new_tokens", 1), ("max_estimate_age", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        for name in ("rollout_temperature", "rollout_prior_successes", "rollout_prior_failures"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be a finite number above 0, got {getattr(self, name)}")
        if not 0 < self.hard_max_success <= 1:
            raise ValueError(f"hard_max_success must be in (0, 1], got {self.hard_max_success}")
        if self.sequential_error is not None and not 0 < self.sequential_error < 0.5:
            raise ValueError(f"sequential_error must be in (0, 0.5) or None, got {self.sequential_error}")
        if self.rollout_parity_tolerance is not None and not self.rollout_parity_tolerance > 0:
            raise ValueError(f"rollout_parity_tolerance must be above 0, got {self.rollout_parity_tolerance}")
        if self.rollout_weight == "hard" and self.rollout_estimate == "posterior":
            raise ValueError("rollout_estimate='posterior' is an expectation of F, which rollout_weight='hard' is not")
        if self.sequential_error is not None and self.rollout_weight == "soft" and min_weight == 0:
            raise ValueError(
                "sequential_error needs something to decide: with min_confidence_weight=0 no candidate is discarded"
            )
        if n_passes != 1 and self.rollout_rule(n_passes, min_weight).max_correct(self.num_rollouts) < 0:
            raise ValueError(
                f"n_passes={n_passes:g} with min_confidence_weight={min_weight:g} discards even a candidate with 0 of "
                f"num_rollouts={self.num_rollouts} correct, so that nothing would be trained on: raise num_rollouts, "
                "or give the prior more failures"
            )
