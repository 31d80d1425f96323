"""Verdicts as rewards: 1 for a correct completion, 0 for any other, in the form that TRL's reinforcement learners call.

    reward = VerifierReward("math", get_template("r1"))
    reward(prompts, completions, problem=[json.dumps(problem.to_record()), ...])        # [1.0, 0.0, ...]

With `strict` a completion has to state its answer in the template's own form (see `extract_answer`): only what stands
there is judged, and where nothing does the reward is 0. Without it the verifier reads the whole completion and finds
the answer by its own rules. A timeout and an error of the verifier give 0; their share is logged.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from passatn.tasks import Problem, PromptTemplate, extract_answer
from passatn.verify.registry import get_verifier
from passatn.verify.verdict import Outcome, Submission, Verdict, Verifier

PROBLEM_COLUMN = "problem"
"""The column of the data set that holds each problem's record as JSON."""


class VerifierReward:
    """A reward function over the columns of `passatn.train.grpo_data.prompt_dataset`.

    Args:
        verifier: a verifier, or the name of one (see `passatn.verify.registry`), which is then closed by `close`.
        template: the template that the prompts were made with.
        strict: reward only answers in the template's form.
    """

    def __init__(self, verifier: str | Verifier, template: PromptTemplate, *, strict: bool = True) -> None:
        self.verifier = get_verifier(verifier) if isinstance(verifier, str) else verifier
        self.template = template
        self.strict = strict
        self.__name__ = self.name = self.verifier.name  # what TRL logs the reward under
        self.version = f"{self.verifier.version}/{template.name}" if strict else self.verifier.version

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        problem: Sequence[str] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float]:
        """One reward per completion; `completions` are texts or messages.

        Raises ValueError if the data set has no column `problem`.
        """
        if problem is None:
            raise ValueError(
                f"the data set has no column {PROBLEM_COLUMN!r} to verify against; make it with "
                "passatn.train.grpo_data.prompt_dataset"
            )
        texts = [_text(completion) for completion in completions]
        given = [Submission(_problem(record), text) for record, text in zip(problem, texts, strict=True)]
        judged = [verdict.outcome for verdict in self.verify(given)]
        if log_metric is not None:
            log_metric("answer_in_format", sum(self._stated(text) is not None for text in texts) / len(texts))
            log_metric("verifier_failed", sum(o in (Outcome.TIMEOUT, Outcome.ERROR) for o in judged) / len(texts))
        return [float(outcome is Outcome.CORRECT) for outcome in judged]

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        """Verdicts by the rule of the reward, in order: what states no answer in the form asked for is incorrect."""
        stated = [self._stated(item.completion) for item in submissions]
        pairs = zip(submissions, stated, strict=True)
        judged = [Submission(item.problem, text) for item, text in pairs if text is not None]
        verdicts = iter(self.verifier.verify(judged))
        unstated = Verdict(Outcome.INCORRECT, detail="no answer in the template's form")
        return [unstated if text is None else next(verdicts) for text in stated]

    def close(self) -> None:
        """Release the verifier's processes; safe to call twice."""
        self.verifier.close()

    def _stated(self, text: str) -> str | None:
        return extract_answer(self.template, text) if self.strict else text


def _text(completion: Any) -> str:
    """The assistant's last message of a chat, or the text as it is."""
    return completion if isinstance(completion, str) else completion[-1]["content"]


@lru_cache(maxsize=4096)
def _problem(record: str) -> Problem:
    return Problem.from_record(json.loads(record))
