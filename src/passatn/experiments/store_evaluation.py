"""`passatn evaluate --samples STORE`: everything that counts of samples give.

    passatn evaluate --samples samples/dco --data test.jsonl --verifier math --score log_prob --output eval/dco

pass@N, pass^N, maj@N, best-of-N and the number of distinct answers, each with an interval; pass@N past the samples
taken, with a check on samples that are hidden; and how many samples a wanted interval takes.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from passatn.evaluate import (
    AnswerCounts,
    MetricCurve,
    Results,
    best_of_n,
    count_answers,
    distinct_answers,
    extrapolate_pass_at_n,
    hold_out_check,
    join_equal,
    majority_at_n,
    metric_curve,
    pass_hat_n,
    plan_samples,
    problems_from_arrays,
)
from passatn.experiments.config import ConfigError
from passatn.sample.progress import progress_bar
from passatn.sample.scores import Scorer, get_scorer
from passatn.sample.store import SampleStore
from passatn.tasks import Problem

UNVOTABLE = ("code", "lean")
"""Verifiers whose answers are programs or proofs, which hardly ever repeat: a vote says nothing."""
HELD_OUT_SHARE = 4
"""The check of an extrapolation keeps one in so many samples."""


@dataclass(frozen=True)
class StoreQuestions:
    """What is asked of a store."""

    ns: tuple[int, ...]
    score: str | None = None
    extrapolate: tuple[int, ...] = ()
    half_width: float | None = None
    """Of the interval that is wished for, a fraction."""
    validation: str | None = None
    """Folder of stores, where the store itself is a folder of stores with several settings."""

    def describe(self) -> dict[str, Any]:
        given = {"score": self.score, "extrapolate": list(self.extrapolate), "half_width": self.half_width}
        given["validation_samples"] = self.validation
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True)
class _Counted:
    """What the samples of one problem come to."""

    problem_id: str
    columns: Mapping[str, int]
    answers: AnswerCounts
    best: np.ndarray | None


def evaluate_store(
    path: str,
    questions: StoreQuestions,
    *,
    run: Mapping[str, Any],
    problems: Mapping[str, Problem] | None = None,
    verifier: str | None = None,
) -> tuple[Results, list[AnswerCounts]]:
    """The results, and the distinct answers per problem that they follow from.

    Args:
        problems: by id, for metadata and reward models; without them problems have only their ids.
        verifier: whose verdicts, "name@version" (None: the only ones there are).

    Raises:
        StoreError, ConfigError: the store cannot be read, has completions without a verdict, or lacks the samples.
    """
    if problems is None and (questions.score or "").startswith("reward:"):
        raise ConfigError("--score reward:… reads the problems: give them as --data")
    store = SampleStore.open(path)
    label = verifier or _only(store)
    name = "" if label is None else label.partition("@")[0]
    scorer = get_scorer(questions.score, store.folder) if questions.score else None
    key, same, close = _grouping(name)
    # Where every sample was cut at the length limit there was nothing to judge, and there are no verdicts to read.
    stored_as = label if store.verifiers() else None
    try:
        counted = _count(store, stored_as, problems, questions.ns, scorer, key)
        answers = [one.answers for one in counted]
        if same is not None:
            answers = join_equal(answers, same)
    finally:
        close()
    description = dict(run) | {"samples": path, "model": store.manifest.model} | questions.describe()
    if label is not None:
        description["verifier"] = label
    sampling = store.manifest.sampling
    description |= {name: sampling[name] for name in ("temperature", "top_p") if sampling.get(name, 1) != 1}
    ids = [one.problem_id for one in counted]
    facts = [problems[problem_id].metadata if problems else {} for problem_id in ids]
    metadata = [{key: value for key, value in fact.items() if key in ("level", "subject")} for fact in facts]
    columns: dict[str, Any] = {name: [one.columns[name] for one in counted] for name in counted[0].columns}
    if min(questions.ns) > min(columns["num_samples"]):
        raise ConfigError(
            f"{path}: some problem has only {min(columns['num_samples'])} samples, fewer than the smallest N asked "
            f"for, {min(questions.ns)}: sample more, or ask for smaller --ns"
        )
    records = problems_from_arrays(ids, metadata=metadata, **columns)
    results = Results.from_problems(description, records, ns=questions.ns)
    # Imported samples may have verdicts and no answers: then there is nothing to vote with.
    votes = name not in UNVOTABLE and any(len(one.counts) for one in answers)
    metrics = _metrics(counted, answers, questions, votes=votes, score=scorer.name if scorer else "")
    return replace(results, metrics=tuple(metrics)), answers


def has_both(results: Results) -> bool:
    """Whether there are correct and incorrect samples, without which nothing can be fitted to their counts."""
    samples, correct = results.column("num_samples"), results.column("num_correct")
    return samples is not None and correct is not None and 0 < int(correct.sum()) < int(samples.sum())


def write_answers(path: Path, results: Results, answers: Sequence[AnswerCounts]) -> None:
    """answers.parquet, the raw numbers behind the metrics: problem_id, answer (null: none), count, correct (share)."""
    rows: dict[str, list[Any]] = {"problem_id": [], "answer": [], "count": [], "correct": []}
    for problem_id, problem in zip(results.ids, answers, strict=True):
        silent = [(None, problem.num_silent, 0.0)] if problem.num_silent else []
        for row in [*zip(problem.answers, problem.counts.tolist(), problem.correct.tolist(), strict=True), *silent]:
            for column, value in zip(rows, (problem_id, *row), strict=True):
                rows[column].append(value)
    types = {"problem_id": pa.string(), "answer": pa.string(), "count": pa.int64(), "correct": pa.float64()}
    pq.write_table(pa.table(rows, schema=pa.schema(list(types.items()))), path)


def _only(store: SampleStore) -> str | None:
    """The verifier whose verdicts there are; None where only those stored with the samples can be meant."""
    labels = store.verifiers()
    if len(labels) > 1:
        raise ConfigError(f"{store.folder.name}: has verdicts of {', '.join(labels)}: say which with --verifier")
    return labels[0] if labels else None


def _grouping(
    name: str,
) -> tuple[Callable[[str], object], Callable[[list[tuple[str, str]]], list[bool]] | None, Callable[[], None]]:
    """For the verifier of that name: a key of answers, their equality where it is more than the key's, and its end."""
    if name != "math":
        return str, None, lambda: None
    from passatn.verify.math import MathVerifier, answer_key

    verifier = MathVerifier()
    return answer_key, verifier.equal_answers, verifier.close


