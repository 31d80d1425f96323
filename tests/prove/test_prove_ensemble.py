"""Ensembles, against enumeration of all choices of samples and simulation."""

import itertools

import numpy as np
import pytest
from search_records import record

from passatn.prove.ensemble import Ensemble


def test_covered_is_the_mean_over_all_choices_of_samples():
    counts = {"A": [(4, 1), (4, 0), (5, 5)], "B": [(3, 2), (3, 0), (3, 0)]}
    runs = {name: [record(f"t{i}", n, c) for i, (n, c) in enumerate(pairs)] for name, pairs in counts.items()}
    runs["B"] = runs["B"][::-1]
    split = (2, 1)
    expected = []
    for i in range(3):
        outcomes = [[True] * c + [False] * (n - c) for n, c in (counts["A"][i], counts["B"][i])]
        choices = itertools.product(*(itertools.combinations(o, k) for o, k in zip(outcomes, split, strict=True)))
        hits = [any(itertools.chain(*choice)) for choice in choices]
        expected.append(sum(hits) / len(hits))
    assert Ensemble.of(runs).covered(split) == pytest.approx(expected)


def test_curve_and_gains_hold_the_same_number_of_samples_against_each_other():
    """Specialists: each model proves its own half. 2 samples, one of each, beat 2 of one."""
    left = [record(f"t{i}", 8, 8 if i % 2 else 0) for i in range(10)]
    right = [record(f"t{i}", 4, 0 if i % 2 else 4) for i in range(10)]
    ensemble = Ensemble.of({"left": left, "right": right})
    curve = ensemble.curve([1, 4, 8])
    assert (curve.ns, curve.estimate, curve.num_problems) == ((1, 4), (1.0, 1.0), 10)
    first, second = ensemble.gains([1, 2, 4])
    assert (first.name, first.single.ns, first.single.estimate) == ("left", (1, 2, 4), (0.5,) * 3)
    assert (second.name, second.single.ns) == ("right", (1, 2)), "4 of each are 8 of one, it has 4"
    assert first.difference.estimate == pytest.approx((0.5,) * 3)
    assert first.difference.low[0] > 0
    assert ensemble.curve([16]) is None
    assert ensemble.gains([16]) == []


def test_the_single_model_gets_as_many_samples_in_all():
    """2 of 8 right: of 2 samples some are right with 1 − (6·5)/(8·7), of 4 with 1 − (6·5·4·3)/(8·7·6·5)."""
    runs = {name: [record(f"t{i}", 8, 2) for i in range(3)] for name in "AB"}
    gain = Ensemble.of(runs).gains([1, 2])[0]
    assert gain.single.estimate == pytest.approx((1 - 30 / 56, 1 - 360 / 1680))
    assert gain.ensemble.estimate == pytest.approx((1 - (6 / 8) ** 2, 1 - (30 / 56) ** 2))
    assert gain.difference.estimate == pytest.approx((30 / 56 - 36 / 64, 360 / 1680 - (30 / 56) ** 2))


def test_the_difference_is_paired():
    """Equal models gain exactly nothing on every theorem, so the interval has no width."""
    same = [record(f"t{i}", 4, 4 * (i % 2)) for i in range(10)]
    gain = Ensemble.of({"A": same, "B": same}).gains([1])[0].difference
    assert (gain.estimate, gain.low, gain.high) == ((0,), (0,), (0,))


def test_estimates_have_no_bias():
    rng = np.random.default_rng(0)
    rates, trials = np.array([0.1, 0.3]), 20_000
    correct = rng.binomial(6, rates[:, None], size=(2, trials))
    runs = {str(m): [record(f"t{i}", 6, int(c)) for i, c in enumerate(row)] for m, row in enumerate(correct)}
    estimate = Ensemble.of(runs).covered((2, 3)).mean()
    assert estimate == pytest.approx(1 - 0.9**2 * 0.7**3, abs=0.01)


def test_runs_that_do_not_match():
    with pytest.raises(ValueError, match="at least two runs"):
        Ensemble.of({"A": [record("a", 4, 1)]})
    with pytest.raises(ValueError, match="A and B differ in theorem 'b'"):
        Ensemble.of({"A": [record("a", 4, 1)], "B": [record("a", 4, 1), record("b", 4, 1)]})
    with pytest.raises(ValueError, match="5"):
        Ensemble.of({"A": [record("a", 4, 1)], "B": [record("a", 4, 1)]}).covered((5, 1))
