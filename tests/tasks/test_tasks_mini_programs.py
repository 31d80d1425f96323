"""Mini-programs: what they compute against Python itself, the accepted ones against the unit-test verifier."""

import itertools
import random
import re

import numpy as np
import pytest

from passatn.experiments.small_models import byte_pairs
from passatn.tasks import mini_programs
from passatn.tasks.mini_programs import PIECES, STATEMENTS, Pool, functions, program, programs, sample_problems
from passatn.tasks.overlap import normalise_text
from passatn.verify.code import CodeVerifier
from passatn.verify.verdict import Submission


@pytest.fixture(scope="module")
def problems():
    return {split: sample_problems(split, 60, seed=0) for split in ("pretrain", "finetune", "validation", "test")}


def run(text, values):
    """f(values) of a program's text, by Python."""
    scope = {}
    exec(text, scope)
    return scope["f"](list(values))


def test_a_pool_has_what_python_computes():
    chosen = random.Random(0)
    lists = [(3, 1, 2, 7), (5, 9, 0, 4), (8, 8, 6, 1, 2), (0, 0, 0, 0), (9, 9, 9, 9, 9, 9)]
    pool = Pool(lists)
    assert pool.outputs.shape == (1 + 24 + 24**2 + 24**3, 5)
    for index in chosen.sample(range(len(programs())), 300):
        statements = programs()[index]
        for column, values in enumerate(lists):
            assert list(pool.results[pool.outputs[index, column]]) == run(program(statements), values)
    assert [run(program((0, 2, 13)), values) for values in lists[:3]] == [[3, 4, 8], [5, 6, 10], [3, 7, 9, 9]]


@pytest.mark.parametrize(("split", "statement"), [("test", ""), ("test", "x * x"), ("pretrain", "x * x")])
def test_answers_are_all_programs_that_pass_the_tests(problems, split, statement):
    """Squares of squares too, whose numbers are large on the way."""
    problem = max((one for one in problems[split] if statement in str(one.answers)), key=lambda one: len(one.answers))
    passing = set()
    for length in range(4):
        for statements in itertools.product(range(len(STATEMENTS)), repeat=length):
            scope = {}
            exec(text := program(statements), scope)
            try:
                for line in problem.metadata["test_list"]:
                    exec(line, scope)
            except AssertionError:
                continue
            passing.add(text)
    assert statement or len(passing) > 1
    assert set(problem.answers) == passing
    assert len(problem.answers) == len(passing)


@pytest.mark.parametrize("split", ["pretrain", "finetune", "validation", "test"])
def test_the_verifier_accepts_the_answers_and_no_neighbour(problems, split):
    right, wrong = [], []
    for problem in problems[split][:8]:
        right += [Submission(problem, answer) for answer in problem.answers[:3]]
        lines = problem.answers[0].splitlines()
        near = ["\n".join(lines[:k] + lines[k + 1 :]) for k in range(1, len(lines) - 1)]
        near += ["\n".join([lines[0], *lines[-2:0:-1], lines[-1]])]
        wrong += [Submission(problem, text) for text in near if text not in problem.answers]
    with CodeVerifier(num_workers=1) as verifier:
        verdicts = [verdict.outcome for verdict in verifier.verify([*right, *wrong])]
    assert verdicts == ["correct"] * len(right) + ["incorrect"] * len(wrong)
    assert len(wrong) > 8


def test_a_prompt_shows_three_tests_that_differ_and_hides_nine(problems):
    for problem in itertools.chain(*problems.values()):
        tests = problem.metadata["test_list"]
        assert problem.prompt == "\n".join(tests[:3]) + "\n"
        assert len(set(tests)) == 12
        outputs = [test.split(" == ")[1] for test in tests]
        assert "[]" not in outputs[:3]
        assert len(set(outputs)) >= 3
        assert 1 <= len(problem.answers) <= 24
        assert max(int(number) for number in re.findall(r"\d+", "".join(tests))) <= 99


def test_no_function_and_no_list_is_in_two_splits(problems):
    function, fewest = functions()
    index = {program(statements): k for k, statements in enumerate(programs())}
    found = {
        split: {int(function[index[answer]]) for one in of for answer in one.answers} for split, of in problems.items()
    }
    lists = {
        split: {line.split(")")[0] for one in of for line in one.metadata["test_list"]}
        for split, of in problems.items()
    }
    for one, other in itertools.combinations(problems, 2):
        assert not found[one] & found[other]
        assert not lists[one] & lists[other]
    assert {int(fewest[index[answer]]) for one in problems["test"] for answer in one.answers} == {3}
    assert all(answer.count("    xs = ") == 3 for one in problems["test"] for answer in one.answers)
    assert all(one.answers[0].count("    xs = ") <= 2 for one in problems["pretrain"])
    sizes = [len(set(function[mini_programs.belongs(split)])) for split in ("finetune", "validation", "test")]
    assert sizes[0] > 1.9 * min(sizes[1:]) > 1000
    prompts = [normalise_text(problem.prompt) for of in problems.values() for problem in of]
    assert len(set(prompts)) == len(prompts)


def test_programs_of_one_function_agree_elsewhere_too():
    function, _ = functions()
    elsewhere = Pool(mini_programs.random_lists(30, 99)).outputs
    order = np.argsort(function, kind="stable")
    same = function[order][1:] == function[order][:-1]
    agree = (elsewhere[order][1:] == elsewhere[order][:-1]).all(axis=1)
    assert same.sum() > 5000
    assert agree[same].mean() > 0.99
    assert agree[~same].mean() < 0.01


def test_the_same_seed_gives_the_same_problems(problems):
    assert sample_problems("test", 60, seed=0) == problems["test"]
    assert sample_problems("test", 60, seed=1) != problems["test"]
    with pytest.raises(ValueError, match="unknown split 'train'; there are pretrain, finetune, validation, test"):
        sample_problems("train", 3, seed=0)


def test_statements_become_single_tokens(problems):
    texts = [one.prompt + one.answers[0] for of in problems.values() for one in of]
    tokenizer = byte_pairs(texts * 3, 1200, pieces=PIECES)
    for text in texts[::7]:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    ids = tokenizer(problems["test"][0].answers[0])["input_ids"]
    assert len(ids) == 5, "the head, three statements and the return"


def test_functions_are_numbered_by_their_shortest_programs():
    function, fewest = functions()
    _, first = np.unique(function, return_index=True)
    assert (np.diff(first) > 0).all()
    assert function[0] == 0
    assert [len(programs()[index]) for index in first[:30]] == [0] + [1] * 24 + [2] * 5
    assert (fewest[first] == [len(programs()[index]) for index in first]).all()
