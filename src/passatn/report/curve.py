"""What a chart shows: a pass@N curve, or a run over the course of training, with a name and a kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from passatn.evaluate import PassAtN

Kind = Literal["ce", "dco", "baseline", "other"]
"""Cross-entropy, a coverage objective, a tuned or borrowed comparison (drawn dashed), anything else."""


@dataclass(frozen=True)
class Curve:
    """pass@N of one run; estimate, low and high are fractions in [0, 1], one per N; no low and high, no band."""

    name: str
    ns: Sequence[int]
    estimate: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    kind: Kind = "other"
    n_passes: float | None = None
    """The N of training: it sets the colour of a coverage objective."""
    dash: str | None = None
    """"solid", "dash", "dot" or "dashdot"; None takes the theme's."""

    def __post_init__(self) -> None:
        for values in (self.estimate, self.low, self.high):
            if values is not None and len(values) != len(self.ns):
                raise ValueError(f"curve {self.name!r} has {len(values)} values for {len(self.ns)} values of N")
        if (self.low is None) != (self.high is None):
            raise ValueError(f"curve {self.name!r} needs both low and high, or neither")

    @classmethod
    def from_pass_at_n(
        cls,
        name: str,
        curve: PassAtN,
        *,
        kind: Kind = "other",
        n_passes: float | None = None,
        dash: str | None = None,
    ) -> "Curve":
        """A chart's curve from an evaluated one, with its interval."""
        return cls(name, curve.ns, curve.estimate, curve.low, curve.high, kind, n_passes, dash)


@dataclass(frozen=True)
class TrainingHistory:
    """pass@N of one run over training."""

    name: str
    steps: Sequence[float]
    """[T] epochs, or steps: the unit of the horizontal axis."""
    ns: Sequence[int]
    estimate: Sequence[Sequence[float]]
    """[T][len(ns)] fractions in [0, 1]."""
    kind: Kind = "other"
    n_passes: float | None = None
    dash: str | None = None

    def __post_init__(self) -> None:
        if len(self.estimate) != len(self.steps):
            raise ValueError(f"history {self.name!r} has {len(self.estimate)} rows for {len(self.steps)} steps")
        for step, row in zip(self.steps, self.estimate, strict=True):
            if len(row) != len(self.ns):
                raise ValueError(
                    f"history {self.name!r} has {len(row)} values at {step} for {len(self.ns)} values of N"
                )

    def at(self, n: int) -> list[float]:
        """[T] the estimates at one N."""
        if n not in self.ns:
            raise ValueError(f"history {self.name!r} has no pass@{n}, only N = {', '.join(map(str, self.ns))}")
        index = list(self.ns).index(n)
        return [row[index] for row in self.estimate]
