"""The objectives as functions: against enumeration, 60 digits, and derivatives written out by hand in numpy."""

import itertools
import math

import mpmath
import numpy as np
import pytest
import torch

from passatn.coverage import confidence_weight, log_coverage
from passatn.train.objectives.best_of_n import best_of_n, best_of_n_weight
from passatn.train.objectives.confidence_penalty import confidence_penalty
from passatn.train.objectives.dft import dft
from passatn.train.objectives.entropy_gated import entropy_gated
from passatn.train.objectives.focal import focal
from passatn.train.objectives.gem import gem
from passatn.train.objectives.label_smoothing import label_smoothing
from passatn.train.objectives.majority_vote import majority_vote, majority_weight

LOG_P = torch.tensor([-1e-9, -0.01, -0.3, -1.0, -2.5, -7.0, -30.0, -900.0], dtype=torch.float64)


def with_slope_of(loss, log_p):
    """Loss and its derivative at each log p."""
    log_p = log_p.clone().requires_grad_()
    value = loss(log_p)
    (slope,) = torch.autograd.grad(value.sum(), log_p)
    return value.detach(), slope


def assert_is(loss, exact, atol=0.0):
    """`loss` has the value (to `atol`) and the derivative of `exact`, a function of log p on mpmath numbers."""
    values, slopes = with_slope_of(loss, LOG_P)
    with mpmath.workdps(400):
        expected = [exact(mpmath.mpf(x)) for x in LOG_P.tolist()]
        derivatives = [mpmath.diff(exact, mpmath.mpf(x), h=mpmath.mpf(10) ** -80) for x in LOG_P.tolist()]
    np.testing.assert_allclose(values, np.array(expected, dtype=float), rtol=1e-9, atol=atol)
    np.testing.assert_allclose(slopes, np.array(derivatives, dtype=float), rtol=1e-9)


# ---- of completions ----


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_and_its_slope(gamma):
    assert_is(lambda log_p: focal(log_p, gamma), lambda log_p: -((1 - mpmath.exp(log_p)) ** mpmath.mpf(gamma)) * log_p)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 2), (5, 1), (5, 3), (16, 9), (64, 10), (64, 64)])
def test_majority_vote_is_the_sum_of_binomial_terms(n, k):
    def exact(log_p):
        p = mpmath.exp(log_p)
        return -mpmath.log(mpmath.fsum(mpmath.binomial(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)))

    assert_is(lambda log_p: majority_vote(log_p, n, k), exact)
    _, slope = with_slope_of(lambda log_p: majority_vote(log_p, n, k), LOG_P)
    torch.testing.assert_close(majority_weight(LOG_P, n, k), -slope / k)


def enumerated_best_of_n(p, n, e):
    """Probability that a random accepted sample is right, over all outcomes of n samples: right, fooling, rejected."""
    total = mpmath.mpf(0)
    for outcome in itertools.product(("right", "fooling", "rejected"), repeat=n):
        probability = mpmath.mpf(1)
        for sample in outcome:
            probability *= {"right": p, "fooling": (1 - p) * e, "rejected": (1 - p) * (1 - e)}[sample]
        accepted = n - outcome.count("rejected")
        if accepted:
            total += probability * outcome.count("right") / accepted
    return total


@pytest.mark.parametrize("e", [0.0, 0.25, 0.9, 1.0])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_best_of_n_is_the_enumeration_of_what_is_accepted(n, e):
    assert_is(
        lambda log_p: best_of_n(log_p, n, e),
        lambda log_p: -mpmath.log(enumerated_best_of_n(mpmath.exp(log_p), n, mpmath.mpf(e))),
        atol=1e-16,
    )
    _, slope = with_slope_of(lambda log_p: best_of_n(log_p, n, e), LOG_P)
    torch.testing.assert_close(best_of_n_weight(LOG_P, n, e), -slope)


def test_dft_has_minus_p_as_its_slope_and_is_what_it_integrates_to():
    assert_is(dft, lambda log_p: 1 - mpmath.exp(log_p))
    _, slope = with_slope_of(lambda log_p: -(log_p.detach().exp() * log_p), LOG_P)
    torch.testing.assert_close(with_slope_of(dft, LOG_P)[1], slope)


def test_limits_of_completions():
    cross_entropy = with_slope_of(lambda log_p: -log_p, LOG_P)
    dco = with_slope_of(lambda log_p: -log_coverage(log_p, 64), LOG_P)
    for loss, limit in (
        (lambda log_p: majority_vote(log_p, 1, 1), cross_entropy),
        (lambda log_p: majority_vote(log_p, 9, 9) / 9, cross_entropy),
        (lambda log_p: majority_vote(log_p, 64, 1), dco),
        (lambda log_p: best_of_n(log_p, 64, 0.0), dco),
        (lambda log_p: best_of_n(log_p, 64, 1.0), cross_entropy),
        (lambda log_p: best_of_n(log_p, 1, 0.3), cross_entropy),
    ):
        for found, expected in zip(with_slope_of(loss, LOG_P), limit, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-16)
    value, slope = with_slope_of(lambda log_p: focal(log_p, 0.0), LOG_P)
    assert torch.equal(value, -LOG_P), "to the bit"
    assert torch.equal(slope, torch.full_like(LOG_P, -1.0))


ENDS = torch.tensor([-math.inf, 0.0, math.nan], dtype=torch.float64)


