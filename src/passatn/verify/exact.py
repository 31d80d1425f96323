"""Exact match: the completion, stripped, is one of the accepted answers, stripped. No extraction, no mathematics."""

from collections.abc import Sequence

from passatn.verify.verdict import Outcome, Submission, Verdict


class ExactVerifier:
    """Judges in this process: comparing strings needs no limits."""

    name = "exact"
    version = "1"

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        """One verdict per submission, in order; a problem without an accepted answer is an error."""
        return [_judge(submission) for submission in submissions]

    def close(self) -> None:
        """Nothing to release."""


def _judge(submission: Submission) -> Verdict:
    answers = submission.problem.answers
    if not answers:
        return Verdict(Outcome.ERROR, None, "the problem has no accepted answer to compare with")
    text = submission.completion.strip()
    is_match = text in (answer.strip() for answer in answers)
    return Verdict(Outcome.CORRECT if is_match else Outcome.INCORRECT, text)
