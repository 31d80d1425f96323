"""The part of a report that is about proof searches: budgets, lengths, ends, widths, several models, the proofs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import plotly.graph_objects as go

from passatn.evaluate import MetricCurve
from passatn.prove.analysis import (
    by_found_length,
    by_known_length,
    cost,
    found_by,
    success_within_tactics,
    tactic_budgets,
)
from passatn.prove.analysis import ends as ends_of
from passatn.prove.ensemble import Ensemble, Gain
from passatn.prove.records import SearchRecord
from passatn.prove.width import Interval, depth_profiles, width
from passatn.report.curve import Curve
from passatn.report.figures import pass_at_n_figure
from passatn.report.html import HtmlReport
from passatn.report.proofs_browser import Steps, proofs_browser
from passatn.report.proofs_figures import (
    END_NAMES,
    Charted,
    budget_curve,
    budget_figure,
    depth_figure,
    ends_figure,
    found_figure,
    length_figure,
    plot_proofs,
)
from passatn.report.theme import line_styles, n_label, n_ticks

Records = Sequence[SearchRecord]
ENSEMBLE = "ensemble"
METHODS = {"rollouts": "roll-outs", "best_first": "best-first"}


@dataclass(frozen=True)
class ProofRun:
    """What a report knows of one search."""

    records: Records
    """Merged."""
    steps: Steps = field(default_factory=dict)
    """States before each tactic of found proofs, where they are known."""


@dataclass(frozen=True)
class BudgetAdvice:
    """How a total number of samples is best split over the runs, and what that gives (`passatn recommend`)."""

    n: int
    split: Sequence[tuple[str, int]]
    """Samples by name of the run."""
    curves: tuple[MetricCurve, MetricCurve, MetricCurve]
    """Of the best single model, the even split, the best split; each on theorems that did not choose it."""
    gain: MetricCurve
    """The best split minus the single model, paired."""


def add_proofs(
    page: HtmlReport, runs: Mapping[str, ProofRun], curves: Sequence[Curve], png: Path, advice: Sequence[BudgetAdvice]
) -> None:
    """The section of these runs, which are drawn like their `curves`; writes the PNG."""
    records = {name: run.records for name, run in runs.items()}
    like = {curve.name: curve for curve in curves}
    styles = {curve.name: style for curve, style in zip(curves, line_styles(curves), strict=True)}
    within = {name: success_within_tactics(found, tactic_budgets(found)) for name, found in records.items()}
    n = min(record.num_samples for found in records.values() for record in found)
    charted = [
        Charted(
            budget_curve(like[name], within[name]), by_known_length(found, [n]), ends_of(found), depth_profiles(found)
        )
        for name, found in records.items()
    ]
    plot_proofs(charted, styles, n, png)
    page.add_heading("Proofs")
    _add_costs(page, records)
    _add_budget(page, charted, within)
    page.add_heading("Lengths", level=3)
    page.add_figure(
        length_figure(charted, styles, n), f"pass@{n_label(n)} by the number of tactics in the known proof."
    )
    _add_found_lengths(page, records)
    page.add_heading("What ended the roll-outs", level=3)
    page.add_figure(ends_figure(charted), "Of a best-first search: what became of the tactics tried.")
    _add_ends(page, charted)
    _add_widths(page, records, curves, depth_figure(charted, styles))
    if len(runs) > 1:
        _add_together(page, records, [like[name] for name in records])
        _add_advice(page, advice)
    page.add_heading("Theorems and proofs", level=3)
    steps = {key: states for run in runs.values() for key, states in run.steps.items()}
    page.add_html(proofs_browser(records, steps))


def _add_costs(page: HtmlReport, records: Mapping[str, Records]) -> None:
    rows = []
    for name, found in records.items():
        total = cost(found)
        rate = f"{total.num_tactics / total.theorem_seconds:,.0f}" if total.theorem_seconds else "–"
        proved = sum(record.num_correct > 0 for record in found)
        counts = (len(found), proved, total.num_samples, total.num_tactics, total.num_tried)
        rows.append([name, METHODS.get(found[0].method, found[0].method), *(f"{count:,}" for count in counts), rate])
    columns = ["run", "method", "theorems", "proved", "samples", "tactics drawn", "tried in Lean", "tactics/s"]
    page.add_table(columns, rows, "Tactics per second are those of one theorem; several are searched side by side.")


def _add_budget(page: HtmlReport, runs: Sequence[Charted], within: Mapping[str, MetricCurve]) -> None:
    page.add_heading("Within a budget of tactics", level=3)
    page.add_paragraph(
        "Roll-outs cost tactics, and models that give up early have cheaper ones. A budget of T tactics pays for T / m "
        "roll-outs on a theorem whose roll-outs have m tactics on average; a best-first search has succeeded within T "
        "when it found a proof by its T-th tactic."
    )
    page.add_figure(budget_figure(runs), "Theorems proved with at most T tactics drawn on each, with intervals.")
    bounds = {name: curve.detail["lower_bound_from"] for name, curve in within.items()}
    if notes := [f"{name}: a lower bound from T = {t:,} on." for name, t in bounds.items() if t is not None]:
        page.add_list(notes)


def _add_found_lengths(page: HtmlReport, records: Mapping[str, Records]) -> None:
    found = {name: by_found_length(searched) for name, searched in records.items()}
    lengths = sorted({group.length for groups in found.values() for group in groups})
    if not lengths:
        return
    rows = []
    for name, groups in found.items():
        counts = {group.length: group.num_theorems for group in groups}
        totals = [sum(getattr(group, kind) for group in groups) for kind in ("num_shorter", "num_equal", "num_longer")]
        rows.append([name, *(counts.get(length, 0) for length in lengths), *totals])
    columns = ["run", *map(str, lengths), "shorter than known", "as long", "longer"]
    page.add_table(columns, rows, "Theorems proved, by the number of tactics in the shortest proof found.")


def _add_ends(page: HtmlReport, runs: Sequence[Charted]) -> None:
    present = dict.fromkeys(end for run in runs for end in run.ends)
    rows = [[run.curve.name, *(f"{run.ends.get(end, 0):,}" for end in present)] for run in runs]
    page.add_table(["run", *(END_NAMES.get(end, end) for end in present)], rows)


def _add_widths(page: HtmlReport, records: Mapping[str, Records], curves: Sequence[Curve], by_depth: go.Figure) -> None:
    page.add_heading("Depth and width", level=3)
    page.add_figure(by_depth, "Distinct tactics per state that Lean accepted, by depth.")
    n_eff = {curve.name: "–" if curve.n_passes is None else f"{curve.n_passes:g}" for curve in curves}
    rows = []
    for name, found in records.items():
        measured = width(found)
        if measured is None:
            continue
        values = [measured.distinct, measured.valid, measured.equivalent, measured.tactics_per_step]
        draws = f"{measured.draws.estimate:,.0f}"
        rows.append([name, n_eff[name], draws, *("–" if value is None else _interval(value) for value in values)])
    if not rows:
        return
    page.add_paragraph(
        "Does a model that was trained for N_eff spread over N_eff tactics? The equivalent width is the number of "
        "equally probable tactics that would have shown as many distinct ones in as many draws. Tactics per step is "
        "p^(−1/K) of the most probable proof found, of K tactics; theorems that were not proved are not in it."
    )
    columns = ["run", "N_eff", "draws", "distinct", "valid", "equivalent width", "tactics per step"]
    page.add_table(columns, rows, "At the first state of each theorem, mean [95 % interval].")


def _interval(value: Interval) -> str:
    estimate, low, high = (_number(number) for number in (value.estimate, value.low, value.high))
    return estimate if low == high == estimate else f"{estimate} [{low}, {high}]"


def _number(value: float) -> str:
    if math.isinf(value):
        return "∞"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _add_together(page: HtmlReport, records: Mapping[str, Records], curves: Sequence[Curve]) -> None:
    page.add_heading("Several models", level=3)
    try:
        found = found_by(list(records.values()))
        ensemble = Ensemble.of(records)
    except ValueError as error:
        page.add_paragraph(f"Not taken together: {error}.")
        return
    names = list(records)
    num_samples = [int(ensemble.num_samples[model].max()) for model in range(len(names))]
    page.add_figure(found_figure(names, found, num_samples), "Who proved what, and how often: darker is more often.")
    rows = [
        [name, f"{total:,}", f"{proved:,}", f"{alone:,}"]
        for name, total, proved, alone in zip(names, num_samples, found.num_found, found.num_alone, strict=True)
    ]
    rows.append(["any of them", f"{sum(num_samples):,}", f"{found.num_union:,}", "–"])
    page.add_table(["run", "samples per theorem", "proved", "proved by no other run"], rows)
    ns = sorted({n for curve in curves for n in curve.ns})
    if (together := ensemble.curve(ns)) is None:
        return
    line = Curve.from_pass_at_n(ENSEMBLE, together, kind="baseline")
    figure = pass_at_n_figure([*curves, line])
    figure.update_xaxes(title_text="number of samples N of each model")
    page.add_figure(figure, f"Ensemble: N samples of each of the {len(names)} models, so {len(names)}N in all.")
    _add_gains(page, ensemble.gains(ns), len(names))


def _add_gains(page: HtmlReport, gains: Sequence[Gain], num_models: int) -> None:
    if not gains:
        page.add_paragraph(f"No run has {num_models} times the samples at which the others could be compared with it.")
        return
    ns = n_ticks([n for gain in gains for n in gain.difference.ns], max_ticks=6)
    rows = [
        [gain.name, *(_gain(gain.difference, n) for n in ns)] for gain in gains if set(ns) & set(gain.difference.ns)
    ]
    caption = (
        f"The ensemble with N samples of each of {num_models} models, minus one model with {num_models}N samples: "
        "points [95 % interval], paired over theorems."
    )
    page.add_table(["the one model", *(f"N = {n_label(n)}" for n in ns)], rows, caption)


def _gain(curve: MetricCurve, n: int) -> str:
    if n not in curve.ns:
        return "–"
    i = curve.ns.index(n)
    parts = [f"{100 * values[i]:+.1f}".replace("-", "−") for values in (curve.estimate, curve.low, curve.high)]
    return f"{parts[0]} [{parts[1]}, {parts[2]}]"


def _add_advice(page: HtmlReport, advice: Sequence[BudgetAdvice]) -> None:
    """The same total for one model, for all alike, and split as other theorems say."""
    if not advice:
        return
    page.add_paragraph(
        "With the same number of samples in all: the best single model, all models alike, and the split that covers "
        "most. Model and split are chosen on one half of the theorems and judged on the other, both ways."
    )
    rows = []
    for entry in advice:
        split = ", ".join(f"{count:,} {name}" for name, count in entry.split if count)
        rows.append([n_label(entry.n), *map(_estimate, entry.curves), _gain(entry.gain, entry.n), split])
    columns = ["samples", "one model", "even split", "best split", "gain over one", "best split on all theorems"]
    page.add_table(columns, rows, "pass@N in percent [95 % interval]; the gain in points, paired over theorems.")


def _estimate(curve: MetricCurve) -> str:
    """The first point of a curve."""
    estimate, low, high = (100 * values[0] for values in (curve.estimate, curve.low, curve.high))
    return f"{estimate:.1f} [{low:.1f}, {high:.1f}]"
