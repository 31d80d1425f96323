"""Greedy confidence: bins by hand, and the calibration of a calibrated model."""

import numpy as np
import pytest

from passatn.evaluate import ConfidenceHistogram, confidence_histogram


def test_bins_by_hand() -> None:
    histogram = confidence_histogram(np.log([0.05, 0.15, 0.25, 0.95, 1.0]), [0, 1, 0, 1, 0], num_bins=2)
    assert histogram.edges == (0.0, 0.5, 1.0)
    assert histogram.counts == (3, 2)
    np.testing.assert_allclose(histogram.bin_confidence, [0.15, 0.975])
    np.testing.assert_allclose(histogram.bin_accuracy, [1 / 3, 0.5])
    assert histogram.mean_confidence == pytest.approx(0.48)
    assert histogram.accuracy == pytest.approx(0.4)
    assert histogram.overconfidence == pytest.approx(0.08)
    assert histogram.calibration_error == pytest.approx((3 * (1 / 3 - 0.15) + 2 * 0.475) / 5)
    assert histogram.num_problems == 5


def test_edges_belong_to_the_bin_on_their_right_and_one_to_the_last() -> None:
    log_p = np.array([-np.inf, np.log(0.5), 0.0])
    assert confidence_histogram(log_p, [0, 0, 0], num_bins=4).counts == (1, 0, 1, 1)


def test_empty_bins_are_none() -> None:
    histogram = confidence_histogram([0.0], [True], num_bins=3)
    assert histogram.bin_accuracy == (None, None, 1.0)
    assert histogram.bin_confidence == (None, None, 1.0)


def test_a_calibrated_model_has_little_error() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(200_000)
    histogram = confidence_histogram(np.log(confidence), rng.random(200_000) < confidence)
    assert histogram.calibration_error < 0.01
    assert abs(histogram.overconfidence) < 0.005


def test_round_trip_and_errors() -> None:
    histogram = confidence_histogram([-0.1, -3.0], [True, False])
    assert ConfidenceHistogram.from_dict(histogram.to_dict()) == histogram
    with pytest.raises(ValueError, match="accuracy: missing"):
        ConfidenceHistogram.from_dict(
            {"edges": [0, 1], "counts": [], "bin_confidence": [], "bin_accuracy": [], "mean_confidence": 0}
        )
    with pytest.raises(ValueError, match=r"same shape \[P\], got \[2\] and \[1\]"):
        confidence_histogram([-0.1, -3.0], [True])
    with pytest.raises(ValueError, match=r"greedy_log_p\[1\] must be ≤ 0"):
        confidence_histogram([-0.1, 3.0], [True, False])
    with pytest.raises(ValueError, match="num_bins must be ≥ 1, got 0"):
        confidence_histogram([-0.1], [True], num_bins=0)