def _count(
    store: SampleStore,
    label: str | None,
    problems: Mapping[str, Problem] | None,
    ns: Sequence[int],
    scorer: Scorer | None,
    key: Callable[[str], object],
) -> list[_Counted]:
    """Problem by problem, in the order of `problems`, or of their ids."""
    ids = store.contents().problem_ids
    wanted = ids if problems is None else list(problems)
    if missing := set(wanted) - set(ids):
        raise ConfigError(f"{store.folder.name}: has no samples of problem {min(missing)!r} ({len(missing)} in all)")
    if not wanted:
        raise ConfigError(f"{store.folder.name}: has no samples")
    counted = {}
    with progress_bar("evaluating", len(ids), show=True) as advance:
        for samples in store.iter_problems(label):
            problem_id = samples.problem_id
            if problems is None or problem_id in problems:
                problem = Problem(problem_id, problem_id, ()) if problems is None else problems[problem_id]
                try:
                    counted[problem_id] = _count_one(problem, samples.rows, ns, scorer, key)
                except ConfigError as error:
                    raise ConfigError(f"{store.folder.name}: {error}") from None
            advance(1)
    return [counted[problem_id] for problem_id in wanted]


def _count_one(
    problem: Problem, rows: pa.Table, ns: Sequence[int], scorer: Scorer | None, key: Callable[[str], object]
) -> _Counted:
    counts = rows["count"].to_numpy()
    finished = rows["finished"].to_numpy()
    verdicts = np.array([verdict or "" for verdict in rows["verdict"].to_pylist()])
    if (finished & (verdicts == "")).any():
        raise ConfigError(
            f"completions of problem {problem.id!r} have no verdict yet: give a --verifier, and the problems as --data"
        )
    correct = finished & (verdicts == "correct")
    masks = {
        "num_samples": np.ones_like(finished),
        "num_correct": correct,
        "num_truncated": ~finished,
        "num_timeouts": finished & (verdicts == "timeout"),
        "num_errors": finished & (verdicts == "error"),
    }
    given = rows["answer"].to_pylist()
    answers = [answer if ended else None for answer, ended in zip(given, finished.tolist(), strict=True)]
    best = None
    if scorer is not None:
        enough = [n for n in ns if n <= counts.sum()]
        best = best_of_n(scorer.score(problem, rows), correct, enough, counts)
    return _Counted(
        problem_id=problem.id,
        columns={name: int(counts[mask].sum()) for name, mask in masks.items()},
        answers=count_answers(answers, counts.tolist(), correct.tolist(), key),
        best=best,
    )


