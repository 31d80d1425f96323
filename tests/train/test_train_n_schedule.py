"""N over the training: the schedules' values, the gradient and the log of each step, ends, resuming, refusals."""

import collections
import math

import pytest
import torch
from datasets import Dataset

from passatn.coverage import confidence_weight, log_coverage
from passatn.train import CoverageConfig
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

ANNEAL = {"n_passes": 256, "n_passes_schedule": "anneal", "n_passes_start": 1}
MIXTURE = {"n_passes": 30000, "n_passes_schedule": "mixture", "n_passes_mixture": [1, 300, 30000]}
RATE = 0.1
ALL_AT_ONCE = {"per_device_train_batch_size": 6, "train_sampling_strategy": "sequential"}


def ns_of(config: CoverageConfig, num_steps: int, *, whole: bool = False) -> list[float]:
    return [
        config.n_of_step(step, num_steps, n_passes=config.n_passes, seed=config.seed, whole=whole)
        for step in range(num_steps)
    ]


# ---- values ----


def test_annealing_is_geometric_with_both_ends_exact(tmp_path):
    up = make_config(tmp_path, **ANNEAL)
    assert ns_of(up, 5) == pytest.approx([1, 4, 16, 64, 256], rel=1e-12)
    assert ns_of(up, 5)[-1] == 256
    down = make_config(tmp_path, n_passes=1, n_passes_schedule="anneal", n_passes_start=1000.0)
    assert ns_of(down, 4) == pytest.approx([1000, 100, 10, 1], rel=1e-12)
    assert ns_of(down, 4)[-1] == 1.0
    assert ns_of(down, 1) == [1.0], "a single step has the final N"


def test_votes_are_whole(tmp_path):
    config = make_config(tmp_path, objective="majority_vote", n_passes=16, n_passes_schedule="anneal", n_passes_start=1)
    assert ns_of(config, 8, whole=True) == [1, 1, 2, 3, 5, 7, 11, 16]


def test_a_mixture_is_uniform_and_a_function_of_seed_and_step(tmp_path):
    config = make_config(tmp_path, **(MIXTURE | {"n_passes_mixture": [1, 300, 30000, 30000]}), seed=1)
    drawn = ns_of(config, 4000)
    counts = collections.Counter(drawn)
    assert counts.keys() == {1.0, 300.0, 30000.0}
    for n, share in ((1.0, 0.25), (300.0, 0.25), (30000.0, 0.5)):
        assert abs(counts[n] / 4000 - share) < 4 * math.sqrt(share * (1 - share) / 4000)
    assert config.n_of_step(77, 90, n_passes=30000, seed=1) == drawn[77], "neither state nor number of steps matters"
    assert ns_of(make_config(tmp_path, **MIXTURE, seed=2), 50) != ns_of(make_config(tmp_path, **MIXTURE, seed=1), 50)


# ---- training ----


def losses_at(objective: str, p: torch.Tensor, n: float) -> torch.Tensor:
    """Losses of completions, written out."""
    if objective == "majority_vote":
        n, k = int(n), int(n) // 2 + 1
        return -torch.log(sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)))
    if objective == "best_of_n":
        a = p + (1 - p) * 0.01
        return -torch.log(p / a * (1 - (1 - a) ** n))
    return -torch.log(1 - (1 - p) ** n)


@pytest.mark.parametrize("objective", ["dco", "majority_vote", "best_of_n"])
def test_each_step_has_the_loss_and_the_gradient_of_its_own_n(objective, tmp_path):
    """SGD by hand in float64, N = 1, 4, 16, beside three steps of the trainer."""
    rows = make_rows(6)
    settings = {"false_positive_rate": 0.01} if objective == "best_of_n" else {}
    trainer = make_trainer(
        tmp_path,
        rows,
        arguments={"optimizer_cls_and_kwargs": (torch.optim.SGD, {"lr": RATE})},
        objective=objective,
        n_passes=16,
        n_passes_schedule="anneal",
        n_passes_start=1,
        min_confidence_weight=0.0,
        max_steps=3,
        learning_rate=RATE,
        max_grad_norm=0.0,
        **ALL_AT_ONCE,
        **settings,
    )
    trainer.train()
    model, losses = build_model().double(), []
    for n in (1, 4, 16):
        loss = losses_at(objective, log_probs_float64(model, build_tokenizer(), rows)[0].exp(), n).mean()
        model.zero_grad()
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= RATE * parameter.grad
    logs = training_logs(trainer)
    assert [log["n_passes"] for log in logs] == pytest.approx([1, 4, 16])
    assert [log["loss"] for log in logs] == pytest.approx(losses, rel=1e-4)
    for ours, theirs in zip(trainer.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=2e-5)


