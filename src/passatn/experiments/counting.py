"""Sampled completions as counts per problem: how many are correct, and why others are not."""

from collections.abc import Mapping, Sequence
from typing import Any

from passatn.sample import Completion
from passatn.tasks import Problem
from passatn.verify.verdict import Outcome, Submission, Verifier


def count_outcomes(
    completions: Sequence[Completion], problems: Mapping[str, Problem], verifier: Verifier, num_samples: int
) -> dict[str, Any]:
    """Counts per problem of samples, and of those that are correct, truncated, or without a verdict of yes or no."""
    outcomes = outcomes_of(completions, problems, verifier)
    names = {"num_truncated": None, "num_correct": Outcome.CORRECT}
    names |= {"num_timeouts": Outcome.TIMEOUT, "num_errors": Outcome.ERROR}
    counted = {name: dict.fromkeys(problems, 0) for name in names}
    for completion, outcome in zip(completions, outcomes, strict=True):
        for name, wanted in names.items():
            counted[name][completion.problem_id] += outcome is wanted
    return {"num_samples": num_samples} | {name: list(counts.values()) for name, counts in counted.items()}


def outcomes_of(
    completions: Sequence[Completion], problems: Mapping[str, Problem], verifier: Verifier
) -> list[Outcome | None]:
    """None for a completion that did not end: it is never correct, and is not judged."""
    submissions = [Submission(problems[c.problem_id], c.text) for c in completions if c.finished]
    verdicts = iter(verifier.verify(submissions))
    return [next(verdicts).outcome if completion.finished else None for completion in completions]
