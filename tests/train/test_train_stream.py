"""The candidate stream and the bookkeeping of a batch under replacement."""

import json

import pytest

from passatn.train.replacement import ReplacementStep
from passatn.train.stream import CandidateStream


def test_each_pass_is_a_different_permutation_of_everything():
    stream = CandidateStream(50, seed=3)
    first, second = stream.draw(50), stream.draw(50)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert CandidateStream(50, seed=3).draw(50) == first
    assert CandidateStream(50, seed=4).draw(50) != first


def test_unshuffled_stream_keeps_the_order_of_the_data():
    assert CandidateStream(3, seed=0, shuffle=False).draw(7) == [0, 1, 2, 0, 1, 2, 0]


def test_put_back_candidates_come_first_and_in_order():
    stream = CandidateStream(10, seed=0, shuffle=False)
    assert stream.draw(4) == [0, 1, 2, 3]
    stream.put_back(2)
    assert stream.draw(4) == [2, 3, 4, 5]


def test_stream_ends_after_max_passes():
    stream = CandidateStream(10, seed=0, max_passes=1.5)
    assert len(stream.draw(12)) == 12
    assert len(stream.draw(12)) == 3
    assert stream.num_left == 0


def test_resumed_stream_continues_like_the_uninterrupted_one():
    stream = CandidateStream(13, seed=5)
    stream.draw(16)
    stream.put_back(5)  # back into the first pass
    stream.record([True, False, True, True])
    saved = json.loads(json.dumps(stream.state_dict()))
    resumed = CandidateStream(13, seed=5)
    resumed.load_state_dict(saved)
    assert resumed.expected_active_fraction == stream.expected_active_fraction
    assert [resumed.draw(7) for _ in range(6)] == [stream.draw(7) for _ in range(6)]
    assert resumed.num_replaced == 1


def test_state_of_other_data_is_refused():
    with pytest.raises(ValueError, match="num_examples=13, this run has 12"):
        CandidateStream(12, seed=5).load_state_dict(CandidateStream(13, seed=5).state_dict())


def test_active_fraction_covers_exactly_the_last_pass():
    stream = CandidateStream(4, seed=0)
    stream.record([True, True, True])
    assert stream.active_fraction is None
    stream.record([False])
    assert stream.active_fraction == 0.75
    stream.record([False, False])
    assert stream.active_fraction == 0.25


def test_batch_is_filled_from_further_rounds_and_surplus_is_put_back():
    stream = CandidateStream(100, seed=0, shuffle=False)
    step = ReplacementStep(stream, target=4, world_size=2, micro_batch_size=2)
    assert step.draw_first_rounds(1) == [[0, 1, 2, 3]]
    assert step.decide([True, False, False, True]) == [True, False, False, True]
    assert not step.is_complete
    extra = step.draw_round()
    assert len(extra) % 2 == 0
    step.decide([True] * len(extra))
    assert step.num_accepted == 4
    assert step.is_complete
    assert step.draw_round() == []
    # two were missing; whatever was drawn beyond them is the next to be drawn, active or not
    assert stream.draw(1) == [6]
    assert stream.num_replaced == 2


def test_a_batch_weighs_at_most_one_pass_beyond_which_it_stays_short():
    stream = CandidateStream(20, seed=0)
    step = ReplacementStep(stream, target=8, world_size=1, micro_batch_size=8)
    step.draw_first_rounds(1)
    step.decide([False] * 8)
    rounds = 0
    while indices := step.draw_round():
        step.decide([False] * len(indices))
        rounds += 1
    assert stream.num_weighed == 20
    assert step.num_accepted == 0
    assert step.is_complete
    assert rounds >= 2


@pytest.mark.parametrize(("world_size", "micro_batch_size"), [(1, 6), (2, 3), (3, 1)])
def test_a_batch_is_a_function_of_the_stream_alone(world_size, micro_batch_size):
    """Whether a candidate is active depends on the step here, as it does in training."""
    stream = CandidateStream(40, seed=2)
    steps, accepted_by_step = 12, []
    for number in range(steps):
        step = ReplacementStep(stream, 6, world_size, micro_batch_size)
        rounds, accepted = step.draw_first_rounds(6 // (world_size * micro_batch_size)), []
        while rounds:
            indices = rounds.pop(0)
            takes = step.decide([(index + number) % 3 == 0 for index in indices])
            accepted += [index for index, taken in zip(indices, takes, strict=False) if taken]
            if not rounds and (more := step.draw_round()):
                rounds = [more]
        accepted_by_step.append(accepted)
    order = iter(CandidateStream(40, seed=2).draw(10_000))
    expected = []
    for number in range(steps):
        batch: list[int] = []
        while len(batch) < 6:
            index = next(order)
            batch += [index] if (index + number) % 3 == 0 else []
        expected.append(batch)
    assert accepted_by_step == expected
