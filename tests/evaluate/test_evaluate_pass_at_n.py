"""pass@N and its intervals: hand examples, and coverage of the intervals by simulation."""

import numpy as np
import pytest

from passatn.evaluate import PassAtN, pass_at_n_from_counts, pass_at_n_from_log_p

NS = [1, 16, 64]


def test_exact_estimate_is_the_mean_of_coverage() -> None:
    curve = pass_at_n_from_log_p([0.0, -np.inf], [1, 2, 1024])
    assert curve.estimate == (0.5, 0.5, 0.5)
    assert curve.source == "exact"
    assert curve.num_problems == 2
    curve = pass_at_n_from_log_p(np.log([0.1, 0.1]), [1, 2, 10], is_exact=False)
    np.testing.assert_allclose(curve.estimate, [0.1, 0.19, 1 - 0.9**10], rtol=1e-14)
    assert curve.source == "lower bound"


def test_counts_give_the_unbiased_estimate() -> None:
    # 4 samples, 1 correct: the chance that 2 drawn ones hold it is 1/2.
    curve = pass_at_n_from_counts([4, 4], [1, 0], [1, 2, 4])
    np.testing.assert_allclose(curve.estimate, [0.125, 0.25, 0.5], rtol=1e-14)
    assert curve.source == "samples"


def test_same_seed_same_interval_and_confidence_widens() -> None:
    log_p = -np.random.default_rng(0).exponential(4, size=100)
    a, b = pass_at_n_from_log_p(log_p, NS, seed=3), pass_at_n_from_log_p(log_p, NS, seed=3)
    assert a == b
    assert a != pass_at_n_from_log_p(log_p, NS, seed=4)
    wide = pass_at_n_from_log_p(log_p, NS, seed=3, confidence=0.99)
    assert all(w < n for w, n in zip(wide.low, a.low, strict=True))
    assert all(low < mean < high for low, mean, high in zip(a.low, a.estimate, a.high, strict=True))


def test_chunks_do_not_change_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    log_p = -np.random.default_rng(0).exponential(4, size=50)
    whole = pass_at_n_from_log_p(log_p, NS)
    monkeypatch.setattr("passatn.evaluate.bootstrap.MAX_CELLS", 333)
    chunked = pass_at_n_from_log_p(log_p, NS)
    # The same draws; a product of other shape may add up in another order.
    assert chunked.low == pytest.approx(whole.low, rel=1e-12)
    assert chunked.high == pytest.approx(whole.high, rel=1e-12)
    assert chunked.estimate == whole.estimate


def test_degenerate_draws_keep_an_honest_interval() -> None:
    none_solved = pass_at_n_from_counts([8] * 30, [0] * 30, [1, 8])
    assert none_solved.low == (0.0, 0.0)
    np.testing.assert_allclose(none_solved.high, [1 - 0.025 ** (1 / 30)] * 2)
    all_solved = pass_at_n_from_counts([8] * 30, [8] * 30, [1, 8])
    assert all_solved.high == (1.0, 1.0)
    np.testing.assert_allclose(all_solved.low, [0.025 ** (1 / 30)] * 2)
    single = pass_at_n_from_log_p([-1.0], [1])
    assert (single.low, single.high) == ((0.0,), (1.0,))


@pytest.mark.parametrize("source", ["exact", "samples"])
def test_interval_covers_the_population_mean(source: str) -> None:
    """95 % intervals of 200 problems (64 samples each) hold the population's pass@N in 95 ± 4 % of 1,000 draws.

    The standard error of that share is 0.7 %; percentile intervals of skewed data fall a little short.
    """
    rng = np.random.default_rng(7)
    population = rng.beta(0.25, 4.0, size=400_000)
    truth = np.array([np.mean(1 - (1 - population) ** n) for n in NS])
    hits = np.zeros(len(NS))
    for seed in range(1000):
        p = rng.choice(population, size=200)
        if source == "exact":
            with np.errstate(divide="ignore"):
                curve = pass_at_n_from_log_p(np.log(p), NS, num_resamples=400, seed=seed)
        else:
            curve = pass_at_n_from_counts(np.full(200, 64), rng.binomial(64, p), NS, num_resamples=400, seed=seed)
        hits += (np.array(curve.low) <= truth) & (truth <= np.array(curve.high))
    np.testing.assert_allclose(hits / 1000, 0.95, atol=0.04)


def test_samples_agree_with_exact() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(0.5, 5, size=3000)
    exact = pass_at_n_from_log_p(np.log(p), NS, num_resamples=2)
    sampled = pass_at_n_from_counts(np.full(3000, 256), rng.binomial(256, p), NS, num_resamples=2)
    # The standard error of the sampled mean is below 0.0015 at each N.
    np.testing.assert_allclose(sampled.estimate, exact.estimate, atol=0.006)


def test_round_trip_through_a_dict() -> None:
    curve = pass_at_n_from_counts([16, 16], [3, 0], [1, 16])
    data = curve.to_dict()
    assert data["ns"] == [1, 16]
    assert PassAtN.from_dict(data) == curve
    with pytest.raises(ValueError, match="source: missing"):
        PassAtN.from_dict({key: value for key, value in data.items() if key != "source"})
    with pytest.raises(ValueError, match="median: unknown field"):
        PassAtN.from_dict({**data, "median": 0.5})
    with pytest.raises(ValueError, match=r"estimate must be numbers in \[0, 1\]"):
        PassAtN.from_dict({**data, "estimate": [0.1, 1.1]})


def test_one_value_of_the_curve() -> None:
    curve = pass_at_n_from_log_p([0.0], [1, 4])
    assert curve.at(4) == 1.0
    with pytest.raises(ValueError, match="no pass@2 here: the curve has N = 1, 4"):
        curve.at(2)


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match="pass@16 needs 16 samples of every problem, but row 1 has 8"):
        pass_at_n_from_counts([16, 8], [1, 1], [1, 16])
    with pytest.raises(ValueError, match="row 1: 5 correct of 4 samples"):
        pass_at_n_from_counts([4, 4], [1, 5], [1])
    with pytest.raises(ValueError, match=r"log_p\[1\] must be ≤ 0, got nan"):
        pass_at_n_from_log_p([-1.0, np.nan], [1])
    with pytest.raises(ValueError, match=r"log_p\[0\] must be ≤ 0, got 0.1"):
        pass_at_n_from_log_p([0.1], [1])
    with pytest.raises(ValueError, match="log_p must have shape"):
        pass_at_n_from_log_p([], [1])
    with pytest.raises(ValueError, match=r"whole number ≥ 1, got 1\.5"):
        pass_at_n_from_log_p([-1.0], [1.5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="ns must increase, got 4 after 16"):
        pass_at_n_from_log_p([-1.0], [16, 4])
    with pytest.raises(ValueError, match="ns is empty"):
        pass_at_n_from_log_p([-1.0], [])
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1, got 95"):
        pass_at_n_from_log_p([-1.0], [1], confidence=95)
