"""The pictures of reproduced tables and figures, as PNG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from passatn.report.plots import save_png, themed_figure
from passatn.report.theme import BAND_OPACITY, INK, MUTED, WARM, n_label, n_ticks, ramp_color

PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
"""Ticks of logarithmic axes: the theme writes no formulas."""


def plot_bounds(path: Path, ns: Sequence[float], curves: Mapping[str, Mapping[str, Sequence[float]]]) -> Path:
    """One panel per distribution of accuracies: the optimum between its bounds, against N."""
    with themed_figure(width=3.6 * len(curves), height=3.7) as figure:
        panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
        for axes, (name, of) in zip(panels, curves.items(), strict=True):
            color = ramp_color(256)
            axes.fill_between(ns, of["lower"], of["upper"], color=color, alpha=BAND_OPACITY, linewidth=0)
            axes.plot(ns, of["upper"], color=WARM[0], linestyle="--", label="upper bound, by mass")
            axes.plot(ns, of["optimum"], color=INK, label="optimum")
            axes.plot(ns, of["lower"], color=color, linestyle="-.", label="lower bound")
            log_n_axis(axes, ns)
            axes.set_ylim(0, 1.02)
            axes.set_title(name, fontsize=9)
        panels[0].set_ylabel("largest confidence q₁")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        return save_png(figure, path)


def log_n_axis(axes: Axes, ns: Sequence[float]) -> None:
    """N on a log2 axis, ticks at powers of two that are easy to read."""
    axes.set_xscale("log", base=2)
    ticks = n_ticks([4**k for k in range(7) if min(ns) <= 4**k <= max(ns)])
    axes.set_xticks(ticks, [n_label(n) for n in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("number of samples N")


@dataclass(frozen=True)
class Line:
    """One line of a panel; its colour is that of its N (cross-entropy's warm one at N = 1), or `color`."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    n_passes: float = 1.0
    color: str | None = None
    error: Sequence[float] | None = None
    """Half a 95 % interval, drawn as bars."""
    dash: str = "-"
    marker: str = "o"


def plot_lines(
    path: Path,
    panels: Mapping[str, Sequence[Line]],
    *,
    xlabel: str,
    ylabel: str,
    percent: bool = True,
    zero_line: bool = False,
    share_y: bool = True,
    symlog: Sequence[str] = (),
    over_n: bool = False,
) -> Path:
    """Panels side by side by title, one legend below; those in `symlog` have a logarithmic axis past ±1.

    With `over_n` the horizontal axis is that of N, logarithmic.
    """
    with themed_figure(width=1.0 + 4.2 * len(panels), height=4.2) as figure:
        all_axes = figure.subplots(1, len(panels), sharey=share_y, squeeze=False)[0]
        for axes, (title, lines) in zip(all_axes, panels.items(), strict=True):
            draw_lines(axes, lines)
            axes.set_title(title)
            if over_n:
                log_n_axis(axes, [n for line in lines for n in line.x])
            else:
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_xlabel(xlabel)
            if title in symlog:
                axes.set_yscale("symlog", linthresh=1.0)
                axes.yaxis.set_major_formatter(PLAIN)
            if zero_line:
                axes.axhline(0, color=MUTED, linewidth=1)
        # Only now: limits that are set end the automatic ones, which panels may share.
        for axes in all_axes if percent else []:
            as_percent(axes)
        all_axes[0].set_ylabel(ylabel)
        legend_below(figure, all_axes[0])
        return save_png(figure, path)


def draw_lines(axes: Axes, lines: Sequence[Line]) -> None:
    """Lines with markers on given axes."""
    for line in lines:
        color = line.color or (WARM[0] if line.n_passes == 1 else ramp_color(line.n_passes))
        axes.errorbar(
            line.x,
            line.y,
            yerr=line.error,
            color=color,
            linestyle=line.dash,
            marker=line.marker,
            markersize=4.5,
            label=line.name,
            elinewidth=1,
        )


def as_percent(axes: Axes) -> None:
    """Percent upwards from 0."""
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))


def legend_below(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, from those of one."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6))
