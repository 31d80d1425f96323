"""confidence="given": weights from log p that comes with the data, its files, and folds for cross-fitting."""

import collections
import math
from typing import Any

import pytest
import torch
from datasets import Dataset

from passatn.experiments.config import ConfigError
from passatn.experiments.given import read_given_log_p
from passatn.tasks import Fold, Problem
from test_train_objective import assert_close, one_step_gradient, reference_gradient
from tiny import build_model, build_tokenizer
from tiny_files import write_jsonl
from train_helpers import assert_same_weights, log_probs_float64, make_rows, make_trainer, training_logs, weights_of

GIVEN = [-9.0, -3.0, -2.5, -4.0, -30.0, -0.1]
N = 16.0


def rows_with(values: list[Any]) -> list[dict[str, Any]]:
    return [row | {"given_log_p": value} for row, value in zip(make_rows(len(values)), values, strict=True)]


def weight_by_hand(log_p: float, n: float) -> float:
    p = math.exp(log_p)
    return n * p * (1 - p) ** (n - 1) / -math.expm1(n * math.log1p(-p))


# ---- the loss ----


@pytest.mark.parametrize("normalization", ["sequence", "token"])
@pytest.mark.parametrize("batching", [(5, 1), (2, 3)])
def test_the_gradient_is_cross_entropy_weighted_by_f_of_what_is_given(normalization, batching, tmp_path):
    """The last example has F = 5e-15 < ε and is left out."""
    gradient, trainer = one_step_gradient(
        rows_with(GIVEN), tmp_path, confidence="given", n_passes=N, loss_normalization=normalization,
        per_device_train_batch_size=batching[0], gradient_accumulation_steps=batching[1],
    )  # fmt: skip
    rows, weights = make_rows(6)[:5], torch.tensor([weight_by_hand(value, N) for value in GIVEN[:5]])

    def by_hand(log_p, num_tokens):
        return (-weights * log_p).sum() / (5 if normalization == "sequence" else num_tokens.sum())

    expected, loss = reference_gradient(rows, by_hand)
    assert_close(gradient, expected)
    log = training_logs(trainer)[0]
    assert log["loss"] == pytest.approx(loss, rel=1e-5)
    assert log["mean_confidence_weight"] == pytest.approx(weights.mean().item(), rel=1e-5)
    assert log["examples_seen"] == 5
    log_p, _ = log_probs_float64(build_model().double(), build_tokenizer(), rows)
    assert log["p_times_n_mean"] == pytest.approx(N * log_p.exp().mean().item(), rel=1e-4), "of the model in training"


def test_given_the_model_s_own_log_p_the_first_gradient_is_that_of_dco(tmp_path):
    log_p, _ = log_probs_float64(build_model().double(), build_tokenizer(), make_rows(6))
    settings = {"n_passes": 3000, "min_confidence_weight": 0.0, "per_device_train_batch_size": 6}
    ours, _ = one_step_gradient(rows_with(log_p.tolist()), tmp_path, confidence="given", **settings)
    dco, _ = one_step_gradient(make_rows(6), tmp_path, **settings)
    assert_close(ours, {name: value.double() for name, value in dco.items()})


def test_training_takes_the_examples_that_are_not_learnt(tmp_path):
    trainer = make_trainer(
        tmp_path, rows_with(GIVEN), confidence="given", n_passes=N, min_confidence_weight=0.5, num_train_epochs=2
    )
    expected = [value for value in GIVEN if weight_by_hand(value, N) >= 0.5]
    assert trainer.train_dataset["given_log_p"][:] == expected
    assert 0 < len(expected) < 6
    trainer.train()
    assert training_logs(trainer)[-1]["examples_seen"] == 2 * len(expected)
    assert "examples_replaced" not in training_logs(trainer)[-1]


def test_at_n_1_it_is_cross_entropy_to_the_bit(tmp_path):
    common = {"n_passes": 1, "max_steps": 2, "per_device_train_batch_size": 3}
    given = make_trainer(tmp_path / "a", rows_with(GIVEN), confidence="given", **common)
    plain = make_trainer(tmp_path / "b", make_rows(6), **common)
    given.train()
    plain.train()
    assert_same_weights(given.model, weights_of(plain.model))


