"""`passatn prove`: proofs searched with a tactic model, theorem by theorem, and pass@N from the counts.

passatn prove --model runs/ce/model --data theorems.jsonl --num-samples 1024 --output proofs/ce

manifest.json     what was asked; a call that asks for something else is refused
records/*.jsonl   one line per theorem and slice, as soon as it is done; a killed or larger call does what is missing
proofs/NAME.lean  for each proved theorem the most probable proof that was found
results.json      counts and pass@N, for `passatn compare`, `report` and `recommend`
"""

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passatn.evaluate import Results
from passatn.experiments import sampling
from passatn.experiments.config import ConfigError
from passatn.experiments.evaluation import objective_of
from passatn.experiments.options import EngineOptions
from passatn.experiments.progress import make_progress
from passatn.experiments.proving_folder import ProofFolder
from passatn.experiments.proving_options import SearchOptions, TheoremOptions
from passatn.experiments.quiet import quiet_libraries
from passatn.lean import LeanError, LeanPool, LeanUnavailableError, lean_project
from passatn.lean.embedded import LEAN_VERSION
from passatn.lean.repl import project_repl
from passatn.prove.best_first import BestFirstSearch
from passatn.prove.loop import CheckProofs, SearchLoop
from passatn.prove.proof_checks import embedded_checks, embedded_goal_check, project_checks
from passatn.prove.record_files import RecordFiles, missing_slices, read_records
from passatn.prove.records import SearchRecord, merge, problem_results
from passatn.prove.rollouts import RolloutSearch
from passatn.prove.search import Search
from passatn.prove.tactic_model import TacticModel
from passatn.prove.theorem import Theorem, theorems_of
from passatn.sample import SamplingParams
from passatn.sample.engine import EngineError
from passatn.sample.models import context_length, load_tokenizer
from passatn.sample.spec import EngineSpec
from passatn.sample.store import model_fingerprint
from passatn.tasks import Problem, get_template

METHODS = ("rollouts", "best-first")
DEFAULT_ROLLOUTS = 1024
_SHOWN = 20
"""Reasons not to search that are named."""


@dataclass(frozen=True)
class ProofRun:
    """All that one call of the command was asked for."""

    options: TheoremOptions
    engines: EngineOptions
    search: SearchOptions
    spec: EngineSpec
    params: SamplingParams
    share: tuple[int, int]
    max_length: int | None

    @classmethod
    def of(cls, options: TheoremOptions, engines: EngineOptions, search: SearchOptions) -> "ProofRun":
        """Raises ConfigError: options that do not go together, or are out of range; names them."""
        check_search(search)
        if options.max_prompt_tokens is not None or options.max_answer_tokens is not None:
            raise ConfigError("theorems are not chosen by length: --max-length limits states with their tactics")
        spec = sampling.engine_spec(
            engines, options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code
        )
        params = SamplingParams(
            n=1, max_new_tokens=search.max_new_tokens, seed=search.seed, temperature=search.temperature
        )
        length = search.max_length or spec.options.get("max_model_len")
        if length is None and engines.engine != "server":
            length = context_length(options.model, trust_remote_code=options.trust_remote_code)
        if length is not None and length <= search.max_new_tokens:
            raise ConfigError(
                f"the model takes {length} tokens, so --max-new-tokens {search.max_new_tokens} leaves none for states"
            )
        return cls(options, engines, search, spec, params, parse_share(search.shard), length)

    @property
    def num_samples(self) -> int:
        default = DEFAULT_ROLLOUTS if self.search.method == "rollouts" else 1
        return self.search.num_samples or default

    @property
    def slice_size(self) -> int:
        return self.search.slice_size if self.search.method == "rollouts" else 1

    def settings(self) -> dict[str, Any]:
        """What the samples are samples of: all that a record depends on, beside its theorem."""
        search, spec = self.search, self.spec
        model = {"model": spec.model} if spec.kind == "server" else {"model_hash": model_fingerprint(spec.model)}
        names = ["max_depth", "max_new_tokens", "temperature", "seed", "time_limit", "tactic_timeout", "check_timeout"]
        names += ["lean_memory_mb"]
        if search.method == "best-first":
            names += ["width", "max_tactics", "max_expansions", "alpha"]
        return (
            {"method": search.method, **model, "engine": spec.kind}
            | sampling.shaping_options(spec)
            | {"template": self.options.template, "max_length": self.max_length}
            | {name: getattr(search, name) for name in names}
            | {"lean": search.project or LEAN_VERSION}
            | ({} if search.replay is None else {"replay": search.replay})
        )

    def describe(self) -> dict[str, Any]:
        """For results.json."""
        kept = ("method", "max_depth", "max_new_tokens", "temperature", "seed", "time_limit", "tactic_timeout")
        shard = {} if self.share == (1, 1) else {"shard": self.search.shard}
        best_first = {} if self.search.method == "rollouts" else {"width": self.search.width}
        if best_first:
            best_first |= {"max_tactics": self.search.max_tactics}
        project = {key: getattr(self.search, key) for key in ("project", "repl") if getattr(self.search, key)}
        return (
            objective_of(self.options.model)
            | self.options.describe()
            | {name: getattr(self.search, name) for name in kept}
            | {"num_samples": self.num_samples}
            | best_first
            | project
            | shard
        )


