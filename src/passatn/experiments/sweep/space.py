"""One quantity of a search: a list of values, or a range on a linear or a logarithmic scale.

weight_decay: [0, 0.01, 0.1]
learning_rate: {log: [1.0e-5, 3.0e-3]}            # with `points: 6` where the search is a grid
majority_threshold: {log: [2, 64]}                # a setting of whole numbers has whole numbers only
"""

import math
import re
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from passatn.experiments.config import ConfigError, RunConfig
from passatn.train import CoverageConfig

EDGE_SHARE = 0.05
"""A choice within this share of a range's ends, on its own scale, sits on its edge."""
NATURAL_LOWER_ENDS = {"n_passes": 1.0}
"""Below these, and below 0 of anything, there is nothing to try."""
WHOLE = frozenset(
    item.name
    for part in (CoverageConfig, RunConfig)
    for item in fields(part)
    if re.search(r"\bint\b", str(item.type)) and not re.search("float|list|tuple|dict", str(item.type))
)
"""Settings of `passatn train` that are whole numbers."""


@dataclass(frozen=True)
class Dimension:
    """What can be chosen for one setting of `passatn train`: `values`, or else from `low` to `high`."""

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    points: int | None = None
    """Of a range, in a grid."""

    @property
    def is_whole(self) -> bool:
        """Whether it is a range of whole numbers."""
        return not self.values and self.name in WHOLE

    @classmethod
    def parse(cls, name: str, given: Any) -> "Dimension":
        """Raises ConfigError, which names the quantity."""
        if isinstance(given, list):
            return cls._of_values(name, given)
        scales = [scale for scale in ("log", "linear") if isinstance(given, dict) and scale in given]
        if len(scales) != 1 or set(given) - {*scales, "points"}:
            raise ConfigError(
                f"space: {name}: expected a list of values, or a range such as {{log: [1.0e-5, 1.0e-3]}} or "
                f"{{linear: [0, 0.2]}}, found {given!r}"
            )
        ends, points = given[scales[0]], given.get("points")
        try:
            low, high = map(float, ends)
        except (TypeError, ValueError):
            raise ConfigError(f"space: {name}: a range has two numbers, found {ends!r}") from None
        if not (math.isfinite(low) and math.isfinite(high) and low < high and (scales[0] == "linear" or low > 0)):
            positive = " above 0" if scales[0] == "log" else ""
            raise ConfigError(f"space: {name}: the ends of a range are increasing numbers{positive}, found {ends!r}")
        if name in WHOLE and not (low.is_integer() and high.is_integer()):
            raise ConfigError(f"space: {name}: the ends of a range of whole numbers are whole numbers, found {ends!r}")
        if points is not None and (isinstance(points, bool) or not isinstance(points, int) or points < 2):
            raise ConfigError(f"space: {name}: points must be a whole number from 2, found {points!r}")
        return cls(name, (), low, high, scales[0] == "log", points)

    @classmethod
    def _of_values(cls, name: str, given: list[Any]) -> "Dimension":
        texts = {repr(value) for value in given}
        if not given or len(texts) < len(given) or any(isinstance(value, list | dict) for value in given):
            raise ConfigError(f"space: {name}: expected different plain values, found {given!r}")
        return cls(name, tuple(given))

    def grid(self) -> list[Any]:
        """The values of a grid; raises ConfigError if a range does not say how many, or has not so many."""
        if self.values:
            return list(self.values)
        if self.points is None:
            raise ConfigError(f"space: {self.name}: a grid needs to know how many points the range has: add points: 5")
        spaced = np.geomspace if self.is_log else np.linspace
        values = spaced(self.low, self.high, self.points)
        if not self.is_whole:
            return [float(f"{value:.6g}") for value in values]
        whole = sorted({round(value) for value in values})
        if len(whole) < self.points:
            raise ConfigError(
                f"space: {self.name}: of {self.points} points only {len(whole)} are different whole numbers "
                f"({', '.join(map(str, whole))}): take fewer points, or list the values"
            )
        return whole

    def corners(self) -> list[Any]:
        """Values with which settings can be checked before anything runs."""
        ends = [int(self.low), int(self.high)] if self.is_whole else [self.low, self.high]
        return list(self.values) or ends

    def edge(self, value: Any) -> str | None:
        """ "lower" or "upper" if the value sits on an edge beyond which more could be tried, else None.

        None among numbers is none of the quantity, such as no average: the value beside it is not an edge.
        """
        numbers = self._numbers()
        if value is None or numbers is None or numbers[0] == numbers[-1]:
            return None
        low, high = numbers[0], numbers[-1]
        margin = 0.0 if self.values else EDGE_SHARE
        place = _position(float(value), low, high, is_log=self.is_log)
        if place >= 1 - margin:
            return "upper"
        is_natural = low == NATURAL_LOWER_ENDS.get(self.name, 0.0) or None in self.values
        return "lower" if place <= margin and not is_natural else None

    def _numbers(self) -> list[float] | None:
        """The ends in order; None for values that have no order."""
        if not self.values:
            return [self.low, self.high]
        numbers = [value for value in self.values if value is not None]
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in numbers):
            return None
        return sorted(map(float, numbers))


def _position(value: float, low: float, high: float, *, is_log: bool) -> float:
    """0 at the low end, 1 at the high one."""
    if is_log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)
