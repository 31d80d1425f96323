"""Each objective through the trainer: its gradient and its logged loss against float64 formulas on whole logits."""

import json
import math
from functools import partial
from typing import Any

import mpmath
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from torch import Tensor

from passatn.train import CoverageConfig
from passatn.train.objectives import OPTIONS, logits
from test_train_objective import assert_close, one_step_gradient
from tiny import build_model, build_tokenizer
from train_helpers import (
    assert_same_weights,
    log_probs_float64,
    make_config,
    make_rows,
    make_trainer,
    training_logs,
    weights_of,
)


def distributions_float64(model: Any, rows: list[dict[str, str]]) -> list[tuple[Tensor, Tensor]]:
    """log-distributions `[tokens, vocabulary]` and labels `[tokens]` of each completion, one row at a time."""
    tokenizer, found = build_tokenizer(), []
    for row in rows:
        prompt = tokenizer(row["prompt"])["input_ids"]
        ids = tokenizer(row["prompt"] + row["completion"] + tokenizer.eos_token)["input_ids"]
        log_p = model(torch.tensor([ids])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        found.append((log_p, torch.tensor(ids[len(prompt) :])))
    return found


def per_token(formula: Any) -> Any:
    """The loss of a completion as the sum of `formula(log-distributions, chosen log p)` over its tokens."""
    return lambda log_p, labels: formula(log_p, chosen(log_p, labels)).sum()


def chosen(log_p: Tensor, labels: Tensor) -> Tensor:
    return log_p.gather(-1, labels[:, None])[:, 0]


def entropy(log_p: Tensor) -> Tensor:
    return -(log_p.exp() * log_p).sum(-1)


def gate(log_p: Tensor) -> Tensor:
    top = log_p.detach().topk(5).values.log_softmax(-1)
    return entropy(top) / math.log(5)


def completion(formula: Any) -> Any:
    """The loss of a completion as `formula` of its probability."""
    return lambda log_p, labels: formula(chosen(log_p, labels).sum().exp())


def votes(p: Tensor, n: int, k: int) -> Tensor:
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


def checked(p: Tensor, n: int, e: float) -> Tensor:
    a = p + (1 - p) * e
    return p / a * (1 - (1 - a) ** n)


# Settings, and the loss of one completion written out.
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "label smoothing": (
        {"objective": "label_smoothing", "smoothing": 0.2},
        per_token(lambda log_p, chosen: -0.8 * chosen - 0.2 * log_p.mean(-1)),
    ),
    "focal by tokens": (
        {"objective": "focal", "focal_gamma": 2.0},
        per_token(lambda log_p, chosen: -((1 - chosen.exp()) ** 2) * chosen),
    ),
    "focal by completions": (
        {"objective": "focal", "focal_gamma": 30.0, "focal_level": "completion"},
        completion(lambda p: -((1 - p) ** 30) * p.log()),
    ),
    "confidence penalty": (
        {"objective": "confidence_penalty", "penalty_beta": 0.3},
        per_token(lambda log_p, chosen: -chosen - 0.3 * entropy(log_p)),
    ),
    "gem": (
        {"objective": "gem", "gem_beta": 0.6},
        per_token(lambda log_p, chosen: 0.6 * (log_p / 0.6).logsumexp(-1) - chosen),
    ),
    "dft": ({"objective": "dft"}, per_token(lambda log_p, chosen: 1 - chosen.exp())),
    "entropy gate": (
        {"objective": "entropy_gated", "gate_top_k": 5, "gate_power": 2.0},
        per_token(lambda log_p, chosen: -(gate(log_p) ** 2) * chosen),
    ),
    "majority vote": (
        {"objective": "majority_vote", "n_passes": 40, "majority_threshold": 2},
        completion(lambda p: -votes(p, 40, 2).log()),
    ),
    "best of n": (
        {"objective": "best_of_n", "n_passes": 200, "false_positive_rate": 0.01},
        completion(lambda p: -checked(p, 200, 0.01).log()),
    ),
}
NEEDS_LOGITS = {"label smoothing", "gem", "entropy gate"}


