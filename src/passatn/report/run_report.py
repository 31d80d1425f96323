"""The report of one or several evaluated runs: report.html and pass_at_n.png from their results.json."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from passatn.evaluate import PairedDifference, PassAtN, Results, compare_results, frontier
from passatn.report.curve import Curve, Kind
from passatn.report.figures import confidence_figure, pass_at_n_figure
from passatn.report.html import HtmlReport
from passatn.report.metrics import metric_notes, metric_rows
from passatn.report.plots import plot_pass_at_n
from passatn.report.proofs import BudgetAdvice, ProofRun, add_proofs
from passatn.report.theme import line_styles, n_label, n_ticks
from passatn.report.training import Entries, training_figures

INTERVAL_NOTE = (
    "Bands and brackets are {confidence:.0%} bootstrap intervals over problems (with samples, over samples too), for "
    "these trained models: what another training seed would give is not in them."
)
SOURCE_NOTES = {
    "exact": "p is known, every accepted answer was scored.",
    "lower bound": "the answers that were scored are not all the correct ones.",
    "samples": "unbiased estimates from sampled completions.",
}


def write_run_report(
    results: Sequence[Results],
    output_dir: str | Path,
    *,
    logs: Sequence[Entries] | None = None,
    proofs: Sequence[ProofRun | None] | None = None,
    advice: Sequence[BudgetAdvice] = (),
) -> dict[str, Path]:
    """Write report.html and pass_at_n.png into output_dir; the first run is the one that others are compared with.

    Args:
        logs: for each run the entries of its metrics.jsonl (`read_entries`), if it was trained.
        proofs: for each run its search, if it is one; they get a section, and proofs.png.
        advice: how samples are best split over those runs.

    Returns their paths as {"html": …, "png": …}. Raises ValueError when a run has no pass@N curve.
    """
    if not results:
        raise ValueError("no results: a report needs at least one run")
    runs = _unique_names(results)
    curves = [_curve(name, run) for name, run in runs.items()]
    title = f"pass@N: {', '.join(runs)}" if len(runs) <= 3 else f"pass@N of {len(runs)} runs"
    png = plot_pass_at_n(curves, Path(output_dir) / "pass_at_n.png")

    page = HtmlReport(title)
    _add_curves(page, runs, curves)
    if len(runs) > 1:
        _add_frontier(page, curves)
        _add_differences(page, runs)
    _add_metrics(page, runs)
    _add_confidence(page, runs, curves)
    searched = {name: run for name, run in zip(runs, proofs or [], strict=False) if run is not None}
    if searched:
        add_proofs(page, searched, curves, Path(output_dir) / "proofs.png", advice)
    _add_training(page, dict(zip(runs, logs or [], strict=False)), curves)
    _add_runs(page, runs)
    return {"html": page.save(Path(output_dir) / "report.html"), "png": png}


def _unique_names(results: Sequence[Results]) -> dict[str, Results]:
    """Runs by name, in order; a name that occurs again gets a number."""
    runs: dict[str, Results] = {}
    for run in results:
        name, count = run.name, 1
        while name in runs:
            count += 1
            name = f"{run.name} ({count})"
        runs[name] = run
    return runs


def _curve(name: str, run: Results) -> Curve:
    """The run's first curve: exact (or lower bound) where there is one, else from samples."""
    if not run.pass_at_n:
        raise ValueError(f"{name} has no pass@N curve: it has neither log_p nor counts for every problem")
    kind, n_passes = run_kind(run.run)
    return Curve.from_pass_at_n(name, run.pass_at_n[0], kind=kind, n_passes=n_passes)


def run_kind(description: Mapping[str, Any]) -> tuple[Kind, float | None]:
    """How a run is drawn: its `kind`, or what its `n_passes` implies (1 = cross-entropy), and that N."""
    n_passes = description.get("n_passes")
    kind: Any = description.get("kind")
    if kind is None:
        kind = "other" if n_passes is None else "ce" if n_passes == 1 else "dco"
    if kind not in get_args(Kind):
        raise ValueError(f"run.kind: expected one of {', '.join(get_args(Kind))}, found {kind!r}")
    return kind, None if n_passes is None else float(n_passes)


def _add_curves(page: HtmlReport, runs: Mapping[str, Results], curves: Sequence[Curve]) -> None:
    tables = [(name, table) for name, run in runs.items() for table in run.pass_at_n]
    first = tables[0][1]
    problems = sorted({table.num_problems for _, table in tables})
    page.add_paragraph(
        "pass@N is the share of problems with a correct answer among N samples, here on "
        f"{' or '.join(f'{count:,}' for count in problems)} problems. "
        + INTERVAL_NOTE.format(confidence=first.confidence).replace("%", " %")
    )
    page.add_figure(pass_at_n_figure(curves), "pass@N in percent. A click on a name hides its curve.")
    ns = n_ticks([n for _, table in tables for n in table.ns])
    page.add_table(
        ["run", "from", *(f"pass@{n_label(n)}" for n in ns)],
        [[name, table.source, *(_cell(table, n) for n in ns)] for name, table in tables],
        "pass@N in percent [interval].",
    )
    page.add_list([f"{source}: {SOURCE_NOTES[source]}" for source in dict.fromkeys(t.source for _, t in tables)])


