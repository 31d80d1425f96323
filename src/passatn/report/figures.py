"""The charts of plots.py as interactive plotly figures: hovering shows every run's value and interval at that point."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

import plotly.graph_objects as go

from passatn.evaluate import ConfidenceHistogram
from passatn.report.curve import Curve, TrainingHistory
from passatn.report.theme import (
    BAND_OPACITY,
    FONT_FAMILY,
    GRID,
    INK,
    MUTED,
    PAPER,
    LineStyle,
    line_styles,
    n_label,
    n_ticks,
    ramp_color,
    with_opacity,
)


def pass_at_n_figure(curves: Sequence[Curve]) -> go.Figure:
    """pass@N in percent against N on a logarithmic axis with ticks at the N of the curves."""
    figure = plain_figure(height=480)
    for curve, style in zip(curves, line_styles(curves), strict=True):
        if curve.low is not None and curve.high is not None:
            figure.add_trace(_band(curve, style))
        figure.add_trace(line_trace(curve.name, curve.ns, curve.estimate, style, _intervals(curve)))
    ns = sorted({n for curve in curves for n in curve.ns})
    ticks = n_ticks(ns)
    figure.update_xaxes(
        type="log",
        title_text="number of samples N",
        tickmode="array",
        tickvals=ticks,
        ticktext=[n_label(n) for n in ticks],
        unifiedhovertitle_text="<b>N = %{x:,d}</b>",
    )
    figure.update_yaxes(title_text="pass@N")
    return figure


def over_training_figure(histories: Sequence[TrainingHistory], n: int, *, unit: str = "epoch") -> go.Figure:
    """pass@n in percent over training, one line per run."""
    figure = plain_figure(height=400)
    for history, style in zip(histories, line_styles(histories), strict=True):
        figure.add_trace(line_trace(history.name, history.steps, history.at(n), style))
    figure.update_xaxes(title_text=unit, unifiedhovertitle_text=f"<b>{escape(unit)} %{{x}}</b>")
    figure.update_yaxes(title_text=f"pass@{n_label(n)}")
    return figure


def confidence_figure(histogram: ConfidenceHistogram, *, color: str = ramp_color(256)) -> go.Figure:
    """Bars: share of the problems by greedy confidence; dots: accuracy of each bin, to be read against the diagonal."""
    figure = plain_figure(height=340)
    edges = [100 * edge for edge in histogram.edges]
    middles = [(left + right) / 2 for left, right in pairwise(edges)]
    filled = [i for i, count in enumerate(histogram.counts) if count]
    figure.add_bar(
        x=middles,
        y=[100 * count / histogram.num_problems for count in histogram.counts],
        width=[right - left for left, right in pairwise(edges)],
        name="share of problems",
        marker={"color": with_opacity(color, 0.35), "line": {"color": PAPER, "width": 1}},
        customdata=[
            f"confidence {left:g}–{right:g} %: {count:,} problems"
            for left, right, count in zip(edges, edges[1:], histogram.counts, strict=False)
        ],
        hovertemplate="%{customdata} (%{y:.1f} %)<extra></extra>",
    )
    figure.add_scatter(
        x=[100 * (histogram.bin_confidence[i] or 0.0) for i in filled],
        y=[100 * (histogram.bin_accuracy[i] or 0.0) for i in filled],
        name="accuracy in the bin",
        mode="lines+markers",
        line={"color": INK, "width": 1.8},
        marker={"size": 8},
        hovertemplate="mean confidence %{x:.1f} %, accuracy %{y:.1f} %<extra></extra>",
    )
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        name="calibrated",
        mode="lines",
        line={"color": MUTED, "width": 1, "dash": "dash"},
        hoverinfo="skip",
    )
    figure.update_layout(hovermode="closest", bargap=0)
    figure.update_xaxes(title_text="greedy confidence", range=[0, 100], ticksuffix=" %")
    figure.update_yaxes(range=[0, 102])
    return figure


def plain_figure(height: int) -> go.Figure:
    """An empty chart in the house's style, percent upwards."""
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        font={"family": FONT_FAMILY, "size": 13, "color": INK},
        margin={"l": 64, "r": 24, "t": 40, "b": 52},
        hovermode="x unified",
        hoverlabel={"bgcolor": PAPER, "bordercolor": GRID, "font": {"family": FONT_FAMILY, "size": 13}},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.03, "x": 0},
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
    )
    figure.update_xaxes(showgrid=False, zeroline=False, linecolor=MUTED, ticks="outside", tickcolor=MUTED)
    figure.update_xaxes(title_font_size=13)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, rangemode="tozero", ticksuffix=" %", title_font_size=13)
    return figure


def line_trace(
    name: str,
    x: Sequence[float],
    estimate: Sequence[float],
    style: LineStyle,
    intervals: Sequence[str] | None = None,
) -> go.Scatter:
    """One run's line with markers; `estimate` holds fractions."""
    return go.Scatter(
        x=[float(value) for value in x],
        y=[100 * float(value) for value in estimate],
        name=escape(name),
        legendgroup=escape(name),
        mode="lines+markers",
        line={"color": style.color, "dash": style.dash, "width": 2.4},
        marker={"symbol": style.marker, "size": 7},
        customdata=list(intervals or [""] * len(x)),
        hovertemplate="%{y:.1f} %%{customdata}",
    )


def _band(curve: Curve, style: LineStyle) -> go.Scatter:
    """The interval as one closed shape that is shown and hidden with its line."""
    low, high = list(curve.low or ()), list(curve.high or ())
    ns = [float(n) for n in curve.ns]
    return go.Scatter(
        x=ns + ns[::-1],
        y=[100 * float(value) for value in high + low[::-1]],
        fill="toself",
        fillcolor=with_opacity(style.color, BAND_OPACITY),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        legendgroup=escape(curve.name),
    )


def _intervals(curve: Curve) -> list[str] | None:
    if curve.low is None or curve.high is None:
        return None
    return [f" ({100 * low:.1f}–{100 * high:.1f})" for low, high in zip(curve.low, curve.high, strict=True)]
