"""Groups with equal rewards leave the batch and further problems take their place; what happens when there are none."""

import logging
from collections import Counter

import pytest
import torch
from transformers import TrainerCallback
from trl.trainer.utils import add_fused_lm_head

from grpo_helpers import (
    GROUP_SIZE,
    PLAIN_STEP,
    Spy,
    gradient_of,
    make_grpo,
    make_prompts,
    share_of_digits,
    starts_even,
    with_sgd,
)
from passatn.train.stream import CandidateStream
from tiny import build_model
from train_helpers import assert_same_weights, training_logs, weights_of


def is_mixed(rewards):
    return len(set(rewards)) > 1


def all_equal(completions, **_):
    return [1.0] * len(completions)


@pytest.mark.parametrize("reward", [starts_even, share_of_digits])
def test_the_batch_is_full_of_the_first_groups_with_unequal_rewards(reward, tmp_path):
    trainer = make_grpo(tmp_path, reward, max_steps=1, seed=5)
    spy = Spy(trainer)
    trainer.train()
    generated = [group for one_round in spy.rounds for group in one_round]
    order = [make_prompts()[index]["prompt"] for index in CandidateStream(24, seed=5).draw(24)]
    position, expected = 0, []
    for prompt, rewards in generated:
        assert prompt == order[position]
        position += 1
        expected += [prompt] if is_mixed(rewards) and len(expected) < 4 else []
        if len(expected) == 4:
            break
    assert trainer.coverage_state()["stream"]["position"] == position
    batch = spy.by_prompt()
    assert sorted(batch) == sorted(expected)
    for rollouts in batch.values():
        assert len(rollouts) == GROUP_SIZE
        assert is_mixed(reward([rollout["text"] for rollout in rollouts]))


def test_over_many_steps_no_group_in_a_batch_has_equal_rewards(tmp_path):
    trainer = make_grpo(tmp_path, max_steps=8, gradient_accumulation_steps=1, learning_rate=3e-3)
    spy = Spy(trainer)
    trainer.train()
    assert len(spy.rollouts) == 8 * 8
    for start in range(0, 64, 8):
        texts = {}
        for rollout in spy.rollouts[start : start + 8]:
            texts.setdefault(rollout["prompt"], []).append(rollout["text"])
        assert [len(group) for group in texts.values()] == [GROUP_SIZE] * 2
        assert all(is_mixed(starts_even(group)) for group in texts.values())
    logs = training_logs(trainer)
    generated = [group for one_round in spy.rounds for group in one_round]
    equal = [rewards for _, rewards in generated if not is_mixed(rewards)]
    assert len(equal) > 3
    assert sum(log["groups_discarded"] for log in logs) == len(equal)
    assert [log["groups_in_batch"] for log in logs] == [2] * 8
    assert sum(log["generation_rounds"] for log in logs) == len(spy.rounds) > 8
    assert logs[-1]["rollouts_seen"] == GROUP_SIZE * len(generated)
    assert logs[-1]["data_passes"] == trainer.coverage_state()["stream"]["position"] / 24


def test_fractions_of_groups_all_correct_and_all_wrong(tmp_path):
    """By the prompt's first digit: all right, all wrong, or the roll-outs' own business."""

    def reward(prompts, completions, **_):
        fixed = {"1": 1.0, "2": 0.0}
        return [fixed.get(p[0], starts_even([c])[0]) for p, c in zip(prompts, completions, strict=True)]

    trainer = make_grpo(tmp_path, reward)
    spy = Spy(trainer)
    trainer.train()
    groups = [rewards for one_round in spy.rounds for _, rewards in one_round]
    log = training_logs(trainer)[0]
    assert 0 < sum(min(group) == 1 for group in groups) < len(groups)
    assert log["groups_all_correct"] == pytest.approx(sum(min(group) == 1 for group in groups) / len(groups))
    assert log["groups_all_wrong"] == pytest.approx(sum(max(group) == 0 for group in groups) / len(groups))
    without = make_grpo(tmp_path / "without", reward, refill_groups=False)
    without.train()
    log = training_logs(without)[0]
    assert (log["groups_discarded"], log["groups_in_batch"], log["generation_rounds"]) == (0, 4, 1)
    assert 0 < log["groups_all_correct"] + log["groups_all_wrong"] <= log["frac_reward_zero_std"]


