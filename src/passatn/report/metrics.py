"""Curves other than pass@N as a table with one row per N, and what has to be said beside it."""

from collections.abc import Sequence

from passatn.evaluate import MetricCurve
from passatn.report.theme import n_label

WIDTHS = "expected half-width of the interval"


def metric_rows(metrics: Sequence[MetricCurve]) -> list[list[str]]:
    """The header and the rows; a cell is "estimate [low, high]", in percent where the metric is a fraction."""
    ns = sorted({n for metric in metrics for n in metric.ns})
    header = ["N", *(f"{metric.metric} (%)" if metric.is_fraction else metric.metric for metric in metrics)]
    return [header, *([n_label(n), *(_cell(metric, n) for metric in metrics)] for n in ns)]


def metric_notes(metrics: Sequence[MetricCurve]) -> list[str]:
    """One sentence for each thing that the numbers alone do not say."""
    notes = []
    for metric in metrics:
        check = metric.detail.get("check")
        if metric.metric == "pass@N, extrapolated":
            notes.append(
                f"Extrapolated from {metric.detail['num_samples']:,} samples per problem: success rates are taken to "
                "be Beta distributed over problems, and the interval takes that for granted."
            )
        if check:
            notes.append(
                f"Check: with only {check['num_kept']:,} of each problem's samples it would have said "
                f"{100 * check['predicted']:.1f} % for pass@{n_label(check['n'])}; all samples say "
                f"{100 * check['observed']:.1f} %."
            )
        if "chosen" in metric.detail:
            notes.append(_choices(metric))
        if metric.metric == WIDTHS:
            notes += [_plan(n, need, metric.detail["wanted"]) for n, need in metric.detail["needs"].items()]
    return notes


def _choices(metric: MetricCurve) -> str:
    """The setting of each N, and where the grid was too small to tell."""
    detail = metric.detail
    parts = []
    for n, label, edges in zip(metric.ns, detail["chosen"], detail["at_the_edge_of"], strict=True):
        edge = f" (at the edge of the {' and '.join(edges)} tried)" if edges else ""
        parts.append(f"{label} at N = {n_label(n)}{edge}")
    return f"{metric.metric}: chosen on {detail['num_validation_problems']:,} validation problems: {'; '.join(parts)}."


def _plan(n: str, need: dict, wanted: float) -> str:
    points = f"±{100 * wanted:g} points of pass@{n_label(int(n))}"
    if need["samples_per_problem"] is not None:
        return f"{points}: {need['samples_per_problem']:,} samples of each of these problems."
    return (
        f"{points}: out of reach with these problems (±{100 * need['with_any_number_of_samples']:.1f} at best); it "
        f"takes about {need['problems']:,} problems like these."
    )


def _cell(metric: MetricCurve, n: int) -> str:
    if n not in metric.ns:
        return "–"
    i = metric.ns.index(n)
    values = metric.estimate[i], metric.low[i], metric.high[i]
    estimate, low, high = (f"{100 * v:.1f}" if metric.is_fraction else f"{v:.3g}" for v in values)
    return estimate if low == high == estimate else f"{estimate} [{low}, {high}]"
