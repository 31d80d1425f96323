"""Every row of docs/verify-math.md, in both directions, and cases that need more room than a table."""

import re
from pathlib import Path

import pytest

from passatn.tasks import Problem
from passatn.verify.math import MathVerifier
from passatn.verify.math.equality import equal
from passatn.verify.math.literals import parse_literal
from passatn.verify.math.reading import is_mathematical, read
from passatn.verify.verdict import Outcome, Submission

PAGE = (Path(__file__).parents[2] / "docs" / "verify-math.md").read_text("utf-8")


def rows(heading):
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| [^|]+ \| `([^`]+)` \| `([^`]+)` \|", section, flags=re.MULTILINE)
    assert len(found) == len(re.findall(r"^\| (?!rule)[^|]+ \|", section, flags=re.MULTILINE))
    return found


EQUAL, DIFFERENT = rows("Equal"), rows("Not equal")


def test_the_page_has_its_rows():
    assert len(EQUAL) >= 60
    assert len(DIFFERENT) >= 55


@pytest.mark.parametrize(("first", "second"), EQUAL)
def test_equal(first, second):
    assert equal(first, second)
    assert equal(second, first)


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_not_equal(first, second):
    assert not equal(first, second)
    assert not equal(second, first)


@pytest.mark.parametrize("text", sorted({text for row in EQUAL + DIFFERENT for text in row}))
def test_equal_to_itself_and_when_dressed_up(text):
    assert equal(text, text)
    if not text.startswith(("$", "\\boxed")):
        assert equal(text, f" ${text}$. ")
        assert equal(rf"\displaystyle {text}", text)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("10, 000", "10000"),
        (r"11,\! 111,\! 100", "11111100"),
        (r"\frac{12}{5,\!525}", r"\frac{12}{5525}"),
        ("1,234.50", "1234.5"),
        (r"4^\circ, 20^\circ", "20, 4"),
        ("x = 1 or x = 2", "1, 2"),
        (r"AB=9, CD=4", "9, 4"),
        (r"\left(\frac{3}{5},\frac{8}{3}\right]", "(0.6, 8/3]"),
        (r"(6,235^\circ)", "(6, 235)"),
        (r"\mathbb{R} \setminus \{2\}", r"(-\infty,2)\cup(2,\infty)"),
        (r"x \neq 2", r"(-\infty,2)\cup(2,\infty)"),
        (r"42x\sqrt{5x}", r"42\sqrt{5x^3}"),
        (r"\frac{22}{7} \approx 3.14", "22/7"),
        (r"\approx 8.24 \text{ mph}", "8.24"),
        ("**7**", "7"),
        (r"\boldsymbol{7}", "7"),
        (r"\frac{1}{N+1}", r"\frac{1}{1+N}"),
        (r"2\frac{1}{2}\pi", r"\frac{5\pi}{2}"),
        (r"3\frac{4}{3}", "4"),
        (r"6.02\times 10^{3}", "6020"),
        ("e^{i\\pi}", "-1"),
        (r"\{1, 1, 2\}", r"\{2, 1\}"),
        (r"s^2 \le 8r^2", r"8r^2 \geq s^2"),
        (r"x<1 \text{ or } x>2", r"(-\infty,1)\cup(2,\infty)"),
        ("x>1 and x<2", "1<x<2"),
        (r"(-\infty, a) \cup (b, \infty)", r"(b, \infty) \cup (-\infty, a)"),
        (r"\sqrt{x}\sqrt{y}", r"\sqrt{xy}"),
        ("1 000 000", "10^6"),
        ("5 m/s", "5"),
        (r"7\text{ p.m.}", "7 pm"),
        (r"\text{10 cm}", "10"),
        ("(x,y)=(3,4)", "(3,4)"),
        ("3sqrt(2)", r"3\sqrt{2}"),
        (r"\sum_{k=1}^{n} k", "n(n+1)/2"),
    ],
)
def test_equal_too(first, second):
    assert equal(first, second)
    assert equal(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("(1,000)", "1000"),
        ("1, 1, 2", "1, 2"),
        ("3, 5 cm", "3 cm, 5 miles"),
        ("$5", "€5"),
        ("5%", "5°"),
        ("6:30", "2:10"),
        ("1 2", "12"),
        ("not 5", "5"),
        ("5 apples and 6 pears", "5"),
        (r"\cos 13", r"\cos 13^\circ"),
        (r"\frac{x}{2004!}", r"\frac{x}{2006!}"),
        (r"\infty", r"-\infty"),
        (r"\infty", "5"),
        ("5?", "5"),
        ("3.1.4", "3.14"),
        (r"\frac{1}{0}", r"\frac{2}{0}"),
        ("no solution", "0"),
        ("x>2", "y>2"),
        ("x<1 or x>2", "x>1 or x<2"),
        ("ABC", "CBA"),
        ("1/2x", r"\frac{x}{2}"),
        (r"30 \text{ minutes}", r"0.5 \text{ hours}"),
        ("(1,2), (3,4)", "(1,3), (2,4)"),
        ("", "0"),
    ],
)
def test_different_too(first, second):
    assert not equal(first, second)
    assert not equal(second, first)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0,5", None), ("1/0", None), ("1e3", 1000), (".5", 0.5), ("5.", 5), ("-1 1/2", -1.5), ("01", 1), ("1_000", None)],
)
def test_literals(text, value):
    assert parse_literal(text) == value


