"""Directional derivatives against finite differences, with the test loss and the direction computed another way.

The model is float64 but for its norms, which transformers computes in float32: hence the tolerances.
"""

import math

import numpy as np
import pytest
import torch

from passatn.coverage import log_coverage
from passatn.evaluate.influence import Influence, coverage_loss, influences
from passatn.sample import score_problems
from passatn.tasks import EncodedExample
from tiny import build_model


def example(prompt, *completion):
    return EncodedExample(tuple(prompt), (*completion, 1))


TEST = [[example((3, 4), 5), example((3, 4), 6)], [example((7, 8, 9), 4, 2)], [example((5,), 11)]]
BATCH = [example((2, 3), 4), example((9, 9, 9, 2), 5, 6, 7), example((12,), 3, 3)]


@pytest.fixture
def model():
    return build_model().double()


def independent_test_loss(model, n):
    """By the scorer and the numpy form of the objective."""
    return float(-log_coverage(score_problems(model, TEST)[:, 0], n).mean())


def independent_gradient(model, batch):
    """Of the mean cross-entropy, one example at a time, by the model's own loss."""
    model.zero_grad()
    for one in batch:
        ids = torch.tensor([one.prompt_ids + one.completion_ids])
        labels = ids.clone()
        labels[:, : len(one.prompt_ids)] = -100
        (model(ids, labels=labels).loss * len(one.completion_ids) / len(batch)).backward()
    return [weight.grad.clone() for weight in model.parameters()]


@pytest.mark.parametrize("n", [1, 16, 256.5])
def test_the_derivative_is_that_of_finite_differences(model, n):
    found = influences(model, TEST, {"all": BATCH}, n, part_size=2)["all"]
    gradient = independent_gradient(model, BATCH)
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradient))
    values = []
    for step in (1e-3, -2e-3):
        with torch.no_grad():
            for weight, g in zip(model.parameters(), gradient, strict=True):
                weight -= step * g / norm
        values.append(independent_test_loss(model, n))
    assert found.norm == pytest.approx(norm, rel=1e-6)
    assert found.derivative == pytest.approx((values[0] - values[1]) / 2e-3, rel=1e-3)


def test_the_test_loss_itself_and_its_own_direction(model):
    assert coverage_loss(model, TEST, 16).item() == pytest.approx(independent_test_loss(model, 16), rel=1e-12)
    single = [[BATCH[0]]]
    own = influences(model, single, {"own": BATCH[:1]}, 1)["own"]
    assert own.cosine == pytest.approx(1.0)
    assert own.derivative == pytest.approx(-own.test_norm)


def test_parts_do_not_change_the_derivative_and_give_its_error(model):
    whole = influences(model, TEST, {"x": BATCH}, 16, part_size=8)["x"]
    parts = influences(model, TEST, {"x": BATCH}, 16, part_size=1)["x"]
    assert parts.derivative == pytest.approx(whole.derivative, rel=1e-5)
    assert parts.part_sizes == (1, 1, 1)
    assert whole.standard_error is None
    spread = np.std(parts.part_dots, ddof=1) / math.sqrt(3) / parts.norm
    assert parts.standard_error == pytest.approx(spread, rel=1e-9)


def test_a_last_part_that_is_smaller_counts_less():
    found = Influence((2, 1), (3.0, 0.0), norm=2.0, test_norm=4.0)
    assert found.derivative == -1.0
    assert found.cosine == 0.25


def test_the_model_is_left_as_it_was(model):
    model.train()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    influences(model, TEST, {"x": BATCH}, 16)
    assert model.training
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    assert all(weight.grad is None for weight in model.parameters())


def test_dropout_is_off():
    model = build_model(attention_dropout=0.5).double().train()
    found = [influences(model, TEST, {"x": BATCH}, 16)["x"] for _ in range(2)]
    assert found[0] == found[1]


def test_frozen_weights_do_not_count(model):
    full = influences(model, TEST, {"x": BATCH}, 16)["x"]
    model.model.embed_tokens.weight.requires_grad_(False)
    assert influences(model, TEST, {"x": BATCH}, 16)["x"].norm < full.norm


def test_what_cannot_be_computed_is_refused(model):
    with pytest.raises(ValueError, match="'empty' has no examples"):
        influences(model, TEST, {"empty": []}, 16)
    with pytest.raises(ValueError, match="test problems with accepted answers"):
        influences(model, [[]], {"x": BATCH}, 16)
    with torch.no_grad():
        model.lm_head.weight[0, 0] = math.nan
    with pytest.raises(ValueError, match="the test problems is not finite"):
        influences(model, TEST, {"x": BATCH}, 16)
