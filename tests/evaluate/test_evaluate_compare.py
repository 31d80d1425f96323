"""Paired comparison: signs, coverage and size by simulation, alignment by id."""

import numpy as np
import pytest

from passatn.evaluate import Results, compare_paired, compare_paired_counts, compare_results, problems_from_arrays

NS = [1, 16, 256]


def test_sign_and_size() -> None:
    paired = compare_paired(np.log([0.1, 0.2]), np.log([0.2, 0.4]), [1])
    assert paired.difference == pytest.approx((0.15,))
    assert paired.low == pytest.approx((0.1,))
    assert paired.high == pytest.approx((0.2,))
    assert paired.num_problems == 2


def test_a_run_against_itself() -> None:
    log_p = np.log([0.1, 0.5, 0.9])
    paired = compare_paired(log_p, log_p, NS)
    assert paired.difference == paired.low == paired.high == (0.0, 0.0, 0.0)
    assert paired.p_value == (1.0, 1.0, 1.0)


def test_pairing_removes_the_spread_between_problems() -> None:
    """A small gain on every problem is certain although problems differ far more than that."""
    p = np.random.default_rng(0).uniform(0.05, 0.9, size=100)
    paired = compare_paired(np.log(p), np.log(p + 0.01), [1], num_resamples=999)
    assert paired.low[0] == pytest.approx(0.01)
    assert paired.p_value == (2 / 1000,)


def test_interval_and_p_value_by_simulation() -> None:
    """No difference, 100 problems, 1,000 draws: 95 ± 3 % of intervals hold 0, at most 8 % of p-values are < 0.05."""
    rng = np.random.default_rng(5)
    hits = rejections = 0
    for seed in range(1000):
        p = rng.beta(0.5, 3, size=100)
        a, b = np.log(np.clip(p * rng.uniform(0.5, 1.0, size=(2, 100)), 1e-300, 1))
        paired = compare_paired(a, b, [16], num_resamples=400, seed=seed)
        hits += paired.low[0] <= 0 <= paired.high[0]
        rejections += paired.p_value[0] < 0.05
    assert abs(hits / 1000 - 0.95) <= 0.03
    assert rejections / 1000 <= 0.08


def test_counts_with_different_numbers_of_samples() -> None:
    paired = compare_paired_counts([4, 4], [1, 1], [8, 8], [4, 4], [1, 2])
    assert paired.difference == pytest.approx((0.25, 1 - 6 / 28 - 0.5))


def test_ids_must_match() -> None:
    log_p = [-1.0, -2.0]
    compare_paired(log_p, log_p, [1], ids_a=["x", "y"], ids_b=["x", "y"])
    with pytest.raises(ValueError, match="row 1: a has problem 'y', b has 'z'"):
        compare_paired(log_p, log_p, [1], ids_a=["x", "y"], ids_b=["x", "z"])
    with pytest.raises(ValueError, match="ids_b has 1 entries for 2 problems"):
        compare_paired(log_p, log_p, [1], ids_a=["x", "y"], ids_b=["x"])
    with pytest.raises(ValueError, match="a has 2 problems, b has 3"):
        compare_paired(log_p, [-1.0, -1.0, -1.0], [1])
    with pytest.raises(ValueError, match="at least 2 problems"):
        compare_paired([-1.0], [-1.0], [1])


def _run(name: str, ids: list[str], **columns: object) -> Results:
    return Results.from_problems({"name": name}, problems_from_arrays(ids, **columns), [1, 2])


def test_results_are_aligned_by_id() -> None:
    a = _run("a", ["x", "y", "z"], log_p=[-1.0, -2.0, -3.0])
    b = _run("b", ["z", "x", "y"], log_p=[-3.0, -1.0, -2.0])
    assert compare_results(a, b, [1, 2]).difference == (0.0, 0.0)


def test_results_fall_back_to_counts() -> None:
    a = _run("a", ["x", "y"], log_p=[-1.0, -2.0], num_samples=4, num_correct=[1, 2])
    b = _run("b", ["y", "x"], num_samples=4, num_correct=[2, 2])
    assert compare_results(a, b, [1]).difference == pytest.approx((0.125,))
    with pytest.raises(ValueError, match="a and c share neither log_p nor counts"):
        compare_results(a, _run("c", ["x", "y"]), [1])


def test_results_over_different_problems() -> None:
    a, b = _run("a", ["x", "y"], log_p=-1.0), _run("b", ["x", "q"], log_p=-1.0)
    with pytest.raises(ValueError, match="b has no problem 'y'"):
        compare_results(a, b, [1])
    with pytest.raises(ValueError, match="c has no problem 'y'"):
        compare_results(_run("c", ["x"], log_p=-1.0), a, [1])