def losses_by_hand(name: str, rows: list[dict[str, str]], model: Any) -> Tensor:
    """`[rows]`, differentiable in the weights of a float64 model."""
    return torch.stack([CASES[name][1](*parts) for parts in distributions_float64(model, rows)])


def test_every_objective_has_a_case():
    assert {settings["objective"] for settings, _ in CASES.values()} | {"dco"} == {*OPTIONS}


@pytest.mark.parametrize(("normalization", "batching"), [("sequence", (6, 1)), ("token", (2, 3))])
@pytest.mark.parametrize("name", CASES)
def test_gradient_and_logged_loss_are_those_of_the_formula(name, normalization, batching, tmp_path):
    rows = make_rows(6)
    gradient, trainer = one_step_gradient(
        rows,
        tmp_path,
        **CASES[name][0],
        loss_normalization=normalization,
        per_device_train_batch_size=batching[0],
        gradient_accumulation_steps=batching[1],
    )
    model = build_model().double()
    num_tokens = sum(len(row["completion"]) + 1 for row in rows)
    expected = losses_by_hand(name, rows, model).sum() / (6 if normalization == "sequence" else num_tokens)
    expected.backward()
    assert_close(gradient, {key: p.grad for key, p in model.named_parameters()})
    log = training_logs(trainer)[0]
    assert log["loss"] == pytest.approx(expected.item(), rel=1e-5)
    log_p = log_probs_float64(model, build_tokenizer(), rows)[0].detach()
    assert log["p_times_n_mean"] == pytest.approx(
        CASES[name][0].get("n_passes", 1) * log_p.exp().mean().item(), rel=1e-4
    )
    assert ("mean_confidence_weight" in log) == ("n_passes" in CASES[name][0]), "others have no such weight"


def train(folder: Any, **settings: Any) -> Any:
    trainer = make_trainer(
        folder,
        model=build_model(attention_dropout=0.1),
        num_train_epochs=2,
        learning_rate=1e-2,
        per_device_train_batch_size=3,
        gradient_accumulation_steps=2,
        **settings,
    )
    trainer.train()
    return trainer


@pytest.fixture(scope="module")
def cross_entropy(tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("ce")
    return {kind: train(folder / kind, loss_normalization=kind) for kind in ("sequence", "token")}


@pytest.mark.parametrize(
    ("settings", "exact"),
    [
        ({"objective": "focal", "focal_gamma": 0.0}, True),
        ({"objective": "focal", "focal_gamma": 0.0, "focal_level": "completion"}, True),
        ({"objective": "confidence_penalty", "penalty_beta": 0.0}, True),
        ({"objective": "label_smoothing", "smoothing": 0.0}, False),
        ({"objective": "gem", "gem_beta": 1.0}, False),
        ({"objective": "entropy_gated", "gate_power": 0.0}, False),
        ({"objective": "majority_vote"}, False),
        ({"objective": "best_of_n", "n_passes": 50, "false_positive_rate": 1.0}, False),
    ],
)
def test_limits_train_what_cross_entropy_trains(settings, exact, cross_entropy, tmp_path):
    trainer = train(tmp_path, **settings)
    expected = cross_entropy["sequence"]
    losses, by_cross_entropy = ([entry["loss"] for entry in training_logs(t)] for t in (trainer, expected))
    assert losses == (by_cross_entropy if exact else pytest.approx(by_cross_entropy, rel=1e-5))
    if exact:
        assert_same_weights(trainer.model, weights_of(expected.model))
    for name, weight in weights_of(expected.model).items():
        torch.testing.assert_close(trainer.model.get_parameter(name).detach(), weight, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"objective": "dft"}, {"loss_type": "dft"}),
        ({"objective": "label_smoothing", "smoothing": 0.2}, {"label_smoothing_factor": 0.2}),
        ({"objective": "focal", "focal_gamma": 0.0}, {}),
    ],
)
def test_by_tokens_the_weights_are_those_of_trl_where_it_has_the_objective(ours, theirs, tmp_path):
    settings = {"loss_normalization": "token", "per_device_train_batch_size": 4}
    gradient, _ = one_step_gradient(make_rows(8), tmp_path / "ours", **(settings | ours))
    assert CoverageConfig(**(settings | theirs), bf16=False, output_dir=str(tmp_path)).is_plain_sft
    expected, _ = one_step_gradient(make_rows(8), tmp_path / "theirs", **(settings | theirs))
    assert_close(gradient, {name: value.double() for name, value in expected.items()})


