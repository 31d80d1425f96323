"""Policies between a calibrated model and the best one, against brute force over small problems."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize

from passatn.coverage.headroom import headroom, zipf


def covered(a, q, n):
    return float((a * (1 - (1 - q) ** n)).sum())


@pytest.mark.parametrize("n", [2, 5, 40])
def test_the_optimum_is_that_of_a_general_solver(n):
    a = np.array([0.5, 0.2, 0.15, 0.1, 0.05])
    best = max(
        -minimize(
            lambda z: -covered(a, np.exp(z) / np.exp(z).sum(), n), start, method="Nelder-Mead",
            options={"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-9, "fatol": 1e-12},
        ).fun
        for start in (np.zeros(5), np.log(a))
    )  # fmt: skip
    assert headroom(a, n).optimum == pytest.approx(best, abs=2e-5)


def test_calibrated_and_distinct_by_hand():
    found = headroom([0.3, 0.5, 0.2], 2)
    assert found.calibrated == pytest.approx(0.5 * (1 - 0.25) + 0.3 * (1 - 0.49) + 0.2 * (1 - 0.64))
    assert found.distinct == pytest.approx(0.8)


def test_the_best_temperature_is_the_best_of_a_fine_grid():
    a = zipf(30, 1.2)
    found = headroom(a, 16)
    fine = {t: covered(a, a ** (1 / t) / (a ** (1 / t)).sum(), 16) for t in np.linspace(0.3, 6, 4000)}
    assert found.tempered == pytest.approx(max(fine.values()), abs=1e-4)
    assert found.temperature == pytest.approx(max(fine, key=lambda t: fine[t]), rel=0.03)


def test_each_policy_includes_those_before():
    for exponent in (0.8, 1.0, 1.5, 2.5):
        for n in (1, 16, 256):
            found = headroom(zipf(400, exponent), n)
            ordered = (found.calibrated, found.tempered, found.cut, found.optimum, found.distinct)
            assert all(before <= after + 1e-9 for before, after in pairwise(ordered)), ordered
            assert found.optimum - found.cut < 0.012


def test_one_sample_is_best_spent_on_the_likeliest():
    assert headroom([0.4, 0.35, 0.25], 1).optimum == pytest.approx(0.4)


def test_bad_input():
    with pytest.raises(ValueError, match="n must be"):
        headroom([0.5], 0)
    with pytest.raises(ValueError):
        headroom([0.5, 1.5], 3)
