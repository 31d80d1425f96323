"""What `passatn recommend` chooses from: every run at every epoch and every way of decoding that was measured.

A source is a folder of `passatn train` (its evaluations after each epoch), or results.json of `passatn evaluate` (alone
or in its folder). Evaluations of a model that `passatn train` made belong to that run; so do evaluations of one model
at several temperatures to each other. Other temperatures than an evaluation's own come from `log_p_by_setting`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passatn.coverage import coverage, pass_at_n
from passatn.evaluate import Results
from passatn.experiments.config import ConfigError, objective_of, read_settings
from passatn.experiments.decoding import Setting, default_of, setting_of
from passatn.experiments.run_directory import RunDirectory
from passatn.experiments.sweep.finals import FINAL
from passatn.train.objectives.config import SAMPLED

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """One model of a run and a way to sample from it."""

    run: str
    """Different runs have different names."""
    objective: str | None = None
    n_passes: float | None = None
    """N of training; like the objective None where it is not known."""
    step: int | None = None
    epoch: float | None = None
    setting: Setting = (1.0, 1.0)
    is_last: bool = True
    """Whether no later step of the run was measured."""
    is_default: bool = True
    """Whether its setting is the one of the run that is closest to the model's own distribution."""

    @property
    def is_cross_entropy(self) -> bool:
        return self.objective == "dco" and self.n_passes == 1

    @property
    def training(self) -> str:
        """Objective, and N where it has one, in words; empty where they are not known."""
        if self.is_cross_entropy:
            return "cross-entropy"
        name = "DCO" if self.objective == "dco" else self.objective
        has_n = self.n_passes is not None and self.objective in (None, *SAMPLED)
        at = "" if not has_n else f"N_train = {self.n_passes:g}"
        return ", ".join(part for part in (name, at) if part)

    @property
    def label(self) -> str:
        epoch = "" if self.epoch is None else f"epoch {self.epoch:.3g}"
        step = "" if self.step is None else f"(step {self.step:,})" if epoch else f"step {self.step:,}"
        decoding = "" if self.setting == (1.0, 1.0) else f"T = {self.setting[0]:g}"
        if self.setting[1] != 1:
            decoding += f", top-p = {self.setting[1]:g}"
        name = f"{self.run} ({self.training})" if self.training else self.run
        return ", ".join(part for part in (name, f"{epoch} {step}".strip(), decoding) if part)


@dataclass(frozen=True)
class Pool:
    """Candidates and their numbers over the same problems: log p `[candidates, P]` where known for all, else counts."""

    candidates: tuple[Candidate, ...]
    log_p: Array | None
    samples: NDArray[np.int64] | None = None
    correct: NDArray[np.int64] | None = None
    notices: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    """Of the problems; empty where they have no names."""

    @property
    def num_problems(self) -> int:
        return int(self.rates.shape[1])

    @cached_property
    def rates(self) -> Array:
        """[candidates, P] probability that one sample is correct: exact, or the share of correct samples."""
        if self.log_p is not None:
            return np.asarray(np.exp(self.log_p))
        assert self.samples is not None
        assert self.correct is not None
        return np.asarray(self.correct / self.samples)

    @property
    def fewest_samples(self) -> float:
        return np.inf if self.samples is None else float(self.samples.min())

    def of_problems(self, problems: NDArray[np.int64]) -> "Pool":
        """The numbers of these columns."""

        def of(values: Any) -> Any:
            return None if values is None else values[:, problems]

        ids = tuple(self.ids[column] for column in problems) if self.ids else ()
        return replace(self, log_p=of(self.log_p), samples=of(self.samples), correct=of(self.correct), ids=ids)

    def of_candidates(self, rows: Sequence[int]) -> "Pool":
        """These candidates, in this order."""

        def of(values: Any) -> Any:
            return None if values is None else values[list(rows)]

        chosen = tuple(self.candidates[row] for row in rows)
        return replace(
            self, candidates=chosen, log_p=of(self.log_p), samples=of(self.samples), correct=of(self.correct)
        )

    def covered(self, counts: Mapping[int, int]) -> Array:
        """[P] probability that one of the samples is correct, `counts` of each candidate; unbiased from counts."""
        missed = np.ones(self.num_problems)
        for index, count in counts.items():
            if self.log_p is not None:
                missed *= 1 - coverage(self.log_p[index], count)
            else:
                assert self.samples is not None
                assert self.correct is not None
                missed *= 1 - pass_at_n(self.samples[index], self.correct[index], count)
        return 1 - missed

    def all_covered(self, n: int) -> Array:
        """[candidates, P] pass@n; from fewer than n samples it is that of the observed rates, good enough to choose."""
        if self.fewest_samples < n:
            with np.errstate(divide="ignore"):
                return np.asarray(coverage(np.log(self.rates), n))
        return np.stack([self.covered({index: n}) for index in range(len(self.candidates))])


