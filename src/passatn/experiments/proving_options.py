"""The options of `passatn prove`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from passatn.experiments.options import ProblemOptions


@dataclass(frozen=True, kw_only=True)
class TheoremOptions(ProblemOptions):
    """A tactic model, and the theorems: problems whose `statement` (and `header`) are for Lean."""

    data: Annotated[str, typer.Option(help="Problems with `statement` and, if needed, `header`: file or Hub id.")]
    template: Annotated[str, typer.Option(help="Around states and tactics: as the model was trained.")] = "tactic"


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How proofs are searched. All but speed, shares and budgets make another search, and are kept in manifest.json."""

    method: Annotated[str, typer.Option(help="rollouts or best-first.")] = "rollouts"
    num_samples: Annotated[
        int | None, typer.Option(min=1, help="Roll-outs per theorem (default 1024), or best-first searches (1).")
    ] = None
    max_depth: Annotated[int, typer.Option(min=1, help="Most tactics in a proof.")] = 50
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest tactic.")] = 128
    max_length: Annotated[
        int | None, typer.Option(min=1, help="Of state and tactic together, in tokens (default: the model's).")
    ] = None
    temperature: Annotated[float, typer.Option(help="Of the tactics.")] = 1.0
    seed: Annotated[int, typer.Option(help="Of the tactics.")] = 0
    time_limit: Annotated[float, typer.Option(help="Seconds of wall clock for a theorem and slice.")] = 5000.0
    tactic_timeout: Annotated[float, typer.Option(help="Seconds for one tactic.")] = 10.0
    check_timeout: Annotated[float, typer.Option(help="Seconds for a whole proof, from scratch.")] = 60.0
    width: Annotated[int, typer.Option(min=1, help="Best-first: tactics drawn from a state.")] = 32
    max_tactics: Annotated[int, typer.Option(min=1, help="Best-first: tactics drawn in a search.")] = 4096
    max_expansions: Annotated[int | None, typer.Option(min=1, help="Best-first: states expanded in a search.")] = None
    alpha: Annotated[float, typer.Option(help="Best-first: log p is divided by length^alpha.")] = 0.0
    project: Annotated[str | None, typer.Option(help="Lean project to search in (default: the embedded Lean).")] = None
    repl: Annotated[str | None, typer.Option(help="A built REPL for the project (default: lean-interact's).")] = None
    replay: Annotated[
        str | None, typer.Option(help="lean4checker, or its path: replays found proofs in the kernel, for --project.")
    ] = None
    lean_workers: Annotated[int, typer.Option(min=1, help="Lean processes.")] = 2
    lean_memory_mb: Annotated[int, typer.Option(min=1, help="Memory of each Lean process.")] = 2048
    slice_size: Annotated[int, typer.Option(min=1, help="Roll-outs that are finished and stored together.")] = 1024
    in_flight: Annotated[int, typer.Option(min=1, help="Slices searched side by side.")] = 64
    batch_size: Annotated[int, typer.Option(min=1, help="Tactics drawn at once.")] = 1024
    shard: Annotated[str, typer.Option(help="I/N: this process's share of the theorems, the I-th of N.")] = "1/1"
