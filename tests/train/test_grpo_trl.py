"""The GRPO baseline against TRL, and one step against a gradient computed by hand."""

import pytest
import torch
from peft import LoraConfig
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from grpo_helpers import (
    GROUP_SIZE,
    PLAIN_STEP,
    Spy,
    gradient_of,
    log_p_float64,
    make_grpo,
    make_prompts,
    share_of_digits,
    starts_even,
    with_sgd,
)
from passatn.tasks import Problem, PromptTemplate, encode_prompt
from passatn.train.advantages import get_advantage
from passatn.train.grpo_config import CoverageGRPOConfig
from passatn.train.grpo_data import prompt_dataset
from tiny import build_model
from train_helpers import assert_same_weights, training_logs, weights_of


def test_defaults_are_the_baseline_of_the_paper():
    args = CoverageGRPOConfig("unused", use_cpu=True, bf16=False)
    assert (args.loss_type, args.scale_rewards, args.beta) == ("dr_grpo", "none", 0.0)
    assert (args.num_generations, args.temperature, args.top_p, args.top_k) == (8, 1.0, 1.0, 0)
    assert (args.learning_rate, args.lr_scheduler_type, args.warmup_steps) == (1e-6, "constant_with_warmup", 20)
    assert (args.num_iterations, args.steps_per_generation) == (1, args.gradient_accumulation_steps)
    assert (args.advantage, args.refill_groups, args.logging_nan_inf_filter) == ("group_mean", True, False)


@pytest.mark.parametrize("reward", [starts_even, share_of_digits])
def test_without_refilling_group_mean_is_trl_to_the_bit(reward, tmp_path):
    ours = make_grpo(tmp_path / "ours", reward, refill_groups=False, max_steps=4)
    before = weights_of(ours.model)
    ours.train()
    theirs = make_grpo(  # sets the seed anew
        tmp_path / "theirs",
        reward,
        trainer_class=GRPOTrainer,
        config_class=GRPOConfig,
        loss_type="dr_grpo",
        scale_rewards="none",
        max_steps=4,
    )
    theirs.train()
    assert_same_weights(ours.model, weights_of(theirs.model))
    assert not all(torch.equal(p, before[name]) for name, p in ours.model.named_parameters())
    for our_log, their_log in zip(training_logs(ours), training_logs(theirs), strict=True):
        assert {name: our_log[name] for name in their_log if name != "step_time"} == {
            name: value for name, value in their_log.items() if name != "step_time"
        }


@pytest.mark.parametrize("refill", [False, True])
@pytest.mark.parametrize(
    ("advantage", "options", "reward"),
    [("group_mean", {}, share_of_digits), ("pkpo", {"k": 2}, share_of_digits), ("maxrl", {}, starts_even)],
)
def test_one_step_is_the_gradient_computed_by_hand(advantage, options, reward, refill, tmp_path):
    model = build_model()
    before = build_model().double()
    trainer = make_grpo(
        tmp_path,
        reward,
        arguments=with_sgd(model),
        advantage=advantage,
        advantage_options=options,
        refill_groups=refill,
        **PLAIN_STEP,
    )
    spy = Spy(trainer)
    trainer.train()
    groups = list(spy.by_prompt().values())
    rewards = torch.tensor([reward([rollout["text"] for rollout in group]) for group in groups], dtype=torch.float64)
    assert rewards.shape == (4, GROUP_SIZE)
    advantages = get_advantage(advantage, **options)(rewards).flatten().tolist()
    assert [r["advantage"] for group in groups for r in group] == pytest.approx(advantages, abs=1e-6)
    gradients = gradient_of(before, [rollout for group in groups for rollout in group], advantages, max_length=4)
    for name, parameter in before.named_parameters():
        expected = parameter - gradients[name]
        torch.testing.assert_close(dict(model.named_parameters())[name].double(), expected, rtol=0, atol=2e-6)
    assert max(gradient.abs().max() for gradient in gradients.values()) > 1e-3


def test_unlikeliness_gets_the_log_probabilities_of_whole_completions_under_the_weights_that_drew_them(tmp_path):
    trainer = make_grpo(tmp_path, advantage="unlikeliness", advantage_options={"beta": 0.5}, max_steps=2)
    seen = []

    class Estimator:
        needs_log_p, options = True, {}

        def __call__(self, rewards, log_p):
            seen.append(log_p)
            return get_advantage("unlikeliness", beta=0.5)(rewards, log_p)

    trainer._advantage = Estimator()
    spy, snapshots = Spy(trainer), []

    class Snapshot(TrainerCallback):
        def on_step_begin(self, args, state, control, model=None, **kwargs):
            snapshots.append((weights_of(model), len(spy.rollouts)))

    trainer.add_callback(Snapshot())
    trainer.train()
    weights, start = snapshots[1]
    model = build_model()
    model.load_state_dict(weights)
    log_p = {r["text"]: log_p_float64(model.double(), r["prompt_ids"], r["ids"]).item() for r in spy.rollouts[start:]}
    got = torch.cat(seen).flatten().tolist()
    assert all(min(abs(value - other) for other in got) < 1e-4 for value in log_p.values())
    assert len(log_p) > 8
    by_hand = spy.by_prompt()
    for group in list(by_hand.values())[-4:]:
        rewards = torch.tensor([starts_even([rollout["text"] for rollout in group])])
        own = torch.tensor([[log_p_float64(model.double(), r["prompt_ids"], r["ids"]).item() for r in group]])
        expected = get_advantage("unlikeliness", beta=0.5)(rewards, own)[0].tolist()
        assert [rollout["advantage"] for rollout in group] == pytest.approx(expected, abs=1e-5)


