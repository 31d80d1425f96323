"""Tuned baselines where the right choice is known, and the frontier."""

import numpy as np
import pytest

from passatn.evaluate import frontier, tuned_pass_at_n, tuned_pass_at_n_from_counts

# Paper, Lemma 4.1: (1, 0) has 50 % at every N; (0.1, 0.1) has 10 % at N = 1 and 19 % at 2, and passes 50 % at N = 7.
with np.errstate(divide="ignore"):
    PEAKED = np.log([1.0, 0.0])
SPREAD = np.log([0.1, 0.1])
GRID = np.stack([PEAKED, SPREAD])
LABELS = ["peaked", "spread"]


def test_choice_changes_where_the_curves_cross() -> None:
    tuned = tuned_pass_at_n(GRID, GRID, [1, 2, 6, 7, 64], LABELS)
    assert tuned.chosen == (0, 0, 0, 1, 1)
    assert tuned.validation["peaked"] == (0.5,) * 5
    assert tuned.validation["spread"][:2] == pytest.approx((0.1, 0.19))


def test_first_of_equals() -> None:
    twice = np.stack([SPREAD, SPREAD])
    assert tuned_pass_at_n(twice, twice, [1, 8], LABELS).chosen == (0, 0)


def test_choice_on_validation_report_on_test() -> None:
    """On test both problems are unsolvable for the configuration that validation prefers at large N."""
    with np.errstate(divide="ignore"):
        test = np.stack([np.log([0.5, 0.5, 0.5]), np.log([0.0, 0.0, 0.0])])
    tuned = tuned_pass_at_n(GRID, test, [1, 64], LABELS)
    assert tuned.chosen == (0, 1)
    assert tuned.labels == ("peaked", "spread")
    assert tuned.curve.estimate == (0.5, 0.0)
    assert tuned.curve.num_problems == 3
    assert tuned.edges == ((), ())


def test_from_counts() -> None:
    """The first configuration solves one problem always, the second both once in four samples."""
    validation = [([4, 4], [4, 0]), ([4, 4], [1, 1])]
    test = [([8, 8, 8], [8, 8, 0]), ([8, 8, 8], [0, 2, 1])]
    tuned = tuned_pass_at_n_from_counts(validation, test, [1, 4], LABELS, axes={"temperature": [0.5, 1.0]})
    assert tuned.labels == ("peaked", "spread")
    assert tuned.curve.estimate == pytest.approx((2 / 3, (0 + (1 - 15 / 70) + 1 / 2) / 3))
    assert tuned.curve.source == "samples"
    assert tuned.edges == (("temperature",), ("temperature",))


def test_edges_of_the_grid() -> None:
    log_p = np.log([[0.1, 0.1], [0.3, 0.3], [0.2, 0.2]])
    axes = {"epoch": [1.0, 2.0, 3.0], "temperature": [1.2, 1.2, 1.0], "seed": [0.0, 0.0, 0.0]}
    tuned = tuned_pass_at_n(log_p, log_p, [1], ["a", "b", "c"], axes=axes, is_exact=False)
    assert tuned.labels == ("b",)
    assert tuned.edges == (("temperature",),)
    assert tuned.curve.source == "lower bound"


def test_tuning_errors() -> None:
    with pytest.raises(ValueError, match="labels has 1 configurations, validation has 2"):
        tuned_pass_at_n(GRID, GRID, [1], ["peaked"])
    with pytest.raises(ValueError, match="test has 1 configurations"):
        tuned_pass_at_n(GRID, GRID[:1], [1], LABELS)
    with pytest.raises(ValueError, match=r"axes\['epoch'\] has 3 configurations"):
        tuned_pass_at_n(GRID, GRID, [1], LABELS, axes={"epoch": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"must have shape \[configs, P\], got shape \[2\]"):
        tuned_pass_at_n(PEAKED, GRID, [1], LABELS)
    with pytest.raises(ValueError, match=r"validation_log_p\[1\]\[0\] must be ≤ 0"):
        tuned_pass_at_n([[-1.0], [1.0]], GRID, [1], LABELS)


def test_frontier_takes_the_best_and_the_first_of_equals() -> None:
    best = frontier({"CE": [0.3, 0.5, 0.6], "DCO-16": [0.2, 0.6, 0.6], "DCO-256": [0.1, 0.4, 0.9]})
    assert best.best == (0.3, 0.6, 0.9)
    assert best.winner == ("CE", "DCO-16", "DCO-256")
    assert frontier({"a": [0.5], "b": [0.5]}).winner == ("a",)


def test_frontier_errors() -> None:
    with pytest.raises(ValueError, match="'b' has 1 values of N, 'a' has 2"):
        frontier({"a": [0.1, 0.2], "b": [0.1]})
    with pytest.raises(ValueError, match="no curves"):
        frontier({})