def test_replacement_and_metrics_follow_the_n_of_the_step(tmp_path):
    """With learning rate 0 the model stays, and what is active is known for each N."""
    rows, epsilon = make_rows(12), 0.5
    trainer = make_trainer(
        tmp_path, rows, **MIXTURE, min_confidence_weight=epsilon, max_steps=9, learning_rate=0.0, seed=1,
        per_device_train_batch_size=3, train_sampling_strategy="sequential",
    )  # fmt: skip
    trainer.train()
    log_p = log_probs_float64(build_model().double(), build_tokenizer(), rows)[0].detach()
    position = 0
    logs = training_logs(trainer)
    assert {log["n_passes"] for log in logs} == {1, 300, 30000}
    for log in logs:
        weights, batch, seen = confidence_weight(log_p, log["n_passes"]), [], []
        while len(batch) < 3:
            seen.append(position % 12)
            position += 1
            batch += [seen[-1]] if weights[seen[-1]] >= epsilon else []
        assert log["examples_seen"] == position
        assert log["mean_confidence_weight"] == pytest.approx(weights[seen].mean().item(), rel=1e-4)
        assert log["p_times_n_mean"] == pytest.approx(log["n_passes"] * log_p[seen].exp().mean().item(), rel=1e-4)
        assert log["loss"] == pytest.approx(-log_coverage(log_p[batch], log["n_passes"]).mean().item(), rel=1e-4)
    assert position > 18, "the case must need a replacement"


