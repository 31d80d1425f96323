"""Figure 2 (c): the trees that models with several N_eff search, with their measured branching."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from passatn.experiments.mini_theorems_report import STEPWISE, ArmRuns
from passatn.experiments.reproduce.section import Table
from passatn.prove.width import Width, depth_profiles, width
from passatn.report.search_tree import plot_search_trees

DEPTHS = 3
COLUMNS = ("model", "N_eff", "depth", "states", "draws", "distinct accepted tactics per state")


def stepwise(runs: Sequence[ArmRuns]) -> list[ArmRuns]:
    return [run for run in runs if run.name in STEPWISE]


def n_eff(run: ArmRuns) -> float:
    return float(run.name.split("= ")[1]) if "= " in run.name else 1.0


def csv(runs: Sequence[ArmRuns]) -> Table:
    """Every depth of every model."""
    rows = tuple(
        (run.name, n_eff(run), of.depth, of.counts.num_states, of.counts.num_drawn, of.valid_per_state)
        for run in stepwise(runs)
        for of in depth_profiles(run.last[0])
    )
    return Table("", COLUMNS, rows)


def table(runs: Sequence[ArmRuns]) -> Table:
    """Width at the first states, and along the proofs that were found."""
    rows: list[Any] = []
    for run in stepwise(runs):
        of = _width(run)
        steps = "–" if of.tactics_per_step is None else f"{of.tactics_per_step.estimate:.1f}"
        first = of.equivalent
        rows.append((run.name, f"{first.estimate:.1f} [{first.low:.1f}, {first.high:.1f}]", steps))
    caption = (
        "(c) How wide the trees are: equally probable tactics that would show as many distinct ones at first states "
        "[95 % interval over theorems], and exp(−log p / K) of found proofs of K tactics."
    )
    return Table(caption, ("model", "equivalent width", "tactics per step of found proofs"), tuple(rows))


def finding(runs: Sequence[ArmRuns]) -> str:
    """Whether the trees grow with N_eff."""
    chosen = sorted(stepwise(runs), key=n_eff)
    widths = [_width(run).equivalent.estimate for run in chosen]
    grows = bool(np.all(np.diff(widths) > 0))
    parts = ", ".join(f"{run.name} {value:.1f}" for run, value in zip(chosen, widths, strict=True))
    verdict = "grows with" if grows else "does not grow steadily with"
    return f"The equivalent width at first states {verdict} N_eff: {parts}."


def plot(path: Path, runs: Sequence[ArmRuns]) -> Path:
    trees, subtitles = {}, {}
    for run in stepwise(runs):
        profiles = depth_profiles(run.last[0])[:DEPTHS]
        trees[run.name] = (n_eff(run), [of.valid_per_state or 0.0 for of in profiles])
        subtitles[run.name] = f"equivalent width {_width(run).equivalent.estimate:.1f}"
    return plot_search_trees(path, trees, subtitles=subtitles)


def _width(run: ArmRuns) -> Width:
    found = width(run.last[0])
    if found is None:
        raise ValueError(f"{run.name}: no theorem had a first state")
    return found
