"""The pictures of figures 1 and 3: confidence over training, by objective, and accuracy where the model is surest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from passatn.evaluate.most_confident import MostConfident
from passatn.report.plots import save_png, themed_figure
from passatn.report.reproduce_plots import as_percent
from passatn.report.theme import MUTED, OTHERS, WARM, ramp_color

BINS = np.linspace(0, 1, 21)
SHADES = ("#C3CCD5", "#98A8B7", "#6C8398", "#455D74", "#1F2328")
"""Over training, from early to late."""


@dataclass(frozen=True)
class Confidences:
    """One run at one time: confidence of each problem's first answer, and accuracy among the surest."""

    name: str
    values: Sequence[float]
    n_passes: float | None
    """None for an objective that is neither cross-entropy nor a coverage objective."""
    surest: Sequence[MostConfident]

    @property
    def color(self) -> str:
        if self.n_passes is None:
            return OTHERS[0]
        return WARM[0] if self.n_passes == 1 else ramp_color(self.n_passes)


def plot_confidence_panels(
    path: Path,
    *,
    over_training: Mapping[str, Sequence[Confidences]],
    surest: Sequence[Confidences],
    at_end: Sequence[Confidences] = (),
    surest_title: str = "(b) the surest answers",
) -> Path:
    """Histograms over training, a panel per run; accuracy of the surest answers; the end of training by run."""
    count = len(over_training) + 1 + bool(at_end)
    rows, columns = (2, 2) if count == 4 and at_end else (1, count)
    with themed_figure(width=5.0 * columns if rows == 2 else 3.9 * columns, height=3.7 * rows) as figure:
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        if rows == 2:
            panels = [panels[0], panels[2], panels[1], panels[3]]
        for axes, (title, of) in zip(panels, over_training.items(), strict=False):
            _histograms(axes, of, [SHADES[i * (len(SHADES) - 1) // max(len(of) - 1, 1)] for i in range(len(of))])
            axes.set_title(title)
        _surest(panels[len(over_training)], surest)
        panels[len(over_training)].set_title(surest_title)
        if at_end:
            _histograms(panels[-1], at_end, [of.color for of in at_end])
            panels[-1].set_title("(d) at the end of training")
        return save_png(figure, path)


def _histograms(axes: Axes, of: Sequence[Confidences], colors: Sequence[str]) -> None:
    for one, color in zip(of, colors, strict=True):
        shares = 100 * np.histogram(one.values, BINS)[0] / len(one.values)
        mean = float(np.mean(one.values))
        axes.stairs(shares, 100 * BINS, color=color, linewidth=1.8, label=f"{one.name} (mean {100 * mean:.0f} %)")
    axes.set_xlabel("confidence")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.set_ylabel("share of problems")
    as_percent(axes)
    axes.legend(loc="best")


def _surest(axes: Axes, of: Sequence[Confidences]) -> None:
    axes.plot([0, 100], [0, 100], color=MUTED, linestyle="--", linewidth=1, label="calibrated")
    for one in of:
        x = [100 * top.mean_confidence for top in one.surest]
        y = [100 * top.accuracy for top in one.surest]
        axes.plot(x, y, marker="o", markersize=5, color=one.color, label=one.name)
        # The shares are the same for all: beside the first, where there is room.
        for top, left, up in zip(one.surest, x, y, strict=True) if one is of[0] else []:
            axes.annotate(f"{100 * top.share:.0f} %", (left, up), (4, 4), textcoords="offset points", fontsize=7)
    axes.set_xlabel("mean confidence of the surest 5 … 100 %")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.set_xlim(0, 102)
    axes.set_ylabel("accuracy")
    as_percent(axes)
    axes.set_ylim(0, 102)
    axes.legend(loc="upper left")
