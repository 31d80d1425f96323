"""What happened while a run was training, from its metrics.jsonl: the paper's figure 4, and where the time went.

For runs with roll-outs: candidates discarded and roll-outs drawn per step, the success rates of candidates, the
probability of the most frequent final answer, and seconds by phase. For others: learnt examples that were replaced.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from passatn.report.figures import line_trace, plain_figure
from passatn.report.theme import MUTED, LineStyle, ramp_color

Entries = Sequence[Mapping[str, Any]]

_LINES = {
    "discarded_candidates": "candidates discarded per step",
    "rollouts_drawn": "roll-outs drawn per step",
    "max_confidence_by_answer": "probability of the most frequent answer",
    "groups_discarded": "groups with equal rewards, discarded per step",
    "active_fraction": "share of candidates that are trained on",
}
"""Logged numbers that get a chart of their own, one line per run."""
_FRACTIONS = ("max_confidence_by_answer", "active_fraction")
_BIN, _SECONDS = "p_hat_to_", "seconds_"


def read_entries(file: Path) -> list[dict[str, Any]]:
    """The entries of a metrics.jsonl that belong to optimizer steps; none if there is no such file.

    Raises:
        ValueError: a line that is no JSON object; names the file and the line.
    """
    if not file.is_file():
        return []
    entries = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            if "step" in entry and ("loss" in entry or "surrogate_loss" in entry):
                entries.append(entry)
        except (ValueError, TypeError):
            raise ValueError(f"{file}, line {number}: not a JSON object") from None
    return entries


def training_figures(runs: Mapping[str, Entries], styles: Mapping[str, LineStyle]) -> dict[str, go.Figure]:
    """Charts by title; only those for which some run has logged the numbers."""
    figures = {}
    for key, title in _LINES.items():
        having = {name: [e for e in entries if key in e] for name, entries in runs.items()}
        if any(having.values()):
            figures[title] = _lines({name: e for name, e in having.items() if e}, key, styles)
    for name, entries in runs.items():
        if any(_BIN in key for key in (entries[-1] if entries else {})):
            figures[f"{name}: success rates of candidates"] = _histogram_over_steps(entries)
        phases = [key for key in (entries[-1] if entries else {}) if key.startswith(_SECONDS)]
        if phases:
            figures[f"{name}: seconds per step"] = _stacked(entries, phases)
    return figures


def _lines(runs: Mapping[str, Entries], key: str, styles: Mapping[str, LineStyle]) -> go.Figure:
    figure = plain_figure(height=300)
    for name, entries in runs.items():
        # line_trace shows percent.
        values = [entry[key] if key in _FRACTIONS else entry[key] / 100 for entry in entries]
        figure.add_trace(line_trace(name, [entry["step"] for entry in entries], values, styles[name]))
    figure.update_traces(mode="lines", hovertemplate="%{y:.4g}")
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title_text="optimizer step")
    figure.update_yaxes(ticksuffix=" %" if key in _FRACTIONS else "")
    return figure


def _histogram_over_steps(entries: Entries) -> go.Figure:
    """Shares of the candidates by estimated success rate, stacked: what is learnt moves up."""
    keys = sorted((key for key in entries[-1] if key.startswith(_BIN)), key=lambda key: float(key.removeprefix(_BIN)))
    figure = plain_figure(height=300)
    for number, key in enumerate(keys):
        shares = [100 * entry[key] / max(sum(entry[k] for k in keys), 1e-9) for entry in entries]
        color = ramp_color(2 ** (2 + 9 * number / max(len(keys) - 1, 1)))
        limit = float(key.removeprefix(_BIN))
        figure.add_scatter(
            x=[entry["step"] for entry in entries],
            y=shares,
            name="none right" if limit == 0 else f"p̂ ≤ {limit:g}",
            stackgroup="bins",
            mode="lines",
            line={"width": 0.5, "color": color},
            hovertemplate="%{y:.0f} %",
        )
    figure.update_xaxes(title_text="optimizer step")
    figure.update_yaxes(range=[0, 100])
    return figure


def _stacked(entries: Entries, phases: Sequence[str]) -> go.Figure:
    figure = plain_figure(height=300)
    for number, phase in enumerate(phases):
        color = ramp_color(2 ** (2 + 9 * number / max(len(phases) - 1, 1))) if "verifying" not in phase else MUTED
        figure.add_scatter(
            x=[entry["step"] for entry in entries],
            y=[entry.get(phase, 0.0) for entry in entries],
            name=phase.removeprefix(_SECONDS) + (" (beside sampling)" if "verifying" in phase else ""),
            mode="lines",
            line={"color": color, "width": 1.6, "dash": "dot" if "verifying" in phase else "solid"},
            stackgroup=None if "verifying" in phase else "phases",
            hovertemplate="%{y:.2f} s",
        )
    figure.update_xaxes(title_text="optimizer step")
    figure.update_yaxes(ticksuffix=" s")
    return figure
