"""pass^N, best-of-N, maj@N and distinct answers against enumeration of every subset of the samples."""

from itertools import combinations

import numpy as np
import pytest

from passatn.evaluate import best_of_n, distinct_answers, majority_at_n, pass_hat_n

COUNTS = np.array([3, 2, 2, 1])
CORRECT = np.array([False, True, False, True])
SCORES = np.array([0.1, 0.9, 0.9, 0.5])
SAMPLES = np.repeat(np.arange(4), COUNTS)
NS = (1, 2, 3, 5, 8)


def average(n, value):
    return np.mean([value(SAMPLES[list(subset)]) for subset in combinations(range(len(SAMPLES)), n)])


def vote(answers):
    votes = np.bincount(answers, minlength=4)
    winners = votes == votes.max()
    return CORRECT[winners].mean()


def best(answers):
    top = answers[SCORES[answers] == SCORES[answers].max()]
    return CORRECT[top].mean()


@pytest.mark.parametrize("n", NS)
def test_pass_hat_n_is_the_share_of_subsets_that_are_all_correct(n):
    assert pass_hat_n(8, 3, n) == pytest.approx(average(n, lambda answers: CORRECT[answers].all()), abs=1e-12)


def test_distinct_answers():
    expected = [average(n, lambda answers: len(set(answers))) for n in NS]
    assert distinct_answers(COUNTS, NS) == pytest.approx(expected)


def test_best_of_n_with_ties():
    assert best_of_n(SCORES, CORRECT, NS, COUNTS) == pytest.approx([average(n, best) for n in NS])
    one_each = best_of_n(SCORES[SAMPLES], CORRECT[SAMPLES], NS)
    assert one_each == pytest.approx(best_of_n(SCORES, CORRECT, NS, COUNTS))


def test_majority():
    found = majority_at_n(COUNTS, CORRECT, NS, num_draws=20_000, seed=1)
    expected = [average(n, vote) for n in NS]
    # Four standard errors: a false alarm in about 1 of 16,000 runs with another seed.
    assert found == pytest.approx(expected, abs=4 * 0.5 / 20_000**0.5)
    assert found[0] == pytest.approx(3 / 8)
    assert found[-1] == vote(SAMPLES) == 0


def test_silent_samples_are_drawn_but_neither_vote_nor_count():
    samples = np.append(SAMPLES, [-1, -1])
    correct = np.append(CORRECT, False)

    def of_subsets(n, value):
        return np.mean([value(samples[list(subset)]) for subset in combinations(range(len(samples)), n)])

    def vote_of(answers):
        votes = np.bincount(answers[answers >= 0], minlength=4)
        return correct[:4][(votes == votes.max()) & (votes > 0)].mean() if votes.any() else 0.0

    ns = (1, 2, 4, 10)
    expected = [of_subsets(n, lambda answers: len(set(answers) - {-1})) for n in ns]
    assert distinct_answers(COUNTS, ns, num_silent=2) == pytest.approx(expected)
    found = majority_at_n(COUNTS, CORRECT, ns, num_silent=2, num_draws=20_000, seed=1)
    assert found == pytest.approx([of_subsets(n, vote_of) for n in ns], abs=4 * 0.5 / 20_000**0.5)
    assert majority_at_n([], [], [1, 3], num_silent=3).tolist() == [0, 0]
    assert distinct_answers([], [1, 3], num_silent=3).tolist() == [0, 0]


def test_too_many_samples_are_refused():
    with pytest.raises(ValueError, match="maj@9 needs 9 samples, the problem has 8"):
        majority_at_n(COUNTS, CORRECT, [9])
    with pytest.raises(ValueError, match="9"):
        best_of_n(SCORES, CORRECT, [9], COUNTS)
    with pytest.raises(ValueError, match="NaN"):
        best_of_n([float("nan")], [True], [1])
