"""The coverage trainer as a TRL trainer: PEFT, evaluation, chat data, logs, early ends, checkpoints, the Hub."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset, IterableDataset
from peft import LoraConfig
from transformers import MixtralConfig, MixtralForCausalLM, TrainerCallback
from trl import SFTConfig, SFTTrainer

from passatn.coverage import confidence_weight, log_coverage
from passatn.train import CoverageTrainer
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

REPLACING = {"n_passes": 30000, "min_confidence_weight": 0.6, "min_active_fraction": 0.0}
LEARNT = 1e15  # so many samples that every completion of the tiny model would be found: F = 0


class Recorder(TrainerCallback):
    """What a logger sees."""

    def __init__(self) -> None:
        self.logs: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self.logs.append(dict(logs))


def losses_by_hand(rows: list[dict[str, str]], n: float, model: Any = None) -> torch.Tensor:
    log_p, _ = log_probs_float64(model or build_model().double(), build_tokenizer(), rows)
    return -log_coverage(log_p.detach(), n)


# ---- what is logged ----


def test_loggers_receive_the_metrics_of_coverage(tmp_path):
    rows, n, epsilon = make_rows(8), 300.0, 0.5
    recorder = Recorder()
    trainer = make_trainer(
        tmp_path,
        rows,
        arguments={"callbacks": [recorder]},
        n_passes=n,
        min_confidence_weight=epsilon,
        min_active_fraction=0.0,
        train_sampling_strategy="sequential",
        per_device_train_batch_size=2,
        max_steps=1,
    )
    trainer.train()
    log = recorder.logs[0]
    log_p, _ = log_probs_float64(build_model().double(), build_tokenizer(), rows)
    weights = confidence_weight(log_p.detach(), n)
    active = [index for index in range(8) if weights[index] >= epsilon][:2]
    seen = slice(0, active[-1] + 1)
    p_times_n = log_p.detach().exp()[seen] * n
    assert log["loss"] == pytest.approx(-log_coverage(log_p.detach(), n)[active].mean().item(), rel=1e-5)
    assert log["mean_confidence_weight"] == pytest.approx(weights[seen].mean().item(), rel=1e-5)
    assert log["active_fraction"] == pytest.approx(2 / (active[-1] + 1))
    assert log["p_times_n_mean"] == pytest.approx(p_times_n.mean().item(), rel=1e-5)
    assert log["p_times_n_q50"] == pytest.approx(p_times_n.quantile(0.5).item(), rel=1e-5)
    assert log["p_times_n_q90"] == pytest.approx(p_times_n.quantile(0.9).item(), rel=1e-5)
    assert (log["examples_seen"], log["examples_replaced"]) == (active[-1] + 1, active[-1] - 1)
    assert 0 < log["entropy"] <= math.log(20)


def test_without_replacement_there_are_as_many_steps_as_in_sft_and_nothing_is_replaced(tmp_path):
    trainer = make_trainer(tmp_path, n_passes=LEARNT, min_confidence_weight=0.0, per_device_train_batch_size=4)
    trainer.train()
    logs = training_logs(trainer)
    assert len(logs) == 3 * 4
    assert logs[-1]["examples_seen"] == 48
    assert "examples_replaced" not in logs[-1]
    assert trainer.ended_early is None


def test_a_nan_loss_shows_in_the_log_and_does_not_stop_the_run(tmp_path):
    for name, settings in {"replacing": REPLACING, "weights": {"n_passes": 9, "min_confidence_weight": 0.0}}.items():
        model = build_model()
        with torch.no_grad():
            model.lm_head.weight[0, 0] = float("nan")
        trainer = make_trainer(
            tmp_path / name, model=model, per_device_train_batch_size=2, gradient_accumulation_steps=2, max_steps=2,
            **settings,
        )  # fmt: skip
        trainer.train()
        logs = training_logs(trainer)
        assert len(logs) == 2
        assert math.isnan(logs[0]["loss"])
        assert math.isnan(logs[0]["p_times_n_mean"])


def test_impossible_completions_give_an_infinite_loss_and_finite_gradients(tmp_path):
    """Logits so large that a float32 log-softmax ends at −inf: log C = −inf, F = 1."""
    model = build_model()
    with torch.no_grad():
        model.lm_head.weight.mul_(1e38)
    trainer = make_trainer(
        tmp_path, model=model, max_steps=1, n_passes=16, min_confidence_weight=0.3, min_active_fraction=0.0
    )
    trainer.train()
    assert math.isinf(training_logs(trainer)[0]["loss"])


def test_mixed_precision_logs_nearly_the_same_loss(tmp_path):
    rows = make_rows(8)
    trainer = make_trainer(
        tmp_path, rows, bf16=True, max_steps=1, per_device_train_batch_size=8, n_passes=300, min_confidence_weight=0.0
    )
    trainer.train()
    expected = losses_by_hand(rows, 300).mean().item()
    assert training_logs(trainer)[0]["loss"] == pytest.approx(expected, rel=0.05)


def test_the_balancing_loss_of_experts_is_part_of_the_loss(tmp_path):
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=20, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2, router_aux_loss_coef=0.5,
        pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    model = MixtralForCausalLM(config)
    rows = make_rows(4)
    clone = MixtralForCausalLM(config)
    clone.load_state_dict(model.state_dict())
    expected = losses_by_hand(rows, 50, clone).mean().item()
    trainer = make_trainer(
        tmp_path, rows, model=model, max_steps=1, per_device_train_batch_size=2, gradient_accumulation_steps=2,
        n_passes=50, min_confidence_weight=0.0,
    )  # fmt: skip
    trainer.train()
    log = training_logs(trainer)[0]
    assert log["aux_loss"] > 1
    assert log["loss"] == pytest.approx(expected + 0.5 * log["aux_loss"], rel=1e-4)


# ---- ends before the last step ----


def test_a_step_without_active_examples_moves_nothing_and_ends_training(tmp_path, caplog):
    trainer = make_trainer(
        tmp_path, n_passes=LEARNT, per_device_train_batch_size=4, learning_rate=0.1, weight_decay=0.5
    )
    before = weights_of(trainer.model)
    trainer.train()
    assert_same_weights(trainer.model, before)
    assert trainer.state.global_step == 1
    assert "ended at step 1 of 12: only 0.0 % of the training examples" in trainer.ended_early
    assert f"Training {trainer.ended_early}." in caplog.text
    assert training_logs(trainer)[0]["loss"] == 0
    assert training_logs(trainer)[0]["examples_seen"] == 16, "one pass over the data, not more"


def test_training_ends_below_min_active_fraction_with_log_evaluation_and_checkpoint(tmp_path):
    def trainer() -> CoverageTrainer:
        return make_trainer(
            tmp_path,
            arguments={"eval_dataset": Dataset.from_list(make_rows(3))},
            n_passes=30000,
            min_confidence_weight=0.6,
            min_active_fraction=0.9,
            per_device_train_batch_size=4,
            save_strategy="steps",
            save_steps=100,
            eval_strategy="steps",
            eval_steps=100,
            logging_steps=100,
        )

    ended = trainer()
    ended.train()
    step = ended.state.global_step
    assert 1 < step < 12
    assert "min_active_fraction=0.9" in ended.ended_early
    assert training_logs(ended)[-1]["step"] == step
    assert [entry["step"] for entry in ended.state.log_history if "eval_loss" in entry] == [step]
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == [f"checkpoint-{step}"]
    resumed = trainer()
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == step
    assert f"ended at step {step} of 12" in resumed.ended_early
    assert_same_weights(resumed.model, weights_of(ended.model))


def test_training_ends_after_max_data_passes(tmp_path):
    settings = REPLACING | {"max_data_passes": 1.0, "per_device_train_batch_size": 4}
    trainer = make_trainer(tmp_path, make_rows(26), **settings)
    trainer.train()
    last = training_logs(trainer)[-1]
    assert "max_data_passes=1 passes over the data are used up" in trainer.ended_early
    assert trainer.state.global_step < trainer.state.max_steps
    assert 0.7 < last["data_passes"] <= 1
    assert 22 < last["examples_seen"] <= 26
    with pytest.raises(ValueError, match=r"max_data_passes=0\.1 is less than one batch"):
        make_trainer(tmp_path, **(settings | {"max_data_passes": 0.1})).train()


def test_a_short_remainder_of_accumulation_is_a_full_batch_of_its_own(tmp_path):
    """26 rows in batches of 4 × 2: the last step of an epoch has one micro-batch of 4 active examples."""
    accepted: list[int] = []

    class Spy(TrainerCallback):
        def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
            accepted.append(trainer._replacement.num_accepted)

    trainer = make_trainer(
        tmp_path,
        make_rows(26),
        arguments={"callbacks": [Spy()]},
        num_train_epochs=2,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        **REPLACING,
    )
    trainer.train()
    assert accepted == [8, 8, 8, 4] * 2


def test_train_twice_starts_anew(tmp_path):
    trainer = make_trainer(tmp_path, n_passes=LEARNT, per_device_train_batch_size=4)
    for _ in range(2):
        trainer.train()
        assert trainer.state.global_step == 1
        assert "ended at step 1" in trainer.ended_early
        assert trainer.coverage_state()["examples_seen"] == 16


# ---- evaluation ----


def test_evaluation_loss_is_the_mean_of_minus_log_coverage(tmp_path):
    rows, n = make_rows(5, seed=7), 64
    data = Dataset.from_list(rows)
    trainer = make_trainer(
        tmp_path, arguments={"eval_dataset": data}, n_passes=n, per_device_eval_batch_size=2, max_steps=1
    )
    expected = losses_by_hand(rows, n).mean().item()
    random_state = torch.get_rng_state()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-5)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert trainer.evaluate(data)["eval_loss"] == pytest.approx(expected, rel=1e-5)


def test_evaluation_of_groups_counts_groups_also_in_several_raw_data_sets(tmp_path):
    rows = [row | {"group_id": index % 3} for index, row in enumerate(make_rows(7))]
    data, n = Dataset.from_list(rows), 1e7
    trainer = make_trainer(
        tmp_path,
        rows,
        arguments={"eval_dataset": data},
        n_passes=n,
        confidence="proof",
        per_device_eval_batch_size=2,
        max_steps=1,
    )
    log_p, _ = log_probs_float64(build_model().double(), build_tokenizer(), rows)
    groups = torch.stack([log_p[group::3].sum() for group in range(3)]).detach()
    expected = -log_coverage(groups, n).mean().item()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-5)
    assert trainer.evaluate({"a": data})["eval_a_loss"] == pytest.approx(expected, rel=1e-5)


# ---- features of TRL ----


def test_lora_trains_the_adapter_only_and_resumes(tmp_path):
    def trainer(folder: str) -> CoverageTrainer:
        return make_trainer(
            tmp_path / folder,
            arguments={"peft_config": LoraConfig(r=2, target_modules=["q_proj", "v_proj"], lora_dropout=0.2)},
            per_device_train_batch_size=4,
            learning_rate=1e-2,
            max_steps=4,
            save_strategy="steps",
            save_steps=2,
            **REPLACING,
        )

    whole = trainer("run")
    before = weights_of(whole.model)
    whole.train()
    changed = {name for name, p in whole.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)
    assert (tmp_path / "run/checkpoint-2/adapter_model.safetensors").exists()
    resumed = trainer("run")
    resumed.train(resume_from_checkpoint=str(tmp_path / "run/checkpoint-2"))
    assert_same_weights(resumed.model, weights_of(whole.model))


def test_gradient_checkpointing_does_not_change_the_weights(tmp_path):
    results = []
    for enabled in (False, True):
        trainer = make_trainer(
            tmp_path / str(enabled),
            model=build_model(attention_dropout=0.2),
            gradient_checkpointing=enabled,
            per_device_train_batch_size=4,
            max_steps=3,
            **REPLACING,
        )
        trainer.train()
        assert trainer.model.is_gradient_checkpointing == enabled
        results.append(trainer.model)
    assert_same_weights(results[0], weights_of(results[1]))


def test_chat_messages_train_like_their_text(tmp_path):
    tokenizer = build_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{{ 'a' if m['role'] == 'user' else 'b' }}{{ m['content'] }}"
        "{% if m['role'] == 'assistant' %}<eos>{% endif %}{% endfor %}{% if add_generation_prompt %}b{% endif %}"
    )
    rows = make_rows(8)
    chat = [
        {
            "prompt": [{"role": "user", "content": row["prompt"]}],
            "completion": [{"role": "assistant", "content": row["completion"]}],
        }
        for row in rows
    ]
    text = [{"prompt": f"a{row['prompt']}b", "completion": row["completion"]} for row in rows]
    results = []
    for name, data in {"chat": chat, "text": text}.items():
        trainer = make_trainer(
            tmp_path / name,
            data,
            arguments={"processing_class": tokenizer},
            per_device_train_batch_size=4,
            max_steps=2,
            **REPLACING,
        )
        trainer.train()
        results.append(trainer.model)
    assert_same_weights(results[0], weights_of(results[1]))


def test_streaming_data_is_weighted(tmp_path):
    rows, n = make_rows(8), 64
    trainer = make_trainer(
        tmp_path,
        arguments={"train_dataset": IterableDataset.from_generator(lambda: iter(rows))},
        n_passes=n,
        min_confidence_weight=0.0,
        per_device_train_batch_size=4,
        max_steps=2,
        learning_rate=0.0,
    )
    trainer.train()
    by_hand = losses_by_hand(rows, n)
    expected = [by_hand[:4].mean().item(), by_hand[4:].mean().item()]
    assert [log["loss"] for log in training_logs(trainer)] == pytest.approx(expected, rel=1e-5)


def test_padding_of_a_packed_batch_is_no_example(tmp_path):
    rows = make_rows(6)
    trainer = make_trainer(
        tmp_path,
        rows,
        n_passes=50,
        min_confidence_weight=0.0,
        packing=True,
        packing_strategy="bfd",
        max_length=40,
        pad_to_multiple_of=64,
        per_device_train_batch_size=6,
        max_steps=1,
    )
    trainer.train()
    log = training_logs(trainer)[0]
    assert log["examples_seen"] == 6
    assert log["loss"] == pytest.approx(losses_by_hand(rows, 50).mean().item(), rel=1e-5)


@pytest.mark.parametrize("batching", [(4, 1), (2, 2), (1, 4)])
def test_a_batch_does_not_depend_on_its_division_into_micro_batches(batching, tmp_path):
    size, accumulation = batching
    trainer = make_trainer(
        tmp_path,
        make_rows(24),
        per_device_train_batch_size=size,
        gradient_accumulation_steps=accumulation,
        max_steps=5,
        **REPLACING,
    )
    trainer.train()
    reference = make_trainer(tmp_path, make_rows(24), per_device_train_batch_size=4, max_steps=5, **REPLACING)
    reference.train()
    assert trainer.coverage_state() == reference.coverage_state()
    assert trainer.coverage_state()["stream"]["num_replaced"] > 5
    losses = [log["loss"] for log in training_logs(reference)]
    assert [log["loss"] for log in training_logs(trainer)] == pytest.approx(losses, rel=1e-4)


# ---- checkpoints ----


def test_best_checkpoint_is_kept_and_loaded(tmp_path):
    trainer = make_trainer(
        tmp_path,
        arguments={"eval_dataset": Dataset.from_list(make_rows(4, seed=9))},
        n_passes=16,
        per_device_train_batch_size=4,
        learning_rate=0.05,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
    )
    trainer.train()
    losses = {entry["step"]: entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry}
    best = min(losses, key=losses.__getitem__)
    assert best < 12, "the case needs a best model that is not the last one"
    checkpoint = tmp_path / f"checkpoint-{best}"
    assert trainer.state.best_model_checkpoint == str(checkpoint)
    assert json.loads((checkpoint / "trainer_state.json").read_text())["best_model_checkpoint"] == str(checkpoint)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses[best])
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [checkpoint.name]


def test_a_checkpoint_that_turns_out_best_after_it_was_saved_is_found_as_in_trl(tmp_path):
    """Saved by steps, evaluated at the end of the epoch, at the same step."""
    found = []
    for trainer_class in (SFTTrainer, CoverageTrainer):
        folder = tmp_path / trainer_class.__name__
        trainer = make_trainer(
            folder,
            trainer_class=trainer_class,
            arguments={"eval_dataset": Dataset.from_list(make_rows(4))},
            per_device_train_batch_size=4,
            eval_strategy="epoch",
            save_strategy="steps",
            save_steps=2,
            metric_for_best_model="eval_loss",
            num_train_epochs=2,
        )
        trainer.train()
        found.append(str(Path(trainer.state.best_model_checkpoint).relative_to(folder)))
    assert found == ["checkpoint-4", "checkpoint-4"]


def test_push_to_hub_uploads_whole_checkpoints(tmp_path, monkeypatch):
    uploads = []

    class Hub:
        def create_repo(self, name: str, **kwargs: Any) -> Any:
            return SimpleNamespace(repo_id=name)

        def upload_folder(self, *, folder_path: str, **kwargs: Any) -> Any:
            files = {path.name for path in Path(folder_path).iterdir()}
            uploads.append((Path(folder_path).name, kwargs.get("path_in_repo"), files))
            return SimpleNamespace(done=lambda: True, result=lambda: None)

    monkeypatch.setattr("transformers.trainer.hf_api", Hub)
    trainer = make_trainer(
        tmp_path / "run",
        n_passes=16,
        max_steps=2,
        save_strategy="steps",
        save_steps=2,
        push_to_hub=True,
        hub_model_id="someone/model",
        hub_strategy="all_checkpoints",
    )
    trainer.train()
    assert [(folder, path) for folder, path, _ in uploads] == [("run", None), ("checkpoint-2", "checkpoint-2")]
    assert {"model.safetensors", "README.md"} <= uploads[0][2]
    assert {"coverage_state.json", "optimizer.pt", "rng_state.pth", "model.safetensors"} <= uploads[1][2]
    assert trainer.args.push_to_hub
    trainer.push_to_hub()
    assert uploads[2][0] == "run"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": make_rows(18)}, "num_examples=16, this run has 18"),
        ({"data_seed": 5}, "seed=42, this run has 5"),
        ({"n_passes": 20}, "n_passes=16, this run has n_passes=20"),
        ({"min_confidence_weight": 0.0}, "min_confidence_weight=0.3, this run has min_confidence_weight=0.0"),
        ({"loss_normalization": "token"}, "loss_normalization=sequence, this run has loss_normalization=token"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(change, message, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "refused"
    settings: dict[str, Any] = {"n_passes": 16, "save_strategy": "steps", "save_steps": 1, "max_steps": 1}
    if not folder.exists():
        make_trainer(folder, **settings).train()
    changed = settings | change
    other = make_trainer(folder, changed.pop("rows", None), **changed)
    with pytest.raises(ValueError, match=message):
        other.train(resume_from_checkpoint=True)


def test_a_checkpoint_of_another_trainer_is_refused_and_a_missing_one_named(tmp_path):
    sft = make_trainer(tmp_path, trainer_class=SFTTrainer, save_strategy="steps", save_steps=1, max_steps=1)
    sft.train()
    with pytest.raises(ValueError, match="was not written by a CoverageTrainer"):
        make_trainer(tmp_path, n_passes=16, max_steps=2).train(resume_from_checkpoint=True)
    with pytest.raises(ValueError, match=r"no checkpoint to resume from in .*absent"):
        make_trainer(tmp_path / "absent", n_passes=16).train(resume_from_checkpoint=True)


def test_arguments_of_plain_sft_are_a_type_error(tmp_path):
    with pytest.raises(TypeError, match=r"args must be a passatn\.train\.CoverageConfig, got SFTConfig"):
        CoverageTrainer(
            build_model(),
            args=make_config(tmp_path, SFTConfig),
            train_dataset=Dataset.from_list(make_rows(2)),
            processing_class=build_tokenizer(),
        )
