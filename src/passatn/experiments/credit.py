"""`passatn credit`: what samples got right becomes an accepted answer to be trained on, beside the gold one.

    passatn sample --model runs/0/model --data train.jsonl --num-samples 64 --verifier math --output samples
    passatn credit samples --data train.jsonl --output credited.jsonl
    passatn train --train_data credited.jsonl --confidence answers …

Where a problem has several correct answers and the data names one, a model that says another one is told that it is
wrong. With confidence="answers" (`train/alternatives.py`) p is the probability of all accepted answers together, as the
coverage of arXiv 2502.07154, section 4.1 has it; here the verifier says which they are, among those that were sampled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from passatn.experiments.config import ConfigError
from passatn.sample.store import SampleStore
from passatn.tasks import Problem, PromptTemplate, get_template
from passatn.tasks.prompts import extract_answer


@dataclass(frozen=True)
class Credited:
    """Problems with their new answers behind the accepted ones, and what is to be told of them."""

    problems: list[Problem]
    num_credited: int
    """Of the problems: those that have new answers."""
    num_answers: int
    num_unsampled: int
    """Problems that the store does not know; they are as they were."""


def credit(
    store: SampleStore, problems: Mapping[str, Problem], *, verifier: str | None = None, limit: int = 8
) -> Credited:
    """Add to each problem the correct answers that were sampled most often, at most `limit` of them.

    Args:
        problems: by id.
        verifier: whose verdicts, "name@version" (None: the only ones there are).

    Raises:
        ConfigError: the samples have no verdicts, or the template has a place for reasoning, which an answer alone
            does not fill.
        StoreError: the store cannot be read.
    """
    template = get_template(store.manifest.template or "raw")
    if "{reasoning}" in template.completion:
        raise ConfigError(
            f"{store.folder.name}: was sampled with the template {template.name}, whose completions reason before they "
            "answer: an answer alone is no completion. Train with confidence: rollouts, which credits them as a whole"
        )
    found: dict[str, tuple[str, ...]] = {}
    sampled = set()
    for samples in store.iter_problems(verifier):
        if (problem := problems.get(samples.problem_id)) is None:
            continue
        sampled.add(problem.id)
        if answers := _new_answers(problem, samples.rows, template, limit, store.folder.name):
            found[problem.id] = answers
    if not sampled:
        raise ConfigError(f"{store.folder.name}: has no samples of these problems")
    return Credited(
        [replace(problem, answers=(*problem.answers, *found.get(problem.id, ()))) for problem in problems.values()],
        num_credited=len(found),
        num_answers=sum(map(len, found.values())),
        num_unsampled=len(problems) - len(sampled),
    )


def _new_answers(problem: Problem, rows: pa.Table, template: PromptTemplate, limit: int, name: str) -> tuple[str, ...]:
    """Correct answers by how often they were drawn, then by text, without those that are accepted already."""
    ended = rows.filter(rows["finished"])
    if ended["verdict"].null_count:
        raise ConfigError(
            f"{name}: completions of problem {problem.id!r} have no verdict yet: passatn sample --verifier judges them"
        )
    counts: dict[str, int] = {}
    correct = ended.filter(pc.equal(ended["verdict"], "correct"))
    for completion, count in zip(correct["completion"].to_pylist(), correct["count"].to_pylist(), strict=True):
        answer = extract_answer(template, completion)
        if answer is not None and answer not in problem.answers:
            counts[answer] = counts.get(answer, 0) + count
    return tuple(sorted(counts, key=lambda answer: (-counts[answer], answer))[:limit])
