"""The unbiased estimator: against rational arithmetic, against simulation, at the edges, and what it refuses."""

from fractions import Fraction
from math import comb, prod

import numpy as np
import pytest
import torch

from passatn.coverage import coverage, pass_at_n
from passatn.coverage.estimator import CHUNK, hit_probability


def exact(num_samples, num_correct, n):
    """1 - C(num_samples - num_correct, n) / C(num_samples, n) as a fraction, the miss with the fewer factors."""
    few, many = sorted((int(num_correct), int(n)))
    miss = prod(max(num_samples - many - i, 0) for i in range(few))
    return 1 - Fraction(miss, prod(num_samples - i for i in range(few)))


def test_the_reference_is_the_ratio_of_binomials():
    for c in range(8):
        for n in range(1, 8):
            assert exact(7, c, n) == 1 - Fraction(comb(7 - c, n), comb(7, n))


def test_all_counts_of_small_experiments():
    cases = [(s, c, n) for s in (1, 2, 13, 40) for c in range(s + 1) for n in range(1, s + 1)]
    got = pass_at_n(*np.array(cases).T)
    np.testing.assert_allclose(got, [float(exact(*case)) for case in cases], rtol=1e-14)


@pytest.mark.parametrize(
    ("num_correct", "n"),
    [(1, 1), (1, 2), (1, 777_777), (1, 10**6), (2, 10**6 - 1), (3, 1000), (10**6 - 1, 1), (40, 40), (1000, 1000),
     (2500, 3000), (5000, 6000), (6000, 6300), (100, 400_000), (20, 900_000)],
)  # fmt: skip
def test_a_million_samples(num_correct, n):
    expected = exact(10**6, num_correct, n)
    got = Fraction(float(pass_at_n(10**6, num_correct, n)))
    assert abs(got / expected - 1) < Fraction(1, 10**11)
    assert pass_at_n(10**6, n, num_correct) == float(got)


def test_certainty_is_only_claimed_where_rounding_gives_it():
    miss = 1 - exact(10**6, 5000, 6000)
    assert 1e-14 < miss < 1e-13
    assert pass_at_n(10**6, 5000, 6000) < 1
    assert 1 - exact(10**6, 6320, 6350) < Fraction(1, 2**54)
    assert pass_at_n(10**6, 6320, 6350) == 1


def test_random_counts_of_large_experiments():
    rng = np.random.default_rng(1)
    samples = rng.integers(1, 10**5, 150)
    correct = (samples * rng.random(150) ** 8).astype(int)
    n = np.maximum(1, (samples * rng.random(150) ** 8).astype(int))
    got = pass_at_n(samples, correct, n)
    expected = [exact(*(int(x) for x in case)) for case in zip(samples, correct, n, strict=True)]
    assert sum(0 < e < 1 for e in expected) > 30
    np.testing.assert_allclose(got, [float(e) for e in expected], rtol=1e-11)


def test_edges():
    assert pass_at_n(50, 0, [1, 7, 50]).tolist() == [0, 0, 0]
    assert pass_at_n(50, 50, [1, 7, 50]).tolist() == [1, 1, 1]
    assert pass_at_n(50, [0, 1, 49, 50], 50).tolist() == [0, 1, 1, 1]
    assert pass_at_n(50, np.arange(51), 1).tolist() == (np.arange(51) / 50).tolist()
    assert pass_at_n(2**31 - 1, 1, 1) == 1 / (2**31 - 1)


def test_increases_with_n_and_with_correct_samples():
    table = pass_at_n(300, np.arange(301), np.arange(1, 301)[:, None])
    assert np.all(np.diff(table, axis=0) >= -1e-15)
    assert np.all(np.diff(table, axis=1) >= -1e-15)
    assert np.all((table >= 0) & (table <= 1))


@pytest.mark.parametrize("p", [0.02, 0.3])
@pytest.mark.parametrize("n", [1, 4, 15])
def test_unbiased_in_simulation(p, n):
    # A mean of 200,000 independent estimates strays by 5 standard errors once in 1.7 million tries (normal tail).
    estimates = pass_at_n(16, np.random.default_rng(n).binomial(16, p, size=200_000), n)
    standard_error = estimates.std() / np.sqrt(len(estimates))
    assert abs(estimates.mean() - coverage(np.log(p), n)) < 5 * standard_error
    assert standard_error < 0.0012


def test_shared_work_and_direct_evaluation_agree():
    rng = np.random.default_rng(2)
    samples = rng.integers(20, 60, CHUNK + 11)
    correct = (samples * rng.random(len(samples))).astype(int)
    n = 1 + (19 * rng.random(len(samples))).astype(int)
    aligned = pass_at_n(samples, correct, n)
    assert np.array_equal(aligned, hit_probability(samples, correct, n))
    every = pass_at_n(samples[:500], correct[:500], np.arange(1, 21)[:, None])
    assert np.array_equal(every[n[:500] - 1, np.arange(500)], aligned[:500])


def test_all_distinct_counts_take_the_direct_path():
    samples = np.arange(100, 700)
    correct, n = samples // 3, samples // 50
    expected = [float(exact(int(s), int(c), int(k))) for s, c, k in zip(samples, correct, n, strict=True)]
    np.testing.assert_allclose(pass_at_n(samples, correct, n), expected, rtol=1e-13)


def test_shapes_and_kinds():
    assert type(pass_at_n(10, 3, 2)) is np.float64
    assert pass_at_n([10, 20], [3, 4], [[1], [2], [4]]).shape == (3, 2)
    assert pass_at_n(10, 3, np.empty(0, int)).shape == (0,)
    assert pass_at_n(np.empty((4, 0), int), np.empty((4, 0), int), 2).shape == (4, 0)
    assert pass_at_n(10.0, 3.0, 2.0) == pass_at_n(10, 3, 2)
    from_torch = pass_at_n(torch.tensor([10, 20]), torch.tensor([3, 4]), torch.tensor([[1], [8]]))
    assert from_torch.dtype == torch.float64
    assert np.array_equal(from_torch.numpy(), pass_at_n([10, 20], [3, 4], [[1], [8]]))
    assert isinstance(pass_at_n(10, torch.tensor(3), 2), torch.Tensor)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((10, 3, 16), "n must be at most num_samples, got n = 16 with num_samples = 10"),
        (([20, 10], 3, [[2], [16]]), "got n = 16 with num_samples = 10"),
        ((10, 3, 0), "n must be at least 1, got 0"),
        ((10, 3, 2.5), "n must be a whole number < 2\\^31, got 2.5"),
        ((10, 3, float("nan")), "n must be a whole number .* got nan"),
        ((10, 3, float("inf")), "n must be a whole number .* got inf"),
        ((10, 11, 1), "num_correct must be at most num_samples, got num_correct = 11 with num_samples = 10"),
        ((10, [3, -2], 1), "num_correct must be at least 0, got -2"),
        ((10, 2.5, 1), "num_correct must be a whole number .* got 2.5"),
        ((-4, 0, 1), "num_samples must be at least 0, got -4"),
        ((2**40, 1, 1), "num_samples must be a whole number < 2\\^31, got 1099511627776"),
        ((10, "3", 1), "num_correct must be whole numbers, got <U1"),
    ],
)
def test_refused_values_are_named(counts, message):
    with pytest.raises(ValueError, match=message):
        pass_at_n(*counts)
