"""Formulas against their definitions, by brute force and by hand; known biases; what is refused."""

from itertools import combinations
from math import comb

import pytest
import torch

from group_policies import LOGITS, expected_gradient, random_groups, subsets_with
from passatn.train.advantages import (
    ADVANTAGES,
    get_advantage,
    group_mean,
    loo_max,
    maxrl,
    pass_at_k,
    pkpo,
    unlikeliness,
)
from passatn.train.advantages.unlikeliness import ranks

OPTIONS = {"pass_at_k": {"k": 3}, "pkpo": {"k": 3}}


def rows(*values):
    return torch.tensor([list(row) for row in values], dtype=torch.float64)


@pytest.mark.parametrize("baseline", ["none", "sloo", "sloo_minus_one"])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_pkpo_is_its_sum_over_subsets(k, baseline):
    """Equations 19, 29 and 33 as they stand, times n."""
    n = 6
    rewards = random_groups(30, n, seed=k)
    got = pkpo(rewards, k=k, baseline=baseline)
    for group, row in zip(rewards.tolist(), got.tolist(), strict=True):
        for i in range(n):
            s = sum(max(group[j] for j in subset) for subset in subsets_with(i, n, k)) / comb(n, k)
            if baseline == "sloo":
                others = [j for j in range(n) if j != i]
                shares = [
                    sum(max(group[m] for m in s) for s in combinations(others, k) if j in s) / comb(n - 1, k)
                    for j in others
                ]
                s -= sum(shares) / (n - 1)
            if baseline == "sloo_minus_one":
                s -= sum(max(group[j] for j in s if j != i) for s in subsets_with(i, n, k)) / comb(n, k)
            assert row[i] == pytest.approx(n * s, abs=1e-12)


def test_pkpo_by_hand():
    """Two of four correct, k = 2: k/n and k/n · ρ(3, 2, 1) of eq. 8 times n, less k times what the others reach."""
    rewards = rows([1, 0, 0, 1])
    torch.testing.assert_close(pkpo(rewards, k=2, baseline="none"), rows([2, 4 / 3, 4 / 3, 2]))
    torch.testing.assert_close(pkpo(rewards, k=2), rows([2 - 2 / 3, 0, 0, 2 - 2 / 3]))
    torch.testing.assert_close(pkpo(rewards, k=1), rows([2 / 3, -2 / 3, -2 / 3, 2 / 3]))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_pass_at_k_is_the_standardised_reward_of_the_groups_of_k_averaged_over_those_with_the_rollout(k):
    n = 5
    rewards = random_groups(40, n, seed=2, binary=True)
    got = pass_at_k(rewards, k=k)
    for group, row in zip(rewards.tolist(), got.tolist(), strict=True):
        bests = torch.tensor(
            [max(group[j] for j in subset) for subset in combinations(range(n), k)], dtype=torch.float64
        )
        mean, std = bests.mean().item(), bests.std(correction=0).item()
        for i in range(n):
            own = [max(group[j] for j in subset) for subset in subsets_with(i, n, k)]
            expected = (sum(own) / len(own) - mean) / std if std > 0 else 0.0
            assert row[i] == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_by_hand():
    """One of four correct, k = 2: ρ = 1/2 = σ; a wrong one is in a group without success with 2/3."""
    torch.testing.assert_close(pass_at_k(rows([0, 0, 1, 0]), k=2), rows([-1 / 3, -1 / 3, 1, -1 / 3]))


def test_pass_at_k_normalised_weighs_nearly_solved_problems_more_than_the_gradient_of_pass_at_k_does():
    """The documented bias: expected weight of ∇p over that of the unnormalised estimator, against p."""

    def weight(p, normalize):
        n, k, total = 6, 3, 0.0
        for c in range(n + 1):
            row = pass_at_k(rows([1.0] * c + [0.0] * (n - c)), k=k, normalize=normalize)[0]
            share = comb(n, c) * p**c * (1 - p) ** (n - c) / n
            total += share * (row[:c].sum().item() / p - row[c:].sum().item() / (1 - p))
        return total

    for p in (0.1, 0.5, 0.9):
        assert weight(p, normalize=False) == pytest.approx((1 / 3 - 1 / 6) * 3 * (1 - p) ** 2, rel=1e-9)
    ratios = [weight(p, normalize=True) / weight(p, normalize=False) for p in (0.01, 0.1, 0.3, 0.6, 0.9)]
    assert min(ratios) >= 2  # 1/σ ≥ 2
    assert ratios == sorted(ratios)


def test_leave_one_out_max_by_hand():
    rewards = rows([0.2, 0.9, 0.5, 0.9], [0.2, 0.9, 0.5, 0.1])
    torch.testing.assert_close(loo_max(rewards), rows([0, 0, 0, 0], [0, 4 * 0.4, 0, 0]))
    torch.testing.assert_close(loo_max(rewards, k=2), rows([0, 2 * 0.7, 0, 2 * 0.4], [0, 2 * 0.7, 2 * 0.4, 0]))


def test_maxrl_by_hand():
    rewards = rows([1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0])
    torch.testing.assert_close(maxrl(rewards), rows([3, -1, -1, -1], [0] * 4, [0] * 4, [1, 1, -1, -1]))
    torch.testing.assert_close(maxrl(rewards, variant="success_mean")[:3], rows([4, 0, 0, 0], [0] * 4, [1] * 4))
    torch.testing.assert_close(maxrl(rewards, variant="control_variate")[:2], rows([3, -1, -1, -1], [-1] * 4))