@pytest.mark.parametrize(
    "text", ["5", r"\frac12", "(1, 2)", "1 or 2", "x = 5", "10 cm", r"\begin{matrix}1\end{matrix}"]
)
def test_is_mathematics(text):
    assert is_mathematical(read(text))


@pytest.mark.parametrize("text", ["Evelyn", "She has 5 apples", "the two are 5 and 6", r"\boxed{5", "so it is", ""])
def test_is_not_mathematics(text):
    assert not is_mathematical(read(text))


@pytest.fixture(scope="module")
def verifier():
    with_limits = MathVerifier(timeout_seconds=10, num_workers=1)
    yield with_limits
    with_limits.close()


def outcomes(verifier, prompt, golds, completions):
    problem = Problem("p", prompt, tuple(golds))
    return [verdict.outcome for verdict in verifier.verify([Submission(problem, text) for text in completions])]


@pytest.mark.parametrize("gold", ["50", r"50\%"])
def test_percent_where_the_problem_asks_for_one(verifier, gold):
    asked = outcomes(verifier, "What percent of 10 is 5?", [gold], ["50", r"\boxed{50\%}", "0.5", r"5\%"])
    assert asked == [Outcome.CORRECT, Outcome.CORRECT, Outcome.INCORRECT, Outcome.INCORRECT]
    other = outcomes(verifier, "What is half of 100?", [gold], ["50", r"\boxed{50\%}"])
    assert sorted(other) == [Outcome.CORRECT, Outcome.INCORRECT]


def test_any_accepted_answer_will_do(verifier):
    assert (
        outcomes(verifier, "q", ["7", r"\sqrt{2}"], [r"2^{1/2}", "7", "8", "A"])
        == ["correct", "correct"] + ["incorrect"] * 2
    )


def test_a_problem_without_an_answer_is_an_error(verifier):
    verdict = verifier.verify([Submission(Problem("p", "q", (), metadata={"test": "x"}), "5")])[0]
    assert verdict.outcome == Outcome.ERROR
    assert "no accepted answer" in verdict.detail


def test_hostile_answers_cost_their_own_verdict():
    verifier = MathVerifier(timeout_seconds=1, memory_mb=256, num_workers=2)
    texts = [
        "9^{9^{9^{9}}}",
        "(" * 900,
        r"\frac{" * 300,
        "{" * 1900 + "}" * 1900,
        r"\sqrt{" * 200 + "2" + "}" * 200,
        "x" * 100_000,
        "\\" * 100_000,
        r"\boxed" * 20_000,
        r"\boxed{" * 20_000,
        "<answer>" * 20_000,
        "1," * 30_000,
        "\ud800",
        "1" * 5000,
        "10^{10^{10^{10}}} - 10^{10^{10^{10}}}",
        "10000000!",
    ]
    problem = Problem("p", "q", (r"\sqrt{2}",))
    verdicts = verifier.verify([Submission(problem, text) for text in [*texts, r"2^{\frac12}"]])
    verifier.close()
    assert [verdict.outcome for verdict in verdicts].count(Outcome.CORRECT) == 1
    assert verdicts[-1].outcome == Outcome.CORRECT