def test_where_all_rewards_are_equal_generation_is_bounded_and_the_weights_stay(tmp_path, caplog):
    """From the second step on. Momentum and weight decay would move them by themselves."""

    def reward(completions, trainer_state, **_):
        return starts_even(completions) if trainer_state.global_step == 0 else all_equal(completions)

    trainer = make_grpo(tmp_path, reward, max_steps=3, max_generation_rounds=3, weight_decay=0.1)
    spy, weights = Spy(trainer), []
    trainer.add_callback(after_each_step(lambda model: weights.append(weights_of(model))))
    with caplog.at_level(logging.WARNING, logger="passatn.train.grpo"):
        trainer.train()
    assert trainer.state.global_step == 3
    assert not torch.equal(weights[0]["lm_head.weight"], build_model().lm_head.weight)
    assert_same_weights(trainer.model, weights[0])
    logs = training_logs(trainer)
    assert [log["generation_rounds"] for log in logs[1:]] == [3, 3]
    assert [log["groups_in_batch"] for log in logs] == [4, 0, 0]
    assert [log["groups_all_correct"] for log in logs[1:]] == [1, 1]
    assert [log["loss"] for log in logs[1:]] == [0, 0]
    message = (
        "step 2: 0 of 4 groups have unequal rewards after weighing 12 problems (max_generation_rounds=3); the weights"
    )
    assert message in caplog.text
    assert len(spy.rounds) == logs[0]["generation_rounds"] + 6


@pytest.mark.parametrize("empty", [0, 1])
def test_a_step_of_two_generations_is_taken_if_one_of_them_has_groups(empty, tmp_path):
    calls = []

    def reward(completions, **_):
        calls.append(len(completions))
        return starts_even(completions) if len(calls) != empty + 1 else all_equal(completions)

    model, before = build_model(), build_model().double()
    trainer = make_grpo(
        tmp_path, reward, arguments=with_sgd(model), steps_per_generation=1, max_generation_rounds=1, **PLAIN_STEP
    )
    spy = Spy(trainer)
    trainer.train()
    assert calls == [8, 8]
    assert spy.rollouts
    # The mean over micro-batches counts the empty one as a zero.
    gradients = gradient_of(before, spy.rollouts, [r["advantage"] / 2 for r in spy.rollouts], max_length=4)
    for name, parameter in before.named_parameters():
        expected = parameter - gradients[name]
        torch.testing.assert_close(dict(model.named_parameters())[name].double(), expected, rtol=0, atol=2e-6)
    assert max(gradient.abs().max() for gradient in gradients.values()) > 1e-3


def test_a_batch_weighs_at_most_one_pass_over_the_data(tmp_path):
    trainer = make_grpo(tmp_path, all_equal, dataset=make_prompts(10), max_generation_rounds=50)
    spy = Spy(trainer)
    trainer.train()
    assert [len(one_round) for one_round in spy.rounds] == [4, 4, 2]


def test_a_short_batch_is_the_mean_over_the_groups_it_has(tmp_path, caplog):
    """Only prompts with a 7 can be right: a few of the problems that are weighed."""

    def reward(prompts, completions, **_):
        return [starts_even([c])[0] * ("7" in p) for p, c in zip(prompts, completions, strict=True)]

    model, before = build_model(), build_model().double()
    trainer = make_grpo(tmp_path, reward, arguments=with_sgd(model), max_generation_rounds=2, **PLAIN_STEP)
    spy = Spy(trainer)
    with caplog.at_level(logging.WARNING, logger="passatn.train.grpo"):
        trainer.train()
    num_groups = len(spy.by_prompt())
    assert 0 < num_groups < 4
    assert f"step 1: {num_groups} of 4 groups" in caplog.text
    assert spy.scales == pytest.approx([4 / num_groups] * 2)
    assert training_logs(trainer)[0]["groups_in_batch"] == num_groups
    gradients = gradient_of(before, spy.rollouts, [r["advantage"] for r in spy.rollouts], max_length=4)
    assert max(gradient.abs().max() for gradient in gradients.values()) > 1e-3
    for name, parameter in before.named_parameters():
        expected = parameter - gradients[name]
        torch.testing.assert_close(dict(model.named_parameters())[name].double(), expected, rtol=0, atol=2e-6)


