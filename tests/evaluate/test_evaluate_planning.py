"""How many samples a wanted interval takes: against simulation, and against direct formulas."""

import numpy as np
import pytest
from scipy.stats import betabinom

from passatn.coverage import pass_at_n
from passatn.evaluate.planning import estimate_variance, limit_variance, plan_samples

A, B = 0.4, 6.0


def simulated_counts(num_problems, num_samples, seed):
    rng = np.random.default_rng(seed)
    return np.full(num_problems, num_samples), rng.binomial(num_samples, rng.beta(A, B, num_problems))


@pytest.mark.parametrize(("n", "num_samples"), [(1, 8), (4, 4), (16, 64), (64, 200)])
def test_the_variance_is_that_of_the_estimates_of_simulated_problems(n, num_samples):
    estimates = pass_at_n(*simulated_counts(200_000, num_samples, seed=1), n)
    assert estimate_variance(A, B, n, num_samples) == pytest.approx(estimates.var(), rel=0.02)
    counts = np.arange(num_samples + 1)
    mass = betabinom(num_samples, A, B).pmf(counts)
    values = pass_at_n(num_samples, counts, n)
    expected = mass @ values**2 - (mass @ values) ** 2
    assert estimate_variance(A, B, n, num_samples) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [1, 16, 256])
def test_the_limit_is_the_variance_of_the_true_coverage(n):
    rates = np.random.default_rng(0).beta(A, B, 400_000)
    assert limit_variance(A, B, n) == pytest.approx((1 - (1 - rates) ** n).var(), rel=0.02)
    assert limit_variance(A, B, n) < estimate_variance(A, B, n, 20 * n) < estimate_variance(A, B, n, 2 * n)


def test_the_planned_number_of_samples_gives_the_wanted_half_width():
    """Repeated studies of 400 problems with as many samples as planned: 1.96 standard deviations of their means."""
    plan = plan_samples(*simulated_counts(3000, 64, seed=2), 16, 0.0132)
    assert plan.num_samples is not None
    assert 16 < plan.num_samples < 1000
    rng = np.random.default_rng(3)
    correct = rng.binomial(plan.num_samples, rng.beta(A, B, (1000, 400)))
    means = pass_at_n(np.full(correct.shape, plan.num_samples), correct, 16).mean(axis=1)
    assert 1.96 * means.std() * np.sqrt(400 / 3000) == pytest.approx(plan.half_width, rel=0.1)
    assert plan.num_problems == pytest.approx(3000, rel=0.05)


def test_where_no_number_of_samples_is_enough_it_says_how_many_problems():
    few = plan_samples(*simulated_counts(100, 64, seed=2), 16, 0.01)
    assert few.num_samples is None
    assert few.expected_limit > 0.01
    assert few.expected_now > few.expected_limit
    again = plan_samples(*simulated_counts(few.num_problems, 64, seed=4), 16, 0.01)
    assert again.expected_now == pytest.approx(0.01, rel=0.25)
    assert plan_samples(*simulated_counts(100, 8, seed=2), 16, 0.01).expected_now is None


def test_bad_input():
    counts = simulated_counts(10, 8, seed=0)
    with pytest.raises(ValueError, match=r"half_width must be between 0 and 0\.5, got 0\.7"):
        plan_samples(*counts, 4, 0.7)
    with pytest.raises(ValueError, match="both correct and incorrect samples"):
        plan_samples([8, 8], [0, 0], 4, 0.1)
    with pytest.raises(ValueError, match="N must be a whole number ≥ 1, got 0"):
        plan_samples(*counts, 0, 0.1)
