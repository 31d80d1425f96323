"""The batch of a step: filled in the order of the stream, and shared out so that all processes take part alike."""

import pytest

from passatn.train.rollout_batch import RolloutBatch, fill_batch, replacement_step
from passatn.train.rollout_weights import RolloutWeight
from passatn.train.rollouts import Estimate
from passatn.train.stream import CandidateStream


@pytest.mark.parametrize("num_accepted", [0, 1, 3, 7, 8, 11, 12])
@pytest.mark.parametrize(("num_batches", "world_size"), [(1, 1), (3, 1), (1, 4), (3, 2), (2, 3)])
def test_every_accepted_candidate_is_in_one_micro_batch_of_one_process(num_accepted, num_batches, world_size):
    indices = list(range(100, 100 + num_accepted))
    batch = RolloutBatch(indices, [1 + index / 1000 for index in indices])
    shares = [batch.shares(num_batches, world_size, rank) for rank in range(world_size)]
    rows = [(i, w) for share in shares for micro_batch in share for i, w in zip(*micro_batch, strict=True)]
    assert sorted((i, w) for i, w in rows if w) == sorted(zip(batch.indices, batch.weights, strict=True))
    assert {len(share) for share in shares} == {num_batches}
    assert len({len(i) for share in shares for i, _ in share}) == 1
    assert len(rows) < num_accepted + num_batches * world_size or num_accepted == 0, "no more blanks than needed"


@pytest.mark.parametrize("target", [1, 3, 8])
def test_batches_are_a_function_of_the_stream_alone(target):
    """However rounds fall, step after step takes the next kept candidates, and what came after them is put back."""
    kept = {index: index % 3 == 0 for index in range(30)}
    stream = CandidateStream(30, seed=0, shuffle=False)
    asked: list[int] = []

    def estimate(indices):
        asked.extend(indices)
        return [Estimate(int(not kept[index]) * 9, 10, 9, kept[index], 0) for index in indices]

    batches = [fill_batch(replacement_step(stream, target), estimate, RolloutWeight(64, 0.01)) for _ in range(3)]
    taken = [index for batch in batches for index in batch.indices]
    assert taken == [index % 30 for index in range(0, 3 * len(taken), 3)][: 3 * target]
    assert len(taken) == 3 * target
    assert stream.num_weighed == sum(len(batch.decided) for batch in batches) == 3 * (3 * target - 1) + 1
    assert stream.num_replaced == stream.num_weighed - len(taken)
    assert all(weight == 1.0 for batch in batches for weight in batch.weights)


def test_a_pass_without_enough_kept_candidates_leaves_the_batch_short():
    stream = CandidateStream(10, seed=0, shuffle=False)
    batch = fill_batch(
        replacement_step(stream, 4), lambda indices: [Estimate(0, 1, 0, i in (2, 7), 0) for i in indices],
        RolloutWeight(64, 0.01),
    )  # fmt: skip
    assert batch.indices == [2, 7]
    assert len(batch.decided) == 10