def check_search(search: SearchOptions) -> None:
    """Raises ConfigError: options that are out of range whatever the model and the theorems are."""
    if search.method not in METHODS:
        raise ConfigError(f"--method {search.method!r}: there are {', '.join(METHODS)}")
    for name in ("time_limit", "tactic_timeout", "check_timeout"):
        if not getattr(search, name) > 0:
            raise ConfigError(f"--{name.replace('_', '-')} must be positive, got {getattr(search, name)}")
    if not math.isfinite(search.alpha) or search.alpha < 0:
        raise ConfigError(f"--alpha must be finite and not negative, got {search.alpha}")
    if not 0 < search.temperature < math.inf:
        raise ConfigError(f"--temperature must be positive, got {search.temperature}")
    for name in ("repl", "replay"):
        if getattr(search, name) is not None and search.project is None:
            raise ConfigError(f"--{name} belongs to --project")


def check_samples(num_samples: int, ns: Sequence[int], option: str = "--num-samples") -> None:
    """Raises ConfigError where not even the smallest N of pass@N can be had; `option` is what is too small."""
    if num_samples < min(ns):
        raise ConfigError(f"{option} {num_samples} is less than the smallest of --ns, {min(ns)}")


def parse_share(text: str) -> tuple[int, int]:
    """(I, N) of "I/N". Raises ConfigError."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"--shard {text}: expected I/N with 1 ≤ I ≤ N, such as 1/4")
    return int(match[1]), int(match[2])


def prove(
    run: ProofRun,
    problems: Sequence[Problem],
    output: Path,
    ns: Sequence[int],
    *,
    name: str,
    overwrite: bool,
    say: Callable[[str], None],
) -> Results:
    """Search what the folder lacks, then write proofs and results of this call's share of the theorems.

    Raises:
        ConfigError: the folder holds something else, or a search with other settings.
        EngineError: the model or Lean cannot go on; what was finished is stored.
    """
    number, num_shares = run.share
    theorems = theorems_of(problems)[number - 1 :: num_shares]
    if not theorems:
        raise ConfigError(f"--shard {run.search.shard}: there are only {len(problems)} theorems")
    check_samples(run.num_samples, ns)
    folder = ProofFolder(output)
    settings = run.settings()
    folder.check(settings, overwrite=overwrite)
    records = [] if overwrite else _known(folder, theorems)
    todo = list(_searches(run, theorems, records))
    if todo:
        try:
            records += _search(run, todo, folder, settings, overwrite=overwrite, say=say)
        except LeanUnavailableError:
            raise
        except LeanError as error:
            raise EngineError(f"Lean: {error} (what was finished is in {folder.records})") from None
    else:
        say(f"all {len(theorems)} theorems have been searched: {output}")
    by_name = {record.theorem: record for record in merge(records)}
    merged = [by_name[theorem.name] for theorem in theorems]
    _name_refused(merged, say)
    folder.write_proofs(merged)
    results = Results.from_problems({"name": name} | run.describe(), problem_results(merged), ns)
    results.save(folder.results)
    return results


def _known(folder: ProofFolder, theorems: Sequence[Theorem]) -> list[SearchRecord]:
    """The records of these theorems that the folder holds."""
    goals = {theorem.name: theorem.goal for theorem in theorems}
    known = [record for record in read_records(folder.records) if record.theorem in goals]
    for record in known:
        goal = goals[record.theorem]
        if (record.statement, record.header) != (goal.statement, goal.header):
            raise ConfigError(
                f"{folder.path} holds a search of another statement named {record.theorem!r}: choose another --output, "
                "or --overwrite"
            )
    return known


def _searches(run: ProofRun, theorems: Sequence[Theorem], records: Sequence[SearchRecord]) -> Iterator[Search]:
    """One search for each slice that is missing."""
    by_name: dict[str, list[SearchRecord]] = {}
    for record in records:
        by_name.setdefault(record.theorem, []).append(record)
    how = run.search
    for theorem in theorems:
        for first, count in missing_slices(by_name.get(theorem.name, []), run.num_samples, run.slice_size):
            if how.method == "rollouts":
                yield RolloutSearch(theorem, first, count, max_depth=how.max_depth)
            else:
                yield BestFirstSearch(
                    theorem,
                    first,
                    width=how.width,
                    max_tactics=how.max_tactics,
                    max_expansions=how.max_expansions,
                    alpha=how.alpha,
                    max_depth=how.max_depth,
                )


def _search(
    run: ProofRun,
    searches: Sequence[Search],
    folder: ProofFolder,
    settings: dict[str, Any],
    *,
    overwrite: bool,
    say: Callable[[str], None],
) -> list[SearchRecord]:
    """The records of all searches, each stored when it is done."""
    how = run.search
    with ExitStack() as stack:
        pool, check = open_lean(how)
        stack.callback(pool.close)
        with quiet_libraries():
            tokenizer_of = run.engines.tokenizer if run.engines.engine == "server" else run.options.model
            tokenizer = None
            if tokenizer_of is not None:
                tokenizer = load_tokenizer(tokenizer_of, trust_remote_code=run.options.trust_remote_code)
        template = get_template(run.options.template)
        engine = sampling.open_engine(run.engines, run.spec)
        stack.callback(engine.close)
        model = TacticModel(engine, tokenizer, run.params, template=template, max_length=run.max_length)
        loop = SearchLoop(
            model,
            pool,
            check,
            max_in_flight=how.in_flight,
            batch_size=how.batch_size,
            time_limit=how.time_limit,
            num_checkers=how.lean_workers,
            # In a project each would import Mathlib once more; there the REPL reads the header as the check does.
            check_goal=None
            if how.project
            else embedded_goal_check(timeout_seconds=how.check_timeout, memory_mb=how.lean_memory_mb),
        )
        # Only now: what cannot start leaves no folder behind.
        folder.begin(settings, overwrite=overwrite)
        files = RecordFiles(folder.records, how.shard.replace("/", "-of-"))
        return _run(loop, searches, files, say)


def _run(
    loop: SearchLoop, searches: Sequence[Search], files: RecordFiles, say: Callable[[str], None]
) -> list[SearchRecord]:
    records: list[SearchRecord] = []
    proved: set[str] = set()
    left = Counter(search.theorem.name for search in searches)
    num_theorems = len(left)
    began = time.monotonic()
    with make_progress(description_width=0) as progress:
        task = progress.add_task("proving", total=num_theorems, note="")
        for record in loop.run(searches):
            files.append(record)
            records.append(record)
            left.subtract([record.theorem])
            if record.num_correct:
                proved.add(record.theorem)
            rate = loop.num_drawn / max(1e-9, time.monotonic() - began)
            progress.update(task, note=f"{len(proved)} proved  {rate:,.0f} tactics/s")
            if not left[record.theorem]:
                progress.advance(task)
    seconds = max(1e-9, time.monotonic() - began)
    tried = sum(record.num_tried for record in records)
    say(
        f"{len(proved)} of {num_theorems} theorems proved; {loop.num_drawn:,} tactics drawn, {tried:,} tried in "
        f"{seconds:,.0f} s: {loop.num_drawn / seconds:,.0f} tactics/s"
    )
    return records


def open_lean(how: SearchOptions) -> tuple[LeanPool, CheckProofs]:
    """The Lean of a search, to be closed, and who rules over its proofs. Raises LeanError where there is none."""
    if how.project is None:
        pool = LeanPool(how.lean_workers, how.tactic_timeout, how.lean_memory_mb)
        return pool, embedded_checks(timeout_seconds=how.check_timeout, memory_mb=how.lean_memory_mb)
    project = lean_project(how.project, replay=how.replay or "")
    start = project_repl(how.project, how.repl)
    pool = LeanPool(how.lean_workers, how.tactic_timeout, how.lean_memory_mb, start_repl=start)
    return pool, project_checks(project, timeout_seconds=how.check_timeout, memory_mb=how.lean_memory_mb)


def _name_refused(records: Sequence[SearchRecord], say: Callable[[str], None]) -> None:
    """How many were not searched and why the first was not; then those with other reasons."""
    refused = [record for record in records if record.problem]
    by_reason: dict[str, str] = {}
    for record in refused:
        by_reason.setdefault(f"{' '.join(record.problem.split()):.300}", record.theorem)
    if refused:
        num_refused = f"{len(refused)} of {len(records)} theorems"
        say(f"{num_refused} not searched, they count as not proved; the first for each reason:")
    for reason, theorem in list(by_reason.items())[:_SHOWN]:
        say(f"{theorem}: not searched: {reason}")
    if len(by_reason) > _SHOWN:
        say(f"… and {len(by_reason) - _SHOWN} more reasons")
