"""Sign test, Holm's correction, and the sentence of a comparison."""

import numpy as np
import pytest
from scipy.stats import binomtest

from passatn.evaluate.compare import compare_paired, holm, sign_test


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 0), (3, 7), (40, 61), (700, 651), (5000, 5200)])
def test_sign_test_is_the_exact_binomial_test(wins, losses):
    expected = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert sign_test(wins, losses) == pytest.approx(expected, rel=1e-8)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.9, 0.8]) == (1.0, 1.0)


def test_holm_keeps_the_chance_of_any_false_alarm():
    """2,000 experiments with ten true null hypotheses at 5 %: 3.5 standard errors around 5 %."""
    uniform = np.random.default_rng(0).uniform(size=(2000, 10))
    alarms = np.mean([min(holm(row.tolist())) <= 0.05 for row in uniform])
    assert abs(alarms - 0.05) < 3.5 * (0.05 * 0.95 / 2000) ** 0.5


def test_the_sentence_says_who_is_better_where_and_where_nobody_is():
    generator = np.random.default_rng(0)
    a = np.log(generator.uniform(0.1, 0.3, size=300))
    b = np.where(np.arange(300) % 2, -9.0, np.log(0.9))
    difference = compare_paired(a, b, [1, 4096])
    sentence = difference.verdict("careful", "bold")
    assert sentence.startswith("Verdict: bold is better than careful at N = 1 (by up to 2")
    assert "careful is better than bold at N = 4096" in sentence
    same = compare_paired(a, a + generator.normal(scale=0.01, size=300).clip(-0.1, 0.05), [1, 16])
    assert same.verdict("a", "b").startswith("Verdict: these 300 problems do not tell them apart at N = 1, 16")


def test_wins_and_losses_count_problems():
    difference = compare_paired(np.log([0.1, 0.2, 0.3]), np.log([0.2, 0.1, 0.3]), [1])
    assert (difference.wins, difference.losses) == ((1,), (1,))
