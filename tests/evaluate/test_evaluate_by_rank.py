"""Calibration by rank, F by level and accuracy of the surest answers, against counts done by hand."""

import math
from statistics import quantiles

import numpy as np
import pytest
from scipy import stats

from passatn.coverage import confidence_weight
from passatn.evaluate.by_level import QUANTILES, weights_by_level
from passatn.evaluate.by_rank import RankCalibration, calibration_by_rank, wilson_interval
from passatn.evaluate.most_confident import most_confident


def test_ranks_are_by_confidence_whatever_the_order():
    log_q = [[math.log(0.1), math.log(0.7)], [math.log(0.5), math.log(0.2), math.log(0.3)], []]
    correct = [[True, False], [True, False, False], []]
    found = calibration_by_rank(log_q, correct, num_ranks=5)
    assert found.num_problems == (2, 2, 1)
    assert found.num_correct == (1, 1, 0)
    assert found.confidence == pytest.approx((0.6, 0.2, 0.2))
    assert found.accuracy == (0.5, 0.5, 0.0)
    assert calibration_by_rank(log_q, correct, num_ranks=1).num_problems == (2,)
    assert RankCalibration.from_dict(found.to_dict()) == found


def test_answers_and_verdicts_must_match():
    with pytest.raises(ValueError, match="problem 1 has 1 answers and 2 verdicts"):
        calibration_by_rank([[-1.0], [-1.0]], [[True], [True, False]], 3)


@pytest.mark.parametrize(("correct", "trials"), [(0, 7), (3, 20), (20, 20), (120, 500)])
def test_the_interval_is_wilsons(correct, trials):
    reference = stats.binomtest(correct, trials).proportion_ci(0.95, method="wilson")
    assert wilson_interval(correct, trials) == pytest.approx((reference.low, reference.high), abs=2e-5)


def test_weights_by_level():
    log_p = np.log([0.5, 0.001, 0.01, 0.2, 0.3])
    found = weights_by_level(log_p, [1, 3, 3, None, 1], 16)
    weights = confidence_weight(log_p, 16)
    assert [(level.level, level.num_problems) for level in found] == [("1", 2), ("3", 2)]
    assert found[1].mean == pytest.approx((weights[1] + weights[2]) / 2)
    assert found[0].active == 0.0
    assert found[1].active == 1.0
    assert found[0].mean < found[1].mean
    middle = found[1].quantiles[QUANTILES.index(0.5)]
    assert middle == pytest.approx(quantiles([weights[1], weights[2]], n=2, method="inclusive")[0])


def test_levels_must_fit():
    with pytest.raises(ValueError, match="2 levels for 1 problems"):
        weights_by_level([-1.0], [1, 2], 16)
    with pytest.raises(ValueError, match="no problem has a level"):
        weights_by_level([-1.0], [None], 16)


def test_the_surest_answers():
    confidence = [0.1, 0.9, 0.5, 0.7, 0.2]
    correct = [True, False, True, True, False]
    fifth, two, everything = most_confident(confidence, correct, (0.2, 0.3, 1.0))
    assert (fifth.num_problems, fifth.num_correct, fifth.mean_confidence) == (1, 0, 0.9)
    assert (two.num_problems, two.num_correct) == (2, 1)
    assert two.mean_confidence == pytest.approx(0.8)
    assert everything.accuracy == pytest.approx(0.6)


def test_a_share_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="shares must lie in"):
        most_confident([0.5], [True], (0.0,))
    with pytest.raises(ValueError, match="must have shape"):
        most_confident([0.5, 0.5], [True])
