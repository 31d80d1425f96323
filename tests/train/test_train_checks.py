"""What is refused before training: settings that cannot be combined, and examples whose p would silently change."""

from types import SimpleNamespace
from typing import Any

import pytest
from accelerate.utils import ParallelismConfig
from datasets import Dataset, IterableDataset

from passatn.train import CoverageConfig, CoverageTrainer
from passatn.train.checks import check_combination, check_parallelism
from passatn.train.prepare import find_problem
from tiny import build_model, build_tokenizer
from train_helpers import make_config, make_rows, make_trainer, merging_tokenizer

ROWS = Dataset.from_list(make_rows(4))


def config(**settings: Any) -> CoverageConfig:
    return make_config("unused", **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_passes": 0.5}, r"n_passes must be a finite number >= 1, got 0\.5"),
        ({"n_passes": float("nan")}, "n_passes must be a finite number >= 1, got nan"),
        ({"n_passes": float("inf")}, "n_passes must be a finite number >= 1, got inf"),
        ({"min_confidence_weight": 1.0}, r"min_confidence_weight must be in \[0, 1\), got 1\.0"),
        ({"min_confidence_weight": -0.1}, r"min_confidence_weight must be in \[0, 1\), got -0\.1"),
        ({"min_active_fraction": 1.5}, r"min_active_fraction must be in \[0, 1\], got 1\.5"),
        ({"confidence": "token"}, "confidence must be one of .*'completion', 'proof'.*, got 'token'"),
        ({"loss_normalization": "mean"}, "loss_normalization must be one of .*, got 'mean'"),
        ({"n_passes": 2, "max_data_passes": 0}, "max_data_passes must be positive, got 0"),
        ({"max_data_passes": 2}, "set num_train_epochs instead"),
        ({"n_passes": 2, "max_data_passes": 2, "min_confidence_weight": 0}, "set num_train_epochs instead"),
    ],
)
def test_config_names_the_field_and_the_value(settings, message):
    with pytest.raises(ValueError, match=message):
        config(**settings)


def test_defaults_are_cross_entropy_and_nan_losses_show():
    args = config()
    assert (args.n_passes, args.min_confidence_weight, args.min_active_fraction) == (1.0, 0.3, 0.1)
    assert not args.replaces_examples
    assert not args.logging_nan_inf_filter


@pytest.mark.parametrize(
    ("settings", "data", "extra", "message"),
    [
        ({"loss_type": "dft"}, ROWS, {}, "loss_type='dft'"),
        ({"label_smoothing_factor": 0.1}, ROWS, {}, "label_smoothing_factor > 0"),
        ({}, ROWS, {"compute_loss_func": print}, "compute_loss_func"),
        ({}, ROWS.add_column("image", [None] * 4), {}, "a vision model or dataset"),
        ({"completion_only_loss": False}, ROWS, {}, "completion_only_loss=False on data with prompts"),
        ({"packing": True, "packing_strategy": "wrapped"}, ROWS, {}, "packing_strategy='wrapped' or 'bfd_split'"),
        ({"packing": True, "packing_strategy": "bfd_split"}, ROWS, {}, "packing_strategy='wrapped' or 'bfd_split'"),
        ({"packing": True, "confidence": "proof"}, ROWS, {}, "confidence='proof' with packing or padding_free"),
        ({"padding_free": True, "confidence": "proof"}, ROWS, {}, "confidence='proof' with packing or padding_free"),
        (
            {"dataset_kwargs": {"skip_prepare_dataset": True}, "confidence": "proof"},
            ROWS,
            {},
            "confidence='proof' with dataset_kwargs",
        ),
    ],
)
def test_what_changes_the_loss_or_splits_a_completion_is_refused(settings, data, extra, message):
    for epsilon in (0.0, 0.3):
        args = config(n_passes=16, min_confidence_weight=epsilon, **settings)
        with pytest.raises(ValueError, match=f"n_passes=16 cannot be combined with {message}"):
            check_combination(args, train_dataset=data, **extra)


