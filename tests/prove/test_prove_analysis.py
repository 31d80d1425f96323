"""Numbers from records, against enumeration and simulation."""

import itertools
import math
import random

import numpy as np
import pytest
from search_records import proof, record, searched

from passatn.prove.analysis import (
    by_found_length,
    by_known_length,
    choose_proofs,
    cost,
    ends,
    found_by,
    success_within_tactics,
    tactic_budgets,
)
from passatn.prove.records import DepthCounts, merge
from passatn.prove.width import Interval, depth_profiles, equivalent_width, width


def enumerated(outcomes: list[bool], count: int) -> float:
    """The share of all choices of `count` roll-outs that hold a success."""
    choices = list(itertools.combinations(outcomes, count))
    return sum(any(choice) for choice in choices) / len(choices)


def test_success_within_tactics_is_the_mean_over_choices_of_the_affordable_rollouts():
    """6 roll-outs, 2 of them right, with 15 tactics: 5 tactics pay for 2 of them, 6 for 2.4."""
    one = record("a", 6, 2, num_tactics=15)
    outcomes = [True] * 2 + [False] * 4
    curve = success_within_tactics([one], [1, 5, 6, 15])
    expected = [
        0.4 * enumerated(outcomes, 1),
        enumerated(outcomes, 2),
        0.6 * enumerated(outcomes, 2) + 0.4 * enumerated(outcomes, 3),
        1.0,
    ]
    assert curve.estimate == pytest.approx(expected)


def test_past_the_tactics_drawn_the_value_of_all_of_them_stands_and_is_called_a_lower_bound():
    found, missed, refused = record("a", 4, 1), record("b", 8, 0), record("c", 8, 0, num_tactics=0, problem="no")
    curve = success_within_tactics([found, missed, refused], [8, 16, 32])
    assert curve.estimate == pytest.approx([1 / 3] * 3)
    assert curve.detail["lower_bound_from"] == 32
    assert success_within_tactics([found, refused], [8, 16]).detail["lower_bound_from"] is None
    assert tactic_budgets([found, missed]) == [1, 2, 4, 8, 16]
    assert tactic_budgets([refused]) == [1]


def test_a_best_first_search_succeeds_from_the_tactic_on_at_which_a_checked_proof_was_found():
    proofs = (proof("rfl", found_at=7), proof("simp", found_at=5), proof("trick", found_at=2, is_checked=False))
    best_first = record("a", 1, 1, method="best_first", num_tactics=9, proofs=proofs)
    missed = record("b", 1, 0, method="best_first", num_tactics=9)
    assert success_within_tactics([best_first, missed], [2, 4, 5, 9]).estimate == (0, 0, 0.5, 0.5)


def test_lengths_of_known_and_of_found_proofs():
    two, three = proof("a", "b", log_prob=-3), proof("a", "b", "c", log_prob=-1)
    likely, unchecked = proof("c", "d", log_prob=-2), proof("e", is_checked=False)
    records = [
        record("t1", 4, 2, proofs=(three, two, likely, unchecked), metadata={"num_steps": 3}),
        record("t2", 4, 1, proofs=(two,), metadata={"proof": ["x", "y"]}),
        record("t3", 4, 1, proofs=(three,), metadata={"num_steps": 2}),
        record("t4", 4, 0, proofs=(unchecked,), metadata={"num_steps": 6}),
        record("t5", 4, 4, proofs=(two,)),
    ]
    assert choose_proofs(records[0]) == [likely]
    assert choose_proofs(records[3]) == []
    groups = by_known_length(records, [1, 2])
    assert [(g.label, g.num_theorems, g.num_found) for g in groups] == [
        ("2", 2, 2),
        ("3", 1, 1),
        ("5–6", 1, 0),
        ("unknown", 1, 1),
    ]
    assert groups[0].coverage == pytest.approx((0.25, 0.5))
    found = by_found_length(records)
    assert [(f.length, f.num_theorems, f.num_shorter, f.num_equal, f.num_longer) for f in found] == [
        (2, 3, 1, 1, 0),
        (3, 1, 0, 0, 1),
    ]


def test_the_shortest_proof_is_kept_and_of_equally_short_ones_the_most_probable():
    likely_long, short, likely_short = (
        proof("a", "b", "c", log_prob=-1),
        proof("b", log_prob=-5),
        proof("a", log_prob=-4),
    )
    false = proof("x", log_prob=-0.1, is_checked=False)
    found = record("t", 4, 3, proofs=(likely_long, short, false, likely_short))
    assert choose_proofs(found) == [likely_short]
    assert choose_proofs(found, limit=9) == [likely_short, short, likely_long]
    assert choose_proofs(found, keep="probable", limit=2) == [likely_long, likely_short]
    unknown = proof("0", log_prob=math.nan)
    assert choose_proofs(record("t", 4, 2, proofs=(unknown, short)), limit=2) == [short, unknown]
    assert choose_proofs(record("t", 4, 2, proofs=(unknown, short)), keep="probable", limit=2) == [short, unknown]
    assert choose_proofs(record("t", 4, 0)) == []
    with pytest.raises(ValueError, match="keep must be one of shortest, probable, got 'long'"):
        choose_proofs(found, keep="long")
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        choose_proofs(found, limit=0)


