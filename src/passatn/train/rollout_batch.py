"""The batch of one optimizer step under DCOa: candidates are estimated and decided on before the forward pass.

Rounds are drawn as if there were one process, and everything in them is decided on at once, so that a batch is a
function of the stream and the weights alone, whatever the number of processes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from passatn.train.replacement import ReplacementStep
from passatn.train.rollout_weights import RolloutWeight
from passatn.train.rollouts import Estimate
from passatn.train.stream import CandidateStream


@dataclass
class RolloutBatch:
    """The accepted candidates of a step with their weights, and the estimates of all that were decided on."""

    indices: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    decided: list[Estimate] = field(default_factory=list)

    def shares(self, num_batches: int, world_size: int, rank: int) -> list[tuple[list[int], list[float]]]:
        """This process's (indices, weights) of each micro-batch; all have as many rows on all processes.

        A short batch is filled up with a candidate of weight 0, since every process has to take part in every
        micro-batch.
        """
        slots = num_batches * world_size
        size = max(1, math.ceil(len(self.indices) / slots))
        num_blank = size * slots - len(self.indices)
        blank = self.indices[0] if self.indices else 0
        indices, weights = self.indices + [blank] * num_blank, self.weights + [0.0] * num_blank
        starts = [(number * world_size + rank) * size for number in range(num_batches)]
        return [(indices[start : start + size], weights[start : start + size]) for start in starts]


def replacement_step(stream: CandidateStream, target: int) -> ReplacementStep:
    """The bookkeeping of a step whose rounds are at most as large as its batch."""
    return ReplacementStep(stream, target, world_size=1, micro_batch_size=target)


def fill_batch(
    step: ReplacementStep, estimate: Callable[[list[int]], list[Estimate]], weight: RolloutWeight
) -> RolloutBatch:
    """Draw rounds of candidates and estimate them until the batch is full, or cannot become so."""
    batch = RolloutBatch()
    while candidates := step.draw_round():
        estimates = estimate(candidates)
        accepted = step.decide([estimate.keep for estimate in estimates])
        for candidate, made, is_accepted in zip(candidates, estimates, accepted, strict=False):
            batch.decided.append(made)
            if is_accepted:
                batch.indices.append(candidate)
                batch.weights.append(weight(made.num_correct, made.num_rollouts))
    return batch
