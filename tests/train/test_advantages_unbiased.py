"""Expected gradients, by enumeration of all groups in float64, against autograd of the objective."""

from itertools import permutations

import pytest
import torch

from group_policies import (
    BINARY,
    LOGITS,
    REAL,
    best_of,
    expected_gradient,
    gradient,
    groups,
    random_groups,
    success,
    variance,
)
from passatn.coverage import confidence_weight, coverage
from passatn.train.advantages import get_advantage, loo_max, maxrl, pass_at_k, pkpo

PKPO = [
    (k, baseline) for baseline, most in (("none", 5), ("sloo", 4), ("sloo_minus_one", 5)) for k in range(1, most + 1)
]


def pass_at(k):
    return lambda logits: 1 - (1 - success(logits)) ** k


def assert_same(got, expected):
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


def test_the_enumeration_is_complete_and_max_at_k_of_rewards_0_and_1_is_pass_at_k():
    assert groups(LOGITS, 5)[2].sum().item() == pytest.approx(1, abs=1e-12)
    for k in (1, 2, 5):
        assert best_of(LOGITS, BINARY, k).item() == pytest.approx(pass_at(k)(LOGITS).item(), abs=1e-12)


@pytest.mark.parametrize("rewards", [BINARY, REAL], ids=["binary", "real"])
@pytest.mark.parametrize(("k", "baseline"), PKPO)
def test_pkpo_is_the_gradient_of_max_at_k(k, baseline, rewards):
    got = expected_gradient(LOGITS, rewards, 5, lambda r, _: pkpo(r, k=k, baseline=baseline))
    assert_same(got, gradient(lambda logits: best_of(logits, rewards, k), LOGITS))


@pytest.mark.parametrize("k", [1, 4, 5])
def test_pkpo_is_the_gradient_of_the_coverage_objective_of_this_package(k):
    """∇C^N = C^N F(N, p) ∇log p: what DCO follows, times C^N."""
    p = success(LOGITS)
    scale = coverage(p.log(), k) * confidence_weight(p.log(), k)
    got = expected_gradient(LOGITS, BINARY, 5, lambda r, _: pkpo(r, k=k))
    assert_same(got, scale * gradient(lambda logits: success(logits).log(), LOGITS))


@pytest.mark.parametrize("rewards", [BINARY, REAL], ids=["binary", "real"])
@pytest.mark.parametrize(("n", "k"), [(4, None), (4, 2), (4, 1), (6, 3)])
def test_leave_one_out_max_is_the_gradient_of_max_at_k(n, k, rewards):
    got = expected_gradient(LOGITS, rewards, n, lambda r, _: loo_max(r, k=k))
    assert_same(got, gradient(lambda logits: best_of(logits, rewards, k or n), LOGITS))


@pytest.mark.parametrize(("variant", "order"), [("success_mean", 5), ("control_variate", 5), ("centered", 4)])
def test_maxrl_is_the_gradient_of_the_truncated_log_likelihood(variant, order):
    got = expected_gradient(LOGITS, BINARY, 5, lambda r, _: maxrl(r, variant=variant))

    def truncated(logits):
        return -sum((1 - success(logits)) ** m / m for m in range(1, order + 1))

    assert_same(got, gradient(truncated, LOGITS))
    assert_same(got, sum(gradient(pass_at(m), LOGITS) / m for m in range(1, order + 1)))
    # Between the gradients of pass@1 and of log p, which it approaches: the rest of the series is (1 − p)^T / p.
    p = success(LOGITS).item()
    assert_same(got / (1 - (1 - p) ** order), gradient(lambda logits: success(logits).log(), LOGITS))


@pytest.mark.parametrize("rewards", [BINARY, REAL], ids=["binary", "real"])
def test_group_mean_is_the_gradient_of_the_mean_reward_scaled_by_1_minus_1_over_n(rewards):
    got = expected_gradient(LOGITS, rewards, 5, lambda r, _: get_advantage("group_mean")(r))
    assert_same(got, (1 - 1 / 5) * gradient(lambda logits: torch.softmax(logits, 0) @ rewards, LOGITS))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_pass_at_k_without_normalisation_is_the_gradient_of_pass_at_k_scaled_by_1_over_k_minus_1_over_n(k):
    got = expected_gradient(LOGITS, BINARY, 5, lambda r, _: pass_at_k(r, k=k, normalize=False))
    assert_same(got, (1 / k - 1 / 5) * gradient(pass_at(k), LOGITS))


