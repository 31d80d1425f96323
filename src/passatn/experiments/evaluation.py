"""`passatn evaluate` and `passatn score`: a model and a file of problems in, exact pass@N out.

passatn evaluate --model runs/ce/model --data test.jsonl --output eval/ce
"""

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from passatn.evaluate import Results, problems_from_arrays
from passatn.experiments.config import ConfigError
from passatn.experiments.config import objective_of as config_objective
from passatn.experiments.counting import count_outcomes, outcomes_of
from passatn.experiments.problems import EncodedProblems
from passatn.report import write_run_report
from passatn.sample import HFEngine, SampleRequest, SamplingParams, score_completions, score_problems
from passatn.tasks import get_template
from passatn.verify.exact import ExactVerifier
from passatn.verify.stated import StatedAnswer
from passatn.verify.verdict import Outcome, Verifier


def score(model: PreTrainedModel, problems: EncodedProblems) -> list[dict[str, Any]]:
    """One record per problem: log p of every accepted answer with its end of sequence, and of all together (nats).

    −∞ is the string "-inf", as in results.json.
    """
    flat = [example for answers in problems.answers for example in answers]
    log_p = iter(score_completions(model, flat, progress=True)[:, 0].tolist())
    records = []
    for problem, answers in zip(problems.problems, problems.answers, strict=True):
        scores = [next(log_p) for _ in answers]
        total = min(0.0, float(np.logaddexp.reduce(scores)))
        records.append(
            {
                "id": problem.id,
                "log_p": _plain(total),
                "answers": [
                    {"log_p": _plain(value), "num_tokens": len(example.completion_ids)}
                    for value, example in zip(scores, answers, strict=True)
                ],
            }
        )
    return records


def _plain(log_p: float) -> float | str:
    return "-inf" if log_p == -math.inf else log_p


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    problems: EncodedProblems,
    *,
    run: dict[str, Any],
    template: str,
    ns: Sequence[int],
    num_samples: int = 0,
    temperature: float = 1.0,
    seed: int = 0,
    max_new_tokens: int | None = None,
    verifier: Verifier | None = None,
) -> Results:
    """Exact pass@N, greedy confidence and, if asked for, pass@N from samples of the same problems.

    Args:
        run: description that goes into results.json; needs `name`.
        num_samples: samples per problem (0: none).
        temperature: of the samples and of the exact scores.
        max_new_tokens: longest completion (None: twice the longest accepted answer).
        verifier: judges greedy and sampled completions (None: the answer that they state is an accepted text).
    """
    judge = verifier or StatedAnswer(ExactVerifier(), get_template(template))
    by_id = {problem.id: problem for problem in problems.problems}
    longest = max(len(example.completion_ids) for answers in problems.answers for example in answers)
    limit = 2 * longest if max_new_tokens is None else max_new_tokens
    log_p = score_problems(model, problems.answers, temperatures=(temperature,), progress=True)[:, 0]
    engine = HFEngine(model, tokenizer)
    requests = [
        SampleRequest(problem.id, answers[0].prompt_ids)
        for problem, answers in zip(problems.problems, problems.answers, strict=True)
    ]
    greedy = engine.greedy(requests, limit, progress=True)
    columns: dict[str, Any] = {
        "log_p": log_p,
        "is_exact": False,
        "greedy_log_p": np.array([completion.log_prob for completion in greedy]),
        "greedy_correct": [outcome is Outcome.CORRECT for outcome in outcomes_of(greedy, by_id, judge)],
    }
    if num_samples:
        parameters = SamplingParams(n=num_samples, temperature=temperature, max_new_tokens=limit, seed=seed)
        columns |= count_outcomes(engine.sample(requests, parameters, progress=True), by_id, judge, num_samples)
    metadata = [
        {key: value for key, value in problem.metadata.items() if key in ("level", "subject")}
        for problem in problems.problems
    ]
    ids = [problem.id for problem in problems.problems]
    description = run | {"template": template, "temperature": temperature, "seed": seed, "num_samples": num_samples}
    description |= {"max_new_tokens": limit}
    return Results.from_problems(description, problems_from_arrays(ids, metadata=metadata, **columns), ns=ns)


def stored_results(
    output: Path, asked: dict[str, Any], ns: Sequence[int], *, overwrite: bool = False
) -> Results | None:
    """The evaluation that `output` holds already; None if the folder is free, or holds one that may be overwritten.

    Raises:
        ConfigError: the folder holds something else, or an evaluation with other settings than `asked`.
    """
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is a file: choose another --output")
    if not output.exists() or not any(output.iterdir()):
        return None
    file = output / "results.json"
    if not file.exists() or (output / "config.yaml").exists():
        raise ConfigError(f"{output} exists and holds something else: choose another --output")
    if overwrite:
        return None
    results = Results.load(file)
    before = {"ns": list(results.pass_at_n[0].ns)} | dict(results.run)
    for key, value in (asked | {"ns": list(ns)}).items():
        if before.get(key) != value:
            raise ConfigError(
                f"{output} holds an evaluation with {key}={before.get(key)!r}, now it is {value!r}: choose another "
                "--output, or --overwrite"
            )
    return results


def write(results: Results, output: Path, *, also: Callable[[Path], None] | None = None) -> None:
    """results.json, report.html and pass_at_n.png in `output`: made aside, so that nothing is left if one fails.

    Args:
        also: writes further files into the folder that it is given.
    """
    staging = output.with_name(f".{output.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        write_run_report([results], staging)
        if also is not None:
            also(staging)
        results.save(staging / "results.json")
        output.mkdir(parents=True, exist_ok=True)
        for file in sorted(staging.iterdir(), key=lambda path: path.name == "results.json"):
            file.replace(output / file.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def objective_of(model: str) -> dict[str, Any]:
    """The N that a model of `passatn train` was trained for, so that reports can draw it as such; else nothing.

    With it an objective other than DCO.
    """
    config = Path(model).parent / "config.yaml"
    if Path(model).name != "model" or not config.is_file():
        return {}
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    if not isinstance(settings, dict):
        return {}
    objective, n_passes = config_objective(settings)
    known = {} if n_passes is None else {"n_passes": n_passes}
    return known | ({} if objective == "dco" else {"objective": objective})
