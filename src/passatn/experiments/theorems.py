"""`passatn theorems`: generated theorems with proofs that Lean has followed, as files to train on and to search in.

    passatn theorems --output theorems --num-train 2000

writes `train.jsonl`, `validation.jsonl`, `test.jsonl` (theorems with a proof in the metadata), `train-tactics.jsonl`
and `validation-tactics.jsonl` (a problem per state and tactic), and last `manifest.json`, which marks a whole set. The
same arguments write the same theorems and tactics.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

from passatn.evaluate import write_atomically
from passatn.experiments.config import ConfigError
from passatn.experiments.run_directory import environment
from passatn.lean import Check, GoalError, LeanError, LeanPool, check_proof
from passatn.lean.embedded import LEAN_VERSION
from passatn.prove.generator.branching import branching
from passatn.prove.generator.generate import FAMILIES, NewTheorem, generate
from passatn.prove.trace import Trace, TraceError, tactic_problems, trace_proof
from passatn.sample.progress import progress_bar
from passatn.tasks.problem import Problem

SCHEMA_VERSION = 1
_WITH_TACTICS = ("train", "validation")
_UNPRINTED = "failed to pretty print"
Splits = Mapping[str, Sequence[tuple[NewTheorem, Trace]]]


@dataclass(frozen=True, kw_only=True)
class TheoremSettings:
    """How many theorems of which families.

    `num_checked` of them are also checked as whole files, which takes a fresh process each; in `num_branching` training
    states the tactics of other proofs are tried.
    """

    num_train: int = 2000
    num_validation: int = 100
    num_test: int = 100
    seed: int = 0
    families: tuple[str, ...] = tuple(FAMILIES)
    num_checked: int = 20
    num_branching: int = 100

    @property
    def counts(self) -> dict[str, int]:
        return {"train": self.num_train, "validation": self.num_validation, "test": self.num_test}


def make_theorems(
    output: Path,
    settings: TheoremSettings,
    *,
    overwrite: bool = False,
    num_workers: int = 2,
    show_progress: bool = False,
) -> dict[str, Any]:
    """Write the files and return the manifest.

    Raises:
        ConfigError: `output` is taken, or a number is out of range.
        GeneratorError: a family does not exist, or is exhausted.
        TraceError: Lean does not follow a proof, which is a bug of the family that made it.
    """
    check_output(output, overwrite=overwrite)
    if settings.num_train < 1 or min(settings.counts.values()) < 0:
        raise ConfigError("--num-train must be positive, --num-validation and --num-test not negative")
    started = time.monotonic()
    with progress_bar("making theorems", sum(settings.counts.values()), show=show_progress) as advance:
        drawn = generate(settings.counts, seed=settings.seed, families=settings.families, advance=advance)
    with LeanPool(num_workers=num_workers) as lean:
        with progress_bar("following proofs", sum(settings.counts.values()), show=show_progress) as advance:
            splits = _traced(lean, drawn, num_workers, advance)
        choice = branching(
            lean,
            [trace for _, trace in splits["train"]],
            num_states=settings.num_branching,
            num_tactics=100,
            seed=settings.seed,
        )
    _check_some(splits, settings, num_workers, show_progress=show_progress)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "kind": "theorems",
        "seed": settings.seed,
        "counts": settings.counts,
        "families": list(settings.families),
        "lean": LEAN_VERSION,
        "environment": environment(),
        "num_checked_as_files": min(settings.num_checked, sum(settings.counts.values())),
        "statistics": statistics(splits),
        "branching": choice,
        "seconds": round(time.monotonic() - started, 1),
    }
    _write(output, splits, manifest)
    return manifest


def describe(manifest: Mapping[str, Any]) -> str:
    """One line for the person at the terminal."""
    train, choice = manifest["statistics"]["train"], manifest["branching"]
    counts = ", ".join(f"{count:,} {split}" for split, count in manifest["counts"].items())
    length, distinct = train["mean_num_tactics"], train["num_distinct_tactics"]
    applicable = choice.get("mean_applicable", 0)
    return f"{counts}; {length:.1f} tactics a proof, {distinct:,} distinct ones, of which {applicable:.0f} fit a state"


def check_output(output: Path, *, overwrite: bool) -> None:
    """Raises ConfigError where the folder may not be written to."""
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is a file: choose another --output")
    if output.is_dir() and any(output.iterdir()) and not overwrite:
        raise ConfigError(f"{output} exists: choose another --output, or --overwrite")


def _traced(
    lean: LeanPool, drawn: Mapping[str, Sequence[NewTheorem]], num_workers: int, advance: Callable[[int], None]
) -> dict[str, list[tuple[NewTheorem, Trace]]]:
    """Every proof followed. Raises TraceError, after all have been tried, if Lean does not follow one."""
    failures: list[str] = []

    def follow(theorem: NewTheorem) -> tuple[NewTheorem, Trace] | None:
        try:
            trace = trace_proof(lean, theorem.goal, theorem.tactics)
        except (TraceError, GoalError) as error:
            failures.append(str(error))
            return None
        else:
            if any(_UNPRINTED in text for text in trace.texts):
                failures.append(f"{theorem.name}: Lean cannot print a state")
            return theorem, trace
        finally:
            advance(1)

    with ThreadPoolExecutor(num_workers) as threads:
        followed = {split: list(threads.map(follow, theorems)) for split, theorems in drawn.items()}
    if failures:
        raise TraceError(f"Lean does not follow {len(failures)} of the proofs, such as {min(failures)}")
    return {split: [pair for pair in pairs if pair is not None] for split, pairs in followed.items()}


def _check_some(splits: Splits, settings: TheoremSettings, num_workers: int, *, show_progress: bool) -> None:
    """Some proofs as whole files, as a search has its own checked. Raises LeanError if one is refused."""
    theorems = [theorem for split in splits.values() for theorem, _ in split]
    chosen = Random(f"check {settings.seed}").sample(theorems, min(settings.num_checked, len(theorems)))

    def check(theorem: NewTheorem) -> Check:
        return check_proof(theorem.goal, "\n".join(theorem.tactics))

    with (
        progress_bar("checking files", len(chosen), show=show_progress) as advance,
        ThreadPoolExecutor(num_workers) as threads,
    ):
        for theorem, ruling in zip(chosen, threads.map(check, chosen), strict=True):
            if not ruling.is_proved:
                raise LeanError(f"{theorem.name}: the whole proof is not accepted: {ruling.detail}")
            advance(1)


def statistics(splits: Splits) -> dict[str, Any]:
    """Counts and lengths for each split, and what a test proof shares with the training proofs."""
    known = {tactic for _, trace in splits["train"] for tactic in trace.tactics}
    return {split: _of_split([*pairs], known) for split, pairs in splits.items() if pairs}


def _of_split(pairs: list[tuple[NewTheorem, Trace]], known: set[str]) -> dict[str, Any]:
    lengths = Counter(len(trace.tactics) for _, trace in pairs)
    tactics = [tactic for _, trace in pairs for tactic in trace.tactics]
    states = [text for _, trace in pairs for text in trace.texts[:-1]]
    return {
        "families": dict(sorted(Counter(theorem.family for theorem, _ in pairs).items())),
        "num_tactics": len(tactics),
        "mean_num_tactics": round(len(tactics) / len(pairs), 3),
        "num_tactics_histogram": {str(length): lengths[length] for length in sorted(lengths)},
        "num_distinct_tactics": len(set(tactics)),
        "share_of_tactics_in_train": round(mean(tactic in known for tactic in tactics), 4),
        "statement_characters": _spread([len(theorem.statement) for theorem, _ in pairs]),
        "state_characters": _spread([len(text) for text in states]),
        "tactic_characters": _spread([len(tactic) for tactic in tactics]),
    }


def _spread(values: Sequence[int]) -> dict[str, float]:
    ordered = sorted(values)
    at = {f"p{percent}": ordered[(len(ordered) - 1) * percent // 100] for percent in (50, 95)}
    return {"mean": round(mean(ordered), 1), **at, "max": ordered[-1]}


def _write(output: Path, splits: Splits, manifest: dict[str, Any]) -> None:
    """All files made aside and moved in one after the other, the manifest last."""
    staging = output.with_name(f".{output.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        for split, pairs in splits.items():
            write_atomically(staging / f"{split}.jsonl", _lines(theorem_problem(theorem) for theorem, _ in pairs))
            if split in _WITH_TACTICS:
                problems = [step for theorem, trace in pairs for step in steps_of(theorem, trace)]
                write_atomically(staging / f"{split}-tactics.jsonl", _lines(problems))
        output.mkdir(parents=True, exist_ok=True)
        (output / "manifest.json").unlink(missing_ok=True)
        for file in sorted(staging.iterdir()):
            file.replace(output / file.name)
        write_atomically(output / "manifest.json", (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def theorem_problem(theorem: NewTheorem) -> Problem:
    """A theorem to be proved; its known proof is in the metadata."""
    metadata = {
        "statement": theorem.statement,
        "proof": list(theorem.tactics),
        "num_steps": len(theorem.tactics),
        "family": theorem.family,
    }
    return Problem(theorem.name, theorem.statement, (), metadata=metadata)


def steps_of(theorem: NewTheorem, trace: Trace) -> list[Problem]:
    """The examples that a tactic model learns from."""
    return tactic_problems(trace, name=theorem.name, family=theorem.family)


def _lines(problems: Any) -> bytes:
    return "".join(json.dumps(problem.to_record(), ensure_ascii=False) + "\n" for problem in problems).encode()
