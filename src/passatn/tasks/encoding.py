"""A prompt and a completion as token ids: the one form that training, scoring and sampling share.

The rules are those of trl.SFTTrainer on prompt/completion data: the prompt is tokenised alone and again together with
its completion, text gets the tokenizer's special tokens and one end-of-sequence token, a chat goes through the
tokenizer's chat template. What TRL warns about or does silently is an error here, because it changes p(completion):
a token that merges across the border between the two, an example that is too long, a completion that has no end.

    example = encode_example(tokenizer, get_template("direct"), problem)
    examples, skipped = encode_problems(tokenizer, get_template("direct"), problems, skip_bad=True, max_length=1024)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from passatn.tasks.problem import Problem
from passatn.tasks.prompts import PromptTemplate, render_completion
from passatn.tasks.tokenise import EncodingError, joint_ids, prompt_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BATCH = 1000


@dataclass(frozen=True)
class EncodedExample:
    """Token ids of one prompt and one completion; the completion ends with the end-of-sequence token."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]


class BoundaryMergeError(EncodingError):
    """The prompt's tokens change when the completion follows."""


class TooLongError(EncodingError):
    """Prompt and completion together exceed the maximum length."""


@dataclass(frozen=True)
class SkipReport:
    """What `encode_problems` left out: `errors` holds (problem id, error) in the order of the problems."""

    num_problems: int
    errors: tuple[tuple[str, EncodingError], ...] = ()

    @property
    def num_skipped(self) -> int:
        return len(self.errors)

    def describe(self) -> str:
        """One line: how many of how many, by kind, and the first reason."""
        if not self.errors:
            return f"all {self.num_problems} examples encoded"
        kinds = Counter(type(error).__name__ for _, error in self.errors)
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        return f"{self.num_skipped} of {self.num_problems} examples left out ({counts}); first: {self.errors[0][1]}"


def encode_prompt(tokenizer: PreTrainedTokenizerBase, template: PromptTemplate, problem: Problem) -> tuple[int, ...]:
    """The ids that sampling starts from, equal to `prompt_ids` of the problem's examples."""
    return tuple(prompt_ids(tokenizer, template, [problem])[0])


def encode_example(
    tokenizer: PreTrainedTokenizerBase,
    template: PromptTemplate,
    problem: Problem,
    answer: str | None = None,
    *,
    max_length: int | None = None,
) -> EncodedExample:
    """One prompt with one answer, by default the first accepted one. Raises EncodingError or a subclass of it."""
    answer = _first_answer(problem) if answer is None else answer
    return _raise_error(_encode(tokenizer, template, [(problem, answer)], max_length)[0])


def encode_answers(
    tokenizer: PreTrainedTokenizerBase, template: PromptTemplate, problem: Problem, *, max_length: int | None = None
) -> list[EncodedExample]:
    """One example per accepted answer, in their order; answers with the same tokens count once."""
    _first_answer(problem)
    encoded = _encode(tokenizer, template, [(problem, answer) for answer in problem.answers], max_length)
    return list(dict.fromkeys(_raise_error(item) for item in encoded))


def encode_problems(
    tokenizer: PreTrainedTokenizerBase,
    template: PromptTemplate,
    problems: Sequence[Problem],
    *,
    skip_bad: bool = False,
    max_length: int | None = None,
) -> tuple[list[EncodedExample | None], SkipReport]:
    """The first accepted answer of every problem, aligned with `problems`, through batched tokenizer calls.

    An example that cannot be encoded raises its EncodingError; with `skip_bad` it is None in the list and counted in
    the report. Faults of the tokenizer itself raise in any case.
    """
    encoded: list[EncodedExample | EncodingError] = []
    for start in range(0, len(problems), _BATCH):
        encoded += _encode_first_answers(tokenizer, template, problems[start : start + _BATCH], max_length)
    if not skip_bad:
        return [_raise_error(item) for item in encoded], SkipReport(len(problems))
    pairs = zip(problems, encoded, strict=True)
    errors = tuple((problem.id, item) for problem, item in pairs if isinstance(item, EncodingError))
    examples = [item if isinstance(item, EncodedExample) else None for item in encoded]
    return examples, SkipReport(len(problems), errors)


