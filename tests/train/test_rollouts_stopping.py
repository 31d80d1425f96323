"""The stopping rule: its error rate by counting all orders and by simulation, and what it saves."""

import itertools
import math

import numpy as np
import pytest

from passatn.train.rollout_stopping import stopping_rule


def run(rule, outcomes):
    """(decision, roll-outs drawn) for one sequence of outcomes."""
    for look, drawn in enumerate(rule.looks):
        decision = rule.decide(look, int(sum(outcomes[:drawn])))
        if decision is not None:
            return decision, drawn
    raise AssertionError("the last look must decide")


@pytest.mark.parametrize("error", [0.02, 0.1, 0.3, 0.49])
@pytest.mark.parametrize("max_correct", [0, 2, 5, 10])
def test_the_error_holds_for_every_total_by_counting_all_orders(max_correct, error):
    n = 11
    rule = stopping_rule(n, max_correct, error)
    num_stopped = 0
    for total in range(n + 1):
        wrong = 0
        for places in itertools.combinations(range(n), total):
            outcomes = [index in places for index in range(n)]
            decision, drawn = run(rule, outcomes)
            wrong += decision != (total <= max_correct)
            num_stopped += drawn < n
        assert wrong <= error * math.comb(n, total) * (1 + 1e-9)
    assert num_stopped > 0.2 * 2**n


@pytest.mark.parametrize(("n", "max_correct", "error"), [(64, 6, 0.05), (64, 6, 0.2), (100, 50, 0.1), (16, 3, 0.05)])
def test_the_error_holds_for_every_success_rate_by_simulation(n, max_correct, error):
    """Stated rate `error`; 3,000 runs per success rate, so that a rate above error + 4 standard errors fails."""
    rng = np.random.default_rng(0)
    rule, runs = stopping_rule(n, max_correct, error), 3000
    worst = 0.0
    for p in (0, 0.02, max_correct / n, (max_correct + 0.5) / n, (max_correct + 1) / n, 0.3, 0.6, 1):
        outcomes = rng.random((runs, n)) < p
        wrong = sum(run(rule, row)[0] != (row.sum() <= max_correct) for row in outcomes)
        worst = max(worst, wrong / runs)
    assert worst <= error + 4 * math.sqrt(error * (1 - error) / runs)
    assert worst > 0, "a rule that never errs does not use what it is allowed"


def test_most_rollouts_of_plain_cases_are_saved():
    """The paper's n = N = 64, ε = 0.01: at most 6 correct are kept. What is far from that takes a fraction."""
    rng = np.random.default_rng(1)
    rule = stopping_rule(64, 6, 0.05)
    drawn = {p: np.mean([run(rule, rng.random(64) < p)[1] for _ in range(500)]) for p in (0, 0.1, 0.3, 0.5, 0.9)}
    assert drawn[0] <= 24
    assert drawn[0.3] < 21
    assert drawn[0.5] < 13
    assert drawn[0.9] < 9
    assert drawn[0.1] > 45, "on the border there is little to save"


def test_certain_decisions_stop_at_once_whatever_the_error():
    rule = stopping_rule(64, 6, 1e-9)
    assert run(rule, [True] * 64) == (False, 8)
    assert run(rule, [False] * 64) == (True, 64)  # at 56 roll-outs, 7 more might still be correct, and one is enough
    rule = stopping_rule(64, 40, 1e-9)
    assert run(rule, [False] * 64) == (True, 24)


def test_stopping_to_discard_alone_draws_all_rollouts_of_what_is_kept():
    rule, both = (stopping_rule(64, 6, 0.1, keeps_early=early) for early in (False, True))
    assert rule.discard_from == both.discard_from
    rng = np.random.default_rng(2)
    for p in (0, 0.05, 0.3):
        for row in rng.random((200, 64)) < p:
            decision, drawn = run(rule, row)
            assert not decision or (drawn == 64 and row.sum() <= 6)


def test_without_an_error_rate_there_is_one_look():
    rule = stopping_rule(64, 6, None)
    assert rule.looks == (64,)
    assert [rule.decide(0, count) for count in (0, 6, 7, 64)] == [True, True, False, False]
    assert stopping_rule(5, 5, 0.1).looks == (5,), "nothing is discarded, so there is nothing to decide"


@pytest.mark.parametrize("n", [1, 2, 7, 9])
def test_few_rollouts_have_few_looks(n):
    rule = stopping_rule(n, 0, 0.1)
    assert rule.looks[-1] == n
    assert list(rule.looks) == sorted(set(rule.looks))
    for outcomes in itertools.product([False, True], repeat=n):
        run(rule, outcomes)
