"""confidence="answers": p is a sum over accepted answers; against mpmath, by-hand gradients and whole trainings."""

import json
import math

import mpmath
import pytest
import torch
from datasets import Dataset

from passatn.coverage import confidence_weight
from passatn.train.alternatives import log_sum_by_group
from passatn.train.groups import group_rows
from test_train_objective import assert_close, one_step_gradient
from tiny import build_model, build_tokenizer
from tiny_files import save_tiny_model, write_jsonl
from train_helpers import assert_same_weights, log_probs_float64, make_rows, make_trainer, training_logs, weights_of

SIZES = (3, 1, 2)
ANSWERS = ["4", "17", "250", "9", "33", "8000"]
ROWS = [
    {"prompt": f"{group}+{group}=", "completion": ANSWERS[row], "group_id": group}
    for row, group in enumerate([0, 0, 0, 1, 2, 2])
]


# ---- the sum ----


def test_the_sum_is_that_of_probabilities_in_high_precision():
    log_p = [-0.7, -1.2, -40.0, -1e-3, -2000.0, -2001.5]
    with mpmath.workdps(50):
        parts = [log_p[:3], log_p[3:4], log_p[4:]]
        expected = [float(mpmath.log(sum(mpmath.exp(x) for x in part))) for part in parts]
    actual = log_sum_by_group(torch.tensor(log_p, dtype=torch.float64), torch.tensor(SIZES))
    assert actual.tolist() == pytest.approx(expected, rel=1e-14)


