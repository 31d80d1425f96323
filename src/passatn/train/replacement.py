"""One optimizer step under replacement: which of the weighed candidates make up the batch (paper section 5.1, app. B).

Candidates come in rounds, one micro-batch per process and round. The first rounds are the ordinary micro-batches of
the step; further ones are drawn until `target` active examples are found, or one pass over the data has been weighed.
"""

import math
from dataclasses import dataclass, field

from passatn.train.stream import CandidateStream


@dataclass
class ReplacementStep:
    """The bookkeeping of one optimizer step, identical on every process.

    Args:
        stream: where candidates come from.
        target: number of active examples that make a full batch, over all processes.
        world_size: number of processes; every round has the same number of candidates on each.
        micro_batch_size: most candidates per process and round.
    """

    stream: CandidateStream
    target: int
    world_size: int
    micro_batch_size: int
    num_accepted: int = 0
    rounds: list[list[int]] = field(default_factory=list)
    _start: int = field(init=False)

    def __post_init__(self) -> None:
        self._start = self.stream.position

    def draw_round(self) -> list[int]:
        """Draw one more round of candidates, in rank order; empty when the step is complete.

        It is sized so that the missing examples are just found at the active fraction seen lately: a larger one
        would weigh examples that are then put back.
        """
        if self.is_complete:
            return []
        missing = self.target - self.num_accepted
        per_process = math.ceil(missing / (self.stream.expected_active_fraction * self.world_size))
        per_process = int(min(per_process, self.micro_batch_size, self.stream.num_left // self.world_size))
        indices = self.stream.draw(per_process * self.world_size)
        self.rounds.append(indices)
        return indices

    def draw_first_rounds(self, num_micro_batches: int) -> list[list[int]]:
        """The step's ordinary micro-batches: `num_micro_batches` full rounds."""
        size = self.micro_batch_size * self.world_size
        self.rounds = [self.stream.draw(size) for _ in range(num_micro_batches)]
        return list(self.rounds)

    def decide(self, active: list[bool]) -> list[bool]:
        """Accept active candidates of the oldest open round until the batch is full; put surplus ones back.

        Args:
            active: whether F ≥ ε, for the round's candidates in rank order.

        Returns:
            For each candidate, whether it is part of this step's batch.
        """
        indices = self.rounds.pop(0)
        accepted, surplus = [], []
        for index, is_active in zip(indices, active, strict=True):
            takes = is_active and self.num_accepted < self.target
            if is_active and not takes:
                surplus.append(index)
            else:
                self.stream.record([is_active])
            self.num_accepted += takes
            accepted.append(takes)
        self.stream.put_back(surplus)
        return accepted

    @property
    def is_complete(self) -> bool:
        """Whether the batch is full, or cannot become so."""
        if self.rounds:
            return False
        return self.num_accepted >= self.target or self._pass_is_used_up() or self.stream.num_left < self.world_size

    def _pass_is_used_up(self) -> bool:
        return self.stream.position - self._start >= self.stream.num_examples
