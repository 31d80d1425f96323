"""The solutions that HumanEval and MBPP come with pass; the same with their result taken away do not."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from code_problems import human_eval_submissions, mbpp_submissions

from passatn.tasks import get_template, load_problems, render_completion
from passatn.verify.code import CodeVerifier
from passatn.verify.verdict import Outcome, Submission

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="programs are confined by Linux")


@pytest.fixture(scope="module")
def verifier() -> Iterator[CodeVerifier]:
    with CodeVerifier(num_workers=2) as made:
        yield made


class _ReturnNone(ast.NodeTransformer):
    """Every `return` and `yield` of a program gives None."""

    def visit_Return(self, node: ast.Return) -> ast.Return:
        return ast.copy_location(ast.Return(ast.Constant(None)), node)


def broken(submission: Submission) -> Submission:
    """The whole program with every result replaced by None."""
    prompt = submission.problem.prompt if "entry_point" in submission.problem.metadata else ""
    tree = _ReturnNone().visit(ast.parse(prompt + submission.completion))
    return replace(submission, completion=ast.unparse(ast.fix_missing_locations(tree)))


def failures(verifier: CodeVerifier, submissions: list[Submission], *wanted: Outcome) -> list[str]:
    verdicts = verifier.verify(submissions)
    return [
        f"{submission.completion[:200]!r}: {verdict.outcome} {verdict.detail}"
        for submission, verdict in zip(submissions, verdicts, strict=True)
        if verdict.outcome not in wanted
    ]


def test_human_eval_solutions_pass(verifier: CodeVerifier, test_data: Path) -> None:
    submissions = human_eval_submissions(test_data)
    assert len(submissions) == 164
    assert not failures(verifier, submissions, Outcome.CORRECT)


def test_mbpp_solutions_pass(verifier: CodeVerifier, test_data: Path) -> None:
    submissions = mbpp_submissions(test_data)
    with_setup = [each for each in submissions if each.problem.metadata["test_setup_code"]]
    assert not failures(verifier, [*with_setup, *submissions[::25]], Outcome.CORRECT)


def test_solutions_in_a_fence_pass(verifier: CodeVerifier, test_data: Path) -> None:
    submissions = human_eval_submissions(test_data)[::10]
    fenced = [
        replace(each, completion=f"Sure:\n```python\n{each.problem.prompt}{each.completion}\n```\nDone.")
        for each in submissions
    ]
    assert not failures(verifier, fenced, Outcome.CORRECT)


def test_broken_solutions_fail(verifier: CodeVerifier, test_data: Path) -> None:
    submissions = [*human_eval_submissions(test_data)[::8], *mbpp_submissions(test_data)[::40]]
    assert not failures(verifier, list(map(broken, submissions)), Outcome.INCORRECT, Outcome.TIMEOUT)


@pytest.mark.slow
def test_all_mbpp_solutions_pass(verifier: CodeVerifier, test_data: Path) -> None:
    submissions = mbpp_submissions(test_data)
    assert len(submissions) == 974
    assert not failures(verifier, submissions, Outcome.CORRECT)


@pytest.mark.slow
def test_all_broken_solutions_fail(verifier: CodeVerifier, test_data: Path) -> None:
    submissions = [*human_eval_submissions(test_data), *mbpp_submissions(test_data)]
    assert not failures(verifier, list(map(broken, submissions)), Outcome.INCORRECT, Outcome.TIMEOUT)


@pytest.mark.slow
def test_all_mbpp_solutions_pass_as_the_preset_and_the_template_give_them(
    verifier: CodeVerifier, test_data: Path
) -> None:
    problems = load_problems(test_data / "mbpp.jsonl", preset="mbpp")
    template = get_template("code")
    submissions = [Submission(problem, render_completion(template, problem.answers[0])) for problem in problems]
    assert len(submissions) == 974
    assert not failures(verifier, submissions, Outcome.CORRECT)