def test_group_mean_by_hand():
    torch.testing.assert_close(
        group_mean(rows([1, 0, 0, 0], [0.5, 0.1, 0, 0])), rows([0.75] + [-0.25] * 3, [0.35, -0.05, -0.15, -0.15])
    )


def test_unlikeliness_by_hand():
    """Ranks 3, 0, 2, 1; the correct ones are worth 1 − β · 3/4 and 1 − β · 2/4."""
    rewards, log_p = rows([1, 0, 1, 0]), rows([-1, -9, -2, -5])
    shaped = rows([1 - 0.4 * 3 / 4, 0, 1 - 0.4 * 2 / 4, 0])
    torch.testing.assert_close(unlikeliness(rewards, log_p, beta=0.4), shaped - shaped.mean())
    scaled = (shaped - shaped.mean()) / (shaped.std() + 1e-6)
    torch.testing.assert_close(unlikeliness(rewards, log_p, beta=0.4, normalize=True), scaled)
    torch.testing.assert_close(unlikeliness(rewards, log_p, beta=0.0), group_mean(rewards))


def test_copies_share_the_mean_of_their_ranks():
    torch.testing.assert_close(ranks(rows([-3, -1, -3 + 1e-6, -7, -3 - 1e-6])), rows([2, 4, 2, 0, 2]).float())


def test_unlikeliness_favours_the_rarer_of_two_correct_answers_by_at_most_beta():
    """∇p gives every correct answer the same gain per probability, π(y)(1 − p); this one gives the rare one more."""
    rewards = torch.tensor([1.0, 0.0, 0.0, 1.0]).double()  # outcome 0 has 6 times the probability of outcome 3
    share = torch.softmax(LOGITS, 0)
    gains = {}
    for beta in (0.0, 0.25, 0.5):
        got = (
            expected_gradient(LOGITS, rewards, 4, lambda r, log_p, beta=beta: unlikeliness(r, log_p, beta=beta)) / share
        )
        gains[beta] = (got[3] - got[0]).item()
    assert gains[0.0] == pytest.approx(0, abs=1e-12)
    assert 0 < gains[0.25] < 0.25
    assert gains[0.5] == pytest.approx(2 * gains[0.25])


# ---- what holds for all ----


@pytest.mark.parametrize("name", ADVANTAGES)
def test_groups_are_independent_the_order_in_a_group_does_not_matter_and_the_dtype_stays(name):
    estimator = get_advantage(name, **OPTIONS.get(name, {}))
    rewards = random_groups(50, 7, seed=3, binary=True)
    log_p = -10 * torch.rand(rewards.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    got = estimator(rewards, log_p)
    assert got.shape == rewards.shape
    assert got.dtype == torch.float64
    assert got.abs().sum() > 1
    torch.testing.assert_close(estimator(rewards[10:11], log_p[10:11]), got[10:11])
    order = torch.randperm(7, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(estimator(rewards[:, order], log_p[:, order]), got[:, order])
    single = estimator(rewards.float(), log_p.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, got.float(), rtol=1e-5, atol=1e-5)


def test_large_groups_keep_their_precision():
    """1,024 roll-outs, one of them correct: each subset with it would have nothing without it."""
    rewards = torch.zeros(1, 1024, dtype=torch.float64)
    rewards[0, 5] = 1
    for k in (2, 512, 1024):
        expected = torch.zeros_like(rewards)
        expected[0, 5] = k
        torch.testing.assert_close(pkpo(rewards, k=k), expected, rtol=1e-9, atol=1e-9)


def test_an_unknown_name_or_option_lists_those_there_are():
    with pytest.raises(ValueError, match=r"unknown advantage 'grpo'; there are group_mean, pass_at_k, pkpo, loo_max"):
        get_advantage("grpo")
    with pytest.raises(ValueError, match=r"advantage 'pkpo' has no option 'n'; it has k, baseline"):
        get_advantage("pkpo", n=4)
    with pytest.raises(ValueError, match=r"advantage 'group_mean' has no option 'k'; it has none"):
        get_advantage("group_mean", k=4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pkpo(rows([1, 0]), k=3), r"k must be a whole number from 1 to 2 in groups of 2, got 3"),
        (lambda: pkpo(rows([1, 0]), k=2, baseline="sloo"), r"from 1 to 1 in groups of 2, got 2"),
        (lambda: pkpo(rows([1, 0]), k=1, baseline="mean"), r"baseline must be one of .*, none, got 'mean'"),
        (lambda: pass_at_k(rows([1, 0.5]), k=1), r"rewards 0 and 1, got 0.5; pkpo takes real rewards"),
        (lambda: maxrl(rows([1, 0.25])), r"rewards 0 and 1, got 0.25"),
        (lambda: maxrl(rows([1, 0]), variant="raw"), r"variant must be one of centered, control_variate, success_mean"),
        (lambda: loo_max(rows([1, 0, 0]), k=2), r"groups of 3 cannot be cut into blocks of k=2"),
        (lambda: loo_max(rows([1, -0.5])), r"rewards >= 0, got -0.5"),
        (lambda: group_mean(torch.ones(3)), r"rewards must be floats \[groups, group_size\], got torch.float32 \[3\]"),
        (lambda: group_mean(rows([1, float("nan")])), r"rewards must be finite; a NaN comes from a reward function"),
        (lambda: unlikeliness(rows([1, 0]), rows([-1])), r"log_p must be finite numbers \[1, 2\], one per reward"),
        (lambda: unlikeliness(rows([1, 0]), rows([-1, -2]), beta=2.0), r"beta must be in \[0, 1\], got 2.0"),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
