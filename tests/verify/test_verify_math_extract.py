"""Which text of a completion is the answer."""

import time

import pytest

from passatn.tasks import Problem
from passatn.verify.math import MathVerifier, extract
from passatn.verify.verdict import Submission


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        (r"\boxed{1} and then \boxed{2}", "2"),
        (r"\fbox{3}", "3"),
        (r"\boxed{1} or \fbox{2}", "2"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{3} but \boxed{5", "3"),
        (r"\boxed 2$.", "2"),
        (r"\\boxed{4}", "4"),
        (r"\boxed{ 7 } <answer>8</answer> the answer is 9 #### 10", "7"),
        ("<answer>8</answer> the answer is 9 #### 10", "8"),
        ("<answer>1</answer> no <ANSWER> 2\n</ANSWER>", "2"),
        ("<answer>8</answer> <answer>9", "8"),
        ("The answer is 4. No, the answer is 5. #### 6", "5"),
        ("The answer is: $5.50.", "$5.50"),
        ("The final answer is\n\n$$\\frac{1}{2}$$\nas shown", r"\frac{1}{2}"),
        ("the answer is 0.5 because half", "0.5"),
        ("The answer is **12**.", "**12**"),
        ("The final answer is 15 * 8 = <<15*8=120>>120", "15 * 8 = 120"),
        ("#### 6\n#### 7\nQuestion: what?", "7"),
        ("####\n72", "72"),
        (" 72\n", "72"),
        ("answer: 5", "answer: 5"),
        (r"\boxed{}", ""),
        ("", ""),
    ],
)
def test_order_of_the_marks(completion, text):
    assert extract(completion).text == text


@pytest.mark.parametrize(
    ("completion", "number"),
    [
        ("She has 5 apples and 6 pears.", "6"),
        ("It costs 1,234.50 dollars", "1,234.50"),
        ("that is -3", "-3"),
        ("from 10-5 we get 10 - 5", "5"),
        (r"so half, \frac{1}{2} of it", r"\frac{1}{2}"),
        ("so 1/2 of it", "1/2"),
        ("about 50% of them", "50%"),
        ("H2O and x2", None),
        ("either 5 or 6", None),
        (r"so \boxed{5", None),
        ("nothing", None),
    ],
)
def test_last_number(completion, number):
    assert extract(completion).last_number == number


@pytest.fixture(scope="module")
def verifier():
    verifier = MathVerifier(num_workers=1, timeout_seconds=10)
    yield verifier
    verifier.close()


@pytest.mark.parametrize(
    ("completion", "gold", "outcome", "extracted"),
    [
        (r"\frac{1}{2}", "2", "incorrect", r"\frac{1}{2}"),
        (r"\frac{1}{2}", "0.5", "correct", r"\frac{1}{2}"),
        ("She has 5 apples and 6 pears.", "6", "correct", "6"),
        ("After a long day with many words she has counted 5 apples and then also 6 pears.", "6", "correct", "6"),
        ("She has 5 apples and 6 pears.", r"\sqrt{36}", "incorrect", "She has 5 apples and 6 pears."),
        ("5 or 6", "6", "incorrect", "5 or 6"),
        ("x is 5 or 6", "6", "incorrect", "x is 5 or 6"),
        (r"so \boxed{6", "6", "incorrect", r"so \boxed{6"),
        (r"the answer is \boxed{6", "6", "incorrect", r"\boxed{6"),
        ("the answer is 5 or 6", "6", "incorrect", "5 or 6"),
        ("The answer is **12**.", "12", "correct", "**12**"),
        ("Evelyn", r"\text{Evelyn}", "correct", "Evelyn"),
        (r"\boxed{}", "5", "incorrect", None),
        ("", "5", "incorrect", None),
        ("#### 1,072", "1072", "correct", "1,072"),
    ],
)
def test_verdicts(verifier, completion, gold, outcome, extracted):
    verdict = verifier.verify([Submission(Problem("p", "q", (gold,)), completion)])[0]
    assert (str(verdict.outcome), verdict.extracted) == (outcome, extracted)


@pytest.mark.parametrize(
    "unit", ["\\boxed{", "\\boxed ", "\\", "{", "<answer>", "answer is ", "#### ", "1,", "9 ", "$", "\\frac{1"]
)
def test_extraction_takes_linear_time(unit):
    start = time.perf_counter()
    extract(unit * 200_000)
    assert time.perf_counter() - start < 30
