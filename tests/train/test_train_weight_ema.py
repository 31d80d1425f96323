"""The moving average of the weights: its values, that it is what is evaluated and saved, resuming, refusals."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaForCausalLM

from passatn.evaluate.callback import PassAtNCallback
from passatn.sample import score_problems
from passatn.tasks import EncodedExample
from passatn.train.weight_ema import WEIGHT_EMA_NAME
from tiny import build_model
from train_helpers import assert_same_weights, make_rows, make_trainer, training_logs, weights_of

DECAY = 0.3
"""Reached at step 4 of 6: t/(t + 9) is 2/11, 3/12, 4/13."""
SAVING = {
    "n_passes": 300, "min_confidence_weight": 0.0, "max_steps": 6, "learning_rate": 1e-2,
    "per_device_train_batch_size": 4, "save_strategy": "steps", "save_steps": 1, "save_total_limit": 9,
}  # fmt: skip
PROBLEMS = [[EncodedExample((3, 4), (5, 1))], [EncodedExample((6,), (7, 8, 1))]]


def stored(folder: Path, step: int, name: str = "model.safetensors") -> dict[str, Tensor]:
    return load_file(folder / f"checkpoint-{step}" / name)


def decay_at(step: int) -> float:
    return min(DECAY, step / (step + 9))


def averages_by_hand(folder: Path, steps: int) -> list[dict[str, Tensor]]:
    """The recursion of the formula in float64, from the weights that the checkpoints have."""
    average = {name: weight.double() for name, weight in stored(folder, 1).items()}
    averages = [average]
    for step in range(2, steps + 1):
        now = stored(folder, step)
        decay = decay_at(step)
        average = {name: decay * value + (1 - decay) * now[name].double() for name, value in average.items()}
        averages.append(average)
    return averages


def assert_weights(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name].double(), value.double(), rtol=0, atol=1e-6)


def model_with(weights: dict[str, Tensor]) -> LlamaForCausalLM:
    model = build_model()
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    return model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Six steps with an average, evaluated after each one."""
    folder = tmp_path_factory.mktemp("average")
    arguments: dict[str, Any] = {"eval_dataset": Dataset.from_list(make_rows(8, seed=5))}
    evaluating = {"eval_strategy": "steps", "eval_steps": 1}
    trainer = make_trainer(folder, arguments=arguments, weight_ema=DECAY, **SAVING, **evaluating)
    callback = PassAtNCallback(trainer, PROBLEMS, every=1)
    trainer.add_callback(callback)
    trainer.train()
    return SimpleNamespace(folder=folder, trainer=trainer, scores=[entry.log_p for entry in callback.history])


def test_the_average_is_the_recursion_over_the_weights_of_each_step(run):
    averages = averages_by_hand(run.folder, 6)
    for step, average in enumerate(averages, start=1):
        assert_weights(stored(run.folder, step, WEIGHT_EMA_NAME), average)
    moved = {name: value - stored(run.folder, 6)[name].double() for name, value in averages[-1].items()}
    assert max(float(value.abs().max()) for value in moved.values()) > 1e-3, "the case must tell the two apart"


def test_training_itself_is_the_same_to_the_bit(run, tmp_path):
    plain = make_trainer(tmp_path, **SAVING)
    plain.train()
    assert_same_weights(run.trainer.model, weights_of(plain.model))
    assert not (tmp_path / "checkpoint-6" / WEIGHT_EMA_NAME).exists()


def test_pass_at_n_and_the_evaluation_loss_are_those_of_the_average(run, tmp_path):
    losses = [entry["eval_loss"] for entry in run.trainer.state.log_history if "eval_loss" in entry]
    assert len(run.scores) == len(losses) == 6
    for average, scores, loss in zip(averages_by_hand(run.folder, 6), run.scores, losses, strict=True):
        model = model_with(average)
        torch.testing.assert_close(
            torch.tensor(scores), torch.tensor(score_problems(model, PROBLEMS)), rtol=0, atol=1e-5
        )
        evaluator = make_trainer(
            tmp_path, model=model, arguments={"eval_dataset": Dataset.from_list(make_rows(8, seed=5))}, n_passes=300
        )
        assert evaluator.evaluate()["eval_loss"] == pytest.approx(loss, rel=1e-5)
    own = score_problems(model_with(stored(run.folder, 6)), PROBLEMS)
    assert abs(own - run.scores[-1]).max() > 1e-3


def test_save_model_writes_the_average_and_leaves_the_model_as_it_is(run, tmp_path):
    before = weights_of(run.trainer.model)
    run.trainer.save_model(str(tmp_path))
    assert_weights(load_file(tmp_path / "model.safetensors"), averages_by_hand(run.folder, 6)[-1])
    assert not (tmp_path / WEIGHT_EMA_NAME).exists()
    inside = []

    def fail() -> None:
        with run.trainer.averaged_weights():
            inside.append(weights_of(run.trainer.model))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert_weights(inside[0], averages_by_hand(run.folder, 6)[-1])
    assert_same_weights(run.trainer.model, before)


def test_checkpoints_that_are_only_models_have_the_average(run, tmp_path):
    make_trainer(tmp_path, weight_ema=DECAY, save_only_model=True, **SAVING).train()
    for step in (1, 6):
        assert_weights(stored(tmp_path, step), averages_by_hand(run.folder, 6)[step - 1])
        assert not (tmp_path / f"checkpoint-{step}" / WEIGHT_EMA_NAME).exists()