def _encode_first_answers(
    tokenizer: PreTrainedTokenizerBase,
    template: PromptTemplate,
    problems: Sequence[Problem],
    max_length: int | None,
) -> list[EncodedExample | EncodingError]:
    encoded = iter(_encode(tokenizer, template, [(p, p.answers[0]) for p in problems if p.answers], max_length))
    return [next(encoded) if problem.answers else _no_answer(problem) for problem in problems]


def _encode(
    tokenizer: PreTrainedTokenizerBase,
    template: PromptTemplate,
    items: Sequence[tuple[Problem, str]],
    max_length: int | None,
) -> list[EncodedExample | EncodingError]:
    """One result per (problem, answer); errors of single examples are returned, not raised."""
    if not items:
        return []
    problems = [problem for problem, _ in items]
    completions = [render_completion(template, answer, problem.reasoning) for problem, answer in items]
    prompts = prompt_ids(tokenizer, template, problems)
    joints = joint_ids(tokenizer, template, problems, completions)
    results: list[EncodedExample | EncodingError] = []
    for problem, prompt, joint in zip(problems, prompts, joints, strict=True):
        try:
            example = _split(tokenizer, template, problem, prompt, joint)
            _check_length(problem, example, max_length)
            results.append(example)
        except EncodingError as error:
            results.append(error)
    return results


def _split(
    tokenizer: PreTrainedTokenizerBase,
    template: PromptTemplate,
    problem: Problem,
    prompt: list[int],
    joint: list[int],
) -> EncodedExample:
    if joint[: len(prompt)] != prompt:
        raise _boundary_error(tokenizer, template, problem, prompt, joint)
    completion, eos_id = tuple(joint[len(prompt) :]), tokenizer.eos_token_id
    if eos_id not in completion:
        raise EncodingError(
            f"problem {problem.id!r}: no end-of-sequence token {tokenizer.eos_token!r} in the tokenised completion; "
            + _end_remedy(template)
        )
    end = len(completion) - completion[::-1].index(eos_id)
    if eos_id in completion[: end - 1]:
        raise EncodingError(
            f"problem {problem.id!r}: the end-of-sequence token {tokenizer.eos_token!r} stands inside the completion, "
            "where sampling would stop; remove it from the answer or the reasoning"
        )
    if not template.chat and end < len(completion):
        raise EncodingError(
            f"problem {problem.id!r}: the tokenizer puts {tokenizer.decode(list(completion[end:]))!r} behind the "
            "end-of-sequence token; use a tokenizer that adds special tokens only in front"
        )
    return EncodedExample(tuple(prompt), completion[:end])


def _boundary_error(
    tokenizer: PreTrainedTokenizerBase,
    template: PromptTemplate,
    problem: Problem,
    prompt: list[int],
    joint: list[int],
) -> BoundaryMergeError:
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(prompt, joint, strict=False)))
    alone = tokenizer.decode(prompt[same : same + 1])
    together = tokenizer.decode(joint[same : same + 1])
    remedy = (
        "use a chat template that renders the prompt the same way with and without an answer"
        if template.chat
        else "end the prompt on a token border, for example by moving its last space to the start of the completion"
    )
    return BoundaryMergeError(
        f"problem {problem.id!r}: a token merges across the end of the prompt, where the prompt alone has {alone!r} "
        f"and prompt with completion has {together!r}; {remedy} (template {template.name!r})"
    )


def _end_remedy(template: PromptTemplate) -> str:
    if template.chat:
        return "set tokenizer.eos_token to the token with which the chat template ends an answer"
    return "the tokenizer must read it as one special token (see split_special_tokens)"


def _check_length(problem: Problem, example: EncodedExample, max_length: int | None) -> None:
    num_prompt, num_completion = len(example.prompt_ids), len(example.completion_ids)
    if max_length is not None and num_prompt + num_completion > max_length:
        raise TooLongError(
            f"problem {problem.id!r}: {num_prompt} prompt tokens + {num_completion} completion tokens exceed "
            f"max_length {max_length}; raise max_length, or leave such problems out (skip_bad)"
        )


def _first_answer(problem: Problem) -> str:
    if not problem.answers:
        raise _no_answer(problem)
    return problem.answers[0]


def _no_answer(problem: Problem) -> EncodingError:
    return EncodingError(f"problem {problem.id!r} has no accepted answer to encode")


def _raise_error(item: EncodedExample | EncodingError) -> EncodedExample:
    if isinstance(item, EncodingError):
        raise item
    return item
