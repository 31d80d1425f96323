"""The weight of an example from its roll-outs, against mpmath and by trying every count."""

import mpmath
import pytest

from passatn.train.rollout_weights import RolloutWeight, plug_in_weight, posterior_weight

mpmath.mp.dps = 40


def f_exact(n, p):
    """F(N, p) as equation 4 writes it."""
    n, p = mpmath.mpf(n), mpmath.mpf(p)
    if p in (0, 1):
        return mpmath.mpf(p == 0 or n == 1)
    return n * p * (1 - p) ** (n - 1) / -mpmath.expm1(n * mpmath.log1p(-p))


def expectation_of_f(num_correct, num_rollouts, n, prior):
    """∫ F(N, p) Beta(p; a + c, b + m − c) dp.

    In s = √p, which takes the singularity of p^(a−1) at 0 away for a ≥ 1/2; in intervals that are short beside every
    peak of the cases below.
    """
    a, b = mpmath.mpf(prior[0]) + num_correct, mpmath.mpf(prior[1]) + num_rollouts - num_correct

    def integrand(s):
        p = s * s
        return 2 * s ** (2 * a - 1) * (1 - p) ** (b - 1) * f_exact(n, p)

    borders = [0, *(mpmath.mpf(10) ** k for k in range(-5, -2)), *(mpmath.mpf(k) / 100 for k in range(1, 101))]
    with mpmath.workdps(25):
        return mpmath.quad(integrand, borders, maxdegree=5) / mpmath.beta(a, b)


@pytest.mark.parametrize("n", [1.5, 4, 64, 4096])
@pytest.mark.parametrize("count", [0, 1, 5, 60, 64])
def test_plug_in_is_f_at_the_share_of_correct_rollouts(count, n):
    assert plug_in_weight(count, 64, n) == pytest.approx(
        float(f_exact(n, mpmath.mpf(count) / 64)), rel=1e-12, abs=1e-300
    )


@pytest.mark.parametrize("prior", [(1.0, 1.0), (0.5, 20.0)])
@pytest.mark.parametrize(
    ("count", "rollouts", "n"),
    [(0, 64, 64), (6, 64, 64), (64, 64, 64), (0, 4, 1000), (2, 4, 2.5), (1, 1, 64), (3, 16, 1), (30, 1000, 16)],
)
def test_posterior_weight_is_the_expectation_of_f(count, rollouts, n, prior):
    assert posterior_weight(count, rollouts, float(n), prior) == pytest.approx(
        float(expectation_of_f(count, rollouts, n, prior)), rel=1e-11
    )


def test_the_posterior_is_less_sure_of_few_rollouts():
    """At c = 0 the plug-in has F = 1 whatever the number of roll-outs; the posterior comes there only with many."""
    weights = [posterior_weight(0, n, 64.0, (1.0, 1.0)) for n in (4, 16, 64, 1024)]
    assert plug_in_weight(0, 4, 64) == 1
    assert weights == sorted(weights)
    assert weights[0] < 0.25 < 0.95 < weights[-1]


@pytest.mark.parametrize(
    "rule",
    [
        RolloutWeight(64, 0.01),
        RolloutWeight(64, 0.01, prior=(1.0, 1.0)),
        RolloutWeight(4096, 0.3),
        RolloutWeight(1.01, 0.99),
        RolloutWeight(64, 0.01, hard_max_success=0.1),
        RolloutWeight(64, 0.0),
        RolloutWeight(64, 0.0, hard_max_success=1.0),
        RolloutWeight(1e6, 0.5, prior=(1.0, 1.0)),
    ],
    ids=str,
)
@pytest.mark.parametrize("rollouts", [1, 10, 64])
def test_max_correct_is_where_keeping_ends(rule, rollouts):
    kept = [rule.keeps(count, rollouts) for count in range(rollouts + 1)]
    assert kept == sorted(kept, reverse=True)
    assert rule.max_correct(rollouts) == sum(kept) - 1


def test_the_papers_setting_discards_at_about_a_tenth():
    assert RolloutWeight(64, 0.01).max_correct(64) == 6  # F(64, 6/64) = 0.0122, F(64, 7/64) = 0.0047
    assert RolloutWeight(64, 0.01, hard_max_success=0.1).max_correct(64) == 6
    assert not RolloutWeight(64, 0.01, hard_max_success=0.1).keeps(1, 10), "p̂ = 0.1 is not below 0.1"


def test_the_hard_filter_keeps_cross_entropy_as_it_is():
    rule = RolloutWeight(64, 0.01, hard_max_success=0.5)
    assert [rule(count, 64) for count in (0, 10, 31)] == [1, 1, 1]
