"""A sweep's results as tables, for the terminal and in Markdown, and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from passatn.evaluate import PairedDifference, write_atomically
from passatn.experiments.seed_tables import markdown, paired_cell, points_cell, spread_cells
from passatn.experiments.sweep.choose import temperature_edge
from passatn.experiments.sweep.finals import Final
from passatn.experiments.sweep.spec import SweepSpec
from passatn.experiments.sweep.summary import ArmSummary, Confirmation, Outcome
from passatn.report import Curve, draw_pass_at_n, run_kind, save_png, themed_figure

Rows = list[list[str]]


def main_table(outcome: Outcome) -> Rows:
    """One row for each N and arm; the first row is the head."""
    spec, arms = outcome.spec, outcome.arms
    baseline = arms[0].arm.name
    rows = [["N", "arm", "validation", "test", f"minus {baseline}", "by seed"]]
    for column, n in enumerate(spec.ns):
        for one in arms:
            finals = one.finals[column]
            validation = [[final.at(n).validation] for final in finals]
            test = one.test(spec.ns)[:, :, column].mean(axis=1)
            rows.append(
                [
                    f"{n:,}",
                    one.arm.name,
                    *spread_cells(validation),
                    *spread_cells(test[:, None]),
                    *_difference_cells(outcome.compared.get(one.arm.name), column, one, arms[0], spec),
                ]
            )
    return rows


def choice_table(outcome: Outcome) -> Rows:
    """What was chosen on validation: the settings once, the stopping epoch and the temperature by each seed."""
    spec, arms = outcome.spec, outcome.arms
    rows = [["N", "arm", "settings", "epoch", "temperature"]]
    for column, n in enumerate(spec.ns):
        for one in arms:
            tested = [final.at(n) for final in one.finals[column]]
            epochs = _each([str(at.epoch + 1) for at in tested])
            temperatures = _each([f"{at.temperature:g}" for at in tested])
            rows.append([f"{n:,}", one.arm.name, _in_words(one.choices[column].params), epochs, temperatures])
    return rows


def _difference_cells(
    difference: PairedDifference | None, column: int, one: ArmSummary, baseline: ArmSummary, spec: SweepSpec
) -> list[str]:
    """The paired difference with its interval, and what each seed says by itself."""
    if difference is None:
        return ["", ""]
    by_seed = (one.test(spec.ns) - baseline.test(spec.ns))[:, :, column].mean(axis=1)
    return [paired_cell(difference, column), points_cell(by_seed)]


def _each(values: Sequence[str]) -> str:
    """One text if all agree, else one for each seed."""
    return values[0] if len({*values}) == 1 else ", ".join(values)


def _in_words(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in params.items()) or "–"


def cost_table(outcome: Outcome) -> Rows:
    """What each arm was given: trials, and the length of its trainings."""
    rows = [["arm", "trials", "epochs trained in them", "steps of a final training", "examples weighed in it"]]
    for one in outcome.arms:
        finals = [final for finals in one.finals for final in finals]
        epochs = sum(len(record.steps) for record in one.trials)
        rows.append(
            [
                one.arm.name,
                str(len(one.trials)),
                str(epochs),
                _range([final.steps for final in finals]),
                _range([final.examples for final in finals]),
            ]
        )
    return rows


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} – {high:,}"


def robustness_table(outcome: Outcome) -> Rows:
    """Mean, and quartiles, over settings and epochs."""
    spec, arms = outcome.spec, outcome.arms
    rows = [["arm", *(f"pass@{n:,}" for n in spec.ns)]]
    for one in arms:
        of = one.robustness
        cells = zip(of.mean, of.low, of.high, strict=True)
        rows.append([one.arm.name, *(f"{100 * m:.1f} [{100 * a:.1f}, {100 * b:.1f}]" for m, a, b in cells)])
    return rows


def notes(outcome: Outcome) -> list[str]:
    """What the tables mean and what is wrong with them, a sentence each; warnings first."""
    spec, arms, confirmed = outcome.spec, outcome.arms, outcome.confirmation
    lines = [f"Warning: {edge}" for edge in edge_lines(spec, arms)]
    if len(spec.seeds) < FEWEST_SEEDS:
        lines.append(
            f"Warning: {len(spec.seeds)} of the {FEWEST_SEEDS} seeds that a comparison should have"
            + ("; intervals are over problems alone" if len(spec.seeds) == 1 else "")
        )
    for name, difference in outcome.compared.items():
        verdict = difference.verdict(arms[0].arm.name, name).removeprefix("Verdict: ")
        lines.append(f"{name}: {verdict.replace('paired bootstrap', 'paired, over problems and seeds')}")
    if confirmed is not None:
        lines.append(_confirmation_line(spec, confirmed))
    steps = {final.steps for one in arms for finals in one.finals for final in finals}
    if spec.match == "steps" and len(steps) > 1:
        lines.append("Not all trainings have the same number of steps: an objective may end its own training.")
    return lines


def edge_lines(spec: SweepSpec, arms: Sequence[ArmSummary]) -> list[str]:
    """Each choice on an edge once, with the N that made it: of trials, and of where final trainings stopped."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for one in arms:
        last = max(len(record.steps) for record in one.trials)
        for choice, finals in zip(one.choices, one.finals, strict=True):
            stopped = (edge for final in finals for edge in stop_edges(spec, final, choice.n, last))
            for edge in (*choice.edges, *stopped):
                found.setdefault((one.arm.name, edge), {})[f"{choice.n:,}"] = None
    return [f"{arm}, N = {', '.join(ns)}: {edge}" for (arm, edge), ns in found.items()]