def _cell(table: PassAtN, n: int) -> str:
    if n not in table.ns:
        return "–"
    i = table.ns.index(n)
    return f"{_percent(table.estimate[i])} [{_percent(table.low[i])}, {_percent(table.high[i])}]"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _add_frontier(page: HtmlReport, curves: Sequence[Curve]) -> None:
    ns = [n for n in curves[0].ns if all(n in curve.ns for curve in curves)]
    if not ns:
        return
    best = frontier({curve.name: [curve.estimate[list(curve.ns).index(n)] for n in ns] for curve in curves})
    page.add_heading("Frontier")
    page.add_paragraph("The best run at each N. The best of several runs is a little too good: it was picked.")
    page.add_table(
        ["N", "best pass@N (%)", "run"],
        [[n_label(n), _percent(value), name] for n, value, name in zip(ns, best.best, best.winner, strict=True)],
    )


def _add_differences(page: HtmlReport, runs: Mapping[str, Results]) -> None:
    (base_name, base), *others = runs.items()
    page.add_heading(f"Difference to {base_name}")
    columns: dict[str, list[str]] = {}
    missing, ns = [], _common_ns(list(runs.values()))
    for name, run in others:
        try:
            columns[name] = _difference_cells(compare_results(base, run, ns))
        except ValueError as error:
            missing.append(f"{name}: not compared ({error}).")
    if columns:
        page.add_paragraph(
            "Points of pass@N, paired over the same problems, with interval; p is two-sided, from the bootstrap, "
            "not corrected for looking at several N."
        )
        page.add_table(["N", *columns], list(zip([n_label(n) for n in ns], *columns.values(), strict=True)))
    if missing:
        page.add_list(missing)


def _common_ns(runs: Sequence[Results]) -> list[int]:
    return [n for n in runs[0].pass_at_n[0].ns if all(n in run.pass_at_n[0].ns for run in runs)]


def _difference_cells(paired: PairedDifference) -> list[str]:
    columns = zip(paired.difference, paired.low, paired.high, paired.p_value, strict=True)
    return [f"{_signed(d)} [{_signed(low)}, {_signed(high)}], p = {p:.2g}" for d, low, high, p in columns]


def _add_confidence(page: HtmlReport, runs: Mapping[str, Results], curves: Sequence[Curve]) -> None:
    rows = [
        [
            name,
            _percent(run.confidence.mean_confidence),
            _percent(run.confidence.accuracy),
            _signed(run.confidence.overconfidence),
            _percent(run.confidence.calibration_error),
        ]
        for name, run in runs.items()
        if run.confidence
    ]
    if not rows:
        return
    page.add_heading("Confidence")
    page.add_paragraph(
        "The probability of the greedy answer against how often it is right. A model that is surer than it is right "
        "spends its samples on one wrong answer."
    )
    columns = ["run", "greedy confidence (%)", "accuracy (%)", "overconfidence", "calibration error (%)"]
    page.add_table(columns, rows)
    page.add_figure_row(
        {
            name: confidence_figure(run.confidence, color=style.color)
            for (name, run), style in zip(runs.items(), line_styles(curves), strict=True)
            if run.confidence
        }
    )


def _add_metrics(page: HtmlReport, runs: Mapping[str, Results]) -> None:
    measured = {name: run.metrics for name, run in runs.items() if run.metrics}
    if not measured:
        return
    page.add_heading("Beyond pass@N")
    page.add_paragraph(
        "maj@N: the most frequent answer of N is right, ties at random; samples without an answer have no vote. "
        "best-of-N: the sample with the highest score is right. pass^N: all N samples are right."
    )
    for name, metrics in measured.items():
        header, *rows = metric_rows(metrics)
        page.add_table(header, rows, f"{name}: estimate [interval].")
        if notes := metric_notes(metrics):
            page.add_list(notes)


def _add_training(page: HtmlReport, logs: Mapping[str, Entries], curves: Sequence[Curve]) -> None:
    styles = {curve.name: style for curve, style in zip(curves, line_styles(curves), strict=True)}
    figures = training_figures(logs, styles)
    if not figures:
        return
    page.add_heading("Training")
    page.add_paragraph("What was logged at each optimizer step; a log entry may be the mean of several.")
    page.add_figure_row(figures)


def _add_runs(page: HtmlReport, runs: Mapping[str, Results]) -> None:
    """Each run's description, and how many samples there were and how many of them ended without an answer to judge."""
    facts = {name: {**run.run, **_sample_totals(run)} for name, run in runs.items()}
    keys = [key for key in dict.fromkeys(key for fact in facts.values() for key in fact) if key != "name"]
    page.add_heading("Runs")
    page.add_table(["", *runs], [[key, *(fact.get(key, "–") for fact in facts.values())] for key in keys])


def _sample_totals(run: Results) -> dict[str, str]:
    totals = {"problems": f"{len(run.problems):,}"}
    names = {"num_samples": "samples", "num_truncated": "truncated", "num_timeouts": "timeouts", "num_errors": "errors"}
    for field, name in names.items():
        column = run.column(field)
        if column is not None:
            totals[name] = f"{int(column.sum()):,}"
    return totals
