"""Charts of proof searches, interactive ones and one PNG of four panels, over the same rows of numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from passatn.evaluate import MetricCurve
from passatn.prove.analysis import FoundBy, LengthGroup
from passatn.prove.records import End
from passatn.prove.width import DepthProfile
from passatn.report.curve import Curve
from passatn.report.figures import pass_at_n_figure, plain_figure
from passatn.report.plots import draw_pass_at_n, save_png, themed_figure
from passatn.report.theme import GRID, INK, MUTED, PAPER, RAMP, LineStyle, n_label, n_ticks

END_COLORS: Mapping[str, str] = {
    End.PROVED: RAMP[1],
    End.UNCHECKED: "#B8A200",
    End.ERROR: "#C4CAD0",
    End.TOO_LONG: "#E69F00",
    End.DEPTH: "#CC79A7",
    End.TIMEOUT: "#56B4E9",
    End.TIME: "#2388C8",
    End.MEMORY: "#6B6B6B",
    End.CRASH: "#1F2328",
}
END_NAMES: Mapping[str, str] = {
    End.PROVED: "proved",
    End.UNCHECKED: "whole proof refused",
    End.ERROR: "tactic refused",
    End.TOO_LONG: "tactic too long",
    End.DEPTH: "too many tactics",
    End.TIMEOUT: "tactic timed out",
    End.TIME: "theorem's time over",
    End.MEMORY: "out of memory",
    End.CRASH: "Lean crashed",
    "accepted": "tactic accepted",
}
_DEEPEST = 12
"""Depths past this are few states of few theorems, and are left out of the charts."""


@dataclass(frozen=True)
class Charted:
    """What the charts show of one run."""

    curve: Curve
    """Name and kind; its values are success within T tactics."""
    lengths: Sequence[LengthGroup]
    """With pass@N at one N."""
    ends: Mapping[str, int]
    depths: Sequence[DepthProfile]


def budget_curve(name_and_kind: Curve, within: MetricCurve) -> Curve:
    """Success within T tactics as a curve that is drawn like the run's pass@N."""
    like = name_and_kind
    return Curve(like.name, within.ns, within.estimate, within.low, within.high, like.kind, like.n_passes, like.dash)


def budget_figure(runs: Sequence[Charted]) -> go.Figure:
    figure = pass_at_n_figure([run.curve for run in runs])
    figure.update_layout(height=400)
    figure.update_xaxes(title_text="tactics drawn per theorem", unifiedhovertitle_text="<b>T = %{x:,d}</b>")
    figure.update_yaxes(title_text="proved")
    return figure


def length_figure(runs: Sequence[Charted], styles: Mapping[str, LineStyle], n: int) -> go.Figure:
    """pass@n by the length of the known proof, bars side by side."""
    figure = plain_figure(height=320)
    labels = length_labels(runs)
    for run, opacity in zip(runs, _opacities(runs, styles), strict=True):
        known = {group.label: group for group in run.lengths}
        shown = [label for label in labels if label in known]
        figure.add_bar(
            x=shown,
            y=[100 * known[label].coverage[0] for label in shown],
            name=escape(run.curve.name),
            marker={"color": styles[run.curve.name].color, "opacity": opacity},
            customdata=[f"{known[label].num_found} of {known[label].num_theorems} proved" for label in shown],
            hovertemplate="%{y:.1f} % (%{customdata})",
        )
    figure.update_xaxes(
        title_text="tactics in the known proof", type="category", categoryorder="array", categoryarray=labels
    )
    figure.update_yaxes(title_text=f"pass@{n_label(n)}", range=[0, 105])
    figure.update_layout(bargap=0.25)
    return figure


