"""A learning rate of their own for new parameters: the step they take, its schedule, and what is refused."""

import pytest
import torch

from tiny import build_model, build_tokenizer
from train_helpers import (
    assert_same_weights,
    log_probs_float64,
    make_config,
    make_rows,
    make_trainer,
    plain_sgd,
    weights_of,
)

NEW = {"new_parameters": "embed_tokens|lm_head", "new_parameters_learning_rate": 0.05}
RATES = {"learning_rate": 0.002, **NEW}


def gradients(model, rows):
    """Of the mean negative log p of the rows, in float64."""
    double = build_model().double()
    double.load_state_dict({name: value.double() for name, value in model.state_dict().items()})
    log_p, _ = log_probs_float64(double, build_tokenizer(), rows)
    (-log_p.mean()).backward()
    return {name: parameter.grad for name, parameter in double.named_parameters()}


def test_a_step_is_that_of_adamw_with_two_rates(tmp_path):
    rows = make_rows(8)
    decay = 0.1
    trainer = make_trainer(
        tmp_path, rows, per_device_train_batch_size=8, max_steps=1, weight_decay=decay, max_grad_norm=0.0, **RATES
    )
    before, expected = weights_of(trainer.model), gradients(trainer.model, rows)
    trainer.train()
    after = weights_of(trainer.model)
    for name, gradient in expected.items():
        rate = 0.05 if name in ("model.embed_tokens.weight", "lm_head.weight") else 0.002
        shrink = 1.0 if "norm" in name else 1 - rate * decay
        # The first step of AdamW: both moments are those of the one gradient there is.
        step = gradient / (gradient.abs() + 1e-8)
        wanted = before[name].double() * shrink - rate * step
        # Where the gradient is of the size of its rounding, or of epsilon, its direction is noise.
        clear = gradient.abs() > 1e-5
        assert (gradient == 0).logical_or(clear).double().mean() > 0.9
        error = (after[name].double() - wanted).abs()[clear]
        assert error.max() < 0.02 * rate, name
        still = gradient == 0
        assert torch.allclose(after[name].double()[still], (before[name].double() * shrink)[still], atol=1e-7)


def test_both_rates_follow_the_schedule(tmp_path):
    trainer = make_trainer(
        tmp_path, per_device_train_batch_size=8, max_steps=4, lr_scheduler_type="linear", logging_steps=1, **RATES
    )
    seen = []
    step = trainer.training_step

    def spy(*args, **kwargs):
        seen.append([group["lr"] for group in trainer.optimizer.param_groups if group["params"]])
        return step(*args, **kwargs)

    trainer.training_step = spy
    trainer.train()
    shares = [1, 0.75, 0.5, 0.25]
    assert seen == [pytest.approx([0.002 * s, 0.002 * s, 0.05 * s]) for s in shares]
    logged = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    assert logged == pytest.approx([0.002 * share for share in shares])


def test_equal_rates_are_one_rate_to_the_bit(tmp_path):
    same = {"learning_rate": 0.01, "max_steps": 3, "per_device_train_batch_size": 8, "weight_decay": 0.1}
    plain = make_trainer(tmp_path / "plain", max_grad_norm=0.0, **same)
    split = make_trainer(
        tmp_path / "split", max_grad_norm=0.0, new_parameters="mlp", new_parameters_learning_rate=0.01, **same
    )
    plain.train()
    split.train()
    assert_same_weights(split.model, weights_of(plain.model))


def test_a_rate_of_zero_leaves_them_as_they_were(tmp_path):
    settings = RATES | {"new_parameters_learning_rate": 0.0}
    trainer = make_trainer(tmp_path, max_steps=2, per_device_train_batch_size=8, n_passes=4, **settings)
    before = weights_of(trainer.model)
    trainer.train()
    moved = {name for name, value in weights_of(trainer.model).items() if not torch.equal(value, before[name])}
    assert moved == before.keys() - {"model.embed_tokens.weight", "lm_head.weight"}


def test_a_resumed_run_ends_like_the_uninterrupted_one(tmp_path):
    settings = {"per_device_train_batch_size": 4, "max_steps": 6, "n_passes": 4, "weight_decay": 0.1, **RATES}
    whole = make_trainer(tmp_path / "whole", save_strategy="steps", save_steps=3, **settings)
    whole.train()
    again = make_trainer(tmp_path / "whole", save_strategy="steps", save_steps=3, **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    assert_same_weights(again.model, weights_of(whole.model))


def test_a_tied_weight_is_found_by_either_name(tmp_path):
    model = build_model(tie_word_embeddings=True)
    assert "lm_head.weight" not in dict(model.named_parameters())
    trainer = make_trainer(
        tmp_path, model=model, max_steps=1, new_parameters="lm_head", new_parameters_learning_rate=0.5
    )
    groups = trainer.create_optimizer().param_groups
    assert [[p is model.lm_head.weight for p in group["params"]] for group in groups if group["lr"] == 0.5] == [[True]]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_what_cannot_be_is_an_error(tmp_path):
    for settings, message in [
        ({"new_parameters": "embed"}, "go together"),
        ({"new_parameters_learning_rate": 0.1}, "go together"),
        ({"new_parameters": "(", "new_parameters_learning_rate": 0.1}, "no regular expression"),
        ({"new_parameters": "embed", "new_parameters_learning_rate": -0.1}, "number >= 0, got -0.1"),
        ({"new_parameters": "embed", "new_parameters_learning_rate": float("nan")}, "number >= 0, got nan"),
    ]:
        with pytest.raises(ValueError, match=message):
            make_config(tmp_path, **settings)
    with pytest.raises(ValueError, match=r"'emb_tokens' is in the name of no parameter .* model.embed_tokens.weight …"):
        make_trainer(tmp_path, new_parameters="emb_tokens", new_parameters_learning_rate=0.1)
    model = build_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(ValueError, match="an optimizer that is given to the trainer"):
        make_trainer(tmp_path, model=model, arguments={"optimizers": (optimizer, None)}, **NEW)


def test_it_works_with_an_optimizer_class_that_is_given(tmp_path):
    rows = make_rows(8)
    trainer = make_trainer(
        tmp_path, rows, per_device_train_batch_size=8, max_steps=1, max_grad_norm=0.0,
        new_parameters="embed_tokens", new_parameters_learning_rate=0.25,
        arguments={"optimizer_cls_and_kwargs": plain_sgd()},
    )  # fmt: skip
    before, expected = weights_of(trainer.model), gradients(trainer.model, rows)
    trainer.train()
    for name, value in weights_of(trainer.model).items():
        rate = 0.25 if name == "model.embed_tokens.weight" else 1.0
        assert torch.allclose(value.double(), before[name].double() - rate * expected[name], atol=1e-5), name
