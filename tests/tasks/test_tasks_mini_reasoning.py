"""Chains of two operations: values by hand, splits without leaks, and text that encodes and reads back."""

import pytest

from passatn.tasks import encode_problems, extract_answer, get_template, render_completion
from passatn.tasks.mini_math import split_pairs
from passatn.tasks.mini_reasoning import (
    LARGEST_FIRST,
    LONGEST_COMPLETION,
    OPERATIONS,
    SECOND,
    TEMPLATE,
    VOCABULARY,
    build_tokenizer,
    chains,
    singles,
)


@pytest.mark.parametrize(
    ("name", "x", "y", "expected"),
    [
        ("add", 99, 99, 198),
        ("diff", 3, 10, 7),
        ("mul", 37, 58, 2146),
        ("mod", 2146, 12, 1),
        ("gcd", 24, 35, 12),
        ("rev", 7, 12, 1193),
    ],
)
def test_operations(name, x, y, expected):
    assert OPERATIONS[name](x, y) == expected


def test_a_chain_is_its_two_steps():
    for problem in chains("test", 300, seed=1):
        operands = problem.prompt.rpartition(">")[2].rstrip("=")
        a, b, c = map(int, operands.split(","))
        between = int(OPERATIONS[problem.metadata["first"]](a, b))
        assert problem.reasoning == str(between)
        assert problem.answers == (str(int(OPERATIONS[problem.metadata["second"]](between, c))),)
        assert problem.metadata["second"] in SECOND


def test_the_same_arguments_give_the_same_chains_and_none_twice():
    first = chains("finetune", 500, seed=3)
    assert first == chains("finetune", 500, seed=3)
    assert first != chains("finetune", 500, seed=4)
    assert len({problem.prompt for problem in first}) == 500


def test_pairs_of_one_split_are_in_no_other():
    used = {split: set() for split in ("finetune", "validation", "test")}
    for split, pairs in used.items():
        for problem in chains(split, 2000, seed=0):
            a, b, _ = problem.prompt.rpartition(">")[2].rstrip("=").split(",")
            pairs.add(frozenset((int(a), int(b))))
    assert not used["finetune"] & used["test"]
    assert not used["validation"] & used["test"]
    small = {frozenset(map(int, pair)) for pair in split_pairs("pretrain").tolist()}
    for problem in singles(2000, seed=0):
        x, y = map(int, problem.prompt.rpartition(">")[2].rstrip("=").split(","))
        assert 0 <= x <= LARGEST_FIRST
        if problem.prompt.startswith("<mul>"):
            assert frozenset((x, y)) in small


def test_text_encodes_and_reads_back():
    tokenizer = build_tokenizer()
    assert len(tokenizer) == len(VOCABULARY)
    problems = chains("validation", 400, seed=0)
    examples, report = encode_problems(tokenizer, TEMPLATE, problems)
    assert report.num_skipped == 0
    assert max(len(example.completion_ids) for example in examples) <= LONGEST_COMPLETION
    for problem, example in zip(problems, examples, strict=True):
        text = tokenizer.decode(example.completion_ids[:-1])
        assert text == render_completion(TEMPLATE, problem.answers[0], problem.reasoning)
        assert extract_answer(TEMPLATE, text) == problem.answers[0]
    assert encode_problems(tokenizer, get_template("raw"), singles(100, seed=2))[1].num_skipped == 0
