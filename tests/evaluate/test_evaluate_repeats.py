"""Differences over problems and seeds: against scipy's t-interval, and whether intervals hold the truth."""

import numpy as np
import pytest
import scipy.stats

from passatn.evaluate import compare_paired
from passatn.evaluate.pass_at_n import coverage_values
from passatn.evaluate.repeats import compare_repeats, repeated_means


def test_without_problems_it_is_the_t_interval_over_seeds():
    by_seed = np.array([0.02, 0.05, 0.11])
    values = np.repeat(by_seed, 20).reshape(3, 20, 1)
    found = compare_repeats(np.zeros_like(values), values, [1], num_resamples=100_000)
    low, high = scipy.stats.t.interval(0.95, 2, loc=by_seed.mean(), scale=scipy.stats.sem(by_seed))
    assert (found.low[0], found.high[0]) == pytest.approx((low, high), abs=0.003)
    assert found.p_value[0] == pytest.approx(scipy.stats.ttest_1samp(by_seed, 0).pvalue, abs=0.003)


def test_without_seeds_it_is_the_paired_comparison():
    rng = np.random.default_rng(4)
    a, b = np.log(rng.random((2, 30)))
    values = [np.stack([coverage_values(log_p, (1, 16))] * 3) for log_p in (a, b)]
    found, plain = (
        compare_repeats(*values, (1, 16), num_resamples=500),
        compare_paired(a, b, (1, 16), num_resamples=500),
    )
    for name in ("difference", "low", "high", "p_value", "wins"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name))


def test_both_errors_add_up():
    rng = np.random.default_rng(5)
    values = rng.normal(0, 0.1, (40, 1, 1)) + rng.normal(0, 0.5, (1, 40, 1))
    drawn = repeated_means(values, num_resamples=100_000, seed=1)
    seeds, problems = values.mean(axis=1).var(ddof=1) / 40, values.mean(axis=0).var() / 40
    assert drawn.var() == pytest.approx(problems + seeds * 39 / 37, rel=0.02), "the variance of t with 39 is 39/37"


def test_one_seed_is_the_paired_comparison():
    rng = np.random.default_rng(2)
    a, b = np.log(rng.random((2, 30)))
    ns = (1, 16)
    plain = compare_paired(a, b, ns, num_resamples=500)
    values = [coverage_values(log_p, ns)[None] for log_p in (a, b)]
    assert compare_repeats(*values, ns, num_resamples=500) == plain


def test_seeds_that_disagree_widen_the_interval():
    a = np.zeros((4, 50, 1))
    agree = np.full((4, 50, 1), 0.1)
    disagree = agree + np.array([-0.2, 0.2, -0.1, 0.1])[:, None, None]
    narrow, wide = compare_repeats(a, agree, [1]), compare_repeats(a, disagree, [1])
    assert narrow.difference == pytest.approx(wide.difference)
    assert (narrow.low[0], narrow.high[0]) == pytest.approx((0.1, 0.1))
    assert wide.low[0] < 0 < 0.2 < wide.high[0]
    assert narrow.adjusted_p_value[0] < 0.01 < 0.2 < wide.adjusted_p_value[0]


def share_of_intervals_with_zero(num_seeds, seed_sd, problem_sd, repetitions=300):
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(repetitions):
        effects = rng.normal(0, seed_sd, (num_seeds, 1, 1)) + rng.normal(0, problem_sd, (1, 60, 1))
        values = effects + rng.normal(0, 0.05, (num_seeds, 60, 1))
        found = compare_repeats(np.zeros_like(values), values, [1], num_resamples=400)
        hits += found.low[0] <= 0 <= found.high[0]
    return hits / repetitions


@pytest.mark.parametrize(("num_seeds", "seed_sd"), [(3, 0.0), (3, 0.02), (3, 0.1), (6, 0.1)])
def test_intervals_hold_the_truth_as_often_as_they_say(num_seeds, seed_sd):
    share = share_of_intervals_with_zero(num_seeds, seed_sd, problem_sd=0.3 if seed_sd < 0.1 else 0.05)
    assert 0.92 <= share <= 0.985


def test_what_cannot_be_compared_is_an_error():
    with pytest.raises(ValueError, match=r"shape \[S, P, 2\] with S ≥ 1, got \[3, 5, 2\] and \[2, 5, 2\]"):
        compare_repeats(np.zeros((3, 5, 2)), np.zeros((2, 5, 2)), [1, 2])
    with pytest.raises(ValueError, match="at least 2 problems"):
        compare_repeats(np.zeros((3, 1, 1)), np.zeros((3, 1, 1)), [1])