def ends_figure(runs: Sequence[Charted]) -> go.Figure:
    """What ended the roll-outs of each run, one stacked bar each."""
    figure = plain_figure(height=130 + 34 * len(runs))
    names = [escape(run.curve.name) for run in runs][::-1]
    for end in _ends_of(runs):
        shares = [100 * run.ends.get(end, 0) / max(1, sum(run.ends.values())) for run in runs][::-1]
        figure.add_bar(
            x=shares,
            y=names,
            orientation="h",
            name=END_NAMES.get(end, end),
            marker={"color": END_COLORS.get(end, MUTED), "line": {"color": PAPER, "width": 1}},
            hovertemplate="%{x:.1f} %",
        )
    figure.update_layout(barmode="stack", hovermode="y unified", bargap=0.3, legend_traceorder="normal")
    figure.update_xaxes(range=[0, 100], ticksuffix=" %")
    figure.update_yaxes(ticksuffix="", showgrid=False, automargin=True)
    return figure


def depth_figure(runs: Sequence[Charted], styles: Mapping[str, LineStyle]) -> go.Figure:
    """Distinct tactics per state that Lean accepted, by depth."""
    figure = plain_figure(height=320)
    for run in runs:
        profiles = _shown_depths(run)
        figure.add_scatter(
            x=[profile.depth for profile in profiles],
            y=[profile.valid_per_state for profile in profiles],
            name=escape(run.curve.name),
            mode="lines+markers",
            line={"color": styles[run.curve.name].color, "width": 2.4},
            marker={"symbol": styles[run.curve.name].marker, "size": 7},
            customdata=[[p.distinct_per_state, p.draws_per_state, p.counts.num_states] for p in profiles],
            hovertemplate="%{y:.2f} valid of %{customdata[0]:.1f} distinct in %{customdata[1]:.1f} draws "
            "(%{customdata[2]:,d} states)",
        )
    figure.update_xaxes(title_text="tactics before the state", dtick=1, unifiedhovertitle_text="<b>depth %{x}</b>")
    figure.update_yaxes(title_text="valid distinct tactics per state", ticksuffix="")
    return figure


def found_figure(names: Sequence[str], found: FoundBy, num_samples: Sequence[int]) -> go.Figure:
    """Theorems across, runs down: how often each was proved. The theorems that most roll-outs proved come first."""
    shares = found.num_correct / [[count] for count in num_samples]
    order = sorted(range(len(found.theorems)), key=lambda i: (-shares[:, i].sum(), found.theorems[i]))
    theorems = [escape(found.theorems[i]) for i in order]
    # A theorem that was proved once must be told from one that never was, so the scale begins at a visible colour.
    figure = plain_figure(height=110 + 34 * len(names))
    figure.add_heatmap(
        z=[[_shade(row[i]) for i in order] for row in shares],
        x=list(range(len(order))),
        y=[escape(name) for name in names],
        zmin=0,
        zmax=1,
        colorscale=[[0, "#F6F7F9"], [0.001, "#DDF0EC"], [0.5, RAMP[1]], [1, RAMP[3]]],
        showscale=False,
        xgap=0 if len(order) > 120 else 1,
        ygap=2,
        customdata=[
            [[theorems[k], int(row[i]), n] for k, i in enumerate(order)] for row, n in _rows(found, num_samples)
        ],
        hovertemplate="%{customdata[0]}: %{customdata[1]:,d} of %{customdata[2]:,d}<extra>%{y}</extra>",
    )
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(title_text="theorems, those proved most often first", showticklabels=False, ticks="")
    figure.update_yaxes(ticksuffix="", showgrid=False, autorange="reversed", automargin=True, rangemode="normal")
    return figure


def plot_proofs(runs: Sequence[Charted], styles: Mapping[str, LineStyle], n: int, path: str | Path) -> Path:
    """The PNG: success within T tactics, by length, ends, branching by depth."""
    with themed_figure(width=11, height=7.4) as figure:
        (budget, length), (ends, depth) = figure.subplots(2, 2)
        draw_pass_at_n(budget, [run.curve for run in runs], title="Proved within a budget of tactics", legend=False)
        ticks = n_ticks([t for run in runs for t in run.curve.ns], max_ticks=7)
        budget.set_xticks(ticks, [n_label(t) for t in ticks])
        budget.set_xlabel("tactics drawn per theorem")
        budget.set_ylabel("proved")
        _draw_lengths(length, runs, styles, n)
        _draw_ends(ends, runs)
        _draw_depths(depth, runs, styles)
        handles, labels = budget.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=min(len(labels), 6), handlelength=2.6)
        return save_png(figure, path)


