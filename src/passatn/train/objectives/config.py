"""The fields of CoverageConfig that choose an objective, and its options.

passatn train --objective focal --focal_gamma 2 …
"""

from dataclasses import dataclass, field, fields

OPTIONS: dict[str, tuple[str, ...]] = {
    "dco": (),
    "label_smoothing": ("smoothing",),
    "focal": ("focal_gamma", "focal_level"),
    "confidence_penalty": ("penalty_beta",),
    "gem": ("gem_beta",),
    "dft": (),
    "entropy_gated": ("gate_top_k", "gate_power"),
    "majority_vote": ("majority_threshold",),
    "best_of_n": ("false_positive_rate",),
}
"""The objectives, each with the fields that belong to it alone."""

SAMPLED = ("dco", "majority_vote", "best_of_n")
"""Objectives of N samples, in which `n_passes` is N and learnt examples can be replaced."""

FOCAL_LEVELS = ("token", "completion")


@dataclass
class ObjectiveConfig:
    """Which loss is minimised. `docs/objectives.md` has the formulas, and each file of `train/objectives` its source.

    Args:
        objective: one of `OPTIONS`. "dco" with `n_passes` 1 is cross-entropy.
        smoothing: label_smoothing's ε in [0, 1), the share of every target that is spread over the vocabulary.
        focal_gamma: focal's γ ≥ 0.
        focal_level: whose p focal takes, that of each "token" or of the whole "completion".
        penalty_beta: confidence_penalty's β ≥ 0, in nats of loss per nat of entropy.
        gem_beta: GEM's β in (0, 1].
        gate_top_k, gate_power: entropy_gated's K ≥ 2 and a ≥ 0.
        majority_threshold: majority_vote's k, from 1 to N = `n_passes`. None: ⌊N/2⌋ + 1.
        false_positive_rate: best_of_n's e in [0, 1], the probability that its checker accepts a wrong sample.
    """

    objective: str = field(default="dco", metadata={"help": "The loss that is minimised.", "choices": [*OPTIONS]})
    smoothing: float = field(
        default=0.1, metadata={"help": "label_smoothing: share of a target spread over all tokens."}
    )
    focal_gamma: float = field(default=2.0, metadata={"help": "focal: the exponent of 1 - p."})
    focal_level: str = field(
        default="token", metadata={"help": "focal: p of a token or of a completion.", "choices": [*FOCAL_LEVELS]}
    )
    penalty_beta: float = field(default=0.1, metadata={"help": "confidence_penalty: the weight of the entropy."})
    gem_beta: float = field(default=0.7, metadata={"help": "gem: the temperature of its distribution q."})
    gate_top_k: int = field(default=20, metadata={"help": "entropy_gated: tokens whose entropy is the gate."})
    gate_power: float = field(default=1.0, metadata={"help": "entropy_gated: power of the gate (0 = cross-entropy)."})
    majority_threshold: int | None = field(
        default=None, metadata={"help": "majority_vote: right votes needed (None: more than half of n_passes)."}
    )
    false_positive_rate: float = field(
        default=0.0, metadata={"help": "best_of_n: probability that a wrong sample is accepted (0 = DCO)."}
    )

    def check_objective(self, n_passes: float, min_confidence_weight: float, confidence: str) -> None:
        """Raise ValueError, naming the field, for an option out of range or one that the objective does not have."""
        if self.objective not in OPTIONS:
            raise ValueError(f"objective must be one of {', '.join(OPTIONS)}, got {self.objective!r}")
        self._check_owners()
        self._check_ranges(n_passes)
        if self.objective not in SAMPLED:
            if n_passes != 1:
                raise ValueError(
                    f"objective={self.objective!r} has no N, so n_passes={n_passes:g} would change nothing: leave it "
                    f"at 1 (objectives of N samples: {', '.join(SAMPLED)})"
                )
            if min_confidence_weight > 0:
                raise ValueError(
                    f"objective={self.objective!r} has no weight by which an example is learnt: min_confidence_weight "
                    f"must be 0, got {min_confidence_weight:g}"
                )
        if self.objective != "dco" and confidence in ("rollouts", "given"):
            raise ValueError(
                f"confidence={confidence!r} has the weights of dco: it has no objective={self.objective!r}"
            )
        if confidence in ("proof", "answers") and self.is_sum_over_tokens:
            raise ValueError(f"objective={self.objective!r} is a sum over tokens and has no confidence={confidence!r}")

    def _check_owners(self) -> None:
        defaults = {item.name: item.default for item in fields(ObjectiveConfig)}
        for objective, names in OPTIONS.items():
            for name in names:
                if objective != self.objective and getattr(self, name) != defaults[name]:
                    raise ValueError(f"{name} belongs to objective={objective!r}, this is {self.objective!r}")

    def _check_ranges(self, n_passes: float) -> None:
        ranges = {
            "smoothing": ("in [0, 1)", 0 <= self.smoothing < 1),
            "focal_gamma": ("at least 0", 0 <= self.focal_gamma < float("inf")),
            "focal_level": (f"one of {FOCAL_LEVELS}", self.focal_level in FOCAL_LEVELS),
            "penalty_beta": ("at least 0", 0 <= self.penalty_beta < float("inf")),
            "gem_beta": ("in (0, 1]", 0 < self.gem_beta <= 1),
            "gate_top_k": ("a whole number from 2", self.gate_top_k >= 2 and self.gate_top_k == int(self.gate_top_k)),
            "gate_power": ("at least 0", 0 <= self.gate_power < float("inf")),
            "false_positive_rate": ("in [0, 1]", 0 <= self.false_positive_rate <= 1),
        }
        for name, (allowed, holds) in ranges.items():
            if not holds:
                raise ValueError(f"{name} must be {allowed}, got {getattr(self, name)!r}")
        if self.objective == "majority_vote":
            self._check_votes(n_passes)

    def _check_votes(self, n_passes: float) -> None:
        if n_passes != int(n_passes):
            raise ValueError(f"objective='majority_vote' counts votes: n_passes must be whole, got {n_passes:g}")
        threshold = self.majority_threshold
        if threshold is not None and not (1 <= threshold <= n_passes and threshold == int(threshold)):
            raise ValueError(
                f"majority_threshold must be a whole number from 1 to n_passes={n_passes:g}, got {threshold!r}"
            )

    @property
    def is_sum_over_tokens(self) -> bool:
        """Whether the loss of a completion is a sum over its tokens, and not a function of its probability."""
        return self.objective not in SAMPLED and not (self.objective == "focal" and self.focal_level == "completion")