@dataclass(frozen=True)
class _Measured:
    """A candidate before runs have their final names, with its columns by problem id."""

    key: str
    """The same for all candidates of a run; empty: a run of its own."""
    candidate: Candidate
    ids: list[str]
    columns: dict[str, NDArray[Any]]


def read_pool(sources: Sequence[Path]) -> Pool:
    """The candidates in these folders and files.

    Raises:
        ConfigError: nothing to read there, or the sources are not over the same problems.
        ValueError: a results.json that cannot be read.
    """
    measured: list[_Measured] = []
    notices = []
    for source in sources:
        run = RunDirectory(source)
        if not run.config.is_file():
            file = source / "results.json" if source.is_dir() else source
            if not file.is_file():
                raise ConfigError(f"{file}: no results there (passatn evaluate or passatn train writes them)")
            measured += _measure(Results.load(file), file)
            continue
        files = run.evaluation_files()
        if not files:
            raise ConfigError(f"{source}: no evaluation on held-out problems in it: train with eval_data")
        if not (run.is_finished or run.results.exists()):  # a sweep keeps no weights
            notices.append(f"{source} is not finished: its last epoch here is not the end of its training")
        for file in files:
            measured += _measure(Results.load(file), file)
    return _pool(measured, tuple(notices))


def pool_of(runs: Iterable[Results]) -> Pool:
    """Results without files: each is a run of its own."""
    return _pool([replace(found, key="") for run in runs for found in _measure(run, None)[:1]], ())


def _measure(results: Results, file: Path | None) -> list[_Measured]:
    """The evaluation itself, then its other settings."""
    key, candidate = _origin(results, file)
    columns = {name: results.column(name) for name in ("log_p", "num_samples", "num_correct")}
    found = [_Measured(key, candidate, results.ids, {k: v for k, v in columns.items() if v is not None})]
    labels = list(dict.fromkeys(label for problem in results.problems for label in problem.log_p_by_setting))
    for label in labels:
        for problem in results.problems:
            if label not in problem.log_p_by_setting:
                raise ConfigError(f"{file or results.name}: problem {problem.id!r} has no log_p_by_setting[{label!r}]")
        setting = setting_of(label)
        if setting != candidate.setting:
            log_p = np.array([problem.log_p_by_setting[label] for problem in results.problems])
            found.append(_Measured(key, replace(candidate, setting=setting), results.ids, {"log_p": log_p}))
    return found


def _origin(results: Results, file: Path | None) -> tuple[str, Candidate]:
    """Which run an evaluation belongs to, and its place there, as far as that is known."""
    run = results.run
    setting = float(run.get("temperature", 1.0)), float(run.get("top_p", 1.0))
    folder, step = _training(run, file)
    if folder is not None:
        objective, n = objective_of(read_settings(folder / "config.yaml", ()))
        n_passes = None if n is None else float(n)
        epoch = run.get("epoch", _epoch_of(folder, step))
        return str(folder.resolve()), Candidate(_name(folder.resolve()), objective, n_passes, step, epoch, setting)
    known = run.get("n_passes", 1 if run.get("kind") == "ce" else None)
    objective = run.get("objective", None if known is None else "dco")
    trained_for = None if known is None else float(known)
    model = "" if "step" in run else str(run.get("model", ""))
    place = Candidate(results.name, objective, trained_for, run.get("step"), run.get("epoch"), setting)
    return model or str(file or ""), place