@pytest.mark.parametrize("with_column", [False, True])
def test_what_is_evaluated_is_the_cross_entropy(with_column, tmp_path):
    rows = rows_with(GIVEN)
    evaluated = Dataset.from_list(rows if with_column else make_rows(6))
    trainer = make_trainer(tmp_path, rows, confidence="given", n_passes=N, arguments={"eval_dataset": evaluated})
    log_p, _ = log_probs_float64(build_model().double(), build_tokenizer(), make_rows(6))
    assert trainer.evaluate()["eval_loss"] == pytest.approx(-log_p.mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (make_rows(2), {}, "confidence='given' needs a column 'given_log_p'; the data has"),
        (rows_with([-1.0, 0.5]), {}, "row 1: given_log_p must be a log-probability, at most 0, got 0.5"),
        (rows_with([-1.0, None]), {}, "row 1: given_log_p must be a log-probability"),
        (rows_with([-1.0, math.nan]), {}, "row 1: given_log_p must be"),
        (rows_with([-0.1, -0.2]), {}, "all 2 training examples have F"),
        (rows_with([-1.0]), {"objective": "best_of_n"}, "'given' has the weights of dco: it has no objective='best_of"),
        (rows_with([-1.0]), {"packing": True}, "confidence='given' with packing"),
        (rows_with([-1.0]), {"max_data_passes": 2}, "max_data_passes counts passes under replacement"),
        (
            rows_with([-1.0]),
            {"n_passes_schedule": "anneal", "n_passes_start": 2},
            "'anneal' cannot be combined with confidence='given'",
        ),
    ],
)
def test_what_does_not_go_together(rows, settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        make_trainer(tmp_path, rows, **({"confidence": "given", "n_passes": 64} | settings))


# ---- files ----


def problems(*ids: str) -> list[Problem]:
    return [Problem(name, name, ("1",)) for name in ids]


def test_log_p_is_read_from_several_files_by_id(tmp_path):
    one = write_jsonl(tmp_path / "one.jsonl", [{"id": "a", "log_p": -1.5, "answers": []}, "", {"id": "x", "log_p": -9}])
    two = write_jsonl(tmp_path / "two.jsonl", [{"id": "b", "log_p": "-inf"}])
    assert read_given_log_p(f"{one}, {two}", problems("b", "a")) == [-math.inf, -1.5]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"id": "a", "log_p": -1}], "2 of 3 training problems have no log p there; first: 'b'"),
        ([{"id": "a", "log_p": -1}, {"id": "a", "log_p": -2}], "line 2: the problem 'a' has a log p already in .* 1"),
        ([{"id": "a"}], "line 1: expected an object with id and log_p"),
        (["[1]"], "line 1: expected an object"),
        (["{"], "line 1: expected an object"),
        ([{"id": "a", "log_p": 0.25}], "line 1: log_p must be at most 0, got 0.25"),
        ([{"id": "a", "log_p": "nan"}], "line 1: log_p must be at most 0, got nan"),
    ],
)
def test_a_file_that_cannot_serve_is_named(lines, message, tmp_path):
    path = write_jsonl(tmp_path / "scores.jsonl", lines)
    with pytest.raises(ConfigError, match=message) as error:
        read_given_log_p(str(path), problems("a", "b", "c"))
    assert "scores.jsonl" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none.jsonl: cannot be read"):
        read_given_log_p(str(tmp_path / "none.jsonl"), problems("a"))


# ---- folds ----


def test_folds_share_the_problems_out_evenly_whatever_their_order():
    everything = problems(*(f"p-{number}" for number in range(3000)))
    folds = [Fold(index, 3) for index in range(3)]
    sizes = collections.Counter()
    for problem in everything:
        (mine,) = [index for index, fold in enumerate(folds) if problem in fold]
        sizes[mine] += 1
    assert all(abs(size - 1000) < 4 * math.sqrt(3000 * 2 / 9) for size in sizes.values())
    assert Problem("p-7", "another prompt", ("3",)) in folds[[everything[7] in fold for fold in folds].index(True)]


def test_the_steps_of_a_proof_are_in_one_fold():
    steps = [Problem(f"t-{number}", "s", ("x",), metadata={"group_id": "theorem"}) for number in range(40)]
    assert len({step in Fold(0, 2) for step in steps}) == 1


@pytest.mark.parametrize("text", ["2/2", "-1/2", "0/1", "0", "a/b", "0/2/3", ""])
def test_a_fold_that_there_is_not(text):
    with pytest.raises(ValueError, match="expected INDEX/COUNT"):
        Fold.parse(text)
