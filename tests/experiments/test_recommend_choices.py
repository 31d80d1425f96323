"""The ladder of choices against brute force, and its statistics by simulation where the truth is known."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from passatn.experiments import choices
from passatn.experiments.candidates import Candidate, Pool
from passatn.experiments.choices import folds, judge, ladder
from passatn.experiments.recommend import edges, recommend


def one_of_each(rates, n, tolerance):
    """In place of the best split in simulations that do not look at it: it takes the longest."""
    return SimpleNamespace(whole=np.ones(len(rates), dtype=np.int64), gap=0.0)


def run(name, n_passes, epochs=1, temperatures=(1.0,)):
    """The candidates of one run, epoch by epoch."""
    return [
        Candidate(name, "dco", n_passes, 10 * epoch, float(epoch), (t, 1.0), is_last=epoch == epochs, is_default=t == 1)
        for epoch in range(1, epochs + 1)
        for t in temperatures
    ]


def exact(candidates, rates):
    with np.errstate(divide="ignore"):
        return Pool(tuple(candidates), np.log(rates))


def label_sets(candidates):
    steps = ladder(candidates)
    return [(rung.label, sorted(rung.members), rung.over) for rung in steps.rungs], steps.tuned, steps.single


def test_the_rungs_of_cross_entropy_then_of_all_runs():
    candidates = [*run("dco", 16, 2, (0.8, 1.0)), *run("ce", 1, 2, (0.8, 1.0))]
    rungs, tuned, single = label_sets(candidates)
    assert rungs == [
        ("cross-entropy, last epoch", [7], None),
        ("cross-entropy, best epoch", [5, 7], 0),
        ("cross-entropy, best epoch and temperature", [4, 5, 6, 7], 1),
        ("best run, last epoch", [3, 7], 0),
        ("best run, best epoch", [1, 3, 5, 7], 3),
        ("best run, best epoch and temperature", list(range(8)), 4),
    ]
    assert (tuned, single) == (2, 5)
    assert ladder(candidates).rungs[4].members == (7, 5, 3, 1), "on ties the simpler choice is taken"


def test_rungs_that_choose_among_the_same_are_left_out():
    assert label_sets(run("ce", 1, 3)) == (
        [("cross-entropy, last epoch", [2], None), ("cross-entropy, best epoch", [0, 1, 2], 0)],
        1,
        1,
    )
    assert label_sets([*run("a", None), *run("b", None, 1, (0.5, 1.0))]) == (
        [("a", [0], None), ("best run", [0, 2], 0), ("best run, best temperature", [0, 1, 2], 1)],
        0,
        2,
    )


def test_cross_fitting_and_splits_are_those_of_brute_force():
    """Each fold under the best of all choices by enumeration on the other folds."""
    rng = np.random.default_rng(3)
    candidates = [*run("ce", 1, 2), *run("dco", 8)]
    rates, n = rng.beta(0.5, 3, (3, 24)), 6
    judged, gap = judge(exact(candidates, rates), ladder(candidates), n)
    splits = [split for split in product(range(n + 1), repeat=3) if sum(split) == n]

    def covered(split, where):
        return 1 - np.prod([(1 - rates[i, where]) ** split[i] for i in range(3)], axis=0)

    singles = [tuple(n * row) for row in np.eye(3, dtype=int)]
    menus = [singles[1:2], singles[:2], singles[1:], singles, splits]
    values = np.zeros((len(menus), 24))
    parts = folds(24)
    assert sorted(np.concatenate(parts).tolist()) == list(range(24))
    assert len(parts) == 10
    for part in parts:
        others = np.setdiff1d(np.arange(24), part)
        for number, menu in enumerate(menus):
            best = max(menu, key=lambda split: covered(split, others).mean())
            values[number, part] = covered(best, part)
    found = [*judged[:4], judged[-1]]
    assert [choice.curve.estimate[0] for choice in found] == pytest.approx(values.mean(axis=1), abs=1e-9)
    assert judged[1].gain.estimate[0] == pytest.approx((values[1] - values[0]).mean())
    assert judged[-1].over_tuned.estimate[0] == pytest.approx((values[4] - values[1]).mean())
    assert judged[-1].gain.estimate[0] == pytest.approx((values[4] - values[3]).mean())
    whole = max(splits, key=lambda split: covered(split, slice(None)).mean())
    assert judged[-1].split == {i: count for i, count in enumerate(whole) if count}
    assert 0 <= gap <= choices.SPLIT_TOLERANCE


def test_the_even_split_is_over_the_best_of_each_run_and_many_candidates_are_thinned(monkeypatch):
    monkeypatch.setattr(choices, "MAX_IN_SPLIT", 3)
    rates = np.array([[0.1], [0.2], [0.3], [0.25], [0.05]]) * np.ones((5, 20))
    candidates = [*run("ce", 1, 2), *run("dco", 8, 2), *run("gem", 1)]
    judged, _ = judge(exact(candidates, rates), ladder(candidates), 8)
    assert judged[-2].split == {2: 3, 1: 3, 4: 2}
    assert judged[-1].split == {2: 8}
    judged, _ = judge(exact(candidates, rates), ladder(candidates), 2)
    assert judged[-2].split == {2: 1, 1: 1}, "fewer samples than runs: the best runs get one each"


def test_a_specialist_that_no_run_is_best_with_can_still_be_among_the_split():
    """The two epochs of the run solve different halves; the second run solves little everywhere."""
    rates = np.array([[0.3] * 20 + [0.0] * 20, [0.0] * 20 + [0.3] * 20, [0.02] * 40])
    candidates = [*run("ce", 1, 2), *run("dco", 8)]
    advice = recommend(exact(candidates, rates), 10)
    assert advice.best_split.split == {0: 5, 1: 5}
    assert advice.taken is advice.best_split
    assert advice.best_split.curve.estimate[0] == pytest.approx(1 - 0.7**5, abs=0.01)


@pytest.fixture(scope="module")
def null_gains():
    """Six runs without any difference: the gain of the best over the first, cross-fitted and where it was chosen."""
    candidates = [candidate for number in range(6) for candidate in run(f"r{number}", 1 + number)]
    steps, n, gains = ladder(candidates), 4, []
    for seed in range(100):
        pool = exact(candidates, np.random.default_rng(seed).beta(0.3, 2, (6, 40)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(choices, "split_budget", one_of_each)
            patch.setattr(choices, "SPLIT_RESAMPLES", 2)
            judged, _ = judge(pool, steps, n, seed=seed)
        means = pool.all_covered(n).mean(axis=1)
        single = judged[steps.single].over_tuned
        gains.append((single.estimate[0], means.max() - means[0], single.low[0], single.high[0]))
    return np.array(gains)


def test_without_a_difference_the_cross_fitted_gain_is_none_and_the_naive_one_is_not(null_gains):
    fitted, naive = null_gains[:, 0], null_gains[:, 1]
    errors = null_gains[:, :2].std(axis=0) / np.sqrt(len(null_gains))
    assert abs(fitted.mean()) < 3 * errors[0]
    assert naive.mean() > 10 * errors[1]
    assert naive.mean() > 5 * abs(fitted.mean())


def test_without_a_difference_intervals_seldom_claim_one(null_gains):
    """Nominally 5 %; with choices taken as given it would be some 20 %."""
    assert ((null_gains[:, 2] <= 0) & (null_gains[:, 3] >= 0)).mean() > 0.93


@pytest.mark.slow
def test_intervals_of_a_split_that_gains_nothing_cover_its_mean_gain(monkeypatch):
    """Five runs that hardly differ, few problems: with splits taken as given the intervals cover some 80 %."""
    monkeypatch.setattr(choices, "SPLIT_RESAMPLES", 30)
    monkeypatch.setattr(choices, "SPLIT_TOLERANCE", 1e-4)
    candidates = [candidate for number in range(5) for candidate in run(f"r{number}", 1 + number)]
    gains = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rates = np.minimum(1, rng.beta(0.3, 2, 60) * np.exp(0.3 * rng.normal(size=(5, 60))))
        judged, _ = judge(exact(candidates, rates), ladder(candidates), 16)
        found = judged[-1].over_tuned
        gains.append((found.estimate[0], found.low[0], found.high[0]))
    estimate, low, high = np.array(gains).T
    assert ((low <= estimate.mean()) & (estimate.mean() <= high)).mean() > 0.9


def test_counts_give_the_true_gain_without_bias_and_intervals_that_cover_it():
    """Two kinds of problems at even odds; the better run is better by far, so that it is always the one chosen.

    The rates c/n in place of the estimator would be off.
    """
    candidates, n, kinds = [*run("ce", 1), *run("dco", 16)], 8, np.array([[0.02, 0.3], [0.1, 0.2]])
    single = (1 - (1 - kinds) ** n).mean(axis=1)
    true = single[1] - single[0]
    rng = np.random.default_rng(7)
    found, plugged_in = [], []
    for _ in range(60):
        rates = kinds[:, rng.integers(2, size=120)]
        samples = np.full(rates.shape, 16)
        pool = Pool(tuple(candidates), None, samples, rng.binomial(16, rates))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(choices, "split_budget", one_of_each)
            patch.setattr(choices, "SPLIT_RESAMPLES", 2)
            judged, _ = judge(pool, ladder(candidates), n)
        assert judged[1].agreement == 1
        plugged_in.append(np.diff((1 - (1 - pool.rates) ** n).mean(axis=1))[0])
        found.append((judged[1].gain.estimate[0], judged[1].gain.low[0], judged[1].gain.high[0]))
    estimates, low, high = np.array(found).T
    error = estimates.std() / np.sqrt(len(estimates))
    assert abs(estimates.mean() - true) < 3 * error
    assert abs(np.mean(plugged_in) - true) > 4 * error
    assert ((low <= true) & (true <= high)).mean() > 0.88


def test_the_simplest_choice_is_taken_unless_another_is_better_beyond_doubt():
    rng = np.random.default_rng(0)
    candidates = [*run("ce", 1), *run("dco", 16)]
    noise = rng.beta(0.3, 2, 60) * np.exp(0.05 * rng.normal(size=(2, 60)))
    same = recommend(exact(candidates, np.minimum(1, noise)), 4)
    assert same.taken is same.tuned
    assert "use ce (cross-entropy)" in same.sentence
    assert "gains" not in same.sentence
    assert any("do not tell 2 (best run) from 1 (cross-entropy)" in line for line in same.warnings)
    better = recommend(exact(candidates, np.stack([noise[0], np.minimum(1, 3 * noise[0])])), 4)
    assert better.taken is better.single
    assert "use dco (DCO, N_train = 16)" in better.sentence
    assert "points" in better.sentence
    assert not any("do not tell 2" in line for line in better.warnings)
    unnamed = [*run("a", None), *run("b", None)]
    either = recommend(exact(unnamed, np.minimum(1, noise)), 4)
    assert either.taken is either.single, "of two runs neither is the simpler one"


def test_choices_on_an_edge_are_named():
    candidates = [*run("ce", 1, 2, (0.8, 1.0, 1.2)), *run("dco", 16, 2), *run("more", 64, 2)]
    by_place = {(c.run, c.epoch, c.setting[0]): c for c in candidates}
    assert edges(by_place["ce", 1, 1.0], candidates) == []
    (late,) = edges(by_place["ce", 2, 1.0], candidates)
    assert "its last epoch is its best" in late
    (warm,) = edges(by_place["ce", 1, 1.2], candidates)
    assert "the largest temperature tried, larger ones may be better" in warm
    (cold,) = edges(by_place["ce", 1, 0.8], candidates)
    assert "the smallest temperature tried" in cold
    assert edges(by_place["dco", 1, 1.0], candidates) == []
    (large,) = edges(by_place["more", 1, 1.0], candidates)
    assert "the largest N_train tried" in large
