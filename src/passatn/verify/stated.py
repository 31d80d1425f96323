"""A verifier of answers, behind the template that says where a completion states its answer."""

from collections.abc import Sequence

from passatn.tasks.prompts import PromptTemplate, extract_answer
from passatn.verify.verdict import Submission, Verdict, Verifier


class StatedAnswer:
    """Exact match of the answer that a completion states in its template's form (`<answer>…`, `\\boxed{…}`, …)."""

    def __init__(self, verifier: Verifier, template: PromptTemplate) -> None:
        self.name, self.version = verifier.name, f"{verifier.version}/{template.name}"
        self._verifier, self._template = verifier, template

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        """One verdict per submission, in order; a completion that states nothing is judged as it stands."""
        stated = [
            Submission(item.problem, extract_answer(self._template, item.completion) or item.completion)
            for item in submissions
        ]
        return self._verifier.verify(stated)

    def close(self) -> None:
        self._verifier.close()
