"""The endless, resumable order in which training examples are weighed under replacement.

Every process holds the same stream in the same state, so that no index ever has to be communicated: rank r takes the
r-th slice of what all ranks draw together.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np


class CandidateStream:
    """Indices 0 … num_examples − 1, one permutation per pass, with put-back and a memory of the last pass.

    The order is a function of the seed, so that the position alone says which examples are still pending.

    Args:
        num_examples: size of the training set.
        seed: with the number of the pass, it determines the permutation.
        shuffle: False keeps the data's own order in every pass.
        max_passes: the stream ends after this many passes (None: never).
    """

    def __init__(self, num_examples: int, seed: int, *, shuffle: bool = True, max_passes: float | None = None) -> None:
        if num_examples < 1:
            raise ValueError("the training set is empty")
        self.num_examples = num_examples
        self.seed = seed
        self.shuffle = shuffle
        self.limit = None if max_passes is None else int(max_passes * num_examples)
        self.position = 0
        self.num_weighed = 0
        self.num_replaced = 0
        self._recent = np.zeros(num_examples, dtype=np.uint8)
        self._order: tuple[int, np.ndarray] | None = None

    @property
    def data_passes(self) -> float:
        """Passes over the data drawn so far."""
        return self.position / self.num_examples

    @property
    def num_left(self) -> float:
        """Candidates that can still be drawn before `max_passes` ends the stream (inf without a limit)."""
        return float("inf") if self.limit is None else self.limit - self.position

    def draw(self, count: int) -> list[int]:
        """The next `count` candidates (fewer at the end of the stream)."""
        start = self.position
        self.position += int(min(count, self.num_left))
        return [self._at(position) for position in range(start, self.position)]

    def put_back(self, count: int) -> None:
        """Return the last `count` candidates that were drawn; they are the next to be drawn, in the same order."""
        self.position -= count

    def record(self, active: Iterable[bool]) -> None:
        """Remember for each decided candidate whether it was active (F ≥ ε); inactive ones count as replaced."""
        for is_active in active:
            self._recent[self.num_weighed % self.num_examples] = is_active
            self.num_weighed += 1
            self.num_replaced += not is_active

    @property
    def active_fraction(self) -> float | None:
        """Fraction of active candidates among the last `num_examples` decided; None before there are as many."""
        if self.num_weighed < self.num_examples:
            return None
        return float(self._recent.mean())

    @property
    def expected_active_fraction(self) -> float:
        """Best guess of the active fraction, for sizing the next draw; in (0, 1]."""
        known = min(self.num_weighed, self.num_examples)
        recent = self._recent[:known]
        return (float(recent.sum()) + 1) / (known + 1)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed stream needs, as plain values."""
        return {
            "num_examples": self.num_examples,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "position": self.position,
            "num_weighed": self.num_weighed,
            "num_replaced": self.num_replaced,
            "recent": np.packbits(self._recent).tobytes().hex(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            ValueError: the state belongs to other data, another seed or another order.
        """
        for name in ("num_examples", "seed", "shuffle"):
            if state[name] != getattr(self, name):
                raise ValueError(
                    f"the checkpoint was made with {name}={state[name]}, this run has {getattr(self, name)}: "
                    "resume with the same data and data_seed"
                )
        self.position = state["position"]
        self.num_weighed = state["num_weighed"]
        self.num_replaced = state["num_replaced"]
        bits = np.frombuffer(bytes.fromhex(state["recent"]), dtype=np.uint8)
        self._recent = np.unpackbits(bits, count=self.num_examples)

    def _at(self, position: int) -> int:
        if not self.shuffle:
            return position % self.num_examples
        data_pass, offset = divmod(position, self.num_examples)
        if self._order is None or self._order[0] != data_pass:
            self._order = (data_pass, np.random.default_rng((self.seed, data_pass)).permutation(self.num_examples))
        return int(self._order[1][offset])
