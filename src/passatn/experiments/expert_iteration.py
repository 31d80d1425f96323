"""`passatn expert`: train, prove theorems that have no proof yet, add the proofs, train again from the base model.

    passatn expert --config recipe.yaml --theorems train.jsonl --unproved unproved.jsonl --iterations 1 --output expert

arXiv 2502.07154, section 5.3 and table 6. The folder:

    expert.yaml                 the settings; the same ones are needed to go on
    iteration-0/tactics.jsonl   what is trained on: the steps of known proofs, and of those found in iterations before
    iteration-0/run/            `passatn train`; its model is at run/model
    iteration-0/unproved.jsonl  theorems that no iteration before has proved
    iteration-0/search/         `passatn prove` over them; the last iteration has none, as nothing would learn from it
    iteration-0/test/           `passatn prove` over the test theorems, if there are any
    iterations.json             what each iteration trained on and found

Each file appears whole or not at all, and a stage that is finished is not done again: after a kill the same command
goes on where it was, inside the training or the search that it was in.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

import yaml
from transformers import TrainerCallback

from passatn.evaluate import Results, write_atomically
from passatn.experiments import finetune, proving
from passatn.experiments.config import ConfigError, RunConfig
from passatn.experiments.mistakes import about
from passatn.experiments.options import EngineOptions
from passatn.experiments.proving_options import SearchOptions, TheoremOptions
from passatn.experiments.run_directory import RunDirectory
from passatn.lean import Goal, LeanError, LeanPool, LeanUnavailableError
from passatn.lean.syntax import theorem_name
from passatn.prove.analysis import Keep, choose_proofs
from passatn.prove.expert import found_steps, known_steps
from passatn.prove.record_files import read_records
from passatn.prove.records import SearchRecord, merge
from passatn.prove.theorem import theorems_of
from passatn.sample.engine import EngineError
from passatn.tasks import Problem, load_problems

Say = Callable[[str], None]
_SPEED = ("num_samples", "lean_workers", "in_flight", "batch_size", "shard")
SETTINGS_FILE, SUMMARY_FILE = "expert.yaml", "iterations.json"


class Search(Protocol):
    """A search that goes on where a killed one was: records/ in `output` as it works, results.json when it is done."""

    def __call__(self, model: Path, theorems: Path, output: Path, num_samples: int) -> None: ...

    def open_lean(self) -> LeanPool:
        """The Lean that it proves with: proofs are replayed in no other. To be closed."""


@dataclass(frozen=True, kw_only=True)
class ExpertConfig:
    """What is trained, proved and kept."""

    recipe: dict[str, Any]
    """Settings of `passatn train`; `train_data` is a file of tactics and is needed only without `theorems`."""
    theorems: str | None = None
    """Theorems whose metadata holds a `proof`, a list of tactics: they are replayed into examples."""
    unproved: str
    """Theorems to be proved; proofs that they may have are not looked at."""
    iterations: int = 1
    """How often proofs are added: there are iterations + 1 trainings."""
    num_samples: int = 1024
    keep: Keep = "shortest"
    proofs_per_theorem: int = 1
    test: str | None = None
    """Theorems that each iteration's model is tried on, and from which nothing is learnt."""
    test_samples: int = 1024
    search: dict[str, Any]
    """How the search is done, as far as it changes what is found: written down, and the same when going on."""

    def to_mapping(self) -> dict[str, Any]:
        """As expert.yaml has it, with digests of the files of theorems."""
        files = {name: getattr(self, name) for name in ("theorems", "unproved", "test")}
        files["train_data"] = self.recipe.get("train_data") if self.theorems is None else None
        digests = {f"{name}_digest": _digest(path) for name, path in files.items() if path is not None}
        return asdict(self) | digests


@dataclass(frozen=True)
class Iteration:
    """What one iteration did."""

    iteration: int
    num_examples: int
    num_found_examples: int
    """Steps of proofs that iterations before had found, among them."""
    num_to_prove: int = 0
    num_proved: int = 0
    pass_at_n: dict[int, float] | None = None
    """On the theorems that were to be proved."""
    test_pass_at_n: dict[int, float] | None = None