def length_labels(runs: Sequence[Charted]) -> list[str]:
    """All groups of the runs, short proofs first."""
    firsts = {group.label: group.first for run in runs for group in run.lengths}
    return sorted(firsts, key=lambda label: math.inf if firsts[label] is None else float(firsts[label] or 0))


def _draw_lengths(axes: Axes, runs: Sequence[Charted], styles: Mapping[str, LineStyle], n: int) -> None:
    labels = length_labels(runs)
    width = 0.8 / len(runs)
    for index, (run, opacity) in enumerate(zip(runs, _opacities(runs, styles), strict=True)):
        known = {group.label: group.coverage[0] for group in run.lengths}
        places = [place for place, label in enumerate(labels) if label in known]
        axes.bar(
            [place - 0.4 + (index + 0.5) * width for place in places],
            [100 * known[labels[place]] for place in places],
            width,
            color=styles[run.curve.name].color,
            alpha=opacity,
            edgecolor="white",
        )
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.6, max(len(labels), 4) - 0.4)
    axes.set_ylim(0, 105)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("tactics in the known proof")
    axes.set_ylabel(f"pass@{n_label(n)}")
    axes.set_title("By length")


def _draw_ends(axes: Axes, runs: Sequence[Charted]) -> None:
    left = [0.0] * len(runs)
    for end in _ends_of(runs):
        shares = [100 * run.ends.get(end, 0) / max(1, sum(run.ends.values())) for run in runs]
        axes.barh(
            range(len(runs)),
            shares,
            0.6,
            left=left,
            color=END_COLORS.get(end, MUTED),
            edgecolor="white",
            label=END_NAMES.get(end, end),
        )
        left = [before + share for before, share in zip(left, shares, strict=True)]
    axes.set_yticks(range(len(runs)), [run.curve.name for run in runs])
    axes.tick_params(axis="y", colors=INK, length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.grid(visible=False, axis="y")
    axes.set_title("What ended the roll-outs")
    axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.1), ncols=3, handlelength=1, columnspacing=1.2)


def _draw_depths(axes: Axes, runs: Sequence[Charted], styles: Mapping[str, LineStyle]) -> None:
    for run in runs:
        profiles = _shown_depths(run)
        depths, valid = [p.depth for p in profiles], [p.valid_per_state or 0.0 for p in profiles]
        axes.plot(depths, valid, color=styles[run.curve.name].color, marker="o", markersize=4.5)
    deepest = max((p.depth for run in runs for p in _shown_depths(run)), default=0)
    axes.set_xticks(range(deepest + 1))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("tactics before the state")
    axes.set_ylabel("valid distinct tactics per state")
    axes.set_title("Branching of the searched tree")
    axes.spines["bottom"].set_color(GRID)


def _shown_depths(run: Charted) -> list[DepthProfile]:
    return [profile for profile in run.depths if profile.depth <= _DEEPEST and profile.counts.num_states]


def _opacities(runs: Sequence[Charted], styles: Mapping[str, LineStyle]) -> list[float]:
    """Bars have no markers: runs of one colour, such as iterations with the same N, get paler one by one."""
    colors = [styles[run.curve.name].color for run in runs]
    return [max(0.25, 1 - 0.35 * colors[:index].count(color)) for index, color in enumerate(colors)]


def _ends_of(runs: Sequence[Charted]) -> list[str]:
    """Those that occur, in the order of the colours."""
    present = {end for run in runs for end, count in run.ends.items() if count}
    return [end for end in [*END_COLORS, *sorted(present - END_COLORS.keys())] if end in present]


def _rows(found: FoundBy, num_samples: Sequence[int]) -> list[tuple[Sequence[int], int]]:
    return [(row.tolist(), count) for row, count in zip(found.num_correct, num_samples, strict=True)]


def _shade(share: float) -> float:
    """0 stays 0, and any success is well above it: shares are spread by their logarithm, 10⁻⁴ to 1."""
    return 0.0 if share <= 0 else max(0.15, 1 + math.log10(share) / 4)
