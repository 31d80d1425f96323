"""The demo's task: values of its functions, splits without leaks, token ids."""

from statistics import median

import numpy as np
import pytest
from transformers import AutoTokenizer

from passatn.tasks import encode_problems, extract_answer, get_template
from passatn.tasks.mini_math import (
    DIGIT_IDS,
    EOS_ID,
    EQUALS_ID,
    FUNCTION_IDS,
    FUNCTIONS,
    PAD_ID,
    SPLIT_PERCENT,
    VOCABULARY,
    build_tokenizer,
    sample_problems,
    split_pairs,
)


@pytest.mark.parametrize(
    ("name", "a", "b", "c", "expected"),
    [
        ("add3", 99, 99, 99, 297),
        ("mul", 12, 34, 5, 408),
        ("muladd", 12, 34, 56, 464),
        ("mulmod", 12, 34, 56, 9),
        ("mulmod", 12, 34, 0, 0),
        ("diffmul", 12, 34, 5, 110),
        ("mulgcd", 12, 34, 23, 24),
        ("mulgcd", 0, 34, 56, 57),
        ("sqadd", 12, 34, 5, 178),
        ("catmod", 12, 34, 56, 37),
        ("addmul", 99, 99, 99, 19602),
        ("median", 12, 34, 5, 12),
    ],
)
def test_known_values(name, a, b, c, expected):
    assert FUNCTIONS[name](*map(np.asarray, (a, b, c))) == expected


def test_median_is_the_middle_of_three():
    a, b, c = np.random.default_rng(0).integers(0, 100, (3, 500))
    expected = [median(values) for values in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)]
    assert FUNCTIONS["median"](a, b, c).tolist() == expected


def test_splits_share_no_unordered_pair_and_cover_all():
    seen = [{tuple(sorted(pair)) for pair in split_pairs(split, 3).tolist()} for split in SPLIT_PERCENT]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 5050
    assert [len(pairs) for pairs in seen] == [3030, 1010, 505, 505]
    for split in SPLIT_PERCENT:
        pairs = split_pairs(split, 3)
        assert {tuple(pair) for pair in pairs.tolist()} == {tuple(pair) for pair in pairs[:, ::-1].tolist()}
        assert len(np.unique(pairs, axis=0)) == len(pairs)


def test_samples_are_distinct_repeatable_and_of_their_split():
    batch, again = (sample_problems("test", 1000, seed=1) for _ in range(2))
    np.testing.assert_array_equal(batch.input_ids, again.input_ids)
    assert len(np.unique(batch.prompt_ids, axis=0)) == len(batch) == 1000
    allowed = {tuple(pair) for pair in split_pairs("test").tolist()}
    assert {(a, b) for a, b in zip(batch.a.tolist(), batch.b.tolist(), strict=True)} <= allowed
    assert set(batch.functions.tolist()) == set(range(10))
    assert (sample_problems("test", 1000, seed=2).input_ids != batch.input_ids).any()
    assert (sample_problems("test", 1000, seed=1, split_seed=1).input_ids != batch.input_ids).any()


def test_a_whole_pretraining_run_is_drawn_at_once():
    batch = sample_problems("pretrain", 1200 * 128, seed=0)
    assert batch.input_ids.shape == (153_600, 14)
    assert len(np.unique(batch.prompt_ids, axis=0)) == len(batch)
    assert (batch.completion_lengths.min(), batch.completion_lengths.max()) == (2, 6)


def test_token_ids_spell_prompt_and_answer():
    batch = sample_problems("validation", 300, seed=0)
    for row, problem in enumerate(batch.problems()):
        text = "".join(VOCABULARY[token] for token in batch.input_ids[row] if token != PAD_ID)
        assert text == f"{problem.prompt}{problem.answers[0]}<eos>"
        assert batch.completion_lengths[row] == len(problem.answers[0]) + 1
    assert len({problem.id for problem in batch.problems()}) == 300


def test_the_tokenizer_gives_the_same_ids_and_reads_them_back(tmp_path):
    build_tokenizer().save_pretrained(tmp_path)
    batch = sample_problems("finetune", 300, seed=0)
    for tokenizer in (build_tokenizer(), AutoTokenizer.from_pretrained(tmp_path)):
        assert len(tokenizer) == len(VOCABULARY) == 23
        assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (EOS_ID, PAD_ID)
        examples, _ = encode_problems(tokenizer, get_template("raw"), batch.problems())
        for row, (example, problem) in enumerate(zip(examples, batch.problems(), strict=True)):
            assert list(example.prompt_ids) == batch.prompt_ids[row].tolist()
            assert list(example.completion_ids) == batch.completion_ids[row, : batch.completion_lengths[row]].tolist()
            text = tokenizer.decode(list(example.completion_ids), skip_special_tokens=True)
            assert extract_answer(get_template("raw"), text) == problem.answers[0]


def test_ids_are_where_the_constants_say():
    tokenizer = build_tokenizer()
    assert tokenizer.convert_tokens_to_ids([f"<{name}>" for name in FUNCTIONS]) == list(FUNCTION_IDS)
    assert tokenizer.convert_tokens_to_ids(list("0123456789")) == list(DIGIT_IDS)
    assert tokenizer.convert_tokens_to_ids("=") == EQUALS_ID


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="pretrain, finetune, validation, test"):
        sample_problems("train", 1, seed=0)
    with pytest.raises(ValueError, match="count must lie between"):
        sample_problems("test", 10_000_000, seed=0)
    assert len(sample_problems("test", 0, seed=0).input_ids) == 0
    with pytest.raises(Exception, match="UNK"):
        build_tokenizer()("1 2")