@pytest.mark.parametrize(
    ("loss", "slope_at_0", "slope_at_1"),
    [
        (lambda log_p: focal(log_p, 2.0), -1.0, 0.0),
        (lambda log_p: focal(log_p, 0.5), -1.0, 0.0),
        (lambda log_p: majority_vote(log_p, 9, 5), -5.0, 0.0),
        (lambda log_p: majority_vote(log_p, 9, 9), -9.0, -9.0),
        (lambda log_p: best_of_n(log_p, 16, 0.0), -1.0, 0.0),
        (lambda log_p: best_of_n(log_p, 16, 0.25), -1.0, -0.25),
        (lambda log_p: best_of_n(log_p, 16, 1.0), -1.0, -1.0),
    ],
)
def test_impossible_certain_and_diverged_completions(loss, slope_at_0, slope_at_1):
    """An infinite loss with a finite slope, no loss, and a loss that shows."""
    value, slope = with_slope_of(loss, ENDS)
    assert value[0] == math.inf
    assert abs(value[1]) < 1e-12
    assert value[2].isnan()
    assert slope[:2].tolist() == pytest.approx([slope_at_0, slope_at_1])


@pytest.mark.parametrize(
    ("weight", "last"),
    [
        (lambda log_p: majority_weight(log_p, 64, 33), 0.0),
        (lambda log_p: best_of_n_weight(log_p, 256, 0.0), 0.0),
        (lambda log_p: best_of_n_weight(log_p, 256, 0.2), 0.2),
    ],
)
def test_weights_fall_from_one(weight, last):
    values = weight(torch.cat([ENDS[:1], torch.linspace(-40, 0, 401, dtype=torch.float64)]))
    assert values[0].item() == pytest.approx(1, abs=1e-12)
    assert bool((values.diff() <= 1e-12).all())
    assert values[-1].item() == pytest.approx(last, abs=1e-12)


def test_a_checker_without_error_has_the_weights_of_dco_and_small_ones_keep_their_digits():
    log_p = torch.tensor([-5.0, -1.0, -0.1], dtype=torch.float64)
    torch.testing.assert_close(best_of_n_weight(log_p, 256, 0.0), confidence_weight(log_p, 256), rtol=1e-12, atol=0)
    assert 0 < best_of_n_weight(log_p, 256, 0.0)[-1] < 1e-200


# ---- of distributions over the next token ----

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(7, 12)) * 3
LABELS = RNG.integers(12, size=7)
ONE_HOT = np.eye(12)[LABELS]


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


P = softmax(LOGITS)
CROSS_ENTROPY = -np.log((P * ONE_HOT).sum(-1))


def loss_and_gradient(loss):
    logits = torch.tensor(LOGITS, requires_grad=True)
    value = loss(logits, torch.tensor(LABELS))
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    return value.detach().numpy(), gradient.numpy()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_label_smoothing_is_cross_entropy_against_smoothed_targets(smoothing):
    targets = (1 - smoothing) * ONE_HOT + smoothing / 12
    value, gradient = loss_and_gradient(lambda z, y: label_smoothing(z, y, smoothing))
    np.testing.assert_allclose(value, -(targets * np.log(P)).sum(-1))
    np.testing.assert_allclose(gradient, P - targets, atol=1e-14)


@pytest.mark.parametrize("beta", [1.0, 0.7, 0.1])
def test_gem_has_the_gradient_of_the_paper_and_the_value_that_belongs_to_it(beta):
    q = softmax(LOGITS / beta)
    value, gradient = loss_and_gradient(lambda z, y: gem(z, y, beta))
    np.testing.assert_allclose(value, -beta * np.log((q * ONE_HOT).sum(-1)), rtol=1e-9)
    np.testing.assert_allclose(gradient, q - ONE_HOT, atol=1e-14)

    def as_written(z, y):
        log_p = z.log_softmax(-1)
        return (torch.tensor(q) * (log_p - log_p.gather(-1, y[:, None]))).sum(-1)

    np.testing.assert_allclose(gradient, loss_and_gradient(as_written)[1], atol=1e-14)


@pytest.mark.parametrize("top_k", [2, 5, 20])
@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_entropy_gate_is_a_constant_factor(top_k, power):
    kept = np.sort(P, -1)[:, ::-1][:, :top_k]
    kept = kept / kept.sum(-1, keepdims=True)
    gate = (-(kept * np.log(kept)).sum(-1) / np.log(min(top_k, 12))) ** power
    assert np.ptp(gate) > 0.2 or power == 0, "the gate must differ between tokens"
    value, gradient = loss_and_gradient(lambda z, y: entropy_gated(z, y, top_k, power))
    np.testing.assert_allclose(value, gate * CROSS_ENTROPY)
    np.testing.assert_allclose(gradient, gate[:, None] * (P - ONE_HOT), atol=1e-14)


def test_a_certain_model_opens_no_gate_and_gives_no_nan():
    logits = torch.tensor([[1e4, 0.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    value = entropy_gated(logits, torch.tensor([1, 1]), 20, 1.0)
    value.sum().backward()
    assert value.tolist() == pytest.approx([0, math.log(3)])
    assert logits.grad[0].tolist() == [0, 0, 0]


def test_the_confidence_penalty_subtracts_entropy():
    entropy = -(P * np.log(P)).sum(-1)

    def loss(z, y):
        log_p = z.log_softmax(-1)
        return confidence_penalty(log_p.gather(-1, y[:, None])[:, 0], -(log_p.exp() * log_p).sum(-1), 0.3)

    value, gradient = loss_and_gradient(loss)
    np.testing.assert_allclose(value, CROSS_ENTROPY - 0.3 * entropy)
    slope_of_entropy = -P * (np.log(P) + entropy[:, None])
    np.testing.assert_allclose(gradient, P - ONE_HOT - 0.3 * slope_of_entropy, atol=1e-14)