@pytest.mark.parametrize("name", CASES)
def test_evaluation_has_the_same_loss(name, tmp_path):
    rows = make_rows(7, seed=3)
    arguments = {"eval_dataset": Dataset.from_list(rows)}
    trainer = make_trainer(tmp_path, arguments=arguments, per_device_eval_batch_size=7, **CASES[name][0])
    expected = losses_by_hand(name, rows, build_model().double()).mean().item()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["gem", "focal by tokens", "majority vote"])
def test_packed_examples_have_the_loss_of_separate_ones(name, tmp_path):
    rows = make_rows(6)
    _, packed = one_step_gradient(
        rows, tmp_path, packing=True, packing_strategy="bfd", max_length=40, per_device_train_batch_size=6,
        **CASES[name][0],
    )  # fmt: skip
    expected = losses_by_hand(name, rows, build_model().double()).mean().item()
    assert training_logs(packed)[0]["loss"] == pytest.approx(expected, rel=1e-5)


def test_proofs_vote_as_wholes(tmp_path):
    rows = [row | {"group_id": index % 3} for index, row in enumerate(make_rows(7))]
    n, k = 4000, 2
    settings = {"objective": "majority_vote", "n_passes": n, "majority_threshold": k, "confidence": "proof"}
    _, trainer = one_step_gradient(rows, tmp_path, per_device_train_batch_size=3, **settings)
    log_p = log_probs_float64(build_model().double(), build_tokenizer(), rows)[0].detach()
    with mpmath.workdps(80):
        p = [mpmath.exp(log_p[group::3].sum().item()) for group in range(3)]
        expected = float(-sum(mpmath.log(1 - (1 - x) ** n - n * x * (1 - x) ** (n - 1)) for x in p) / 3)
    assert training_logs(trainer)[0]["loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["majority vote", "best of n"])
def test_what_is_learnt_is_replaced_by_the_weight_of_the_objective(name, tmp_path):
    """Rows in order, ε between their weights: the batch is the first two rows with a weight of at least ε."""
    rows = make_rows(8)
    model = build_model().double()
    log_p = log_probs_float64(model, build_tokenizer(), rows)[0].detach().requires_grad_()
    formula = {"majority vote": partial(votes, n=40, k=2), "best of n": partial(checked, n=200, e=0.01)}[name]
    (slope,) = torch.autograd.grad(formula(log_p.exp()).log().sum(), log_p)
    weights = slope / {"majority vote": 2, "best of n": 1}[name]
    threshold = float(weights.sort().values[4:6].mean())
    active = [index for index in range(8) if weights[index] >= threshold][:2]
    assert active != [0, 1], "the case must need a replacement"
    gradient, trainer = one_step_gradient(
        rows, tmp_path, min_confidence_weight=threshold, min_active_fraction=0.0, per_device_train_batch_size=2,
        train_sampling_strategy="sequential", **CASES[name][0],
    )  # fmt: skip
    expected = losses_by_hand(name, rows, model)[active].mean()
    expected.backward()
    assert_close(gradient, {key: p.grad for key, p in model.named_parameters()})
    log = training_logs(trainer)[0]
    assert log["loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert log["mean_confidence_weight"] == pytest.approx(weights[: active[-1] + 1].mean().item(), rel=1e-4)


# ---- logits ----


@pytest.mark.parametrize("name", [*CASES, "dco"])
def test_logits_are_made_once_a_batch_and_only_where_the_objective_needs_them(name, tmp_path):
    model = build_model()
    counts = {"head": 0, "backbone": 0}
    model.lm_head.register_forward_hook(lambda *_: counts.update(head=counts["head"] + 1))
    model.model.register_forward_hook(lambda *_: counts.update(backbone=counts["backbone"] + 1))
    settings = {"n_passes": 16, "min_confidence_weight": 0.0} if name == "dco" else CASES[name][0]
    make_trainer(tmp_path, model=model, per_device_train_batch_size=4, max_steps=3, **settings).train()
    assert counts == {"head": 3 if name in NEEDS_LOGITS else 0, "backbone": 3}


@pytest.mark.parametrize("name", sorted(NEEDS_LOGITS))
def test_tiles_do_not_change_the_step(name, tmp_path, monkeypatch):
    whole, _ = one_step_gradient(make_rows(6), tmp_path / "whole", per_device_train_batch_size=6, **CASES[name][0])
    monkeypatch.setattr(logits, "TILE", 4)
    tiled, _ = one_step_gradient(make_rows(6), tmp_path / "tiled", per_device_train_batch_size=6, **CASES[name][0])
    assert_close(tiled, {name: value.double() for name, value in whole.items()})


def test_a_batch_without_labels_is_a_differentiable_zero():
    model = build_model()
    outputs = logits.forward_logits(
        model, lambda z, y: z.sum(-1), input_ids=torch.tensor([[3, 4, 5]]), labels=torch.tensor([[-100, -100, -100]])
    )
    outputs.losses.sum().backward()
    assert outputs.losses.tolist() == [[0, 0]]
    assert float(model.lm_head.weight.grad.abs().sum()) == 0


def test_entropy_and_accuracy_are_logged_as_by_trl(tmp_path):
    logs = []
    for settings in ({}, {"objective": "gem"}):
        _, trainer = one_step_gradient(make_rows(6), tmp_path, per_device_train_batch_size=6, **settings)
        logs.append(training_logs(trainer)[0])
    for name in ("entropy", "mean_token_accuracy", "num_tokens"):
        assert logs[1][name] == pytest.approx(logs[0][name], rel=1e-4)
    assert logs[1]["loss"] != pytest.approx(logs[0]["loss"], rel=1e-2)


def test_an_adapter_and_mixed_precision_train_on_logits(tmp_path):
    arguments = {"peft_config": LoraConfig(r=2, target_modules=["q_proj", "v_proj"])}
    rows = make_rows(8)
    trainer = make_trainer(
        tmp_path, rows, arguments=arguments, bf16=True, max_steps=1, per_device_train_batch_size=8, **CASES["gem"][0]
    )
    before = weights_of(trainer.model)
    trainer.train()
    changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)
    expected = losses_by_hand("gem", rows, build_model().double()).mean().item()
    assert training_logs(trainer)[0]["loss"] == pytest.approx(expected, rel=0.05)


# ---- resuming ----


@pytest.mark.parametrize("name", ["entropy gate", "confidence penalty", "majority vote"])
def test_a_resumed_run_ends_like_the_uninterrupted_one(name, tmp_path):
    def trainer() -> Any:
        return make_trainer(
            tmp_path, model=build_model(attention_dropout=0.2), max_steps=4, save_strategy="steps", save_steps=2,
            learning_rate=1e-2, per_device_train_batch_size=4, **CASES[name][0],
        )  # fmt: skip

    whole = trainer()
    whole.train()
    resumed = trainer()
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert len(training_logs(resumed)) == 4
    assert_same_weights(resumed.model, weights_of(whole.model))


def test_a_checkpoint_of_another_objective_is_refused(tmp_path):
    run = {"max_steps": 1, "save_strategy": "steps", "save_steps": 1}
    make_trainer(tmp_path, objective="focal", focal_gamma=1.0, **run).train()
    for settings, message in (
        ({}, "was written with objective=focal, this run has objective=dco"),
        ({"objective": "gem"}, "was written with objective=focal, this run has objective=gem"),
        ({"objective": "focal"}, r"was written with focal_gamma=1\.0, this run has focal_gamma=2\.0"),
    ):
        with pytest.raises(ValueError, match=message):
            make_trainer(tmp_path, **run, **settings).train(resume_from_checkpoint=True)


def test_a_checkpoint_that_names_no_objective_is_one_of_dco(tmp_path):
    """As those that were written before there were others."""
    run = {"n_passes": 16, "max_steps": 1, "save_strategy": "steps", "save_steps": 1}
    make_trainer(tmp_path, **run).train()
    file = tmp_path / "checkpoint-1" / "coverage_state.json"
    state = json.loads(file.read_text())
    del state["objective"]
    file.write_text(json.dumps(state))
    make_trainer(tmp_path, **run).train(resume_from_checkpoint=True)
    other = make_trainer(tmp_path, objective="best_of_n", **run)
    with pytest.raises(ValueError, match="was written with objective=dco, this run has objective=best_of_n"):
        other.train(resume_from_checkpoint=True)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "focus"}, "objective must be one of dco, label_smoothing, .*, got 'focus'"),
        ({"focal_gamma": 1.0}, "focal_gamma belongs to objective='focal', this is 'dco'"),
        ({"objective": "gem", "smoothing": 0.2}, "smoothing belongs to objective='label_smoothing', this is 'gem'"),
        ({"objective": "label_smoothing", "smoothing": 1.0}, r"smoothing must be in \[0, 1\), got 1\.0"),
        ({"objective": "focal", "focal_gamma": -1.0}, r"focal_gamma must be at least 0, got -1\.0"),
        ({"objective": "focal", "focal_gamma": math.nan}, "focal_gamma must be at least 0, got nan"),
        ({"objective": "focal", "focal_level": "word"}, "focal_level must be one of .*, got 'word'"),
        ({"objective": "confidence_penalty", "penalty_beta": -0.1}, "penalty_beta must be at least 0"),
        ({"objective": "gem", "gem_beta": 0.0}, r"gem_beta must be in \(0, 1\], got 0\.0"),
        ({"objective": "gem", "gem_beta": 1.1}, r"gem_beta must be in \(0, 1\], got 1\.1"),
        ({"objective": "entropy_gated", "gate_top_k": 1}, "gate_top_k must be a whole number from 2, got 1"),
        ({"objective": "entropy_gated", "gate_power": -1.0}, "gate_power must be at least 0"),
        ({"objective": "majority_vote", "n_passes": 2.5}, r"n_passes must be whole, got 2\.5"),
        (
            {"objective": "majority_vote", "n_passes": 8, "majority_threshold": 9},
            "majority_threshold must be a whole number from 1 to n_passes=8, got 9",
        ),
        ({"objective": "best_of_n", "false_positive_rate": 1.5}, r"false_positive_rate must be in \[0, 1\]"),
        ({"objective": "focal", "n_passes": 256}, "objective='focal' has no N, so n_passes=256 would change nothing"),
        ({"objective": "dft", "min_confidence_weight": 0.3}, "min_confidence_weight must be 0, got 0.3"),
        ({"objective": "gem", "confidence": "proof"}, "'gem' is a sum over tokens and has no confidence='proof'"),
        (
            {"objective": "best_of_n", "n_passes": 8, "confidence": "rollouts"},
            "confidence='rollouts' has the weights of dco",
        ),
    ],
)
def test_config_names_the_field_and_the_value(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        make_config(tmp_path, **settings)


def test_defaults_of_replacement(tmp_path):
    assert make_config(tmp_path, n_passes=8).min_confidence_weight == 0.3
    votes = make_config(tmp_path, objective="majority_vote", n_passes=8)
    assert votes.min_confidence_weight == 0
    assert not votes.replaces_examples
    assert make_config(tmp_path, objective="best_of_n", n_passes=8, min_confidence_weight=0.2).replaces_examples


@pytest.mark.parametrize("settings", [{"loss_type": "dft"}, {"label_smoothing_factor": 0.1}])
def test_losses_of_trl_do_not_go_with_an_objective(settings, tmp_path):
    for normalization in ("token", "sequence"):
        given = {"objective": "gem", "loss_normalization": normalization} | settings
        with pytest.raises(ValueError, match="objective='gem' cannot be combined with l"):
            make_trainer(tmp_path, **given)