@pytest.mark.parametrize(
    ("settings", "data", "message"),
    [
        ({}, IterableDataset.from_generator(lambda: iter(make_rows(4))), "streaming data"),
        ({"packing": True}, ROWS, "packing with min_confidence_weight"),
        ({"padding_free": True}, ROWS, "padding_free with min_confidence_weight"),
        ({"auto_find_batch_size": True}, ROWS, "auto_find_batch_size"),
        ({"train_sampling_strategy": "group_by_length"}, ROWS, "train_sampling_strategy='group_by_length'"),
    ],
)
def test_what_replacement_cannot_do_is_refused_with_the_way_out(settings, data, message):
    with pytest.raises(ValueError, match=f"n_passes=16 cannot be combined with {message}") as error:
        check_combination(config(n_passes=16, **settings), train_dataset=data)
    assert str(error.value).endswith("set min_confidence_weight=0 to weight only")
    check_combination(config(n_passes=16, min_confidence_weight=0.0, **settings), train_dataset=data)
    check_combination(config(**settings, loss_normalization="token"), train_dataset=data)


def test_token_normalisation_under_deepspeed_is_refused_also_when_accelerate_configured_it():
    args = config(n_passes=16, loss_normalization="token")
    args.deepspeed_plugin = SimpleNamespace()
    with pytest.raises(ValueError, match="loss_normalization='token' under DeepSpeed"):
        check_combination(args, train_dataset=ROWS)


def test_splitting_completions_over_processes_is_refused():
    split = ParallelismConfig(tp_size=2)
    with pytest.raises(ValueError, match="n_passes=16 cannot be combined with sequence, context or tensor parallelism"):
        check_parallelism(config(n_passes=16), split)
    check_parallelism(config(n_passes=16), ParallelismConfig())
    check_parallelism(config(loss_normalization="token"), split)


def test_the_trainer_checks_before_it_does_anything(tmp_path):
    with pytest.raises(ValueError, match="cannot be combined with loss_type='dft'"):
        CoverageTrainer("no such model", args=config(n_passes=2, loss_type="dft"), train_dataset=ROWS)


# ---- examples ----


def test_a_truncation_is_an_error_that_names_row_length_and_remedy(tmp_path):
    rows = [*make_rows(3), {"prompt": "1+1=", "completion": "2" * 40}]
    with pytest.raises(ValueError, match="train dataset, row 3: 45 tokens exceed max_length=20") as error:
        make_trainer(tmp_path, rows, n_passes=16, max_length=20)
    assert "raise max_length or drop the row" in str(error.value)
    assert "skip_bad_examples=True" in str(error.value)
    with pytest.raises(ValueError, match="eval dataset, row 3: 45 tokens exceed"):
        make_trainer(tmp_path, arguments={"eval_dataset": Dataset.from_list(rows)}, n_passes=16, max_length=20)
    assert len(make_trainer(tmp_path, rows, loss_normalization="token", max_length=20).train_dataset) == 4, "as in TRL"


def test_bad_examples_are_skipped_and_counted_when_asked(tmp_path, caplog):
    rows = [{"prompt": "1+1=", "completion": "2" * 40}, *make_rows(3), {"prompt": "1+2=", "completion": "3" * 40}]
    trainer = make_trainer(tmp_path, rows, n_passes=16, max_length=20, skip_bad_examples=True)
    assert len(trainer.train_dataset) == 3
    assert "skip_bad_examples: 2 of 5 train examples were left out" in caplog.text
    with pytest.raises(ValueError, match="no usable example is left in the train dataset of 1"):
        make_trainer(tmp_path, rows[:1], n_passes=16, max_length=20, skip_bad_examples=True)