def _name(folder: Path) -> str:
    """Of a sweep's final trainings also the arm: `01-ce/trial-000-seed-0`."""
    return f"{folder.parent.name}/{folder.name}" if (folder / FINAL).exists() else folder.name


def _training(run: Mapping[str, Any], file: Path | None) -> tuple[Path | None, int | None]:
    """The folder of `passatn train` that an evaluation was part of, or that its model comes from, and the step."""
    if "step" in run:
        above = [] if file is None else file.resolve().parents[:2]
        return next((folder for folder in above if (folder / "config.yaml").is_file()), None), run["step"]
    model = Path(str(run.get("model", "")))
    if model.name == "model" and (model.parent / "config.yaml").is_file():
        files = RunDirectory(model.parent).evaluation_files()
        return model.parent, int(files[-1].stem.removeprefix("step-")) if files else None
    number = model.name.removeprefix("checkpoint-")
    if model.parent.name == "checkpoints" and number.isdigit() and (model.parent.parent / "config.yaml").is_file():
        return model.parent.parent, int(number)
    return None, None


def _epoch_of(folder: Path, step: int | None) -> float | None:
    file = RunDirectory(folder).evaluations / f"step-{step or 0:06d}.json"
    return Results.load(file).run.get("epoch") if file.is_file() else None


def _pool(measured: Sequence[_Measured], notices: tuple[str, ...]) -> Pool:
    candidates = _marked(_named(measured))
    ids = measured[0].ids
    columns: dict[str, list[Any]] = {"log_p": [], "num_samples": [], "num_correct": []}
    for found in measured:
        place = {problem_id: row for row, problem_id in enumerate(found.ids)}
        if different := set(ids) ^ place.keys():
            raise ConfigError(
                f"{found.candidate.run} and {measured[0].candidate.run} differ in problem {min(different)!r}: "
                "same problems please"
            )
        rows = [place[problem_id] for problem_id in ids]
        for name, column in found.columns.items():
            columns[name].append(column[rows])
    full: dict[str, Any] = {name: np.stack(rows) for name, rows in columns.items() if len(rows) == len(measured)}
    if "log_p" in full:
        return Pool(candidates, full["log_p"], notices=notices, ids=tuple(ids))
    if "num_samples" not in full:
        raise ConfigError("the runs share neither log_p nor counts of samples")
    return Pool(candidates, None, full["num_samples"], full["num_correct"], notices, tuple(ids))


def _named(measured: Sequence[_Measured]) -> list[Candidate]:
    """Each run under one name of its own. What is there twice is a second run: the same model searched twice, say."""
    runs: list[tuple[str, str, set[tuple[int | None, Setting]]]] = []
    candidates = []
    for found in measured:
        place = found.candidate.step, found.candidate.setting
        names = [name for key, name, places in runs if key and key == found.key and place not in places]
        if not names:
            taken = [name for _, name, _ in runs]
            numbered = (f"{found.candidate.run} ({number})" for number in range(2, len(runs) + 2))
            names = [next(name for name in [found.candidate.run, *numbered] if name not in taken)]
            runs.append((found.key, names[0], set()))
        next(places for _, name, places in runs if name == names[0]).add(place)
        candidates.append(replace(found.candidate, run=names[0]))
    return candidates


def _marked(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """With `is_last` and `is_default`, which depend on the rest of the run."""
    marked = []
    for candidate in candidates:
        same = [other for other in candidates if other.run == candidate.run]
        last = max(-1 if other.step is None else other.step for other in same)
        default = default_of([other.setting for other in same])
        is_last = (-1 if candidate.step is None else candidate.step) == last
        marked.append(replace(candidate, is_last=is_last, is_default=candidate.setting == default))
    return tuple(marked)
