"""Counts of a search by depth: states met, tactics drawn, how many of them were distinct, how many Lean accepted."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from passatn.prove.records import DepthCounts


@dataclass
class _Depth:
    """States and pairs are told apart by their texts, wherever in the tree they stand."""

    states: set[str] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    valid: set[tuple[str, str]] = field(default_factory=set)
    num_drawn: int = 0
    num_valid_drawn: int = 0


class DepthTally:
    """Counts for `SearchRecord.depths`."""

    def __init__(self) -> None:
        self._depths: list[_Depth] = []

    def drew(self, depth: int, state: str, count: int, tactics: Iterable[str]) -> None:
        """`count` draws were made from a state, and those that ended are these distinct tactics."""
        here = self._at(depth)
        here.states.add(state)
        here.pairs.update((state, tactic) for tactic in tactics)
        here.num_drawn += count

    def accepted(self, depth: int, state: str, tactic: str, count: int) -> None:
        """Lean accepted a tactic that was drawn `count` times from this state."""
        here = self._at(depth)
        here.valid.add((state, tactic))
        here.num_valid_drawn += count

    def counts(self) -> tuple[DepthCounts, ...]:
        return tuple(
            DepthCounts(len(d.states), d.num_drawn, len(d.pairs), len(d.valid), d.num_valid_drawn) for d in self._depths
        )

    def _at(self, depth: int) -> _Depth:
        while len(self._depths) <= depth:
            self._depths.append(_Depth())
        return self._depths[depth]