def test_its_derivative_is_the_share_of_each_answer():
    log_p = torch.tensor([-0.7, -1.2, -3.0, -1.0, -2.0, -2.5], dtype=torch.float64, requires_grad=True)
    sizes = torch.tensor(SIZES)
    assert torch.autograd.gradcheck(lambda x: log_sum_by_group(x, sizes), (log_p,))
    (log_sum_by_group(log_p, sizes) * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    p = log_p.detach().exp()
    expected = torch.cat([p[:3] / p[:3].sum(), 10 * p[3:4] / p[3:4], 100 * p[4:] / p[4:].sum()])
    torch.testing.assert_close(log_p.grad, expected)


def test_impossible_answers_have_a_finite_gradient_and_a_nan_stays_in_its_group():
    log_p = torch.tensor([-math.inf, -math.inf, -math.inf, -1.0, math.nan, -1.0], requires_grad=True)
    total = log_sum_by_group(log_p, torch.tensor([2, 2, 2]))
    assert total[:2].tolist() == [-math.inf, -1.0]
    assert total[2].isnan()
    total[:2].sum().backward()
    assert log_p.grad[:4].tolist() == [0.5, 0.5, 0.0, 1.0]


# ---- the loss ----


@pytest.mark.parametrize("n", [1, 16, 3e3])
@pytest.mark.parametrize("batching", [(3, 1), (1, 3)])
def test_the_gradient_is_that_of_the_formula(n, batching, tmp_path):
    """−log(1 − (1 − Σ p_a)^N), meaned over groups; on the weights, and by hand on each answer's log p."""
    gradient, trainer = one_step_gradient(
        ROWS, tmp_path, confidence="answers", n_passes=n, min_confidence_weight=0.0,
        per_device_train_batch_size=batching[0], gradient_accumulation_steps=batching[1],
    )  # fmt: skip
    model = build_model().double()
    log_p, _ = log_probs_float64(model, build_tokenizer(), ROWS)
    log_p.retain_grad()
    p = torch.stack([part.exp().sum() for part in log_p.split(SIZES)])
    loss = (-torch.log(1 - (1 - p) ** n)).mean()
    loss.backward()
    assert_close(gradient, {name: parameter.grad for name, parameter in model.named_parameters()})
    assert training_logs(trainer)[0]["loss"] == pytest.approx(loss.item(), rel=1e-5)
    shares = log_p.detach().exp() / p.detach().repeat_interleave(torch.tensor(SIZES))
    weights = confidence_weight(p.detach().log(), n).repeat_interleave(torch.tensor(SIZES))
    torch.testing.assert_close(log_p.grad, -weights * shares / 3)


def test_one_answer_each_is_confidence_completion_to_the_bit(tmp_path):
    rows = make_rows(8)
    settings = {"n_passes": 300, "min_confidence_weight": 0.5, "max_steps": 3, "per_device_train_batch_size": 2}
    plain = make_trainer(tmp_path / "a", rows, **settings)
    groups = [row | {"group_id": number} for number, row in enumerate(rows)]
    grouped = make_trainer(tmp_path / "b", groups, confidence="answers", **settings)
    plain.train()
    grouped.train()
    assert_same_weights(grouped.model, weights_of(plain.model))


def test_a_group_is_one_example_of_replacement_and_of_the_metrics(tmp_path):
    log_p, _ = log_probs_float64(build_model().double(), build_tokenizer(), ROWS)
    totals = torch.stack([part.logsumexp(0) for part in log_p.detach().split(SIZES)])
    n = 30000.0
    weights = confidence_weight(totals, n)
    threshold = float(weights.sort().values[:2].mean())
    first = int(weights.argmin() == 0)  # the first group that is active
    trainer = make_trainer(
        tmp_path, ROWS, confidence="answers", n_passes=n, min_confidence_weight=threshold, min_active_fraction=0.0,
        train_sampling_strategy="sequential", per_device_train_batch_size=1, max_steps=3, learning_rate=0.0,
    )  # fmt: skip
    trainer.train()
    logs = training_logs(trainer)
    assert logs[0]["examples_seen"] == first + 1
    assert logs[0]["p_times_n_mean"] == pytest.approx(n * totals[: first + 1].exp().mean().item(), rel=1e-4)
    assert logs[-1]["examples_replaced"] > 0


def test_the_evaluation_loss_adds_up_answers_too(tmp_path):
    trainer = make_trainer(
        tmp_path, ROWS, confidence="answers", n_passes=16, arguments={"eval_dataset": Dataset.from_list(ROWS)}
    )
    log_p, _ = log_probs_float64(build_model().double(), build_tokenizer(), ROWS)
    p = torch.stack([part.exp().sum() for part in log_p.detach().split(SIZES)])
    assert trainer.evaluate()["eval_loss"] == pytest.approx((-torch.log(1 - (1 - p) ** 16)).mean().item(), rel=1e-5)


# ---- data that cannot be added up ----


def tokenised(*rows: tuple[list[int], list[int]]) -> Dataset:
    return Dataset.from_list([{"input_ids": [*p, *c], "labels": [-100] * len(p) + c, "group_id": "g"} for p, c in rows])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([([5], [7, 1]), ([6], [8, 1])], "'g': answers in a group must share their prompt"),
        ([([5], [7, 1]), ([5], [9, 1]), ([5], [7, 1])], r"one answer is, or begins, another \(tokens \[7, 1\]"),
        ([([5], [7, 8]), ([5], [7, 9]), ([5], [7])], r"begins, another \(tokens \[7\] and \[7, 8\]\)"),
    ],
)
def test_answers_that_do_not_exclude_each_other_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        group_rows(tokenised(*rows), confidence="answers")
    assert len(group_rows(tokenised(*rows), confidence="proof")) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss_normalization": "token"}, "confidence='answers' needs loss_normalization='sequence'"),
        ({"objective": "gem", "n_passes": 1}, "'gem' is a sum over tokens and has no confidence='answers'"),
        ({"packing": True}, "confidence='answers' with packing or padding_free"),
    ],
)
def test_what_does_not_go_together(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        make_trainer(tmp_path, ROWS, **({"n_passes": 9, "confidence": "answers", "bf16": False} | settings))


# ---- passatn train ----


def test_passatn_train_takes_all_accepted_answers(tmp_path):
    """The loss of the first step is that of the accepted answers together, once each."""
    from passatn.experiments.config import RunConfig
    from passatn.experiments.finetune import train
    from passatn.experiments.problems import encode, read_problems
    from passatn.experiments.run_directory import RunDirectory
    from passatn.sample import score_problems
    from passatn.sample.models import load_model

    model = save_tiny_model(tmp_path / "model")
    data = write_jsonl(
        tmp_path / "data.jsonl",
        [{"prompt": "1+1", "answer": ["2", "5", "2"]}, {"prompt": "2+2", "answer": "4"}, {"prompt": "x", "answer": 7}],
    )
    settings = {
        "model": str(model), "train_data": str(data), "confidence": "answers", "n_passes": 64, "max_steps": 1,
        "per_device_train_batch_size": 3, "min_confidence_weight": 0.0, "save_strategy": "no",
    }  # fmt: skip
    config = RunConfig.from_mapping(settings)
    run = RunDirectory(tmp_path / "run")
    train(config, run, lambda text: None)
    loss = json.loads(run.metrics.read_text().splitlines()[0])["loss"]
    untrained, tokenizer = load_model(str(model))
    problems = encode(read_problems(str(data), config, split=None), config, tokenizer, limit=None)
    assert [len(answers) for answers in problems.answers] == [2, 1, 1]
    p = torch.tensor(score_problems(untrained, problems.answers)[:, 0]).exp()
    expected = (-torch.log(1 - (1 - p) ** 64)).mean().item()
    assert loss == pytest.approx(expected, rel=1e-4)
    first = torch.tensor(score_problems(untrained, [answers[:1] for answers in problems.answers])[:, 0]).exp()
    assert abs((-torch.log(1 - (1 - first) ** 64)).mean().item() - expected) > 1e-4
