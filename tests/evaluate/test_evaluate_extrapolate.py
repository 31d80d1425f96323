"""Extrapolation: the fit against scipy's likelihood, the prediction against the truth, the check against hiding."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import betaln

from passatn.evaluate import extrapolate_pass_at_n, hold_out_check


def beta_counts(seed, a=0.25, b=3.0, problems=400, samples=64):
    generator = np.random.default_rng(seed)
    rates = generator.beta(a, b, size=problems)
    return rates, np.full(problems, samples), generator.binomial(samples, rates)


@pytest.mark.parametrize("seed", range(4))
def test_the_fit_is_the_maximum_likelihood(seed):
    _, samples, correct = beta_counts(seed)

    def loss(log_parameters):
        a, b = np.exp(log_parameters)
        return -np.sum(betaln(a + correct, b + samples - correct) - betaln(a, b))

    reference = np.exp(minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).x)
    fitted = extrapolate_pass_at_n(samples, correct, [1], num_resamples=2)
    assert (fitted.a, fitted.b) == pytest.approx(tuple(reference), rel=1e-4)


@pytest.mark.slow
def test_the_interval_holds_the_truth_far_beyond_the_samples():
    """True Beta rates, 64 samples, N = 4096: nominal 95 %, at least 85 % in 60 runs (chance of less: below 1 %)."""
    hits = 0
    for seed in range(60):
        _, samples, correct = beta_counts(seed)
        found = extrapolate_pass_at_n(samples, correct, [4096], num_resamples=100, seed=seed)
        truth = 1 - np.exp(betaln(0.25, 3.0 + 4096) - betaln(0.25, 3.0))
        hits += found.low[0] <= truth <= found.high[0]
    assert hits >= 51


def test_it_agrees_with_the_unbiased_estimate_within_the_samples():
    rates, samples, correct = beta_counts(1, problems=2000, samples=256)
    found = extrapolate_pass_at_n(samples, correct, [1, 16, 256], num_resamples=2)
    truth = [np.mean(1 - (1 - rates) ** n) for n in (1, 16, 256)]
    assert found.estimate == pytest.approx(truth, abs=0.01)


def test_hiding_samples_shows_the_error_of_a_wrong_shape():
    _, samples, correct = beta_counts(2, samples=512)
    good = hold_out_check(samples, correct, 32, [64, 512])
    generator = np.random.default_rng(0)
    rates = np.where(np.arange(400) < 200, 0.5, 0.004)
    bad = hold_out_check(samples, generator.binomial(512, rates), 32, [64, 512])
    assert good.largest_error < 0.05
    assert bad.largest_error > 0.1


def test_nothing_to_fit_is_said():
    with pytest.raises(ValueError, match="both correct and incorrect"):
        extrapolate_pass_at_n([8, 8], [0, 0], [16])
    with pytest.raises(ValueError, match="num_kept must be between 1 and 7, got 8"):
        hold_out_check([8, 8], [1, 2], 8, [4])