def test_ends_and_cost_add_up():
    records = [record("a", 4, 1, num_tried=3, seconds=0.5), record("b", 6, 2, num_tried=1, seconds=0.25)]
    assert ends(records) == {"error": 7, "proved": 3}
    assert list(ends(records)) == ["error", "proved"]
    total = cost(records)
    assert (total.num_samples, total.num_tactics, total.num_tried, total.theorem_seconds) == (10, 20, 4, 0.75)


@pytest.mark.parametrize("true_width", [1, 3, 40])
def test_equivalent_width_finds_the_number_of_equally_probable_tactics(true_width):
    """Mean numbers of distinct tactics, by simulation with numbers of draws that differ."""
    rng = random.Random(true_width)
    draws = [8, 64] * 3000
    distinct = [len({rng.randrange(true_width) for _ in range(n)}) for n in draws]
    assert equivalent_width(draws, distinct) == pytest.approx(true_width, rel=0.02)


def test_equivalent_width_is_infinite_where_no_tactic_was_seen_twice():
    assert equivalent_width([4, 8], [4, 8]) == math.inf
    # Two draws show 1 + (1 − 1/W) distinct tactics.
    assert equivalent_width([2], [1.75]) == pytest.approx(4)


def test_widths_of_searches_and_their_intervals():
    runs = {w: [searched(f"t{i}", w, num_samples=64, seed=0, num_steps=1) for i in range(40)] for w in (16, 60)}
    for true_width, records in runs.items():
        found = width(records)
        assert found.equivalent.low <= true_width <= found.equivalent.high
        assert found.equivalent.high - found.equivalent.low < true_width / 2
        assert found.draws.estimate == found.draws.low == 64
        assert found.tactics_per_step.estimate == pytest.approx(true_width)
    assert width([record("a", 4, 0)]) is None
    all_new = record("a", 4, 0, depths=(DepthCounts(1, 4, 4, 0, 0),))
    assert width([all_new]).equivalent == Interval(math.inf, 1, math.inf)
    assert width([all_new]).distinct == Interval(4, 0, math.inf), "one theorem says nothing about others"
    seldom = [record(f"t{i}", 4, 0, depths=(DepthCounts(1, 4, 3 if i == 0 else 4, 0, 0),)) for i in range(5)]
    assert math.isfinite(width(seldom).equivalent.low)
    assert width(seldom).equivalent.high == math.inf, "a resample without the one repetition has no bound"
    assert width([all_new]).tactics_per_step is None


def test_the_width_of_merged_slices_is_that_of_one_slice():
    def part(first: int) -> object:
        counts = DepthCounts(num_states=1, num_drawn=10, num_distinct=5, num_valid=2, num_valid_drawn=4)
        return record("a", 10, 0, first_sample=first, depths=(counts,))

    once, twice = width(merge([part(0)])), width(merge([part(0), part(10)]))
    assert (twice.draws, twice.distinct, twice.equivalent) == (once.draws, once.distinct, once.equivalent)


def test_tactics_per_step_takes_the_most_probable_proof_of_each_theorem():
    root = (DepthCounts(1, 4, 2, 1, 1),)
    one = record("a", 4, 2, depths=root, proofs=(proof("x", "y", log_prob=-6), proof("z", "x", log_prob=-2)))
    other = record("b", 4, 1, depths=root, proofs=(proof("x", log_prob=-3), proof("y", log_prob=0, is_checked=False)))
    assert width([one, other]).tactics_per_step.estimate == pytest.approx(math.exp((1 + 3) / 2))


def test_depth_profiles_add_theorems_up():
    first = record("a", 4, 0, depths=(DepthCounts(1, 8, 4, 2, 3), DepthCounts(2, 3, 3, 0, 0)))
    second = record("b", 4, 0, depths=(DepthCounts(1, 8, 2, 1, 6),))
    roots, deeper = depth_profiles([first, second])
    assert (roots.depth, deeper.depth) == (0, 1)
    assert (roots.draws_per_state, roots.distinct_per_state, roots.valid_per_state) == (8, 3, 1.5)
    assert (roots.valid_share, roots.valid_share_of_draws) == (0.5, 9 / 16)
    assert (deeper.distinct_per_state, deeper.valid_share) == (1.5, 0)
    assert depth_profiles([record("a", 4, 0, depths=(DepthCounts(),))])[0].valid_share is None


def test_who_found_what():
    runs = [
        [record("a", 4, 1), record("b", 4, 0), record("c", 4, 2), record("x", 4, 4)],
        [record("c", 4, 1), record("b", 4, 0), record("a", 4, 0), record("d", 4, 0)],
    ]
    found = found_by(runs)
    assert found.theorems == ("a", "b", "c")
    assert np.array_equal(found.num_correct, [[1, 0, 2], [0, 0, 1]])
    assert (found.num_found, found.num_alone, found.num_union) == ([2, 1], [1, 0], 2)
    with pytest.raises(ValueError, match="no theorem in common"):
        found_by([[record("a", 4, 1)], [record("b", 4, 1)]])