def stop_edges(spec: SweepSpec, final: Final, n: int, last_epoch: int) -> list[str]:
    """Whether a final training stopped where nothing further was tried, unless its objective ended it.

    `last_epoch` counts from 1.
    """
    stop = final.at(n)
    edges = temperature_edge(spec, spec.temperatures.index(stop.temperature))
    if last_epoch > 1 and stop.epoch == 0:
        edges.append("epoch 1 is the first one scored: try smaller learning rates")
    if last_epoch > 1 and stop.epoch + 1 == last_epoch and final.steps >= final.scheduled_steps:
        edges.append(f"epoch {last_epoch} is the last one: train longer")
    return edges


def _confirmation_line(spec: SweepSpec, confirmed: Confirmation) -> str:
    by_seed = (confirmed.values_finalist - confirmed.values_baseline).mean(axis=1)
    return (
        f"Confirmation with new seeds {', '.join(map(str, spec.confirm_seeds))}: pass@{spec.target_n:,} of "
        f"{confirmed.finalist} minus {confirmed.baseline} is {paired_cell(confirmed.difference, 0)} points "
        f"(by seed {points_cell(by_seed)})."
    )


FEWEST_SEEDS = 3

EXPLANATION = """\
pass@N in percent on {problems:,} test problems, from the probability of the accepted answers (a lower bound where other
answers are right as well); mean ± standard deviation over seeds {seeds}. Settings, stopping epoch and temperature were
chosen for each N on validation, with {trials} trials for every arm; epoch and temperature by each seed for itself.
Differences are paired, with 95 % intervals over problems and seeds; beside them what each seed says by itself.
"""
ROBUSTNESS = """\
Area under validation pass@N at temperature 1 over {over} and {epochs} epochs: mean, and in brackets the quartiles.
"""


def write_report(outcome: Outcome, folder: Path) -> None:
    """results.md and results.png."""
    spec, arms = outcome.spec, outcome.arms
    problems = len(arms[0].finals[0][0].ids)
    explanation = EXPLANATION.format(problems=problems, seeds=", ".join(map(str, spec.seeds)), trials=spec.trials)
    of = arms[0].robustness
    over = f"the grid of {of.num_trials} points" if spec.search == "grid" else f"{of.num_trials} points drawn at random"
    parts = [
        "# Sweep\n",
        explanation,
        markdown(main_table(outcome)),
        "".join(f"- {line}\n" for line in notes(outcome)),
        "## What was chosen\n",
        markdown(choice_table(outcome)),
        "## What each arm was given\n",
        markdown(cost_table(outcome)),
        "## Robustness\n",
        ROBUSTNESS.format(over=over, epochs=of.num_epochs),
        markdown(robustness_table(outcome)),
        "![pass@N, and its area over settings and epochs](results.png)\n",
    ]
    write_atomically(folder / "results.md", "\n".join(parts).encode())
    _draw(outcome, folder / "results.png")


def _draw(outcome: Outcome, path: Path) -> None:
    """Left the tuned arms on test, with the range over seeds; right the area, with quartiles."""
    spec, arms = outcome.spec, outcome.arms
    tuned, areas = [], []
    for one in arms:
        kind, n_passes = run_kind(_description(spec, one))
        by_seed = one.test(spec.ns).mean(axis=1)
        ends = by_seed.min(axis=0).tolist(), by_seed.max(axis=0).tolist()
        tuned.append(Curve(one.arm.name, spec.ns, by_seed.mean(axis=0).tolist(), *ends, kind, n_passes))
        of = one.robustness
        areas.append(Curve(one.arm.name, spec.ns, of.mean, of.low, of.high, kind, n_passes))
    with themed_figure(width=11.0, height=4.6) as figure:
        left, right = figure.subplots(1, 2)
        draw_pass_at_n(left, tuned, title="Tuned for each N, on test (band: seeds)")
        draw_pass_at_n(right, areas, title="Over settings and epochs, untuned (band: quartiles)", legend=False)
        save_png(figure, path)


def _description(spec: SweepSpec, one: ArmSummary) -> dict[str, Any]:
    settings = spec.recipe | one.arm.settings | one.choices[spec.target_column].params
    if settings.get("objective", "dco") != "dco":
        return {"kind": "other"}
    return {"n_passes": settings.get("n_passes", 1)}


def show(outcome: Outcome) -> None:
    """The tables and notes on stdout."""
    console = Console(highlight=False)
    for title, rows in {
        "pass@N in percent": main_table(outcome),
        "what was chosen": choice_table(outcome),
        "what each arm was given": cost_table(outcome),
        "area under validation pass@N over settings and epochs, with quartiles": robustness_table(outcome),
    }.items():
        head, *body = rows
        table = Table(*map(escape, head), title=title, title_justify="left")
        for row in body:
            table.add_row(*map(escape, row))
        console.print(table)
    for line in notes(outcome):
        console.print(line, markup=False, soft_wrap=True)