def test_groups_take_the_n_of_the_step(tmp_path):
    rows = [row | {"group_id": index // 2} for index, row in enumerate(make_rows(6))]
    trainer = make_trainer(
        tmp_path, rows, **ANNEAL, confidence="proof", min_confidence_weight=0.0, max_steps=2, learning_rate=0.0,
        per_device_train_batch_size=3,
    )  # fmt: skip
    trainer.train()
    log_p = log_probs_float64(build_model().double(), build_tokenizer(), rows)[0].detach().view(3, 2).sum(1)
    expected = [-log_coverage(log_p, n).mean().item() for n in (1.0, 256.0)]
    assert [log["loss"] for log in training_logs(trainer)] == pytest.approx(expected, rel=1e-5)


def test_what_is_evaluated_has_the_final_n_at_every_step(tmp_path):
    rows = make_rows(6)
    trainer = make_trainer(
        tmp_path, rows, arguments={"eval_dataset": Dataset.from_list(rows)}, **MIXTURE, min_confidence_weight=0.0,
        max_steps=4, learning_rate=0.0, eval_strategy="steps", eval_steps=1, per_device_eval_batch_size=6,
    )  # fmt: skip
    trainer.train()
    log_p = log_probs_float64(build_model().double(), build_tokenizer(), rows)[0].detach()
    expected = -log_coverage(log_p, 30000.0).mean().item()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert losses == pytest.approx([expected] * 4, rel=1e-5)


# ---- ends ----


def test_a_step_at_whose_n_all_is_learnt_changes_nothing_and_training_goes_on(tmp_path):
    """At N = 1e15 every completion of the model has F = 0, at N = 1 every one has F = 1."""
    settings = {"n_passes": 1e15, "n_passes_schedule": "mixture", "n_passes_mixture": [1, 1e15]}
    trainer = make_trainer(tmp_path, **settings, max_steps=6, save_strategy="steps", save_steps=1, save_total_limit=9)
    trainer.train()
    assert trainer.ended_early is None
    assert trainer.state.global_step == 6
    logs = training_logs(trainer)
    models = [build_model(), *(build_model().from_pretrained(tmp_path / f"checkpoint-{step}") for step in range(1, 7))]
    for step, log in enumerate(logs):
        moved = any(
            not torch.equal(a, b) for a, b in zip(models[step].parameters(), models[step + 1].parameters(), strict=True)
        )
        assert moved == (log["n_passes"] == 1)
    assert {log["n_passes"] for log in logs} == {1, 1e15}


def test_annealing_upwards_ends_where_a_constant_n_would(tmp_path):
    trainer = make_trainer(
        tmp_path, n_passes=1e15, n_passes_schedule="anneal", n_passes_start=1e14, max_steps=9, learning_rate=0.0
    )
    trainer.train()
    assert "at N = 1e+14" in trainer.ended_early


def test_constant_is_what_it_was(tmp_path):
    """One value, drawn or annealed to, gives the run at that value to the bit."""
    common = {"n_passes": 300, "max_steps": 3, "min_confidence_weight": 0.5}
    plain = make_trainer(tmp_path / "a", **common)
    plain.train()
    assert all("n_passes" not in log for log in training_logs(plain))
    nearly = make_trainer(tmp_path / "b", **common, n_passes_schedule="mixture", n_passes_mixture=[1, *[300] * 10**5])
    nearly.train()
    assert [log["n_passes"] for log in training_logs(nearly)] == [300] * 3
    assert_same_weights(nearly.model, weights_of(plain.model))


# ---- resuming ----


@pytest.mark.parametrize("settings", [MIXTURE, ANNEAL | {"n_passes": 3000}], ids=["mixture", "anneal"])
def test_a_resumed_run_ends_with_the_same_weights_to_the_bit(settings, tmp_path):
    common = {
        **settings, "min_confidence_weight": 0.5, "max_steps": 6, "min_active_fraction": 0.0,
        "per_device_train_batch_size": 3, "save_strategy": "steps", "save_steps": 3, "learning_rate": 1e-2,
    }  # fmt: skip
    reference = make_trainer(tmp_path, model=build_model(attention_dropout=0.2), **common)
    reference.train()
    resumed = make_trainer(tmp_path, model=build_model(seed=9, attention_dropout=0.2), **common)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert_same_weights(resumed.model, weights_of(reference.model))
    assert resumed.coverage_state() == reference.coverage_state()


def test_another_schedule_does_not_resume(tmp_path):
    common = {"n_passes": 300, "max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    make_trainer(tmp_path, **common).train()
    other = make_trainer(tmp_path, **common, n_passes_schedule="mixture", n_passes_mixture=[1, 300])
    with pytest.raises(ValueError, match="n_passes_schedule=constant, this run has n_passes_schedule=mixture"):
        other.train(resume_from_checkpoint=True)


# ---- refusals ----


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_passes_schedule": "linear"}, "n_passes_schedule must be one of"),
        ({"n_passes": 9, "n_passes_schedule": "anneal"}, "n_passes_schedule='anneal' needs n_passes_start"),
        ({"n_passes": 9, "n_passes_schedule": "mixture"}, "'mixture' needs n_passes_mixture"),
        ({"n_passes": 9, "n_passes_start": 2}, "n_passes_start belongs to n_passes_schedule='anneal', this is 'const"),
        (MIXTURE | {"n_passes_start": 2}, "n_passes_start belongs to"),
        (ANNEAL | {"n_passes_start": 0.5}, "n_passes_start must be finite and at least 1, got 0.5"),
        (ANNEAL | {"n_passes_start": 256}, "n_passes_start=256 is n_passes"),
        (MIXTURE | {"n_passes": 300}, "n_passes must be the largest of n_passes_mixture, 30000, got 300"),
        (MIXTURE | {"n_passes_mixture": [30000, math.inf]}, "n_passes_mixture must be finite"),
        (MIXTURE | {"n_passes_mixture": [30000, 30000]}, "needs two different values"),
        (ANNEAL | {"objective": "gem", "n_passes": 1, "n_passes_start": 2}, "'anneal' needs an objective of N samples"),
        (ANNEAL | {"confidence": "rollouts"}, "'anneal' cannot be combined with confidence='rollouts'"),
        (ANNEAL | {"objective": "majority_vote", "majority_threshold": 1}, "majority_threshold is for one N"),
        (
            {"objective": "majority_vote", "n_passes": 5, "n_passes_schedule": "mixture", "n_passes_mixture": [2.5, 5]},
            "n_passes_mixture must be whole, got 2.5",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_said_in_one_line(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        make_config(tmp_path, **settings)
    assert "\n" not in str(error.value)