def run_expert(
    config: ExpertConfig,
    output: Path,
    search: Search,
    say: Say,
    *,
    overwrite: bool = False,
    make_bar: Callable[[], TrainerCallback] | None = None,
) -> list[Iteration]:
    """Run or go on with expert iteration in `output`; ends early when a search has found nothing to add.

    Raises:
        ConfigError: the folder holds something else or other settings, or a setting cannot be; nothing is written.
        ProblemError: a file of theorems that cannot be read; names the row.
        EngineError: Lean cannot go on; what was finished is stored.
    """
    _check(config)
    base = _BaseData(config)
    if overwrite or not (output / SETTINGS_FILE).exists():
        with _lean_errors(), search.open_lean():  # what cannot start leaves no folder behind
            pass
    _begin(config, output, overwrite=overwrite)
    done: list[Iteration] = []
    for number in range(config.iterations + 1):
        iteration = _Iteration(config, output / f"iteration-{number}", number)
        found = [record for before in range(number) for record in _proved(output / f"iteration-{before}" / "search")]
        iteration.write_tactics(base, found, search, say)
        iteration.train(say, make_bar)
        unproved = _without(config.unproved, {record.theorem for record in found})
        is_last = number == config.iterations or not unproved
        if not is_last:
            iteration.prove(unproved, search, say)
        if config.test is not None:
            search(iteration.model, Path(config.test), iteration.folder / "test", config.test_samples)
        done.append(iteration.summary())
        write_atomically(output / SUMMARY_FILE, _json([asdict(entry) for entry in done]))
        if not is_last and done[-1].num_proved == 0:
            say(f"iteration {number} proved nothing: another training would be on the same data")
            break
        if not unproved:
            say(f"iteration {number}: no theorem is left to be proved")
            break
    return done


class _BaseData:
    """The examples of iteration 0, made when they are first asked for."""

    def __init__(self, config: ExpertConfig) -> None:
        self._config, self._steps = config, None
        self._theorems = None if config.theorems is None else load_problems(config.theorems)

    def steps(self, lean: LeanPool) -> list[Problem]:
        if self._theorems is not None:
            with about(self._theorems.source):
                return known_steps(lean, self._theorems)
        recipe = RunConfig.from_mapping(self._config.recipe)
        rows = load_problems(
            recipe.train_data,
            preset=recipe.preset,
            columns=recipe.columns,
            split=recipe.train_split,
            skip_bad_rows=recipe.skip_bad_rows,
        )
        return list(rows)


@dataclass(frozen=True)
class _Iteration:
    config: ExpertConfig
    folder: Path
    number: int

    @property
    def tactics(self) -> Path:
        return self.folder / "tactics.jsonl"

    @property
    def model(self) -> Path:
        return self.folder / "run" / "model"

    def write_tactics(self, base: _BaseData, found: Sequence[SearchRecord], search: Search, say: Say) -> None:
        """tactics.jsonl: the steps of known proofs, then those of found ones."""
        if self.tactics.exists():
            return
        with _lean_errors(), search.open_lean() as lean:
            known = base.steps(lean)
            config = self.config
            steps, notices = found_steps(lean, found, keep=config.keep, limit=config.proofs_per_theorem)
        for notice in notices:
            say(notice)
        say(
            f"iteration {self.number}: {len(known):,} steps of known proofs and {len(steps):,} of proofs found, of "
            f"{len(found):,} theorems" + (f"; {len(notices):,} found proofs left out" if notices else "")
        )
        write_atomically(self.tactics, _lines([*known, *steps]))

    def train(self, say: Say, make_bar: Callable[[], TrainerCallback] | None) -> None:
        """From the base model; goes on from the last checkpoint of a killed training."""
        run = RunDirectory(self.folder / "run")
        recipe = RunConfig.from_mapping(self.config.recipe | {"train_data": str(self.tactics)})
        if run.is_finished:
            run.check(recipe.to_mapping(), resume=False, overwrite=False)
            return
        bar = None if make_bar is None else make_bar()
        try:
            finetune.train(recipe, run, say, resume=run.config.exists(), bar=bar)
        finally:
            if bar is not None and hasattr(bar, "stop"):
                bar.stop()

    def prove(self, unproved: Sequence[Problem], search: Search, say: Say) -> None:
        """Search for proofs of what no iteration before has proved."""
        theorems, output = self.folder / "unproved.jsonl", self.folder / "search"
        if not theorems.exists():
            write_atomically(theorems, _lines(unproved))
        search(self.model, theorems, output, self.config.num_samples)
        say(f"iteration {self.number}: {len(_proved(output)):,} of {len(unproved):,} theorems proved")

    def summary(self) -> Iteration:
        rows = [json.loads(line) for line in self.tactics.read_text(encoding="utf-8").splitlines()]
        searched = self.folder / "search"
        records = merge(read_records(searched / "records"))
        return Iteration(
            iteration=self.number,
            num_examples=len(rows),
            num_found_examples=sum(bool(row.get("metadata", {}).get("is_found")) for row in rows),
            num_to_prove=len(records),
            num_proved=sum(record.num_correct > 0 for record in records),
            pass_at_n=_pass_at_n(searched / "results.json"),
            test_pass_at_n=_pass_at_n(self.folder / "test" / "results.json"),
        )


@dataclass(frozen=True)
class _ProofSearch:
    engines: EngineOptions
    options: SearchOptions
    ns: Sequence[int]
    say: Say

    def __call__(self, model: Path, theorems: Path, output: Path, num_samples: int) -> None:
        asked = TheoremOptions(model=str(model), data=str(theorems))
        run = proving.ProofRun.of(asked, self.engines, replace(self.options, num_samples=num_samples))
        name = f"{output.parent.name} {output.name}"
        proving.prove(run, list(load_problems(theorems)), output, self.ns, name=name, overwrite=False, say=self.say)

    def open_lean(self) -> LeanPool:
        return proving.open_lean(self.options)[0]


