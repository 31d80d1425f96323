"""CoverageTrainer with confidence="rollouts": the step by hand, replacement, the log, ends, engines, resuming."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset, IterableDataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

from passatn.sample.parity import WeightParityError
from passatn.train import CoverageConfig, CoverageTrainer
from passatn.train.checks import check_combination, check_whole_weights
from passatn.train.rollout_weights import plug_in_weight, posterior_weight
from passatn.verify.exact import ExactVerifier
from rollout_helpers import (
    CountingEngine,
    EndsWell,
    character_tokenizer,
    make_rollout_trainer,
    make_rows,
    surrogate_logs,
)
from tiny import build_model
from train_helpers import (
    assert_same_weights,
    log_probs_float64,
    make_config,
    plain_sgd,
    training_logs,
    weights_of,
)

PLAIN_STEP: dict[str, Any] = {
    "max_steps": 1,
    "learning_rate": 1.0,
    "max_grad_norm": 0.0,
    "train_sampling_strategy": "sequential",
}
BY_SGD = {"optimizer_cls_and_kwargs": plain_sgd()}


def estimates_of(trainer):
    """By candidate: (correct, roll-outs, keep)."""
    return {int(index): (e[0], e[1], e[3]) for index, e in trainer.coverage_state()["estimates"].items()}


def gradient_by_hand(weights, normalization):
    """∇ of Σ w_i · (−log p_i) over the number of examples, or of their tokens, in float64; and the loss."""
    model, rows = build_model().double(), list(make_rows())
    log_p, num_tokens = log_probs_float64(model, character_tokenizer(), [rows[index] for index in weights])
    size = len(weights) if normalization == "sequence" else num_tokens.sum()
    loss = -(torch.tensor(list(weights.values()), dtype=torch.float64) * log_p).sum() / size
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters()}, loss.item()


# ---- one step by hand ----

RULES = {
    "plug-in": ({}, lambda c, n: plug_in_weight(c, n, 64.0)),
    "posterior": (
        {"rollout_estimate": "posterior", "rollout_prior_failures": 2.0},
        lambda c, n: posterior_weight(c, n, 64.0, (1.0, 2.0)),
    ),
    "hard": ({"rollout_weight": "hard"}, lambda c, n: 1.0),
}


@pytest.mark.parametrize("batching", [(4, 1), (1, 4)])
@pytest.mark.parametrize("normalization", ["sequence", "token"])
@pytest.mark.parametrize("rule", list(RULES))
def test_a_step_is_the_weighted_cross_entropy_of_the_first_kept_candidates(rule, normalization, batching, tmp_path):
    settings, weight = RULES[rule]
    trainer = make_rollout_trainer(
        tmp_path,
        arguments=BY_SGD,
        loss_normalization=normalization,
        per_device_train_batch_size=batching[0],
        gradient_accumulation_steps=batching[1],
        **PLAIN_STEP,
        **settings,
    )
    before = weights_of(trainer.model)
    trainer.train()
    estimates = estimates_of(trainer)
    kept = [index for index in sorted(estimates) if estimates[index][2]][:4]
    discarded = [index for index in range(kept[-1]) if not estimates[index][2]]
    assert discarded, "the case must need a replacement"
    assert kept == [index for index in range(kept[-1] + 1) if index not in discarded], "the batch is full, in order"
    weights = {index: weight(*estimates[index][:2]) for index in kept}
    if rule != "hard":
        assert len({round(w, 3) for w in weights.values()}) > 1, "the case must have different weights"
    expected, loss = gradient_by_hand(weights, normalization)
    scale = max(float(g.abs().max()) for g in expected.values())
    for name, p in trainer.model.named_parameters():
        moved = (before[name] - p.detach()).double()
        assert torch.allclose(moved, expected[name], atol=2e-5 * scale, rtol=1e-4), name
    log = surrogate_logs(trainer)[0]
    assert log["surrogate_loss"] == pytest.approx(loss, rel=1e-5)
    assert "loss" not in log
    assert log["discarded_candidates"] == len(discarded)
    assert log["examples_seen"] == kept[-1] + 1


def test_without_replacement_every_candidate_counts_with_its_weight(tmp_path):
    trainer = make_rollout_trainer(tmp_path, arguments=BY_SGD, min_confidence_weight=0.0, **PLAIN_STEP)
    before = weights_of(trainer.model)
    trainer.train()
    estimates = estimates_of(trainer)
    assert sorted(estimates) == [0, 1, 2, 3]
    weights = {index: plug_in_weight(*estimates[index][:2], 64) for index in estimates}
    assert min(weights.values()) < 0.01
    expected, loss = gradient_by_hand(weights, "sequence")
    assert surrogate_logs(trainer)[0]["surrogate_loss"] == pytest.approx(loss, rel=1e-5)
    for name, p in trainer.model.named_parameters():
        assert torch.allclose((before[name] - p.detach()).double(), expected[name], atol=1e-3), name


def test_impossible_completions_of_weight_zero_give_no_nan(tmp_path):
    model = build_model()
    with torch.no_grad():
        model.lm_head.weight.mul_(1e38)
    trainer = make_rollout_trainer(tmp_path, model=model, min_confidence_weight=0.0, max_steps=1)
    trainer._rollout_rule = lambda *_: 0.0
    trainer._rollout_rule.hard_max_success = None
    trainer._rollout_rule.max_correct = lambda n: n
    trainer.train()
    assert surrogate_logs(trainer)[0]["surrogate_loss"] == 0


# ---- N = 1 ----


def test_n_1_draws_no_rollouts_and_is_trl_to_the_bit(tmp_path):
    class Untouchable(ExactVerifier):
        def verify(self, submissions):
            raise AssertionError("asked")

    results = []
    for trainer_class, config_class, extra in (
        (SFTTrainer, SFTConfig, {}),
        (CoverageTrainer, CoverageConfig, {"n_passes": 1, "loss_normalization": "token", "confidence": "rollouts"}),
    ):
        given = {} if trainer_class is SFTTrainer else {"verifier": Untouchable()}
        trainer = trainer_class(
            build_model(attention_dropout=0.1),
            args=make_config(
                tmp_path / trainer_class.__name__,
                config_class,
                num_train_epochs=2,
                learning_rate=1e-2,
                per_device_train_batch_size=3,
                **extra,
            ),
            train_dataset=make_rows().remove_columns("problem"),
            processing_class=character_tokenizer(),
            **given,
        )
        trainer.train()
        results.append((trainer, [entry["loss"] for entry in training_logs(trainer)]))
    (reference, losses), (ours, our_losses) = results
    assert len(losses) > 3
    assert our_losses == losses
    assert_same_weights(ours.model, weights_of(reference.model))


def test_n_1_by_sequences_is_cross_entropy_without_rollouts(tmp_path):
    trainer = make_rollout_trainer(tmp_path, arguments=BY_SGD, n_passes=1, **PLAIN_STEP)
    trainer.train()
    _, loss = gradient_by_hand(dict.fromkeys(range(4), 1.0), "sequence")
    assert training_logs(trainer)[0]["loss"] == pytest.approx(loss, rel=1e-5)
    assert "estimates" not in trainer.coverage_state()


# ---- the log ----


def test_the_log_tells_what_was_weighed_drawn_saved_and_where_the_time_went(tmp_path):
    trainer = make_rollout_trainer(tmp_path, max_steps=3, max_estimate_age=5, learning_rate=0.0)
    trainer.train()
    first, _, last = logs = surrogate_logs(trainer)
    estimates = estimates_of(trainer)
    bins = [name for name in first if name.startswith("p_hat_to_")]
    for log in logs:
        decided = sum(log[name] for name in bins)
        assert log["active_fraction"] == pytest.approx(1 - log["discarded_candidates"] / decided)
        assert log["discarded_candidates"] == decided - 4
        assert log["rollouts_drawn"] + log["rollouts_saved_by_reuse"] >= 16 * decided
        assert 0 < log["max_confidence_by_answer"] < 1
        assert log["max_confidence_by_answer"] >= log["p_hat_mean"]
        assert log["p_hat_q10"] <= log["p_hat_q50"] <= log["p_hat_q90"]
        assert log["verifier_failed"] == 0 < log["rollouts_truncated"] < 1
        for phase in ("sampling", "verifying", "training"):
            assert (log[f"seconds_{phase}"] > 0) or (phase != "training" and log["rollouts_drawn"] == 0)
    assert sum(log["rollouts_drawn"] for log in logs) == sum(e[1] for e in estimates.values())
    assert first["estimate_age_max"] == 0
    assert last["rollouts_saved_by_reuse"] > 0
    assert 0 < last["estimate_age_mean"] <= last["estimate_age_max"] <= 2
    assert first["p_hat_to_0"] >= 1
    final = trainer.state.log_history[-1]
    assert "train_surrogate_loss" in final
    assert "train_loss" not in final


def test_stopping_early_saves_rollouts_and_keeps_the_batches(tmp_path):
    """Without a step size, the same candidates are decided alike; all roll-outs of what is kept are drawn."""
    runs = {}
    for error in (None, 0.05):
        trainer = make_rollout_trainer(
            tmp_path / str(error),
            max_steps=2,
            learning_rate=0.0,
            num_rollouts=64,
            sequential_error=error,
        )
        trainer.train()
        runs[error] = (estimates_of(trainer), surrogate_logs(trainer))
    (full, full_logs), (stopped, stopped_logs) = runs.values()
    assert {i for i, e in full.items() if e[2]} == {i for i, e in stopped.items() if e[2]}
    assert all(stopped[index] == estimate for index, estimate in full.items() if estimate[2])
    assert [log["surrogate_loss"] for log in stopped_logs] == [log["surrogate_loss"] for log in full_logs]
    for log, full_log in zip(stopped_logs, full_logs, strict=True):
        assert log["rollouts_saved_by_stopping"] > 0
        assert log["rollouts_drawn"] + log["rollouts_saved_by_stopping"] == full_log["rollouts_drawn"]


def test_evaluation_is_the_cross_entropy_of_the_given_reasoning(tmp_path):
    trainer = make_rollout_trainer(tmp_path, max_steps=1, arguments={"eval_dataset": make_rows(4)})
    _, loss = gradient_by_hand(dict.fromkeys(range(4), 1.0), "sequence")
    assert trainer.evaluate()["eval_loss"] == pytest.approx(loss, rel=1e-5)


# ---- ends ----


class AlwaysRight(EndsWell):
    def _judge(self, submission):
        verdict = super()._judge(submission)
        return verdict.__class__(verdict.outcome.CORRECT, verdict.extracted)


def test_training_ends_when_every_candidate_is_solved_and_moves_nothing(tmp_path):
    trainer = make_rollout_trainer(
        tmp_path, verifier=AlwaysRight(), rollout_max_new_tokens=30, learning_rate=0.1, weight_decay=0.5
    )
    before = weights_of(trainer.model)
    trainer.train()
    assert_same_weights(trainer.model, before)
    assert trainer.state.global_step == 1
    assert "only 0.0 % of the training examples still have F(N, p) >= 0.01 at N = 64" in trainer.ended_early
    log = surrogate_logs(trainer)[0]
    assert (log["surrogate_loss"], log["discarded_candidates"], log["examples_seen"]) == (0, 16, 16)


def test_a_short_last_batch_is_divided_by_its_own_size(tmp_path):
    """One pass over 5 candidates in batches of 4: the second step finds what is left of the pass."""
    data = make_rows(5)
    trainer = make_rollout_trainer(
        tmp_path,
        data,
        arguments=BY_SGD,
        gradient_accumulation_steps=2,
        per_device_train_batch_size=2,
        **PLAIN_STEP | {"learning_rate": 0.0},
    )
    trainer.train()
    estimates = estimates_of(trainer)
    kept = [index for index in range(5) if estimates[index][2]]
    assert 0 < len(kept) < 4, "the case must leave the batch short"
    _, loss = gradient_by_hand({i: plug_in_weight(*estimates[i][:2], 64) for i in kept}, "sequence")
    assert surrogate_logs(trainer)[0]["surrogate_loss"] == pytest.approx(loss, rel=1e-5)


def test_the_hard_filter_says_what_it_filters(tmp_path):
    trainer = make_rollout_trainer(
        tmp_path, verifier=AlwaysRight(), rollout_max_new_tokens=30, rollout_weight="hard", min_confidence_weight=0.0
    )
    trainer.train()
    assert "still have a success rate below 0.1 (min_active" in trainer.ended_early


# ---- engines and verifiers ----


def test_an_engine_with_weights_of_its_own_trains_what_the_colocated_one_does(tmp_path):
    engine = CountingEngine(build_model(seed=9), character_tokenizer())
    trainers = [
        make_rollout_trainer(tmp_path / str(n), max_steps=3, arguments={"rollout_engine": given}, learning_rate=1e-2)
        for n, given in enumerate((None, engine))
    ]
    for trainer in trainers:
        trainer.train()
    assert engine.calls
    assert_same_weights(trainers[1].model, weights_of(trainers[0].model))
    assert trainers[1].coverage_state() == trainers[0].coverage_state()
    assert all(log["seconds_transfer"] > 0 for log in surrogate_logs(trainers[1]))
    assert all(log["seconds_transfer"] == 0 for log in surrogate_logs(trainers[0]))


def test_an_engine_that_does_not_take_the_weights_stops_the_run(tmp_path):
    class Stale(CountingEngine):
        def update_weights(self, weights):
            pass

    engine = Stale(build_model(), character_tokenizer())
    trainer = make_rollout_trainer(tmp_path, max_steps=3, arguments={"rollout_engine": engine}, learning_rate=0.1)
    with pytest.raises(WeightParityError, match="the engine does not serve the new weights"):
        trainer.train()
    assert trainer.state.global_step == 1, "before the first step it had the same weights"


def test_the_verifier_is_closed_by_whoever_made_it(tmp_path, monkeypatch):
    ours = EndsWell()
    make_rollout_trainer(tmp_path / "a", verifier=ours, max_steps=1).train()
    assert ours.num_closed == 0
    made: list[EndsWell] = []

    def get_verifier(name):
        assert name == "exact"
        made.append(EndsWell())
        return made[-1]

    monkeypatch.setattr("passatn.train.rollout_training.get_verifier", get_verifier)
    trainer = make_rollout_trainer(tmp_path / "b", verifier="exact", max_steps=1)
    for _ in range(2):
        trainer.train()
    assert [verifier.num_closed for verifier in made] == [1, 1, 1]
    assert [bool(verifier.asked) for verifier in made] == [False, True, True]


def test_adapters_are_rolled_out_in_place_and_not_sent(tmp_path):
    def trainer(engine: Any) -> Any:
        lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"])
        return make_rollout_trainer(
            tmp_path, max_steps=2, learning_rate=0.1, arguments={"peft_config": lora, "rollout_engine": engine}
        )

    trained = trainer(None)
    before = weights_of(trained.model)
    trained.train()
    changed = [name for name, p in trained.model.named_parameters() if not torch.equal(p, before[name])]
    assert changed
    assert all("lora_" in name for name in changed)
    with pytest.raises(ValueError, match="rollout_engine takes whole weights, and an adapter has none"):
        trainer(CountingEngine(build_model(), character_tokenizer()))


# ---- resuming ----

SAVING: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "max_steps": 6, "seed": 3, "learning_rate": 2e-3}


@pytest.mark.parametrize(
    "settings",
    [{}, {"max_estimate_age": 3, "sequential_error": 0.1, "sequential_stops": "both"}],
    ids=["fresh estimates", "estimates that are used again"],
)
def test_a_resumed_run_ends_like_the_uninterrupted_one(settings, tmp_path):
    def trainer():
        return make_rollout_trainer(tmp_path, model=build_model(attention_dropout=0.2), **SAVING, **settings)

    whole = trainer()
    whole.train()
    resumed = trainer()
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert resumed.state.global_step == 6
    assert_same_weights(resumed.model, weights_of(whole.model))
    assert resumed.coverage_state() == whole.coverage_state()
    timeless = [
        [{k: v for k, v in log.items() if "seconds" not in k and k != "num_tokens"} for log in surrogate_logs(t)]
        for t in (whole, resumed)
    ]
    assert timeless[0][-4:] == timeless[1][-4:]
    if settings:
        assert sum(log["rollouts_saved_by_reuse"] for log in timeless[1][-4:]) > 0


def test_a_checkpoint_with_other_estimates_is_refused(tmp_path):
    make_rollout_trainer(tmp_path, **SAVING | {"max_steps": 2}).train()
    for name, value in {"num_rollouts": 8, "rollout_weight": "hard", "max_estimate_age": 1}.items():
        with pytest.raises(ValueError, match=rf"was written with {name}=\w+, this run has {name}={value}"):
            make_rollout_trainer(tmp_path, **SAVING, **{name: value}).train(resume_from_checkpoint=True)
    with pytest.raises(ValueError, match="confidence=rollouts, this run has confidence=completion"):
        make_rollout_trainer(tmp_path, confidence="completion", min_confidence_weight=0.01, **SAVING).train(
            resume_from_checkpoint=True
        )


def test_train_twice_starts_anew(tmp_path):
    trainer = make_rollout_trainer(tmp_path, max_steps=1, learning_rate=0.0, max_estimate_age=9)
    states = []
    for _ in range(2):
        trainer.train()
        states.append(trainer.coverage_state())
        assert surrogate_logs(trainer)[-1]["rollouts_drawn"] > 0
    assert states[0] == states[1]


# ---- what is refused ----


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_rollouts": 0}, "num_rollouts must be at least 1, got 0"),
        ({"rollout_max_new_tokens": 0}, "rollout_max_new_tokens must be at least 1, got 0"),
        ({"max_estimate_age": -1}, "max_estimate_age must be at least 0, got -1"),
        ({"rollout_temperature": 0}, "rollout_temperature must be a finite number above 0, got 0"),
        ({"rollout_prior_failures": 0}, "rollout_prior_failures must be a finite number above 0, got 0"),
        ({"rollout_weight": "firm"}, "rollout_weight must be one of .*, got 'firm'"),
        ({"rollout_estimate": "map"}, "rollout_estimate must be one of .*, got 'map'"),
        ({"sequential_stops": "keep"}, "sequential_stops must be one of .*, got 'keep'"),
        ({"hard_max_success": 0}, r"hard_max_success must be in \(0, 1\], got 0"),
        ({"sequential_error": 0.5}, r"sequential_error must be in \(0, 0\.5\) or None, got 0\.5"),
        ({"rollout_parity_tolerance": 0}, "rollout_parity_tolerance must be above 0, got 0"),
        ({"rollout_weight": "hard", "rollout_estimate": "posterior"}, "rollout_estimate='posterior' is an expectation"),
        ({"sequential_error": 0.1, "min_confidence_weight": 0}, "sequential_error needs something to decide"),
        (
            {"n_passes": 1e6, "rollout_estimate": "posterior", "min_confidence_weight": 0.3},
            "discards even a candidate with 0 of num_rollouts=64 correct",
        ),
    ],
)
def test_config_names_the_field_and_the_value(settings, message):
    with pytest.raises(ValueError, match=message):
        make_config("unused", **{"n_passes": 64, "confidence": "rollouts"} | settings)


def test_the_default_threshold_is_that_of_the_paper():
    assert make_config("unused", confidence="rollouts").min_confidence_weight == 0.01
    assert make_config("unused").min_confidence_weight == 0.3
    assert make_config("unused", confidence="rollouts", min_confidence_weight=0.3).min_confidence_weight == 0.3


def test_by_default_stopping_early_does_not_touch_the_weights_of_what_is_kept():
    assert make_config("unused", confidence="rollouts").sequential_stops == "discard"
    assert make_config("unused", confidence="rollouts", rollout_weight="hard").sequential_stops == "both"
    assert make_config("unused", confidence="rollouts", sequential_stops="both").sequential_stops == "both"


@pytest.mark.parametrize("stops", ["both", "discard"])
def test_the_choice_of_stops_reaches_the_rollouts(stops, tmp_path):
    trainer = make_rollout_trainer(
        tmp_path, max_steps=2, sequential_error=0.2, sequential_stops=stops, num_rollouts=32, learning_rate=0.0
    )
    trainer.train()
    drawn = {index: (estimate[1], estimate[2]) for index, estimate in estimates_of(trainer).items()}
    assert any(n < 32 for n, keep in drawn.values() if not keep)
    assert any(n < 32 for n, keep in drawn.values() if keep) == (stops == "both")


@pytest.mark.parametrize(
    ("settings", "data", "message"),
    [
        ({"packing": True}, make_rows(2), "confidence='rollouts' with packing"),
        ({"padding_free": True}, make_rows(2), "confidence='rollouts' with padding_free"),
        ({"assistant_only_loss": True}, make_rows(2), "confidence='rollouts' with assistant_only_loss"),
        ({"auto_find_batch_size": True}, make_rows(2), "confidence='rollouts' with auto_find_batch_size"),
        ({"train_sampling_strategy": "group_by_length"}, make_rows(2), "train_sampling_strategy='group_by_length'"),
        ({"loss_type": "dft"}, make_rows(2), "loss_type='dft'"),
        ({}, IterableDataset.from_generator(lambda: iter(make_rows(2))), "data other than a datasets.Dataset"),
    ],
)
def test_what_cannot_be_combined_is_refused(settings, data, message):
    for epsilon in (0.0, 0.01):
        args = make_config("unused", n_passes=64, confidence="rollouts", min_confidence_weight=epsilon, **settings)
        with pytest.raises(ValueError, match=f"n_passes=64 cannot be combined with .*{message}") as error:
            check_combination(args, train_dataset=data)
        assert "min_confidence_weight" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            make_rows(2).remove_columns("problem"),
            "needs a column 'problem' to verify against; .*train.reasoning_dataset",
        ),
        (Dataset.from_list([{"text": "1+1=2", "problem": "{}"}]), "needs prompts and completions; the data has"),
    ],
)
def test_data_without_what_rollouts_need_is_refused(data, message):
    args = make_config("unused", n_passes=64, confidence="rollouts")
    with pytest.raises(ValueError, match=message):
        check_combination(args, train_dataset=data)


def test_sharded_weights_are_refused(tmp_path):
    args = make_config(tmp_path, n_passes=64, confidence="rollouts")
    check_whole_weights(args, is_fsdp=False)
    with pytest.raises(
        ValueError, match="cannot be combined with FSDP, under which no process holds the whole weights"
    ):
        check_whole_weights(args, is_fsdp=True)
    args.deepspeed_plugin = SimpleNamespace(zero_stage=3)
    with pytest.raises(ValueError, match="cannot be combined with DeepSpeed ZeRO-3"):
        check_whole_weights(args, is_fsdp=False)
    args.deepspeed_plugin = SimpleNamespace(zero_stage=2)
    check_whole_weights(args, is_fsdp=False)


def test_an_unknown_verifier_is_named_before_training(tmp_path):
    with pytest.raises(ValueError, match="unknown verifier 'maths'; there are math"):
        make_rollout_trainer(tmp_path, verifier="maths")
