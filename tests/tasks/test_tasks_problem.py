"""The record format of a problem and the reasons for refusing a record."""

import json
import pickle

import pytest

from passatn.tasks import Problem, ProblemError


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("72", ("72",)),
        (" 72\n", ("72",)),
        (72, ("72",)),
        (72.0, ("72",)),
        (0.5, ("0.5",)),
        (["1/2", 0.5, "1/2"], ("1/2", "0.5")),
    ],
)
def test_answers_are_read_as_strings(answer, expected):
    assert Problem.from_record({"id": "a", "prompt": "p", "answer": answer}).answers == expected


def test_a_record_survives_the_round_trip_through_json():
    problem = Problem("a", "p {x} ⊢\n", ("1", "2"), reasoning="because", metadata={"level": 3, "tags": ["x"]})
    assert Problem.from_record(json.loads(json.dumps(problem.to_record()))) == problem
    assert Problem("a", "p", ("1",)).to_record() == {"id": "a", "prompt": "p", "answer": "1"}
    assert pickle.loads(pickle.dumps(problem)) == problem
    assert len({problem, Problem("a", "p", ("1",))}) == 2


def test_other_fields_join_the_metadata():
    problem = Problem.from_record(
        {"id": 7, "prompt": "p", "answer": "1", "level": 2, "metadata": {"subject": "algebra"}}
    )
    assert (problem.id, problem.metadata) == ("7", {"level": 2, "subject": "algebra"})


@pytest.mark.parametrize("key", ["test", "test_list", "statement"])
def test_an_answer_is_optional_where_something_else_checks(key):
    record = {"id": "a", "prompt": "p", "metadata": {key: ["assert f() == 1"]}}
    problem = Problem.from_record(record)
    assert problem.answers == ()
    assert problem.to_record() == record
    with pytest.raises(ProblemError, match="'answer' is missing"):
        Problem.from_record({"id": "a", "prompt": "p", "metadata": {key: ""}})


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([], "expected an object .* got a list"),
        ({"id": "a", "question": "p", "answer": "1"}, r"'prompt' is missing \(fields found: id, question, answer\)"),
        ({"id": "a", "prompt": " \n", "answer": "1"}, "prompt is empty"),
        ({"id": "a", "prompt": 3, "answer": "1"}, "'prompt' must be a string, got a number"),
        ({"id": "a", "prompt": "p"}, "'answer' is missing"),
        ({"id": "a", "prompt": "p", "answer": ""}, "answer is empty"),
        ({"id": "a", "prompt": "p", "answer": []}, "list of answers is empty"),
        ({"id": "a", "prompt": "p", "answer": ["1", " "]}, "answer is empty"),
        ({"id": "a", "prompt": "p", "answer": True}, "string or a number, got a boolean"),
        ({"id": "a", "prompt": "p", "answer": float("nan")}, "must be finite"),
        ({"id": "a", "prompt": "p", "answer": {"x": 1}}, "string or a number, got an object"),
        ({"id": "a", "prompt": "p", "answer": "1", "metadata": [1]}, "'metadata' must be an object"),
        ({"id": "a", "prompt": "p", "answer": "1", "reasoning": 3}, "'reasoning' must be a string"),
        ({"id": ["a"], "prompt": "p", "answer": "1"}, "'id' must be a string"),
        ({"prompt": "p", "answer": "1"}, "'id' is missing"),
        ({"id": "a", "prompt": "\ud800", "answer": "1"}, "half a surrogate pair at character 1"),
    ],
)
def test_a_bad_record_gives_its_reason_in_one_line(record, reason):
    with pytest.raises(ProblemError, match=reason) as caught:
        Problem.from_record(record)
    assert "\n" not in str(caught.value)


def test_a_missing_id_is_generated():
    assert Problem.from_record({"prompt": "p", "answer": "1"}, default_id="train-3").id == "train-3"