def _metrics(
    counted: Sequence[_Counted], answers: Sequence[AnswerCounts], questions: StoreQuestions, *, votes: bool, score: str
) -> list[MetricCurve]:
    samples, correct = (np.array([one.columns[name] for one in counted]) for name in ("num_samples", "num_correct"))
    ns = [n for n in questions.ns if n <= samples.min()]
    curves = []
    if ns:
        curves.append(metric_curve("pass^N", pass_hat_n(samples[:, None], correct[:, None], np.array(ns)), ns))
        if votes:
            voted = [
                majority_at_n(one.counts, one.correct, ns, num_silent=one.num_silent, seed=number)
                for number, one in enumerate(answers)
            ]
            curves.append(metric_curve("maj@N", np.stack(voted), ns))
            distinct = [distinct_answers(one.counts, ns, num_silent=one.num_silent) for one in answers]
            curves.append(metric_curve("distinct answers", np.stack(distinct), ns, is_fraction=False))
        if score:
            best = np.stack([one.best[: len(ns)] for one in counted if one.best is not None])
            curves.append(metric_curve(f"best-of-N by {score}", best, ns))
    can_fit = 0 < correct.sum() < samples.sum()
    if questions.extrapolate and can_fit:
        curves.append(_extrapolation(samples, correct, questions.extrapolate))
    if questions.half_width is not None and can_fit:
        curves.append(_plans(samples, correct, questions.ns, questions.half_width))
    return curves


def _extrapolation(samples: np.ndarray, correct: np.ndarray, ns: Sequence[int]) -> MetricCurve:
    predicted = extrapolate_pass_at_n(samples, correct, ns)
    detail: dict[str, Any] = {"a": predicted.a, "b": predicted.b, "num_samples": int(samples.min())}
    kept = int(samples.min()) // HELD_OUT_SHARE
    if kept >= 1:
        # Among few correct samples, those that are kept may be all wrong: then there is nothing to predict from.
        with suppress(ValueError):
            check = hold_out_check(samples, correct, kept, [int(samples.min())])
            detail["check"] = {
                "num_kept": kept,
                "n": check.ns[0],
                "predicted": check.predicted[0],
                "observed": check.observed[0],
            }
    return MetricCurve(
        metric="pass@N, extrapolated",
        ns=predicted.ns,
        estimate=predicted.estimate,
        low=predicted.low,
        high=predicted.high,
        num_problems=len(samples),
        detail=detail,
    )


def _plans(samples: np.ndarray, correct: np.ndarray, ns: Sequence[int], half_width: float) -> MetricCurve:
    """The half-width that can be expected at each N; `detail` says what the wanted one takes."""
    plans = [plan_samples(samples, correct, n, half_width) for n in ns]
    widths = [plan.expected_limit if plan.expected_now is None else plan.expected_now for plan in plans]
    needs = {
        str(plan.n): {
            "with_these_samples": plan.expected_now,
            "with_any_number_of_samples": plan.expected_limit,
            "samples_per_problem": plan.num_samples,
            "problems": plan.num_problems,
        }
        for plan in plans
    }
    return MetricCurve(
        metric="expected half-width of the interval",
        ns=tuple(ns),
        estimate=tuple(widths),
        low=tuple(widths),
        high=tuple(widths),
        num_problems=len(samples),
        detail={"wanted": half_width, "needs": needs},
    )
