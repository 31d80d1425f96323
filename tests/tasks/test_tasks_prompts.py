"""Templates render safely around LaTeX, and the answer comes back out of the completion."""

import pytest

from passatn.tasks import (
    TEMPLATES,
    PromptTemplate,
    extract_answer,
    get_template,
    load_problems,
    render_completion,
    render_prompt,
)

LATEX = [r"\frac{1}{2}", r"\left\{1, 2\right\}", r"\begin{pmatrix} 1 \\ {2} \end{pmatrix}", "{answer}", "x < 3", "72"]


def test_direct_and_raw_and_tactic_read_as_documented():
    assert render_prompt(get_template("direct"), "1+1?") == "Question: 1+1?\nAnswer:"
    assert render_completion(get_template("direct"), "2") == " 2"
    assert render_prompt(get_template("raw"), "1+1=") + render_completion(get_template("raw"), "2") == "1+1=2"
    assert render_prompt(get_template("tactic"), "⊢ True") + render_completion(get_template("tactic"), "trivial") == (
        "⊢ True:::trivial"
    )


def test_braces_of_the_problem_are_left_alone():
    prompt = r"Let $f(x) = \frac{x}{2}$ and {prompt} {answer} {0} {} {{x}}"
    assert render_prompt(get_template("direct"), prompt) == f"Question: {prompt}\nAnswer:"
    assert render_completion(PromptTemplate("t", completion=r"\boxed{{answer}}{}"), r"\frac{1}{2}") == (
        r"\boxed{\frac{1}{2}}{}"
    )


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("answer", LATEX)
@pytest.mark.parametrize("reasoning", [None, r"First, \boxed{7}. The answer is: \boxed{8}", "a {reasoning}\nb"])
def test_the_answer_comes_back(name, answer, reasoning):
    template = get_template(name)
    assert extract_answer(template, render_completion(template, answer, reasoning)) == answer


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_answer_of_math_comes_back(name, test_data):
    template = get_template(name)
    for problem in load_problems(test_data / "math_test_500.jsonl", preset="math"):
        completion = render_completion(template, problem.answers[0], problem.reasoning)
        assert extract_answer(template, completion) == problem.answers[0]


def test_reasoning_stands_before_the_answer_and_leaves_no_gap():
    alpaca, r1 = get_template("alpaca"), get_template("r1")
    assert render_completion(alpaca, "3", "1 + 2 = 3.\n") == " 1 + 2 = 3.\nThe answer is: \\boxed{3}"
    assert render_completion(alpaca, "3") == " The answer is: \\boxed{3}"
    assert render_completion(r1, "3", "1 + 2") == " <think> 1 + 2 </think> <answer> 3 </answer>"
    assert render_completion(r1, "3") == " <think> </think> <answer> 3 </answer>"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("direct", " 72\n", "72"),
        ("direct", "  \n", None),
        ("alpaca", "The answer is: 3", None),
        ("alpaca", r"So The answer is: \boxed{\frac{1}{2", None),
        ("r1", "<think>a</think>\n<answer>\n3\n</answer> more", "3"),
        ("r1", "<answer> 1 </answer> no, <answer> 2 </answer>", "2"),
        ("r1", "<think> cut off", None),
        ("r1", "<answer> cut off", None),
        ("r1", "<answer> </answer>", None),
    ],
)
def test_extraction_from_text_as_models_write_it(name, text, expected):
    assert extract_answer(get_template(name), text) == expected


def test_a_custom_template_needs_two_format_strings():
    template = PromptTemplate("mine", "Q: {prompt}\nA:", " {reasoning}\nSo it is {answer} indeed.")
    assert render_prompt(template, "x") == "Q: x\nA:"
    assert extract_answer(template, render_completion(template, "5", "2 + 3")) == "5"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"prompt": "Question: {question}"}, "needs {prompt} once"),
        ({"completion": "{reasoning}"}, "needs {answer} once"),
        ({"completion": "{answer} {reasoning}"}, "before it"),
        ({"system": "Be brief."}, "needs chat=True"),
    ],
)
def test_a_faulty_template_is_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        PromptTemplate("mine", **arguments)


def test_an_unknown_name_lists_the_names():
    with pytest.raises(ValueError, match="raw, direct, alpaca, chat, r1, tactic"):
        get_template("alpacca")
