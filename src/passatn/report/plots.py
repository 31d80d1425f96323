"""The charts as PNG (matplotlib, no display and no global state).

Each `draw_…` function draws on Axes it is given, so that panels can be composed; each `plot_…` writes one picture:

    with themed_figure(width=10, height=4) as figure:
        left, right = figure.subplots(1, 2)
        draw_pass_at_n(left, curves)
        draw_over_training(right, histories, n=256)
        save_png(figure, "panels.png")
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from passatn.evaluate import ConfidenceHistogram, write_atomically
from passatn.report.curve import Curve, TrainingHistory
from passatn.report.theme import (
    BAND_OPACITY,
    DASHES,
    INK,
    MATPLOTLIB_MARKERS,
    MATPLOTLIB_STYLE,
    MUTED,
    LineStyle,
    line_styles,
    n_label,
    n_ticks,
    ramp_color,
)


@contextmanager
def themed_figure(*, width: float, height: float) -> Iterator[Figure]:
    """An empty figure, in inches, with the theme in force until the block ends."""
    with rc_context(MATPLOTLIB_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def save_png(figure: Figure, path: str | Path, dpi: int = 150) -> Path:
    """Write the figure atomically."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return write_atomically(path, buffer.getvalue())


def plot_pass_at_n(curves: Sequence[Curve], path: str | Path, *, title: str = "") -> Path:
    """pass@N against N, one line per curve with its interval as a band."""
    with themed_figure(width=7.6, height=4.6) as figure:
        axes = figure.subplots()
        draw_pass_at_n(axes, curves, title=title)
        return save_png(figure, path)


def plot_over_training(
    histories: Sequence[TrainingHistory], ns: Sequence[int], path: str | Path, *, unit: str = "epoch", title: str = ""
) -> Path:
    """One panel per N: pass@N over training, one line per run."""
    columns = min(len(ns), 3)
    rows = math.ceil(len(ns) / columns)
    with themed_figure(width=1.4 + 3.1 * columns, height=0.6 + 2.7 * rows) as figure:
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, n in zip(panels, ns, strict=False):
            draw_over_training(axes, histories, n, unit=unit, legend=False)
        for axes in panels[len(ns) :]:
            axes.set_visible(False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), handlelength=2.6)
        if title:
            figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return save_png(figure, path)


def plot_confidence(histograms: Mapping[str, ConfidenceHistogram], path: str | Path, *, title: str = "") -> Path:
    """One panel per run: greedy confidence against accuracy."""
    columns = min(len(histograms), 3)
    rows = math.ceil(len(histograms) / columns)
    with themed_figure(width=1.0 + 3.3 * columns, height=0.7 + 3.1 * rows) as figure:
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, (name, histogram) in zip(panels, histograms.items(), strict=False):
            draw_confidence(axes, histogram, title=name, legend=False)
        for axes in panels[len(histograms) :]:
            axes.set_visible(False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        if title:
            figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return save_png(figure, path)


def draw_pass_at_n(axes: Axes, curves: Sequence[Curve], *, title: str = "", legend: bool = True) -> None:
    """pass@N in percent against N on a log2 axis; bands where a curve has low and high."""
    for curve, style in zip(curves, line_styles(curves), strict=True):
        if curve.low is not None and curve.high is not None:
            low, high = _percent(curve.low), _percent(curve.high)
            axes.fill_between(curve.ns, low, high, color=style.color, alpha=BAND_OPACITY, linewidth=0)
        _draw_line(axes, curve.ns, curve.estimate, curve.name, style)
    axes.set_xscale("log", base=2)
    ticks = n_ticks([n for curve in curves for n in curve.ns])
    axes.set_xticks(ticks, [n_label(n) for n in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("number of samples N")
    _finish(axes, "pass@N", title)
    if legend:
        axes.legend(loc="best", handlelength=2.6)


def draw_over_training(
    axes: Axes,
    histories: Sequence[TrainingHistory],
    n: int,
    *,
    unit: str = "epoch",
    title: str = "",
    legend: bool = True,
) -> None:
    """pass@n in percent over training, one line per run."""
    for history, style in zip(histories, line_styles(histories), strict=True):
        _draw_line(axes, history.steps, history.at(n), history.name, style)
    axes.set_xlabel(unit)
    _finish(axes, f"pass@{n_label(n)}", title)
    if legend:
        axes.legend(loc="best", handlelength=2.6)


def draw_confidence(
    axes: Axes, histogram: ConfidenceHistogram, *, color: str = ramp_color(256), title: str = "", legend: bool = True
) -> None:
    """Bars: share of the problems by greedy confidence; dots: accuracy of each bin, to be read against the diagonal."""
    edges = _percent(histogram.edges)
    shares = [100 * count / histogram.num_problems for count in histogram.counts]
    widths = [right - left for left, right in pairwise(edges)]
    axes.bar(
        edges[:-1], shares, widths, align="edge", color=color, alpha=0.3, edgecolor="white", label="share of problems"
    )
    filled = [
        (100 * confidence, 100 * accuracy)
        for confidence, accuracy in zip(histogram.bin_confidence, histogram.bin_accuracy, strict=True)
        if confidence is not None and accuracy is not None
    ]
    axes.plot(*zip(*filled, strict=True), marker="o", markersize=5, color=INK, label="accuracy in the bin")
    axes.plot([0, 100], [0, 100], color=MUTED, linestyle="--", linewidth=1, label="calibrated")
    axes.set_xlim(0, 100)
    axes.set_xlabel("greedy confidence")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))
    numbers = f"confidence {histogram.mean_confidence:.1%} · accuracy {histogram.accuracy:.1%}".replace("%", " %")
    _finish(axes, "", title)
    axes.set_title(title, pad=20)
    axes.text(0, 1.03, numbers, transform=axes.transAxes, fontsize=9, color=MUTED)
    axes.set_ylim(0, 102)
    if legend:
        axes.legend(loc="upper left")


def _draw_line(axes: Axes, x: Sequence[float], estimate: Sequence[float], name: str, style: LineStyle) -> None:
    axes.plot(
        x,
        _percent(estimate),
        color=style.color,
        linestyle=DASHES[style.dash],
        marker=MATPLOTLIB_MARKERS[style.marker],
        markersize=4.5,
        markeredgewidth=0,
        label=name,
    )


def _finish(axes: Axes, ylabel: str, title: str) -> None:
    """Percent on the vertical axis from 0, grid lines across only, labels."""
    axes.set_ylabel(ylabel)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.grid(visible=False, axis="x")
    axes.set_title(title)


def _percent(values: Sequence[float]) -> list[float]:
    return [100 * float(value) for value in values]
