"""Exact pass@N while a trainer runs: values by hand, early stopping, the best model, any TRL trainer as host."""

from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from trl import SFTTrainer

from passatn.coverage import coverage
from passatn.evaluate.callback import PassAtNCallback
from passatn.tasks.encoding import EncodedExample
from passatn.train import CoverageTrainer
from tiny import build_model, build_tokenizer
from train_helpers import assert_same_weights, log_probs_float64, make_rows, make_trainer, training_logs, weights_of

ROWS = make_rows(4, seed=5)
NS = (1, 16, 256)


def encode(rows: list[dict[str, str]]) -> list[list[EncodedExample]]:
    """One accepted answer per row; the first problem has a second one, `7`."""
    tokenizer = build_tokenizer()

    def ids(text: str) -> tuple[int, ...]:
        return tuple(tokenizer(text)["input_ids"])

    problems = [[EncodedExample(ids(row["prompt"]), ids(row["completion"] + "<eos>"))] for row in rows]
    problems[0].append(EncodedExample(problems[0][0].prompt_ids, ids("7<eos>")))
    return problems


def pass_at_n_by_hand(model: Any, n: float) -> float:
    log_p, _ = log_probs_float64(model, build_tokenizer(), [*ROWS, ROWS[0] | {"completion": "7"}])
    p = log_p.detach().double().exp()
    p = torch.cat([p[:1] + p[4:], p[1:4]])
    return float((1 - (1 - p) ** n).mean())


def hosted(tmp_path: Any, trainer_class: Any = CoverageTrainer, /, arguments: Any = None, **settings: Any) -> Any:
    defaults: dict[str, Any] = {"per_device_train_batch_size": 4, "learning_rate": 0.02, "num_train_epochs": 2}
    if trainer_class is CoverageTrainer:
        defaults |= {"n_passes": 16, "min_confidence_weight": 0.0}
    return make_trainer(tmp_path, trainer_class=trainer_class, arguments=arguments, **(defaults | settings))


@pytest.mark.parametrize("trainer_class", [CoverageTrainer, SFTTrainer])
def test_values_are_exact_and_training_goes_on_as_if_nothing_happened(trainer_class, tmp_path):
    model = build_model(attention_dropout=0.2)
    trainer = hosted(tmp_path / "with", trainer_class, model=model)
    callback = PassAtNCallback(trainer, encode(ROWS), ns=NS)
    trainer.add_callback(callback)
    trainer.train()
    assert [(entry.step, entry.epoch) for entry in callback.history] == [(4, 1.0), (8, 2.0)]
    logs = [entry for entry in trainer.state.log_history if "eval_pass@16" in entry]
    assert [entry["step"] for entry in logs] == [4, 8]
    trainer.model.eval()
    for n in NS:
        by_hand = pass_at_n_by_hand(trainer.model, n)
        assert logs[-1][f"eval_pass@{n}"] == pytest.approx(by_hand, rel=1e-5)
        assert float(coverage(callback.history[-1].log_p[:, 0], n).mean()) == pytest.approx(by_hand, rel=1e-5)
    alone = hosted(tmp_path / "without", trainer_class, model=build_model(attention_dropout=0.2))
    alone.train()
    assert_same_weights(trainer.model, weights_of(alone.model))


def test_metrics_of_training_stay_in_the_logs_of_training(tmp_path):
    trainer = hosted(tmp_path, logging_steps=2)
    trainer.add_callback(PassAtNCallback(trainer, encode(ROWS), ns=NS, every=3, prefix="held_out"))
    trainer.train()
    assert [entry["step"] for entry in trainer.state.log_history if "held_out_pass@1" in entry] == [3, 6]
    assert all("entropy" in entry for entry in training_logs(trainer))
    for entry in trainer.state.log_history:
        if "held_out_pass@1" in entry:
            assert set(entry) == {"step", "epoch", *(f"held_out_pass@{n}" for n in NS)}


def test_training_stops_when_pass_at_n_has_not_improved_for_patience_evaluations(tmp_path, monkeypatch):
    trainer = hosted(tmp_path, num_train_epochs=10)
    callback = PassAtNCallback(trainer, encode(ROWS), ns=NS, stop_at_n=16, patience=2)
    trainer.add_callback(callback)
    scores = iter([-5.0, -3.0, -4.0, -2.0, -2.0, -6.0, -1.0])
    monkeypatch.setattr(callback, "_score", lambda: np.full((4, 1), next(scores)))
    trainer.train()
    assert len(callback.history) == 6
    assert trainer.state.global_step == 6 * 4
    assert callback.best is callback.history[3]


def test_the_best_model_by_pass_at_n_is_loaded_at_the_end(tmp_path, monkeypatch):
    """Two data sets are evaluated at each step; the problems are scored once per step."""
    data = Dataset.from_list(make_rows(3))
    trainer = hosted(
        tmp_path,
        arguments={"eval_dataset": {"a": data, "b": data}},
        num_train_epochs=4,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="eval_pass@16",
        greater_is_better=True,
        save_total_limit=2,
    )
    callback = PassAtNCallback(trainer, encode(ROWS), ns=NS, every="evaluate")
    trainer.add_callback(callback)
    exact, seen = callback._score, []

    def score() -> Any:
        """Exact at the second evaluation, which is made the best."""
        seen.append(weights_of(trainer.model))
        return exact() if len(seen) == 2 else np.full((4, 1), -1e9)

    monkeypatch.setattr(callback, "_score", score)
    trainer.train()
    assert [entry.step for entry in callback.history] == [4, 8, 12, 16]
    assert trainer.state.best_model_checkpoint == str(tmp_path / "checkpoint-8")
    assert_same_weights(trainer.model, seen[1])
    trainer.model.eval()
    assert trainer.state.best_metric == pytest.approx(pass_at_n_by_hand(trainer.model, 16), rel=1e-5)


def test_evaluation_outside_of_training_is_scored_each_time(tmp_path):
    trainer = hosted(tmp_path, arguments={"eval_dataset": Dataset.from_list(make_rows(3))})
    callback = PassAtNCallback(trainer, encode(ROWS), ns=NS, every="evaluate", temperatures=(1.0, 0.5))
    trainer.add_callback(callback)
    first = trainer.evaluate()["eval_pass@16"]
    with torch.no_grad():
        trainer.model.lm_head.weight.mul_(2)
    assert trainer.evaluate()["eval_pass@16"] != first
    assert [entry.log_p.shape for entry in callback.history] == [(4, 2), (4, 2)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": "batch"}, "every must be 'epoch', 'evaluate' or a positive number of steps, got 'batch'"),
        ({"every": 0}, "every must be 'epoch', 'evaluate' or a positive number of steps, got 0"),
        ({"stop_at_n": 3}, "stop_at_n=3 is not among ns="),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"problems": []}, "there is no problem to evaluate on"),
    ],
)
def test_options_out_of_range_are_named(settings, message):
    arguments = {"problems": encode(ROWS), "ns": NS} | settings
    with pytest.raises(ValueError, match=message):
        PassAtNCallback(None, **arguments)
