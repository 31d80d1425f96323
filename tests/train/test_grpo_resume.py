"""Checkpoints of reinforcement learning: the resumed run draws the problems and roll-outs of the uninterrupted one."""

import pytest
import torch
from trl import GRPOConfig, GRPOTrainer

from grpo_helpers import Spy, make_grpo, make_prompts
from train_helpers import assert_same_weights, make_trainer, training_logs, weights_of

SAVING = {"save_strategy": "steps", "save_steps": 2, "max_steps": 7, "seed": 3}


@pytest.mark.parametrize(
    "settings",
    [
        {"advantage": "pkpo", "advantage_options": {"k": 2}},
        {"advantage": "unlikeliness", "gradient_accumulation_steps": 1},
        {"refill_groups": False},
    ],
    ids=["pkpo", "unlikeliness", "without refilling"],
)
@pytest.mark.parametrize("step", [2, 6])
def test_a_resumed_run_ends_like_the_uninterrupted_one(step, settings, tmp_path):
    """24 problems in batches of 4 or 2 groups: with refilling the first pass ends on the way."""
    whole = make_grpo(tmp_path, **SAVING, **settings)
    spy = Spy(whole)
    whole.train()
    resumed = make_grpo(tmp_path, **SAVING, **settings)
    resumed_spy = Spy(resumed)
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
    assert resumed.state.global_step == 7
    assert 0 < len(resumed_spy.rounds) < len(spy.rounds)
    assert resumed_spy.rounds == spy.rounds[-len(resumed_spy.rounds) :]
    assert resumed_spy.rollouts == spy.rollouts[-len(resumed_spy.rollouts) :]
    assert_same_weights(resumed.model, weights_of(whole.model))
    assert resumed.coverage_state() == whole.coverage_state()
    assert training_logs(resumed)[-1]["rollouts_seen"] == training_logs(whole)[-1]["rollouts_seen"]


def test_a_finished_run_that_is_resumed_takes_no_further_step(tmp_path):
    finished = make_grpo(tmp_path, **SAVING | {"max_steps": 4})
    finished.train()
    resumed = make_grpo(tmp_path, **SAVING | {"max_steps": 4})
    spy = Spy(resumed)
    resumed.train(resume_from_checkpoint=True)
    assert (resumed.state.global_step, spy.rounds) == (4, [])
    assert_same_weights(resumed.model, weights_of(finished.model))


def test_train_twice_starts_the_problems_anew(tmp_path):
    trainer = make_grpo(tmp_path, max_steps=2)
    spy = Spy(trainer)
    trainer.train()
    first, count = spy.rounds[0], training_logs(trainer)[-1]["rollouts_seen"]
    spy.rounds.clear()
    trainer.train()
    assert [prompt for prompt, _ in spy.rounds[0]] == [prompt for prompt, _ in first]
    assert training_logs(trainer)[-1]["rollouts_seen"] < 2 * count


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grpo")
    make_grpo(folder, advantage="pkpo", advantage_options={"k": 2}, **SAVING | {"max_steps": 2}).train()
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"advantage_options": {"k": 3}}, r"was written with advantage_options={'k': 2}, this run has advantage_opt"),
        (
            {"advantage": "maxrl", "advantage_options": None},
            r"was written with advantage=pkpo, this run has advantage=m",
        ),
        ({"refill_groups": False}, r"was written with refill_groups=True, this run has refill_groups=False"),
        ({"num_generations": 8}, r"was written with num_generations=4, this run has num_generations=8"),
        ({"data_seed": 9}, r"the checkpoint was made with seed=3, this run has 9: resume with the same data"),
        ({"dataset": make_prompts(20)}, r"the checkpoint was made with num_examples=24, this run has 20"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(change, message, checkpoints):
    settings = {"advantage": "pkpo", "advantage_options": {"k": 2}, **SAVING, **change}
    with pytest.raises(ValueError, match=message):
        make_grpo(checkpoints, **settings).train(resume_from_checkpoint=True)


def test_checkpoints_of_other_trainers_are_refused_and_a_missing_one_named(tmp_path):
    make_grpo(tmp_path / "trl", trainer_class=GRPOTrainer, config_class=GRPOConfig, **SAVING | {"max_steps": 2}).train()
    make_trainer(tmp_path / "sft", n_passes=16, save_strategy="steps", save_steps=2, max_steps=2).train()
    for name in ("trl", "sft"):
        with pytest.raises(ValueError, match=rf"{name}/checkpoint-2 was not written by a CoverageGRPOTrainer"):
            make_grpo(tmp_path / name, **SAVING).train(resume_from_checkpoint=True)
    with pytest.raises(ValueError, match=r"no checkpoint to resume from in .*absent"):
        make_grpo(tmp_path / "absent", **SAVING).train(resume_from_checkpoint=True)


def test_checkpoints_appear_whole(tmp_path):
    """The staging folder of the atomic save, here with TRL's model card and its own file beside the weights."""
    trainer = make_grpo(tmp_path, use_adaptive_entropy=True, **SAVING | {"max_steps": 2})
    seen = []
    write = trainer._save_optimizer_and_scheduler

    def spy(output_dir):
        write(output_dir)
        seen.append([path.name for path in tmp_path.glob("checkpoint-*")])

    trainer._save_optimizer_and_scheduler = spy
    trainer.train()
    assert seen == [[]]
    names = {path.name for path in (tmp_path / "checkpoint-2").iterdir()}
    assert {"coverage_state.json", "model.safetensors", "rng_state.pth", "entropy_ctrl_state.json"} <= names
    assert not (tmp_path / "_incomplete").exists()
    assert torch.load(tmp_path / "checkpoint-2/optimizer.pt", weights_only=True)