def test_old_log_probabilities_are_joined_across_rounds_with_their_rollouts(tmp_path):
    """Generation for two optimizer steps keeps the log-probabilities of the weights that drew the roll-outs."""
    trainer = make_grpo(tmp_path, steps_per_generation=4, gradient_accumulation_steps=2, max_steps=4, seed=2)
    joined = []
    put_together = trainer._put_together

    def watched(*args):
        joined.append(put_together(*args))
        return joined[-1]

    trainer._put_together = watched
    spy = Spy(trainer)
    trainer.train()
    assert len(joined) == 2
    assert len(spy.rounds) > 2
    batch, model = joined[0], build_model()
    logps, _, _ = trainer._get_per_token_logps_and_entropies(
        _same_head(model, trainer),
        torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
        torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
        batch["completion_ids"].shape[1],
    )
    mask = batch["completion_mask"]
    assert len(mask) == 32
    torch.testing.assert_close(batch["old_per_token_logps"] * mask, logps.detach() * mask, rtol=1e-4, atol=1e-4)
    assert batch["num_items_in_batch"] == mask.sum()


def test_an_estimator_with_a_gradient_on_equal_rewards_is_warned_about(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="passatn.train.grpo"):
        make_grpo(tmp_path / "fine", advantage="pkpo", advantage_options={"k": 2})
        assert "refill_groups" not in caplog.text
        make_grpo(tmp_path / "other", advantage="maxrl", advantage_options={"variant": "success_mean"})
    assert "the advantage 'maxrl' {'variant': 'success_mean'} gives a gradient: the objective is another" in caplog.text


def after_each_step(function):
    class AfterStep(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            function(model)

    return AfterStep()


def _same_head(model, trainer):
    add_fused_lm_head(model, temperature=trainer.temperature, outputs=("log_probs", "entropy"))
    return model


@pytest.mark.parametrize("reuse", [{}, {"steps_per_generation": 4}], ids=["own roll-outs", "reused"])
def test_training_ends_after_max_data_passes_and_a_resumed_run_does_not_go_on(reuse, tmp_path):
    """24 problems, groups of four a step: two passes that drop nothing are twelve steps."""
    settings = {"max_steps": 30, "max_data_passes": 2, "save_strategy": "epoch", "seed": 5, **reuse}
    trainer = make_grpo(tmp_path, **settings)
    spy = Spy(trainer)
    trainer.train()
    done = trainer.state.global_step
    assert trainer.ended_early == f"ended at step {done} of 30: 2 passes over the data are used up"
    assert 48 - trainer.args.groups_per_batch < trainer.coverage_state()["stream"]["position"] <= 48
    assert max(Counter(prompt for one_round in spy.rounds for prompt, _ in one_round).values()) >= 2
    assert 4 < done < 12
    assert done % (2 if reuse else 1) == 0, "roll-outs that are there are trained on"
    resumed = make_grpo(tmp_path, **settings)
    resumed_spy = Spy(resumed)
    resumed.train(resume_from_checkpoint=True)
    assert (resumed.state.global_step, resumed_spy.rounds) == (done, [])
    assert_same_weights(resumed.model, weights_of(trainer.model))
    assert resumed.ended_early == trainer.ended_early
    with pytest.raises(ValueError, match=r"max_data_passes=0\.1 is less than one batch of this data"):
        make_grpo(tmp_path, **settings | {"max_data_passes": 0.1}).train()
