"""Grouping answers for a vote: spellings of one value are one answer, right or wrong."""

import numpy as np

from passatn.evaluate.answers import MAX_COMPARED, AnswerCounts, count_answers, join_equal
from passatn.verify.math import MathVerifier, answer_key


def as_dict(counts: AnswerCounts) -> dict[str, tuple[int, float]]:
    return {a: (int(c), float(r)) for a, c, r in zip(counts.answers, counts.counts, counts.correct, strict=True)}


def test_samples_are_counted_by_key_and_the_most_frequent_spelling_names_the_group():
    counts = count_answers(
        ["0.5", "1/2", None, "7", r"\frac{1}{2}"], [2, 5, 3, 4, 1], [True, True, False, False, True], key=answer_key
    )
    assert as_dict(counts) == {"1/2": (8, 1.0), "7": (4, 0.0)}
    assert (counts.num_silent, counts.num_samples) == (3, 15)


def test_wrong_spellings_join_as_right_ones_do():
    verifier = MathVerifier(num_workers=1)
    try:
        problems = [
            count_answers(["2x+1", "1+2x", "3", "x=3", "1+2x+y"], [1, 4, 2, 1, 1], [False] * 5, key=answer_key),
            count_answers(["5"], [3], [True], key=answer_key),
            count_answers([], [], [], key=answer_key),
        ]
        first, second, third = join_equal(problems, verifier.equal_answers)
    finally:
        verifier.close()
    assert as_dict(first) == {"1+2x": (5, 0.0), "3": (3, 0.0), "1+2x+y": (1, 0.0)}
    assert as_dict(second) == {"5": (3, 1.0)}
    assert third.num_samples == 0


def test_comparisons_are_bounded_and_nothing_is_lost():
    many = count_answers([f"a{i}" for i in range(200)], range(200, 0, -1), [i == 3 for i in range(200)])
    asked = []

    def same(pairs):
        asked.append(len(pairs))
        return [False] * len(pairs)

    (joined,) = join_equal([many], same)
    assert len(asked) == MAX_COMPARED
    assert joined.answers == many.answers
    assert np.array_equal(joined.counts, many.counts)
    assert np.array_equal(joined.correct, many.correct)


def test_a_group_with_contradicting_verdicts_keeps_the_share():
    (joined,) = join_equal([count_answers(["a", "A"], [3, 1], [True, False])], lambda pairs: [True] * len(pairs))
    assert as_dict(joined) == {"a": (4, 0.75)}