@pytest.mark.parametrize("save_only_model", [False, True])
def test_the_best_model_is_the_average_that_was_evaluated(save_only_model, tmp_path):
    trainer = make_trainer(
        tmp_path, arguments={"eval_dataset": Dataset.from_list(make_rows(8, seed=5))}, weight_ema=DECAY,
        save_only_model=save_only_model, eval_strategy="steps", eval_steps=1, load_best_model_at_end=True,
        metric_for_best_model="eval_loss", greater_is_better=True, **SAVING,
    )  # fmt: skip
    trainer.train()
    best = trainer.state.best_global_step
    assert best < 6, "the case must tell the best from the last"
    name = "model.safetensors" if save_only_model else WEIGHT_EMA_NAME
    trainer.save_model(str(tmp_path / "best"))
    assert_weights(load_file(tmp_path / "best" / "model.safetensors"), stored(tmp_path, best, name))


@pytest.mark.parametrize(
    "settings",
    [{}, {"n_passes": 3000, "min_confidence_weight": 0.5}, {"n_passes": 1, "loss_normalization": "token"}],
    ids=["weights", "replacement", "plain SFT"],
)
def test_a_resumed_run_has_the_same_weights_and_the_same_average_to_the_bit(settings, tmp_path):
    common = SAVING | {"weight_ema": DECAY, "save_steps": 3, "min_active_fraction": 0.0} | settings
    reference = make_trainer(tmp_path, model=build_model(attention_dropout=0.2), **common)
    reference.train()
    resumed = make_trainer(tmp_path, model=build_model(seed=9, attention_dropout=0.2), **common)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert_same_weights(resumed.model, weights_of(reference.model))
    with resumed.averaged_weights(), reference.averaged_weights():
        assert_same_weights(resumed.model, weights_of(reference.model))


def test_a_second_training_starts_a_new_average(tmp_path):
    trainer = make_trainer(tmp_path, weight_ema=DECAY, **(SAVING | {"max_steps": 2}))
    trainer.train()
    trainer.train()
    assert_weights(stored(tmp_path, 1, WEIGHT_EMA_NAME), stored(tmp_path, 1))


def test_steps_without_a_batch_are_not_averaged(tmp_path):
    """At N = 1e15 every completion is learnt; such a step leaves the weights, and the average, as they are."""
    settings = {"n_passes": 1e15, "n_passes_schedule": "mixture", "n_passes_mixture": [1, 1e15]}
    trainer = make_trainer(tmp_path, weight_ema=DECAY, **(SAVING | settings | {"min_confidence_weight": 0.3}))
    trainer.train()
    ns = [log["n_passes"] for log in training_logs(trainer)]
    empty = [step for step in range(2, 7) if ns[step - 1] > 1 and 1 in ns[: step - 1]]
    assert empty
    for step in empty:
        before, after = (stored(tmp_path, at, WEIGHT_EMA_NAME) for at in (step - 1, step))
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_adapter_is_averaged_alone(tmp_path):
    lora = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    trainer = make_trainer(tmp_path, arguments={"peft_config": lora}, weight_ema=DECAY, **SAVING)
    trainer.train()
    assert all("lora" in name for name in stored(tmp_path, 6, WEIGHT_EMA_NAME))
    adapters = [stored(tmp_path, step, "adapter_model.safetensors") for step in range(1, 7)]
    average = {name: weight.double() for name, weight in adapters[0].items()}
    for step, adapter in enumerate(adapters[1:], start=2):
        decay = decay_at(step)
        average = {name: decay * value + (1 - decay) * adapter[name].double() for name, value in average.items()}
    trainer.save_model(str(tmp_path / "out"))
    assert_weights(load_file(tmp_path / "out" / "adapter_model.safetensors"), average)
    PeftModel.from_pretrained(build_model(), tmp_path / "out")


def test_weights_in_half_precision_are_averaged_in_float32(tmp_path):
    """Steps of (1 − d) times a small change would be rounded away."""
    trainer = make_trainer(tmp_path, model=build_model().bfloat16(), weight_ema=0.99, **SAVING)
    trainer.train()
    assert {value.dtype for value in stored(tmp_path, 6, WEIGHT_EMA_NAME).values()} == {torch.float32}
    trainer.save_model(str(tmp_path / "out"))
    assert {value.dtype for value in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}


# ---- refusals ----


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5, float("nan")])
def test_a_decay_out_of_range_is_refused(decay, tmp_path):
    with pytest.raises(ValueError, match=r"weight_ema must be in \(0, 1\) or None, got"):
        make_trainer(tmp_path, weight_ema=decay)


@pytest.mark.parametrize(("flag", "name"), [("is_fsdp_enabled", "FSDP"), ("is_deepspeed_enabled", "DeepSpeed")])
def test_sharded_weights_are_refused(flag, name, tmp_path):
    trainer = make_trainer(tmp_path, weight_ema=DECAY)
    setattr(trainer, flag, True)
    with pytest.raises(ValueError, match=f"weight_ema=0.3 cannot be combined with {name}"):
        trainer._init_weight_ema()


def test_a_checkpoint_without_the_average_or_of_another_model_is_refused(tmp_path):
    make_trainer(tmp_path, **(SAVING | {"max_steps": 1})).train()
    with pytest.raises(ValueError, match=r"checkpoint-1 has no weight_ema.safetensors: it was written without"):
        make_trainer(tmp_path, weight_ema=DECAY, **SAVING).train(resume_from_checkpoint=True)
    make_trainer(tmp_path, weight_ema=DECAY, **(SAVING | {"max_steps": 1})).train()
    lora = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    with pytest.raises(ValueError, match="is of another model: only one of the two trains"):
        make_trainer(tmp_path, arguments={"peft_config": lora}, weight_ema=DECAY, **SAVING).train(
            resume_from_checkpoint=True
        )