def test_pass_at_k_teaches_nothing_when_k_is_the_group_size():
    assert pass_at_k(random_groups(64, 5, 0, binary=True), k=5).abs().max() == 0


def test_baselines_reduce_the_variance_and_all_subsets_reduce_that_of_blocks():
    none, minus_one, blocks = (
        variance(LOGITS, BINARY, 4, lambda r, _, f=f: f(r))
        for f in (lambda r: pkpo(r, k=2, baseline="none"), lambda r: pkpo(r, k=2), lambda r: loo_max(r, k=2))
    )
    assert minus_one < blocks < none


@pytest.mark.parametrize("k", [2, 4])
def test_pkpo_is_leave_one_out_max_averaged_over_all_orders_of_the_group(k):
    rewards = random_groups(20, 4, 1)
    total = torch.zeros_like(rewards)
    orders = list(permutations(range(4)))
    for order in orders:
        total[:, order] += loo_max(rewards[:, order], k=k)
    torch.testing.assert_close(total / len(orders), pkpo(rewards, k=k), rtol=1e-12, atol=1e-12)


# ---- over several problems ----

EASY, HARD = torch.tensor([0.5, 2.5, -0.5, 0.0]).double(), torch.tensor([2.0, -2.0, 1.0, 0.3]).double()


def direction(advantage, **options):
    """Expected gradient for an easy and a hard problem with parameters of their own, as one unit vector."""
    estimator = get_advantage(advantage, **options)
    parts = [expected_gradient(logits, BINARY, 5, estimator) for logits in (EASY, HARD)]
    return torch.nn.functional.normalize(torch.cat(parts), dim=0)


def true_direction(k):
    return torch.nn.functional.normalize(torch.cat([gradient(pass_at(k), logits) for logits in (EASY, HARD)]), dim=0)


def test_only_the_unbiased_estimators_point_along_the_gradient_of_the_true_pass_at_n():
    """The mean over problems is what counts: weighing problems otherwise turns the gradient."""
    target = true_direction(2)
    assert (direction("pkpo", k=2) @ target).item() == pytest.approx(1, abs=1e-12)
    assert (direction("pass_at_k", k=2, normalize=False) @ target).item() == pytest.approx(1, abs=1e-12)
    biased = {"group_mean": {}, "unlikeliness": {}, "maxrl": {}, "pass_at_k": {"k": 2}}
    cosines = [(direction(name, **options) @ target).item() for name, options in biased.items()]
    assert cosines == sorted(cosines)
    assert cosines[0] < 0.8
    assert cosines[-1] < 0.998
    assert (direction("group_mean") @ true_direction(1)).item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "is_zero"),
    [
        ("group_mean", {}, True),
        ("pass_at_k", {"k": 3}, True),
        ("pkpo", {"k": 3}, True),
        ("pkpo", {"k": 3, "baseline": "sloo"}, False),
        ("pkpo", {"k": 3, "baseline": "none"}, False),
        ("loo_max", {}, True),
        ("loo_max", {"k": 1}, False),
        ("maxrl", {}, True),
        ("maxrl", {"variant": "success_mean"}, False),
        ("maxrl", {"variant": "control_variate"}, False),
        ("unlikeliness", {}, False),
    ],
)
def test_dropping_groups_with_equal_rewards_changes_nothing_just_where_their_advantages_are_zero(
    name, options, is_zero
):
    estimator = get_advantage(name, **options)
    all_groups = expected_gradient(LOGITS, BINARY, 4, estimator)
    mixed = expected_gradient(LOGITS, BINARY, 4, estimator, keep=lambda r, _: r.std(dim=1) > 0)
    assert estimator.zero_on_equal_rewards(4) is is_zero
    assert torch.allclose(all_groups, mixed, atol=1e-9) is is_zero
