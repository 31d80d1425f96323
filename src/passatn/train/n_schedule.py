r"""N over the training: constant, annealed from one value to another, or drawn anew for each optimizer step.

    constant    N_t = N
    anneal      N_t = N_0 (N / N_0)^{t / (T − 1)}                          steps t = 0 … T − 1
    mixture     N_t uniform over a list, a function of the seed and t alone

with N = `n_passes`, N_0 = `n_passes_start`, T the planned number of optimizer steps. The N of a step is that of its
loss −log(1 − (1 − p)^N), of F and of replacement. The expected gradient of a mixture is the gradient of the mean of the
objectives (without replacement: with it, each N has a batch of its own).

Neither is in the paper of DCO (arXiv 2502.07154), whose N is constant; both are here to be compared with it.

    passatn train --n_passes 256 --n_passes_schedule anneal --n_passes_start 1 …
    passatn train --n_passes 256 --n_passes_schedule mixture --n_passes_mixture 1,16,256 …
"""

import math
from dataclasses import dataclass, field

import numpy as np

from passatn.train.objectives.config import SAMPLED

SCHEDULES = ("constant", "anneal", "mixture")
_STREAM = 0x4E  # keeps these random numbers apart from those of the order of examples, which share the seed


@dataclass
class NScheduleConfig:
    """How `n_passes` changes while training runs.

    Args:
        n_passes_schedule: "constant", "anneal" or "mixture".
        n_passes_start: anneal's N at the first step; below or above `n_passes`, the N at the last one.
        n_passes_mixture: mixture's values of N (one may stand there twice); `n_passes` is the largest of them.

    `majority_vote` rounds an annealed N to whole votes, and its k follows N by the default rule. Where N can fall,
    training does not end for lack of active examples (`min_active_fraction`), which smaller N would have: a step that
    finds none in a pass over the data changes nothing. `max_data_passes` bounds what that costs.
    """

    n_passes_schedule: str = field(
        default="constant", metadata={"help": "How N changes while training runs.", "choices": list(SCHEDULES)}
    )
    n_passes_start: float | None = field(default=None, metadata={"help": "anneal: N at the first step."})
    n_passes_mixture: list[float] | None = field(
        default=None, metadata={"help": "mixture: the values that N of a step is drawn from."}
    )

    def check_n_schedule(
        self, n_passes: float, *, objective: str, confidence: str, majority_threshold: int | None
    ) -> None:
        """Raise ValueError, naming the field, for one out of range or one that does not go with the rest."""
        name = self.n_passes_schedule
        if name not in SCHEDULES:
            raise ValueError(f"n_passes_schedule must be one of {SCHEDULES}, got {name!r}")
        for owner, option in (("anneal", "n_passes_start"), ("mixture", "n_passes_mixture")):
            value = getattr(self, option)
            if owner == name and not value:
                raise ValueError(f"n_passes_schedule={name!r} needs {option}")
            if owner != name and value is not None:
                raise ValueError(f"{option} belongs to n_passes_schedule={owner!r}, this is {name!r}")
        if name == "constant":
            return
        if objective not in SAMPLED:
            raise ValueError(
                f"n_passes_schedule={name!r} needs an objective of N samples ({', '.join(SAMPLED)}): "
                f"objective={objective!r} has no N"
            )
        if confidence not in ("completion", "proof", "answers"):
            raise ValueError(f"n_passes_schedule={name!r} cannot be combined with confidence={confidence!r}")
        if majority_threshold is not None:
            raise ValueError(f"majority_threshold is for one N: with n_passes_schedule={name!r}, k follows N by itself")
        self._check_values(n_passes, counts_votes=objective == "majority_vote")

    def _check_values(self, n_passes: float, *, counts_votes: bool) -> None:
        start, mixture = self.n_passes_start, self.n_passes_mixture
        for option, values in (("n_passes_start", [start] if start else []), ("n_passes_mixture", mixture or [])):
            for n in values:
                if not (math.isfinite(n) and n >= 1):
                    raise ValueError(f"{option} must be finite and at least 1, got {n}")
                if counts_votes and n != int(n):
                    raise ValueError(f"objective='majority_vote' counts votes: {option} must be whole, got {n:g}")
        if start == n_passes:
            raise ValueError(f"n_passes_start={n_passes:g} is n_passes: leave n_passes_schedule at 'constant'")
        if mixture and min(mixture) == max(mixture):
            raise ValueError(f"n_passes_mixture needs two different values, got {mixture}")
        if mixture and n_passes != max(mixture):
            raise ValueError(f"n_passes must be the largest of n_passes_mixture, {max(mixture):g}, got {n_passes:g}")

    def n_of_step(self, step: int, num_steps: int, *, n_passes: float, seed: int, whole: bool = False) -> float:
        """N of optimizer step `step` (from 0) of `num_steps`, the same on every process and in a resumed run."""
        if self.n_passes_mixture:
            choice = np.random.default_rng((seed, step, _STREAM)).integers(len(self.n_passes_mixture))
            return float(self.n_passes_mixture[choice])
        if self.n_passes_start is None:
            return n_passes
        done = min(step / (num_steps - 1), 1.0) if num_steps > 1 else 1.0
        # Powers of both ends, so that the last step has N itself, without rounding.
        n = self.n_passes_start ** (1 - done) * n_passes**done
        return float(round(n)) if whole else n

    def n_can_fall(self, n_passes: float) -> bool:
        """Whether a later step can have a smaller N than an earlier one."""
        if self.n_passes_mixture:
            return min(self.n_passes_mixture) < n_passes
        return self.n_passes_start is not None and self.n_passes_start > n_passes
