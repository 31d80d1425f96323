"""Problems as the prompts of reinforcement learning: what TRL samples from, and what a reward needs to judge.

dataset = prompt_dataset(load_problems("math", split="train"), get_template("r1"))
"""

import json
from collections.abc import Iterable

from datasets import Dataset

from passatn.tasks import Problem, PromptTemplate, render_prompt
from passatn.verify.reward import PROBLEM_COLUMN


def prompt_dataset(problems: Iterable[Problem], template: PromptTemplate) -> Dataset:
    """One row per problem: `prompt`, a text or (for a chat template) messages, and `problem`, its record as JSON.

    The record is text because the columns of a data set have one type, and metadata has any. Prompts have the tokens
    that `passatn.tasks.encode_prompt` gives them.
    """
    rows = [
        {
            "prompt": _messages(template, problem) if template.chat else render_prompt(template, problem.prompt),
            PROBLEM_COLUMN: json.dumps(problem.to_record(), ensure_ascii=False),
        }
        for problem in problems
    ]
    if not rows:
        raise ValueError("there are no problems to make prompts of")
    return Dataset.from_list(rows)


def _messages(template: PromptTemplate, problem: Problem) -> list[dict[str, str]]:
    system = [] if template.system is None else [{"role": "system", "content": template.system}]
    return [*system, {"role": "user", "content": render_prompt(template, problem.prompt)}]
