"""The split of a budget over models: against brute force, against its own certificate, and where it is known."""

import itertools

import numpy as np
import pytest

from passatn.coverage import split_budget


def covered(rates, split):
    return np.mean(1 - np.prod((1 - rates) ** np.asarray(split)[:, None], axis=0))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [1, 5, 12])
def test_whole_split_is_the_best_of_all_whole_splits(seed, n):
    rates = np.random.default_rng(seed).beta(0.2, 2, size=(3, 15))
    split = split_budget(rates, n)
    every = [s for s in itertools.product(range(n + 1), repeat=3) if sum(s) == n]
    best = max(covered(rates, s) for s in every)
    assert split.whole.sum() == n
    assert split.whole_coverage == pytest.approx(covered(rates, split.whole), rel=1e-12)
    assert split.whole_coverage == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_certificate_bounds_every_random_split(seed):
    generator = np.random.default_rng(seed)
    rates = generator.beta(0.1, 3, size=(5, 200))
    split = split_budget(rates, 256)
    assert split.gap <= 1e-9
    assert split.real.sum() == pytest.approx(256)
    assert (split.real >= 0).all()
    for other in generator.dirichlet(np.ones(5), size=200) * 256:
        assert covered(rates, other) <= split.real_coverage + split.gap + 1e-12


def test_against_a_numeric_optimiser():
    from scipy.optimize import minimize

    rates = np.random.default_rng(3).beta(0.3, 4, size=(4, 50))
    found = minimize(
        lambda split: -covered(rates, split),
        np.full(4, 16.0),
        bounds=[(0, 64)] * 4,
        constraints={"type": "eq", "fun": lambda split: split.sum() - 64},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert split_budget(rates, 64).real_coverage == pytest.approx(-found.fun, abs=1e-8)


def test_models_with_disjoint_skills_share_and_a_useless_one_gets_nothing():
    rates = np.array([[0.1] * 4 + [0.0] * 4, [0.0] * 4 + [0.1] * 4, [0.0] * 8])
    split = split_budget(rates, 20)
    assert split.whole.tolist() == [10, 10, 0]
    assert split.whole_coverage > split.even_coverage
    assert split.best_single in (0, 1)
    assert split.best_single_coverage == pytest.approx((1 - 0.9**20) / 2)


def test_a_dominated_model_gets_nothing():
    strong = np.array([0.5, 0.2, 0.1])
    split = split_budget(np.stack([strong, strong / 2]), 8)
    assert split.whole.tolist() == [8, 0]


@pytest.mark.parametrize(
    ("rates", "n", "message"),
    [
        ([[0.5, 1.2]], 4, "got 1.2"),
        ([[0.5, float("nan")]], 4, "got nan"),
        ([0.5], 4, r"\[models, problems\]"),
        ([[0.5]], 0, "got 0"),
    ],
)
def test_bad_input_is_named(rates, n, message):
    with pytest.raises(ValueError, match=message):
        split_budget(rates, n)
