"""One look for every chart: colours that colour-blind readers can tell apart, dashes, markers, fonts, how N is written.

Cross-entropy is warm. Coverage objectives take a colour from a ramp by their N (light and green up to N = 4, dark
and violet from N = 2048 on), the same on every chart. Baselines are dashed greys and browns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from passatn.report.curve import Curve, TrainingHistory

WARM = ("#D55E00", "#E69F00", "#9B2F00")
RAMP = ("#7AC143", "#1AA38C", "#2388C8", "#3A3FA6", "#6A0572")
GREYS = ("#6B6B6B", "#8C6D46", "#A0A0A0", "#5C4033")
OTHERS = ("#CC79A7", "#56B4E9", "#009E73", "#B8A200", "#000000")
RAMP_LOG2_N = (2.0, 11.0)
"""log2 of the N at the two ends of the ramp."""

DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
"""A dash as plotly calls it → as matplotlib does."""
BASELINE_DASHES = ("dash", "dot", "dashdot")
MARKERS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
MATPLOTLIB_MARKERS = dict(zip(MARKERS, "os^DvP", strict=True))

INK, MUTED, GRID, PAPER = "#1F2328", "#57606A", "#E3E6EA", "#FFFFFF"
FONT_FAMILY = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
BAND_OPACITY = 0.13

MATPLOTLIB_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.minor.bottom": False,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.7,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
}


@dataclass(frozen=True)
class LineStyle:
    """How one run is drawn, in plotly's words."""

    color: str
    dash: str
    marker: str


def line_styles(runs: Sequence[Curve | TrainingHistory]) -> list[LineStyle]:
    """One style per run, in order; runs of one kind are told apart by colour, by marker, and baselines by dash too."""
    styles = []
    seen: dict[str, int] = {}
    for position, run in enumerate(runs):
        index = seen.get(run.kind, 0)
        seen[run.kind] = index + 1
        dash = run.dash or (BASELINE_DASHES[index % len(BASELINE_DASHES)] if run.kind == "baseline" else "solid")
        if dash not in DASHES:
            raise ValueError(f"dash of {run.name!r} must be one of {', '.join(DASHES)}, got {dash!r}")
        styles.append(LineStyle(_color(run, index), dash, MARKERS[position % len(MARKERS)]))
    return styles


def _color(run: Curve | TrainingHistory, index: int) -> str:
    if run.kind == "dco" and run.n_passes is not None:
        return ramp_color(run.n_passes)
    palettes = {"ce": WARM, "dco": RAMP[1:], "baseline": GREYS, "other": OTHERS}
    palette = palettes[run.kind]
    return palette[index % len(palette)]


def ramp_color(n_passes: float) -> str:
    """The colour of a coverage objective trained for this N ≥ 1, as #RRGGBB."""
    low, high = RAMP_LOG2_N
    position = (math.log2(n_passes) - low) / (high - low) * (len(RAMP) - 1)
    position = min(max(position, 0.0), len(RAMP) - 1.0)
    left = min(int(position), len(RAMP) - 2)
    share = position - left
    channels = zip(_channels(RAMP[left]), _channels(RAMP[left + 1]), strict=True)
    return "#" + "".join(f"{round(a + share * (b - a)):02X}" for a, b in channels)


def with_opacity(color: str, opacity: float) -> str:
    """#RRGGBB as rgba(r, g, b, opacity)."""
    red, green, blue = _channels(color)
    return f"rgba({red}, {green}, {blue}, {opacity})"


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def n_label(n: float) -> str:
    """N as an axis shows it: 1, 16, 256, 4096, then 16k, 1M in powers of two, other large numbers with separators."""
    for size, suffix in ((1 << 20, "M"), (1 << 10, "k")):
        if n >= 10_000 and n % size == 0:
            return f"{int(n // size)}{suffix}"
    return f"{n:,.0f}" if n >= 10_000 else f"{n:g}"


def n_ticks(ns: Sequence[int], max_ticks: int = 9) -> list[int]:
    """Which of the N to label: all when there are few, else evenly many of them, the first and the last among them."""
    values = sorted(set(ns))
    if len(values) <= max_ticks:
        return values
    stride = math.ceil((len(values) - 1) / (max_ticks - 1))
    ticks = values[::stride]
    return ticks if ticks[-1] == values[-1] else [*ticks, values[-1]]
