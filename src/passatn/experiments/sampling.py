"""`passatn sample`: many samples of a model into a store, judged, and pass@N from their counts.

passatn sample --model runs/ce/model --data test.jsonl --num-samples 256 --verifier exact --output samples/ce
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from passatn.evaluate import Results, problems_from_arrays
from passatn.experiments.problems import EncodedProblems
from passatn.sample import Engine, SampleRequest, SamplingParams
from passatn.sample.store import (
    Manifest,
    SampleStore,
    SamplingReport,
    model_fingerprint,
    sample_into_store,
    verify_store,
)
from passatn.tasks import extract_answer, get_template
from passatn.tasks.prompts import PromptTemplate
from passatn.verify.registry import get_verifier
from passatn.verify.verdict import Submission, Verdict, Verifier


def fill(
    engine: Engine,
    problems: EncodedProblems,
    params: SamplingParams,
    output: Path,
    *,
    model: str,
    template: str,
    settings: Mapping[str, Any],
) -> tuple[SampleStore, SamplingReport]:
    """Draw what the store at `output` lacks of `params.n` samples per problem.

    Args:
        settings: whatever else the samples depend on, such as {"engine": "hf"}; recorded and compared on resuming.

    Raises:
        StoreError: the store was begun with another model, other prompts or other parameters; names the difference.
    """
    requests = [
        SampleRequest(problem.id, answers[0].prompt_ids)
        for problem, answers in zip(problems.problems, problems.answers, strict=True)
    ]
    manifest = Manifest.for_run(
        model, requests, params, model_hash=model_fingerprint(model), template=template, **settings
    )
    store = SampleStore.open_or_create(str(output), manifest)
    return store, sample_into_store(engine, requests, params, store, progress=True)


def judge(
    store: SampleStore, problems: EncodedProblems, name: str, template: str, limits: Mapping[str, Any]
) -> dict[str, Any]:
    """Give every unjudged completion a verdict, and return the counts as columns of results.json."""
    verifier = get_verifier(name, **limits)
    if name == "exact":
        verifier = StatedAnswer(verifier, get_template(template))
    try:
        verify_store(store, verifier, {problem.id: problem for problem in problems.problems}, progress=True)
    finally:
        verifier.close()
    label = f"{verifier.name}@{verifier.version}"
    counts = store.counts([problem.id for problem in problems.problems], verifier=label)
    return {
        "num_samples": counts.num_samples,
        "num_correct": counts.num_correct,
        "num_truncated": counts.num_truncated,
        "num_timeouts": counts.num_timeouts,
        "num_errors": counts.num_errors,
    }


def results_of(
    columns: Mapping[str, Any], problems: EncodedProblems, run: Mapping[str, Any], ns: Sequence[int]
) -> Results:
    """results.json from counts: pass@N at those N for which every problem has enough samples."""
    ids = [problem.id for problem in problems.problems]
    metadata = [
        {key: value for key, value in problem.metadata.items() if key in ("level", "subject")}
        for problem in problems.problems
    ]
    return Results.from_problems(run, problems_from_arrays(ids, metadata=metadata, **columns), ns=ns)


class StatedAnswer:
    """Exact match of the answer that a completion states in its template's form (`<answer>…`, `\\boxed{…}`, …)."""

    def __init__(self, verifier: Verifier, template: PromptTemplate) -> None:
        self.name, self.version = verifier.name, f"{verifier.version}/{template.name}"
        self._verifier, self._template = verifier, template

    def verify(self, submissions: Any) -> list[Verdict]:
        """One verdict per submission, in order; a completion that states nothing is judged as it stands."""
        stated = [
            Submission(item.problem, extract_answer(self._template, item.completion) or item.completion)
            for item in submissions
        ]
        return self._verifier.verify(stated)

    def close(self) -> None:
        self._verifier.close()