def test_the_completions_table_shows_the_advantages_that_were_trained_on(tmp_path):
    trainer = make_grpo(tmp_path, advantage="maxrl", refill_groups=False)
    spy = Spy(trainer)
    trainer.train()
    assert sorted(trainer._logs["advantages"]) == pytest.approx(sorted(r["advantage"] for r in spy.rollouts))


def test_the_completions_table_stays_aligned_when_groups_are_refilled(tmp_path):
    trainer = make_grpo(tmp_path, advantage="maxrl", max_steps=3)
    spy = Spy(trainer)
    trainer.train()
    assert any(len(one_round) < 4 for one_round in spy.rounds)
    rewards = torch.tensor(list(trainer._logs["rewards"]["starts_even"])).view(-1, GROUP_SIZE)
    assert list(trainer._logs["advantages"]) == pytest.approx(get_advantage("maxrl")(rewards).flatten().tolist())


def test_evaluation_during_training(tmp_path):
    trainer = make_grpo(
        tmp_path,
        arguments={"eval_dataset": make_prompts(4)},
        eval_strategy="steps",
        eval_steps=1,
        per_device_eval_batch_size=8,
        max_steps=2,
    )
    spy = Spy(trainer)
    trainer.train()
    rewards = [entry["eval_reward"] for entry in trainer.state.log_history if "eval_reward" in entry]
    assert len(rewards) == 2
    assert all(0 <= reward <= 1 for reward in rewards)
    # What was rolled out for the evaluation is not part of the training's count, nor of its random state.
    assert training_logs(trainer)[-1]["rollouts_seen"] == GROUP_SIZE * sum(map(len, spy.rounds))
    alone = make_grpo(tmp_path / "alone", max_steps=2)
    alone.train()
    assert_same_weights(alone.model, weights_of(trainer.model))


def test_lora_trains_the_adapter_only(tmp_path):
    model = build_model()
    trainer = make_grpo(
        tmp_path,
        arguments={"model": model, "peft_config": LoraConfig(target_modules=["q_proj"], r=2, init_lora_weights=False)},
        advantage="unlikeliness",
        max_steps=2,
    )
    before = weights_of(trainer.model)
    trainer.train()
    changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name in before if "lora_" in name}


@pytest.mark.parametrize("chat", [False, True])
def test_prompts_have_the_tokens_of_scoring_and_sampling(chat, tmp_path):
    template = PromptTemplate("t", "{prompt}=", chat=chat, system="0" if chat else None)
    problems = [Problem(str(index), f"{index}+1", (str(index + 1),), metadata={"level": index}) for index in range(4)]
    dataset = prompt_dataset(problems, template)
    trainer = make_grpo(tmp_path, dataset=dataset, per_device_train_batch_size=4)
    tokenizer = trainer.processing_class
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message.content }}{% endfor %}{% if add_generation_prompt %} {% endif %}"
    )
    ids, _, _ = trainer._tokenize_prompts(list(dataset["prompt"]))
    assert [tuple(row) for row in ids] == [encode_prompt(tokenizer, template, problem) for problem in problems]


# ---- what is refused ----


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"advantage": "grpo"}, r"unknown advantage 'grpo'; there are group_mean, pass_at_k"),
        ({"advantage": "pkpo", "advantage_options": {"k": 9}}, r"k must be a whole number from 1 to 8 in groups of 8"),
        ({"advantage": "pkpo", "advantage_options": '{"k": 9}'}, r"k must be a whole number from 1 to 8"),
        ({"advantage_options": "k=4"}, r"advantage_options must be a mapping such as .* got 'k=4'"),
        ({"scale_rewards": "group"}, r"scale_rewards must be 'none', got 'group'"),
        ({"multi_objective_aggregation": "normalize_then_sum"}, r"multi_objective_aggregation must be"),
        ({"max_generation_rounds": 0}, r"max_generation_rounds must be at least 1, got 0"),
        ({"max_data_passes": 0}, r"max_data_passes must be positive, got 0"),
        ({"max_data_passes": 2, "refill_groups": False}, r"without refill_groups set num_train_epochs instead"),
        ({"loss_type": "dapo"}, r"refill_groups needs a loss .* dr_grpo or grpo, got loss_type='dapo'; set refill"),
    ],
)
def test_config_names_the_field_and_the_value(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        CoverageGRPOConfig(str(tmp_path), use_cpu=True, bf16=False, **settings)


def test_data_that_cannot_be_refilled_from_and_configs_of_trl_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has 3 problems, fewer than the 4 of one batch"):
        make_grpo(tmp_path, dataset=make_prompts(3))
    with pytest.raises(ValueError, match=r"refill_groups needs a datasets.Dataset, got IterableDataset; set refill"):
        make_grpo(tmp_path, dataset=make_prompts().to_iterable_dataset())
    with pytest.raises(TypeError, match=r"args must be a passatn.train.grpo_config.CoverageGRPOConfig, got GRPOConfig"):
        make_grpo(tmp_path, config_class=GRPOConfig)
    with pytest.raises(ValueError, match=r"no problems to make prompts of"):
        prompt_dataset([], PromptTemplate("t"))


def test_a_reward_function_without_an_answer_stops_the_run(tmp_path):
    def silent(completions, **_):
        return [None] * len(completions)

    with pytest.raises(ValueError, match=r"rewards must be finite; a NaN comes from a reward function that returned"):
        make_grpo(tmp_path, silent).train()
