"""Problems with reasoning as training data, and what a roll-out needs to know about a training example.

dataset = reasoning_dataset(load_problems("math", split="train"), get_template("r1"))
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from datasets import Dataset

from passatn.sample.engine import SampleRequest
from passatn.tasks import EncodedExample, Problem, PromptTemplate, render_completion
from passatn.train.grpo_data import prompt_dataset
from passatn.verify.reward import PROBLEM_COLUMN


def reasoning_dataset(problems: Iterable[Problem], template: PromptTemplate) -> Dataset:
    """One row per problem: `prompt`, `completion` (its reasoning and first accepted answer) and `problem`, its record.

    For a chat template, prompt and completion are messages.

    Raises:
        ValueError: there are no problems, or one has no accepted answer to train on.
    """
    problems = list(problems)
    completions: list[Any] = []
    for problem in problems:
        if not problem.answers:
            raise ValueError(f"problem {problem.id!r} has no accepted answer to train on")
        text = render_completion(template, problem.answers[0], problem.reasoning)
        completions.append([{"role": "assistant", "content": text}] if template.chat else text)
    prompts = prompt_dataset(problems, template)
    return Dataset.from_list(
        [row | {"completion": completion} for row, completion in zip(prompts, completions, strict=True)]
    )


class Candidates:
    """Training examples by index, as an engine and a verifier see them.

    Args:
        dataset: tokenised, with columns `input_ids`, `labels` (−100 on the prompt) and `problem`.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset.select_columns(["input_ids", "labels", PROBLEM_COLUMN])

    def __len__(self) -> int:
        return len(self._dataset)

    def encoded(self, index: int) -> EncodedExample:
        row = self._dataset[index]
        start = next(position for position, label in enumerate(row["labels"]) if label != -100)
        return EncodedExample(tuple(row["input_ids"][:start]), tuple(row["input_ids"][start:]))

    def requests(self, indices: Sequence[int]) -> list[SampleRequest]:
        """The prompts; a request's id is the candidate's index, so that its random numbers are its own."""
        return [SampleRequest(str(index), self.encoded(index).prompt_ids) for index in indices]

    def problem(self, index: int) -> Problem:
        return Problem.from_record(json.loads(self._dataset[index][PROBLEM_COLUMN]))

    def num_tokens(self, indices: Sequence[int]) -> int:
        """Completion tokens of these examples together."""
        return sum(label != -100 for index in indices for label in self._dataset[index]["labels"][1:])

    @property
    def longest_completion(self) -> int:
        return max(sum(label != -100 for label in labels) for labels in self._dataset["labels"])
