"""MATH, GSM8K and AIME in the layouts in which they are found, and the real files."""

import json

import pytest

from passatn.tasks import ProblemError, get_preset, last_boxed, load_problems


def load_rows(folder, preset, *rows):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return load_problems(path, preset=preset)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so $\boxed{2}$ and \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{\left\{1, 2\right\}}", r"\left\{1, 2\right\}"),
        (r"\boxed{1} then cut \boxed{2", "1"),
        (r"\fbox{3}", "3"),
        (r"is $\boxed 2$.", "2"),
        (r"\boxed{}", ""),
        ("no box", None),
    ],
)
def test_last_boxed(text, expected):
    assert last_boxed(text) == expected


def test_math_in_three_layouts(tmp_path):
    ours = {"problem": "p", "answer": "2", "solution": "s", "subject": "Algebra", "level": 3, "unique_id": "test/a/1"}
    original = {"problem": "p", "solution": r"so \boxed{\frac12}", "type": "Geometry", "level": "Level 5"}
    unknown = {"problem": "p", "solution": r"so \boxed{7}", "type": "Geometry", "level": "Level ?"}
    first, second, third = load_rows(tmp_path, "math", ours, original, unknown)
    assert (first.id, first.prompt, first.answers, first.reasoning) == ("test/a/1", "p", ("2",), "s")
    assert first.metadata == {"level": 3, "subject": "Algebra"}
    assert (second.id, second.answers) == ("rows-2", (r"\frac12",))
    assert second.metadata == {"level": 5, "subject": "Geometry"}
    assert third.metadata["level"] is None


def test_gsm8k_in_two_layouts(tmp_path):
    hub = {"question": "q", "answer": "6 * 12 = <<6*12=72>>72\n#### 1,072"}
    ours = {"id": "gsm8k/0", "question": "q", "solution": "6 * 12\n#### 1,072", "answer": "1072"}
    for problem in load_rows(tmp_path, "gsm8k", hub, ours):
        assert problem.answers == ("1072",)
        assert problem.reasoning.startswith("6 * 12")
        assert "####" not in problem.reasoning


def test_aime_with_leading_zeros_and_capitals(tmp_path):
    upper = {"ID": "2024-I-2", "Problem": "p", "Solution": "s", "Answer": 25}
    lower = {"id": 60, "problem": "p", "solution": "s", "answer": "025", "url": "u", "year": "2024"}
    first, second = load_rows(tmp_path, "aime", upper, lower)
    assert (first.id, first.answers, second.id, second.answers) == ("2024-I-2", ("25",), "60", ("25",))
    assert second.metadata == {"url": "u", "year": "2024"}


def test_a_file_of_another_data_set_is_refused_with_its_columns(tmp_path):
    with pytest.raises(
        ProblemError, match=r"row 1: the column 'problem' is missing \(columns found: question, answer\)"
    ):
        load_rows(tmp_path, "math", {"question": "q", "answer": "1"})
    with pytest.raises(ProblemError, match=r"no \\boxed"):
        load_rows(tmp_path, "math", {"problem": "q", "solution": "none"})


def test_unknown_names_and_double_mappings_are_refused(tmp_path):
    with pytest.raises(ProblemError, match="math, gsm8k, aime, mbpp, humaneval"):
        get_preset("maths")
    with pytest.raises(ProblemError, match="either preset or columns"):
        load_problems(tmp_path, preset="math", columns={"prompt": "problem"})


def test_real_math(test_data):
    path = test_data / "math_train_12000.jsonl.gz"
    with pytest.raises(ProblemError, match=r"math_train_12000.jsonl.gz, row 1166: the answer is empty; fix the row"):
        load_problems(path, preset="math")
    train = load_problems(path, preset="math", skip_bad_rows=True)
    assert (len(train), train.num_skipped) == (11_998, 2)
    assert "row 1166" in train.skipped[0]
    assert "row 8126" in train.skipped[1]
    levels = [problem.metadata["level"] for problem in train]
    assert (levels.count(None), {type(level) for level in levels}) == (2, {int, type(None)})
    assert all(last_boxed(problem.reasoning) == problem.answers[0] for problem in train)
    test = load_problems(test_data / "math_test_500.jsonl", preset="math")
    assert len(test) == 500
    assert len({problem.metadata["subject"] for problem in test}) == 7


def test_real_gsm8k_and_aime(test_data):
    for name, size in (("gsm8k_train.jsonl.gz", 7473), ("gsm8k_test.jsonl", 1319)):
        problems = load_problems(test_data / name, preset="gsm8k")
        assert len(problems) == size
        assert all(problem.answers[0].lstrip("-").isdigit() for problem in problems)
    aime = load_problems(test_data / "aime24.jsonl", preset="aime")
    assert len(aime) == 30
    assert all(0 <= int(problem.answers[0]) <= 999 for problem in aime)


def test_mbpp_shows_the_tests_and_trains_on_the_solution(tmp_path):
    tests = ["assert add(1, 2) == 3"]
    ours = {"task_id": 7, "text": "Add.", "code": "def add(a, b):\r\n    return a + b", "test_list": tests}
    sanitized = {"task_id": 8, "prompt": "Add.", "code": "def add(a, b): return a + b", "test_list": tests}
    ours |= {"test_setup_code": "", "challenge_test_list": []}
    sanitized |= {"test_imports": ["import math"]}
    first, second = load_rows(tmp_path, "mbpp", ours, sanitized)
    assert first.prompt == second.prompt == "Add.\nIt must pass these tests:\nassert add(1, 2) == 3"
    assert (first.id, first.answers) == ("mbpp/7", ("def add(a, b):\n    return a + b",))
    assert first.metadata == {"test_list": ["assert add(1, 2) == 3"]}
    assert second.metadata["test_imports"] == ["import math"]
    with pytest.raises(ProblemError, match="the column 'test_list' is missing"):
        load_rows(tmp_path, "mbpp", {"task_id": 1, "text": "t", "code": "c"})


def test_humaneval_has_tests_and_no_answer(tmp_path):
    row = {"task_id": "HumanEval/0", "prompt": "def f():\n", "entry_point": "f", "test": "def check(f): pass",
           "canonical_solution": "    return 1"}  # fmt: skip
    (problem,) = load_rows(tmp_path, "humaneval", row)
    assert (problem.id, problem.prompt, problem.answers) == ("HumanEval/0", "def f():\n", ())
    assert problem.metadata == {"entry_point": "f", "test": "def check(f): pass"}


def test_all_solutions_of_mbpp_and_humaneval_are_read(test_data):
    from passatn.tasks import extract_answer, get_template, render_completion

    mbpp = load_problems(test_data / "mbpp.jsonl", preset="mbpp")
    assert (len(mbpp), mbpp.num_skipped) == (974, 0)
    template = get_template("code")
    assert all(
        extract_answer(template, render_completion(template, problem.answers[0])) == problem.answers[0]
        for problem in mbpp
    )
    assert len(load_problems(test_data / "humaneval.jsonl", preset="humaneval")) == 164
