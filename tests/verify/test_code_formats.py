"""From completion to program: fences, repeated definitions, set-ups, and whose name is whose."""

import pytest
from code_problems import CHECK, HONEST, PROMPT, human_eval, mbpp

from passatn.verify.code.completion import find_code
from passatn.verify.code.exam import Exam, ExamError, make_exam
from passatn.verify.code.inside.source import assemble
from passatn.verify.code.names import free_names, needs
from passatn.verify.verdict import Submission


def exam(submission: Submission) -> Exam:
    return make_exam(submission.problem, submission.completion)


@pytest.mark.parametrize(
    ("completion", "code"),
    [
        ("    return 1\n", "    return 1\n"),
        ("```python\nx = 1\n```", "x = 1\n"),
        ("Try:\n```py\nx = 1\n```\nor better\n```python\nx = 2\n```\n", "x = 2\n"),
        ("```\nx = 1\n```\nand\n```python\nx = 2", "x = 1\n"),
        ("```python\nx = 1", "```python\nx = 1"),
        ("~~~python\nx = 1\n~~~\n", "x = 1\n"),
        ("````md\n```python\nx = 1\n```\n````\n", "```python\nx = 1\n```\n"),
        ("  ```python\n  x = 1\n  ```\n", "  x = 1\n"),
    ],
)
def test_the_last_complete_fence_is_the_code(completion: str, code: str) -> None:
    assert find_code(completion) == code


def test_a_body_continues_the_prompt() -> None:
    assert assemble(exam(human_eval(HONEST)).program) == PROMPT + HONEST


def test_a_repeated_definition_stands_after_the_prompt() -> None:
    again = "def double(x):\n    return 2 * x\n"
    assert assemble(exam(human_eval(f"```python\n{again}```")).program) == f"{PROMPT}\n\n{again}"


def test_a_repeated_definition_stands_alone_after_a_prompt_in_words() -> None:
    again = "def double(x):\n    return 2 * x\n"
    found = exam(human_eval(f"```python\n{again}```", prompt="Write a function that doubles."))
    assert assemble(found.program) == again
    assert found.tests["preamble"] == ""


def test_a_signature_alone_is_completed() -> None:
    found = exam(human_eval("    return 2 * x\n", prompt="def double(x):\n"))
    assert assemble(found.program) == "def double(x):\n    return 2 * x\n"
    assert found.tests["preamble"] == "def double(x):\n\n    pass\n"


def test_the_program_is_not_told_the_tests() -> None:
    known = exam(human_eval(HONEST, test="def check(candidate):\n    assert candidate(3) == 'expected'\n")).program
    assert "expected" not in str(known)


def test_helpers_of_the_prompt_stay_with_the_tests() -> None:
    prompt = "def helper(x):\n    return x\n\ndef double(x):\n    '''Twice.'''\n"
    found = exam(human_eval(HONEST, prompt=prompt, test="def check(c):\n    assert c(1) == helper(2)\n"))
    assert found.program["names"] == ["double"]
    assert found.tests["preamble"] == prompt


def test_a_self_contained_setup_comes_first_and_on_both_sides() -> None:
    found = exam(mbpp("def f():\n    return pi\n", "assert f() == pi", setup="from math import pi"))
    assert assemble(found.program).startswith("from math import pi\n")
    assert found.tests["preamble"] == "from math import pi"


def test_a_setup_of_the_programs_own_names_comes_with_the_tests() -> None:
    found = exam(mbpp("class Node: ...\n", "assert height(root) == 1", setup="root = Node()\r\nroot.left = None"))
    assert found.program["names"] == ["Node", "height"]
    assert found.tests["tests"].startswith("root = Node()\nroot.left")


@pytest.mark.parametrize(
    ("tests", "program", "modules"),
    [
        ("assert f(1) == 2", ("f",), ()),
        ("assert set(f(1)) == set((1, 2))", ("f",), ()),
        ("assert sum(10, 15) == 6\nassert sum(1, 2) == 3", ("sum",), ()),
        ("assert not any([1])", ("any",), ()),
        ("assert f(1) == sys.getsizeof(1)", ("f",), ("sys",)),
        ("assert bisect([1], 1) == 1", ("bisect",), ()),
        ("import math\nassert math.isclose(f(1), 2)", ("f",), ()),
        ("assert all(f(x) == x for x in range(3))", ("f",), ()),
    ],
)
def test_names_the_program_must_define(tests: str, program: tuple[str, ...], modules: tuple[str, ...]) -> None:
    found = needs(tests, set())
    assert (found.program, found.modules) == (program, modules)


def test_free_names_know_scopes() -> None:
    source = "def check(c):\n    from random import choice\n    x = [helper(y) for y in z]\n    return choice(x)\n"
    assert free_names(source) == {"helper", "z"}


@pytest.mark.parametrize(
    ("submission", "reason"),
    [
        (human_eval(HONEST, entry_point=""), "entry_point"),
        (human_eval(HONEST, test="def check(candidate:\n"), "defines check"),
        (human_eval(HONEST, test="x = 1"), "defines check"),
        (human_eval(HONEST, test=""), "no tests"),
        (human_eval(HONEST, test=CHECK + "\nreturn 1\n"), "compiled"),
        (mbpp(HONEST, "assert ("), "must be Python"),
    ],
)
def test_problems_without_usable_tests(submission: Submission, reason: str) -> None:
    with pytest.raises(ExamError, match=reason):
        exam(submission)
