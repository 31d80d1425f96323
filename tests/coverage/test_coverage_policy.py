"""The optimal policy and the bounds on its largest confidence: against a numeric optimiser and against each other."""

import mpmath
import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from passatn.coverage import max_confidence_bounds, optimal_confidences

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

COUNTEREXAMPLE = [0.4, 0.3, 0.1, 0.1, 0.1]


def random_instances(count, seed, largest_k=8):
    """Accuracies that sum to at most 1, from near-uniform to near-deterministic, and n from just above 1 to 2^12."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        k = int(rng.integers(1, largest_k + 1))
        yield (
            rng.dirichlet(np.full(k, 10 ** rng.uniform(-0.7, 1.5))) * rng.uniform(0.3, 1),
            1 + 2 ** rng.uniform(-5, 12),
        )


def expected_coverage(q, accuracies, n):
    return np.sum(accuracies * -np.expm1(n * np.log1p(-np.minimum(q, 1 - 1e-16))))


def test_no_optimiser_does_better():
    for accuracies, n in random_instances(40, seed=0, largest_k=5):
        n = min(n, 300.0)
        found = minimize(
            lambda q, a=accuracies, n=n: np.sum(a * np.clip(1 - q, 0, 1) ** n),
            np.full(len(accuracies), 1 / len(accuracies)),
            bounds=[(0, 1)] * len(accuracies),
            constraints={"type": "eq", "fun": lambda q: q.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-13, "maxiter": 500},
        )
        q = optimal_confidences(accuracies, n)
        best = expected_coverage(q, accuracies, n)
        searched = np.clip(found.x, 0, 1) / np.clip(found.x, 0, 1).sum()
        assert best >= expected_coverage(searched, accuracies, n) - 1e-12
        assert best <= expected_coverage(searched, accuracies, n) + 1e-3


def test_optimality_conditions():
    several_active = 0
    for accuracies, n in random_instances(500, seed=1):
        q = optimal_confidences(accuracies, n)
        assert q.sum() == pytest.approx(1, abs=1e-14)
        assert np.all(q >= 0)
        with np.errstate(divide="ignore"):
            log_gain = np.log(accuracies) + (n - 1) * np.log1p(-q)
        active = q > 1e-9
        several_active += active.sum() > 1
        if active.sum() > 1:
            # Rounding q near 1 moves log(1 - q), which (n - 1) multiplies.
            level, tolerance = log_gain[active].max(), 1e-14 * n / (1 - q.max())
            assert log_gain[active].min() == pytest.approx(level, abs=tolerance)
            assert np.all(log_gain[~active] <= level + tolerance)
    assert several_active > 200


def test_calibrated():
    """Lemma A.1: a_i >= a_j implies q_i >= q_j."""
    for accuracies, n in random_instances(300, seed=2):
        q = optimal_confidences(accuracies, n)
        assert np.all(np.diff(q[np.argsort(accuracies)]) >= -1e-15)


def test_near_one_sample_against_high_precision():
    accuracies = np.array([0.3, 0.3 - 1e-13, 0.3 - 2.5e-13, 0.1])
    n = 1 + 2.0**-41
    with mpmath.workdps(60):
        ratios = [(mpmath.mpf(accuracies[0]) / mpmath.mpf(a)) ** (1 / (mpmath.mpf(n) - 1)) for a in accuracies]
        u = max(k / mpmath.fsum(ratios[: k + 1]) for k in range(4))
        exact = [float(max(0, 1 - u * ratio)) for ratio in ratios]
    assert 0.1 < exact[1] < 0.4
    np.testing.assert_allclose(optimal_confidences(accuracies, n), exact, rtol=1e-11, atol=1e-15)


def test_many_answers_still_sum_to_one():
    accuracies = np.random.default_rng(4).dirichlet(np.full(50_000, 2.0))
    for n in (1.01, 2, 1000, 2**30):
        assert optimal_confidences(accuracies, n).sum() == pytest.approx(1, abs=1e-13)


def test_one_sample_puts_all_mass_on_the_first_maximum():
    assert optimal_confidences([0.2, 0.4, 0.4], 1).tolist() == [0, 1, 0]
    assert [float(b) for b in max_confidence_bounds([0.2, 0.4, 0.4], 1)] == [1, 1]
    assert [float(b) for b in max_confidence_bounds([0.2, 0.4, 0.4], 1, k=2)] == [1, 1]
    almost = optimal_confidences([0.2, 0.4, 0.4], 1 + 2.0**-52)
    np.testing.assert_allclose(almost, [0, 0.5, 0.5], atol=1e-15)


def test_large_n_shares_among_answers_with_a_chance():
    np.testing.assert_allclose(optimal_confidences([0.5, 0, 0.1, 1e-300], 2**60), [1 / 3, 0, 1 / 3, 1 / 3], atol=1e-12)
    assert optimal_confidences([0.0, 1e-310, 1.0, 0.0], 1.001).tolist() == [0, 0, 1, 0]
    for n in (1, 1.5, 2, 2**30):
        assert optimal_confidences([0.0, 0.5, 0.0], n).tolist() == [0, 1, 0]
        assert [float(b) for b in max_confidence_bounds([0.0, 0.5, 0.0], n)] == [1, 1]


def test_known_two_answer_policy():
    # K = 2: q_1 = 1 / (1 + (a_2 / a_1)^m).
    for n in (1.5, 2, 5, 100):
        q = optimal_confidences([0.2, 0.6], n)
        np.testing.assert_allclose(q[1], 1 / (1 + (1 / 3) ** (1 / (n - 1))), rtol=1e-14)


def test_counterexample_to_the_averaged_bounds():
    """Averaging the other ranks (then Jensen) gives .2607 <= q_1 <= .2410 here; the optimum is .2467."""
    optimum = optimal_confidences(COUNTEREXAMPLE, 16)[0]
    lower, upper = max_confidence_bounds(COUNTEREXAMPLE, 16)
    assert optimum == pytest.approx(0.2467, abs=5e-5)
    assert upper == pytest.approx(optimum, rel=1e-12)
    assert lower == pytest.approx(1 - 0.75 ** (1 / 15), rel=1e-12)
    s, t, big_k = (0.6 / 1.6) ** (1 / 15), 0.75 ** (1 / 15), 0.9 / 0.3
    assert 1 - 4 * s / (4 + s) == pytest.approx(0.2410, abs=5e-5)
    assert 1 - big_k * t / (big_k + t) == pytest.approx(0.2607, abs=5e-5)


def test_bounds_hold_on_random_instances():
    for accuracies, n in random_instances(2000, seed=3):
        ranked = np.sort(accuracies)[::-1]
        optimum = optimal_confidences(accuracies, n).max()
        lower, upper = max_confidence_bounds(accuracies, n)
        assert lower <= optimum + 1e-14
        assert upper == pytest.approx(optimum, rel=1e-12)
        with np.errstate(over="ignore"):
            w = (ranked[0] / ranked) ** (1 / (n - 1))
            by_k = 1 - np.arange(len(w)) / np.cumsum(w)
        assert optimum == pytest.approx(by_k.min(), abs=1e-12)
        for k in range(1, len(accuracies) + 1):
            _, weaker = max_confidence_bounds(accuracies, n, k=k)
            assert weaker >= optimum - 1e-14
            _, from_mass = max_confidence_bounds(accuracies, n, mass=ranked[:k].sum())
            assert optimum - 1e-14 <= from_mass <= weaker + 1e-9


def test_bounds_fall_with_n():
    n = np.geomspace(1, 2**20, 300)
    for options in ({}, {"k": 4}, {"mass": 0.75}):
        lower, upper = max_confidence_bounds(COUNTEREXAMPLE, n, **options)
        assert lower.shape == upper.shape == (300,)
        assert lower[0] == upper[0] == 1
        assert np.all(np.diff(lower) <= 1e-15)
        assert np.all(np.diff(upper) <= 1e-15)
        assert lower[-1] < 1e-4
        assert upper[-1] < 0.51


def test_meaning_of_k_and_mass():
    m = 1 / 15

    def formula(k, mass):
        return 1 / (1 + ((mass - 0.4) / ((k - 1) * 0.4)) ** m)

    def upper(accuracies=COUNTEREXAMPLE, **options):
        return max_confidence_bounds(accuracies, 16, **options)[1]

    assert upper(k=2) == pytest.approx(formula(2, 0.7), rel=1e-12)
    assert upper(k=5) == pytest.approx(formula(5, 1.0), rel=1e-12)
    assert upper(mass=0.75) == pytest.approx(formula(3, 0.75), rel=1e-12)
    assert upper(mass=1.0) == pytest.approx(formula(5, 1.0), rel=1e-12)
    assert upper(k=4, mass=0.75) == pytest.approx(formula(4, 0.75), rel=1e-12)
    assert upper([0.4], k=10, mass=0.9) == pytest.approx(formula(10, 0.9), rel=1e-12)
    assert upper(k=1) == upper(mass=0.4) == upper(mass=0.1) == upper(k=3, mass=0.3) == 1


def test_rounding_of_the_mass_never_makes_the_bound_too_small():
    assert max_confidence_bounds([0.3, 0.3], 1 + 2.0**-45, mass=float(np.nextafter(0.6, 1)))[1] >= 0.5
    accuracies = np.array([0.3, 1e-17])
    assert max_confidence_bounds(accuracies, 2**30, k=2, mass=float(np.nextafter(0.3, 1)))[1] == 1


@pytest.mark.parametrize("as_array", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_shapes_and_kinds(as_array):
    accuracies = as_array([[[0.4, 0.3, 0.1], [0.2, 0.2, 0.5]]])
    n = as_array([[2.0], [16.0], [64.0], [1.0]])
    q = optimal_confidences(accuracies, n)
    lower, upper = max_confidence_bounds(accuracies, n)
    assert tuple(q.shape) == (4, 2, 3)
    assert tuple(lower.shape) == tuple(upper.shape) == (4, 2)
    assert q.dtype == lower.dtype == upper.dtype == accuracies.dtype
    assert type(q) is type(lower) is type(upper) is type(accuracies)
    for i, width in enumerate([2.0, 16.0, 64.0, 1.0]):
        for j, row in enumerate(np.asarray(accuracies)[0]):
            np.testing.assert_allclose(np.asarray(q)[i, j], optimal_confidences(row, width), rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(np.asarray(upper)[i, j], max_confidence_bounds(row, width)[1], rtol=1e-6)
            np.testing.assert_allclose(np.asarray(lower)[i, j], max_confidence_bounds(row, width)[0], rtol=1e-6)


def test_small_and_empty_inputs():
    assert optimal_confidences([0.3], 7).tolist() == [1]
    assert [float(b) for b in max_confidence_bounds([0.3], 7)] == [1, 1]
    assert optimal_confidences(np.empty((0, 3)), 7).shape == (0, 3)
    assert max_confidence_bounds(np.empty((0, 3)), 7)[1].shape == (0,)
    assert type(max_confidence_bounds([0.3, 0.1], 7)[0]) is np.float64
    assert optimal_confidences(torch.tensor([0.3, 0.1], dtype=torch.float32), 7.5).dtype == torch.float32


@pytest.mark.parametrize(
    ("accuracies", "n", "options", "message"),
    [
        ([0.4, -0.1], 4, {}, "accuracies must be probabilities, from 0 to 1, got -0.1"),
        ([0.4, 1.5], 4, {}, "accuracies .* got 1.5"),
        ([0.4, float("nan")], 4, {}, "accuracies .* got nan"),
        ([[0.4, 0.1], [0.0, 0.0]], 4, {}, "the largest must be above 0, got 0.0"),
        ([], 4, {}, r"accuracies must have shape \[..., K\] with K >= 1 answers, got shape \(0,\)"),
        (0.4, 4, {}, r"got shape \(\)"),
        ([0.4], 0.5, {}, "n must .* got 0.5"),
        ([0.4, 0.1], 4, {"k": 0}, "k must be a whole number of answers, at least 1, got 0"),
        ([0.4, 0.1], 4, {"k": 1.5}, "k must be a whole number of answers, at least 1, got 1.5"),
        ([0.4, 0.1], 4, {"k": 3}, "k must be at most the number of answers, 2, when mass is not given, got 3"),
        ([0.4, 0.1], 4, {"mass": 0.0}, "mass must be above 0 and at most 1, got 0.0"),
        ([0.4, 0.1], 4, {"mass": 1.5}, "mass must be above 0 and at most 1, got 1.5"),
        ([0.4, 0.1], 4, {"mass": 0.6}, "accuracies must sum to at least mass = 0.6, got 0.5"),
        ([0.4, 0.1], 4, {"k": 3, "mass": 0.9}, "the first k = 3 answers must be able to hold mass = 0.9, got 0.6"),
    ],
)
def test_refused_values_are_named(accuracies, n, options, message):
    with pytest.raises(ValueError, match=message):
        max_confidence_bounds(accuracies, n, **options)
    if not options:
        with pytest.raises(ValueError, match=message):
            optimal_confidences(accuracies, n)
