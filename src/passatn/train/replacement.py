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
    num_drawn: int = 0
    rounds: list[list[int]] = field(default_factory=list)

    def draw_round(self) -> list[int]:
        """Draw one more round of candidates, in rank order; empty when the step is complete.

        It is sized so that the missing examples are just found at the active fraction seen lately: a larger one
        would weigh examples that are then put back.
        """
        if self.is_complete:
            return []
        missing = self.target - self.num_accepted
        per_process = math.ceil(missing / (self.stream.expected_active_fraction * self.world_size))
        available = min(self.stream.num_left, self._left_of_pass) // self.world_size
        per_process = int(min(per_process, self.micro_batch_size, available))
        return self._draw(per_process * self.world_size)

    def draw_first_rounds(self, num_micro_batches: int) -> list[list[int]]:
        """The step's ordinary micro-batches: `num_micro_batches` full rounds."""
        size = self.micro_batch_size * self.world_size
        return [self._draw(size) for _ in range(num_micro_batches)]

    def _draw(self, count: int) -> list[int]:
        indices = self.stream.draw(count)
        self.rounds.append(indices)
        self.num_drawn += count
        return indices

    def decide(self, active: list[bool]) -> list[bool]:
        """Accept active candidates of the oldest open round until the batch is full; put all later ones back.

        Those that are not active are put back as well: so a batch is a function of the stream alone, whatever the
        number of processes and the size of a round.

        Args:
            active: whether F ≥ ε, for the round's candidates in rank order.

        Returns:
            For each candidate that was decided on, whether it is part of this step's batch.
        """
        indices = self.rounds.pop(0)
        decided = 0
        for is_active in active:
            if self.num_accepted >= self.target:
                break
            self.num_accepted += is_active
            decided += 1
        accepted = active[:decided]
        self.stream.record(accepted)
        self.stream.put_back(len(indices) - decided)
        return accepted

    @property
    def is_complete(self) -> bool:
        """Whether the batch is full, or cannot become so."""
        if self.rounds:
            return False
        available = min(self.stream.num_left, self._left_of_pass)
        return self.num_accepted >= self.target or available < self.world_size

    @property
    def _left_of_pass(self) -> int:
        return self.stream.num_examples - self.num_drawn
