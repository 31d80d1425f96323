"""The distinct answers of a model, with their exact probabilities and whether they are right.

The engine gives each completion's log-probability under the model itself, so that nothing has to be scored again.
"""

from typing import Any

import numpy as np

from passatn.experiments.problems import EncodedProblems
from passatn.sample import Completion, HFEngine, SampleRequest, SamplingParams
from passatn.tasks import get_template
from passatn.verify.exact import ExactVerifier
from passatn.verify.stated import StatedAnswer
from passatn.verify.verdict import Outcome, Submission

KEPT = 50
"""Answers that are kept of each problem, the most probable ones."""


def ranked_answers(
    model: Any, tokenizer: Any, problems: EncodedProblems, template: str, num_samples: int, *, limit: int
) -> list[dict[str, Any]]:
    """For each of the first `limit` problems its sampled answers and the greedy one, the most probable first.

    Returns:
        Records of `id`, `log_q` (nats, falling), `correct`, and `seen`, the probability of all distinct completions
        that were sampled, also of those not kept.
    """
    chosen = problems.problems[:limit]
    prompts = [answers[0].prompt_ids for answers in problems.answers[:limit]]
    longest = 2 * max(len(example.completion_ids) for answers in problems.answers for example in answers)
    requests = [SampleRequest(problem.id, prompt) for problem, prompt in zip(chosen, prompts, strict=True)]
    engine = HFEngine(model, tokenizer)
    params = SamplingParams(n=num_samples, max_new_tokens=longest, seed=0)
    found = [*engine.sample(requests, params, progress=True), *engine.greedy(requests, longest)]
    distinct: dict[str, dict[tuple[int, ...], Completion]] = {problem.id: {} for problem in chosen}
    for completion in found:
        if completion.finished:
            distinct[completion.problem_id].setdefault(completion.token_ids, completion)
    judge = StatedAnswer(ExactVerifier(), get_template(template))
    records = []
    for problem in chosen:
        ranked = sorted(distinct[problem.id].values(), key=lambda completion: -completion.log_prob)
        verdicts = judge.verify([Submission(problem, completion.text) for completion in ranked[:KEPT]])
        marks = [verdict.outcome is Outcome.CORRECT for verdict in verdicts]
        log_q = [completion.log_prob for completion in ranked]
        seen = float(np.exp(log_q).sum())
        records.append({"id": problem.id, "log_q": log_q[:KEPT], "correct": marks, "seen": seen})
    return records