def test_a_merge_across_the_border_shows_both_tokens(tmp_path):
    tokenizer = merging_tokenizer()
    prompt, completion = "the answer:", " 46"
    alone = tokenizer(prompt)["input_ids"]
    joint = tokenizer(prompt + completion)["input_ids"]
    start = next(i for i, (a, b) in enumerate(zip([*alone, -1], joint, strict=False)) if a != b)
    assert start < len(alone), "the tokenizer must merge here"
    rows = [{"prompt": prompt, "completion": completion}]
    model = build_model(vocab_size=len(tokenizer))
    with pytest.raises(ValueError, match="train dataset, row 0") as error:
        make_trainer(
            tmp_path, rows, model=model, arguments={"processing_class": tokenizer}, n_passes=16, max_length=None
        )
    assert f"ends in the token(s) {tokenizer.decode(alone[start:])!r}" in str(error.value)
    assert f"the tokeniser gives {tokenizer.decode(joint[start : start + 1])!r}" in str(error.value)
    rows[0] = {"prompt": "the answer: ", "completion": "46"}
    make_trainer(tmp_path, rows, model=model, arguments={"processing_class": tokenizer}, n_passes=16)


def test_chat_prompts_are_compared_with_their_tools():
    tokenizer = build_tokenizer()
    tokenizer.chat_template = (
        "{% for tool in tools or [] %}{{ tool['name'] }}{% endfor %}"
        "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    )
    messages = [{"role": "user", "content": "1+1="}]
    ids = tokenizer("ab1+1=2<eos>")["input_ids"]
    labels = [-100] * 6 + ids[6:]
    tools = [{"name": "a"}, {"name": "b"}]
    for given in (tools, '[{"name": "a"}, {"name": "b"}]'):
        example = {"prompt": messages, "tools": given, "input_ids": ids, "labels": labels}
        assert find_problem(example, tokenizer, max_length=None, chat_template=tokenizer.chat_template) is None
    example["labels"] = [-100] * 5 + ids[5:]
    problem = find_problem(example, tokenizer, max_length=None, chat_template=tokenizer.chat_template)
    assert problem is not None
    assert "ends in the token(s) '='" in problem


@pytest.mark.parametrize("labels", [[-100, -100], [5, -100]])
def test_an_example_without_a_predicted_token_is_an_error(labels):
    problem = find_problem({"input_ids": [5, 6], "labels": labels}, build_tokenizer(), max_length=None)
    assert problem == "it has no completion tokens to train on"


# ---- groups ----


def test_a_group_that_lost_a_row_is_left_out_whole(tmp_path, caplog):
    long = {"prompt": "1+1=", "completion": "2" * 40}
    rows = [row | {"group_id": group} for row, group in zip([*make_rows(4), long], "abbca", strict=True)]
    settings = {"n_passes": 16, "max_length": 20, "confidence": "proof", "skip_bad_examples": True}
    trainer = make_trainer(tmp_path, rows, **settings)
    assert [trainer.train_dataset[i]["group_id"] for i in range(2)] == ["b", "c"]
    assert [len(group) for group in trainer.train_dataset["labels"]] == [2, 1]
    assert "1 of 3 groups lack a row and were left out" in caplog.text
    with pytest.raises(ValueError, match="none of the 1 groups is whole"):
        make_trainer(tmp_path, [rows[0], rows[4]], **settings)


def test_groups_need_their_column_in_every_row_and_data_that_ends(tmp_path):
    settings = {"n_passes": 16, "confidence": "proof"}
    with pytest.raises(ValueError, match="confidence='proof' needs a column 'group_id'"):
        make_trainer(tmp_path, **settings)
    rows = [row | {"group_id": group} for row, group in zip(make_rows(3), ["a", None, "a"], strict=True)]
    with pytest.raises(ValueError, match="row 1 has no group_id"):
        make_trainer(tmp_path, rows, **settings)
    streaming = IterableDataset.from_generator(lambda: iter(make_rows(3)))
    with pytest.raises(ValueError, match="confidence='proof' cannot be combined with streaming data"):
        make_trainer(
            tmp_path, arguments={"train_dataset": streaming}, max_steps=1, min_confidence_weight=0.0, **settings
        )
