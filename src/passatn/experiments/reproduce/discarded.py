"""Figure 4: how many training examples DCOa discards per step because the model already solves them often enough."""

from typing import Any

import numpy as np

from passatn.experiments.config import ConfigError
from passatn.experiments.reproduce import reasoning, reasoning_plan
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.plans import Plan
from passatn.experiments.reproduce.section import Section, Table
from passatn.report.reproduce_plots import Line, plot_lines

KEYS = ("discarded_candidates", "active_fraction", "rollouts_drawn", "p_hat_mean")


def recipe(context: Context) -> dict[str, Any]:
    return reasoning.recipe(context) | {"logged": list(KEYS)}


def plan(context: Context) -> Plan:
    return reasoning_plan.plan(context)


def section(context: Context) -> Section:
    arms = reasoning.trained_arms(context)
    arm = arms["dcoa"]
    logged = [entry for entry in arm.record["log"] if KEYS[0] in entry]
    if not logged:
        raise ConfigError(f"{arm.file} has no logged steps of roll-outs: the run was shorter than one logging interval")
    steps = [int(entry["step"]) for entry in logged]
    discarded = [float(entry[KEYS[0]]) for entry in logged]
    rows = tuple((step, *(entry.get(key) for key in KEYS)) for step, entry in zip(steps, logged, strict=True))
    batch = arm.record["settings"]["batch_size"]
    return Section(
        setting=reasoning.setting(context, arms)
        + f" Batches of {batch}; each number is the mean over the steps since the one before.",
        findings=[_finding(steps, discarded, arm.record["ended_early"])],
        tables=[Table("Per optimizer step.", ("step", "discarded", "share kept", "roll-outs", "mean p̂"), _shown(rows))],
        csv={"fig4.csv": Table("", ("step", *KEYS), rows)},
        pictures={"fig4.png": lambda path: _plot(path, steps, discarded, arm.name)},
        numbers={"steps": steps, "discarded": discarded},
        sources=[arm.file],
    )


def _finding(steps: list[int], discarded: list[float], ended: str | None) -> str:
    half = len(discarded) // 2
    parts = [f"{float(np.mean(part)):.1f} a step" for part in (discarded[:half], discarded[half:]) if part]
    end = f" Training {ended}" if ended else ""
    return f"Discarded: {', then '.join(parts)} (first and second half of {steps[-1]} steps).{end}"


def _shown(rows: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((row[0], *(None if cell is None else f"{cell:.3g}" for cell in row[1:])) for row in rows)


def _plot(path: Any, steps: list[int], discarded: list[float], name: str) -> Any:
    lines = [Line(name, steps, discarded, n_passes=64.0)]
    return plot_lines(
        path, {"training examples discarded": lines}, xlabel="optimizer step", ylabel="discarded a step", percent=False
    )