def proof_search(engines: EngineOptions, options: SearchOptions, ns: Sequence[int], say: Say) -> Search:
    """`passatn prove` as a `Search`."""
    return _ProofSearch(engines, options, ns, say)


def search_settings(engines: EngineOptions, options: SearchOptions) -> dict[str, Any]:
    """What of the options decides what is found; the rest may differ when a killed iteration goes on.

    Raises:
        ConfigError: an option that has no meaning here, or is out of range.
    """
    proving.check_search(options)
    if options.shard != "1/1":
        raise ConfigError("--shard cannot be used here: an iteration needs all theorems")
    if engines.engine == "server":
        raise ConfigError("--engine server serves another model than the one that is trained: use hf or vllm")
    names = [item.name for item in fields(options) if item.name not in _SPEED]
    return {"engine": engines.engine} | {name: getattr(options, name) for name in names}


def _check(config: ExpertConfig) -> None:
    """What is wrong with the settings or the theorems shows before anything is written."""
    if config.iterations < 1 or config.num_samples < 1 or config.test_samples < 1:
        raise ConfigError("iterations and numbers of samples must be at least 1")
    placeholder = {} if config.theorems is None else {"train_data": config.theorems}
    recipe = RunConfig.from_mapping(config.recipe | placeholder)
    if recipe.trainer != "coverage":
        raise ConfigError(f"expert trains on proofs: trainer {recipe.trainer} has none, leave it out")
    if recipe.template != "tactic":
        raise ConfigError(f"template {recipe.template}: tactic models are trained and asked with the template tactic")
    try:
        choose_proofs(SearchRecord("a", "", "", 1, 0), keep=config.keep, limit=config.proofs_per_theorem)
    except ValueError as error:
        raise ConfigError(f"--keep, --proofs-per-theorem: {error}") from None
    learnt = {path: _goals(path) for path in (config.unproved, config.theorems) if path is not None}
    if config.test is not None:
        tested = set(_goals(config.test).values())
        for path, goals in learnt.items():
            if both := sorted(name for name, goal in goals.items() if goal in tested):
                raise ConfigError(
                    f"{path} and {config.test} both hold {both[0]!r} ({len(both)} such theorems): a model "
                    "would be tested on what it learnt"
                )


def _goals(path: str) -> dict[str, tuple[str, ...]]:
    """By name what is to be proved: the words of header and statement, without the name that the statement gives."""
    problems = load_problems(path)
    with about(path):
        return {theorem.name: _words(theorem.goal) for theorem in theorems_of(problems)}


def _words(goal: Goal) -> tuple[str, ...]:
    rest = goal.statement.lstrip().removeprefix("theorem").lstrip().removeprefix(theorem_name(goal.statement))
    return (*goal.header.split(), "theorem", *rest.split())


@contextmanager
def _lean_errors() -> Iterator[None]:
    """What is no fault of a theorem, as one line."""
    try:
        yield
    except LeanUnavailableError:
        raise
    except LeanError as error:
        raise EngineError(f"Lean: {error}") from None


def _begin(config: ExpertConfig, output: Path, *, overwrite: bool) -> None:
    """Write the settings, or see that they are those with which the folder was begun."""
    file, now = output / SETTINGS_FILE, config.to_mapping()
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is a file: choose another --output")
    is_occupied = output.is_dir() and any(output.iterdir())
    if is_occupied and not file.exists():
        raise ConfigError(f"{output} exists and holds something else: choose another --output")
    if is_occupied and overwrite:
        shutil.rmtree(output)
    elif is_occupied:
        before = yaml.safe_load(file.read_text(encoding="utf-8"))
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                raise ConfigError(
                    f"{output} was begun with {key}={before.get(key)!r}, now it is {now.get(key)!r}: use the same "
                    "settings, another --output, or --overwrite"
                )
    if not file.exists():
        write_atomically(file, yaml.safe_dump(now, sort_keys=False, allow_unicode=True).encode())


def _proved(search: Path) -> list[SearchRecord]:
    """Merged records of the theorems that a search has proved; none if there was no search."""
    return [record for record in merge(read_records(search / "records")) if record.num_correct]


def _without(unproved: str, proved: set[str]) -> list[Problem]:
    return [problem for problem in load_problems(unproved) if problem.id not in proved]


def _pass_at_n(results: Path) -> dict[int, float] | None:
    if not results.exists():
        return None
    curves = Results.load(results).pass_at_n
    return dict(zip(curves[0].ns, curves[0].estimate, strict=True)) if curves else None


def _digest(path: str) -> str:
    """Of a local file; of anything else its name has to do."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if Path(path).is_file() else path


def _lines(problems: Sequence[Problem]) -> bytes:
    return "".join(json.dumps(p.to_record(), ensure_ascii=False) + "\n" for p in problems).encode()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
