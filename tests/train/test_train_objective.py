"""The gradient and the logged loss of the coverage trainer, against float64 autograd and against TRL itself."""

from typing import Any

import pytest
import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from passatn.coverage import confidence_weight, log_coverage
from passatn.train import CoverageConfig, CoverageTrainer
from tiny import build_model, build_tokenizer
from train_helpers import log_probs_float64, make_config, make_rows, plain_sgd


def one_step_gradient(rows: list[dict[str, str]], tmp_path: Any, **config: Any) -> tuple[dict[str, torch.Tensor], Any]:
    """Gradient of the first optimizer step, read off the change that SGD with lr 1 makes."""
    model = build_model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    args = make_config(tmp_path, max_steps=1, learning_rate=1.0, max_grad_norm=0.0, **config)
    trainer = CoverageTrainer(
        model,
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=build_tokenizer(),
        optimizer_cls_and_kwargs=plain_sgd(),
    )
    trainer.train()
    gradient = {name: before[name] - p.detach() for name, p in trainer.model.named_parameters()}
    return gradient, trainer


def reference_gradient(rows: list[dict[str, str]], loss_of: Any) -> tuple[dict[str, torch.Tensor], float]:
    """Autograd in float64 on a loss written by hand; `loss_of(log_p [rows], num_tokens [rows])`."""
    model = build_model().double()
    log_p, num_tokens = log_probs_float64(model, build_tokenizer(), rows)
    loss = loss_of(log_p, num_tokens)
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters()}, loss.item()


def assert_close(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    scale = max(float(g.abs().max()) for g in expected.values())
    assert scale > 1e-4
    for name, gradient in expected.items():
        assert torch.allclose(actual[name].double(), gradient, atol=2e-5 * scale, rtol=1e-4), name


@pytest.mark.parametrize("n", [1, 16, 1000.0])
@pytest.mark.parametrize("batching", [(6, 1), (3, 2), (2, 3)])
def test_sequence_loss_is_the_mean_of_minus_log_coverage(n, batching, tmp_path):
    rows = make_rows(6)
    gradient, trainer = one_step_gradient(
        rows,
        tmp_path,
        n_passes=n,
        min_confidence_weight=0.0,
        per_device_train_batch_size=batching[0],
        gradient_accumulation_steps=batching[1],
    )

    def by_hand(log_p, num_tokens):
        return (-torch.log(1 - (1 - log_p.exp()) ** n)).mean()

    expected, loss = reference_gradient(rows, by_hand)
    assert_close(gradient, expected)
    assert trainer.state.log_history[0]["loss"] == pytest.approx(loss, rel=1e-5)


def test_token_loss_has_the_gradient_of_weighted_token_means(tmp_path):
    rows = make_rows(6)
    gradient, _ = one_step_gradient(
        rows,
        tmp_path,
        n_passes=64,
        min_confidence_weight=0.0,
        loss_normalization="token",
        per_device_train_batch_size=6,
    )

    def by_hand(log_p, num_tokens):
        return (-confidence_weight(log_p.detach(), 64) * log_p).sum() / num_tokens.sum()

    assert_close(gradient, reference_gradient(rows, by_hand)[0])


@pytest.mark.parametrize("batching", [(2, 1), (1, 2)])
@pytest.mark.parametrize("normalization", ["sequence", "token"])
def test_replacement_fills_the_batch_with_active_examples(normalization, batching, tmp_path):
    """Rows in order, ε between their weights: the batch is the first two rows with F ≥ ε, whatever was skipped."""
    rows, n = make_rows(8), 300
    log_p, _ = log_probs_float64(build_model().double(), build_tokenizer(), rows)
    weights = confidence_weight(log_p.detach(), n)
    threshold = float(weights.sort().values[4:6].mean())
    active = [index for index in range(8) if weights[index] >= threshold][:2]
    assert active != [0, 1], "the case must need a replacement"
    gradient, trainer = one_step_gradient(
        rows,
        tmp_path,
        n_passes=n,
        min_confidence_weight=threshold,
        min_active_fraction=0.0,
        loss_normalization=normalization,
        train_sampling_strategy="sequential",
        per_device_train_batch_size=batching[0],
        gradient_accumulation_steps=batching[1],
    )

    def by_hand(log_p, num_tokens):
        chosen, count = -log_coverage(log_p, n)[active], num_tokens[active]
        return chosen.sum() / (len(active) if normalization == "sequence" else count.sum())

    expected, loss = reference_gradient(rows, by_hand)
    assert_close(gradient, expected)
    log = trainer.state.log_history[0]
    assert log["loss"] == pytest.approx(loss, rel=1e-5)
    assert log["examples_replaced"] == active[-1] + 1 - 2


def test_whole_proof_confidence_shares_one_weight(tmp_path):
    rows = [row | {"group_id": f"proof-{index % 3}"} for index, row in enumerate(make_rows(7))]
    gradient, trainer = one_step_gradient(
        rows, tmp_path, n_passes=1e7, min_confidence_weight=0.0, confidence="proof", per_device_train_batch_size=3
    )
    assert trainer.state.max_steps == 1
    assert len(trainer.train_dataset) == 3

    def by_hand(log_p, num_tokens):
        proofs = torch.stack([log_p[group::3].sum() for group in range(3)])
        return -torch.log(-torch.expm1(1e7 * torch.log1p(-proofs.exp()))).mean()

    assert_close(gradient, reference_gradient(rows, by_hand)[0])


def test_packed_examples_keep_their_own_probability(tmp_path):
    rows = make_rows(6)
    gradient, _ = one_step_gradient(
        rows,
        tmp_path,
        n_passes=50,
        min_confidence_weight=0.0,
        packing=True,
        packing_strategy="bfd",
        max_length=40,
        per_device_train_batch_size=6,
    )
    assert_close(gradient, reference_gradient(rows, lambda log_p, _: -log_coverage(log_p, 50).mean())[0])


@pytest.mark.parametrize("accumulation", [1, 3])
def test_n_1_by_tokens_is_trl_to_the_bit(accumulation, tmp_path):
    rows = make_rows(20)
    runs = []
    for name, trainer_class, extra in (
        ("trl", SFTTrainer, {}),
        ("ours", CoverageTrainer, {"n_passes": 1.0, "loss_normalization": "token"}),
    ):
        config = make_config(
            tmp_path / name,
            config_class=SFTConfig if trainer_class is SFTTrainer else CoverageConfig,
            num_train_epochs=2,
            learning_rate=1e-2,
            per_device_train_batch_size=3,
            gradient_accumulation_steps=accumulation,
            **extra,
        )
        trainer = trainer_class(
            build_model(attention_dropout=0.1),
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=build_tokenizer(),
        )
        trainer.train()
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        runs.append((losses, [p.detach().clone() for p in trainer.model.parameters()]))
    (losses, weights), (our_losses, our_weights) = runs
    assert len(losses) > 3
    assert losses == our_losses
    assert all(torch.equal(a, b) for a, b in zip(weights, our_weights, strict=True))
