"""A sketch of search trees with measured branching: one tree a model, its mean states and tactics at each depth."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from passatn.report.plots import save_png, themed_figure
from passatn.report.theme import INK, MUTED, WARM, ramp_color

NOTE = "beside each level: mean number of distinct accepted tactics of a state; below: as wide as so many equal ones"
WIDEST = 64
"""Nodes drawn at one depth; more are not told apart."""


def plot_search_trees(
    path: Path, trees: Mapping[str, tuple[float, Sequence[float]]], *, subtitles: Mapping[str, str]
) -> Path:
    """One panel per model.

    Args:
        trees: by name (N_eff, the mean number of distinct accepted tactics of a state at each depth).
        subtitles: a line of measured numbers under each name.
    """
    with themed_figure(width=3.1 * len(trees), height=3.4) as figure:
        panels = figure.subplots(1, len(trees), squeeze=False)[0]
        for axes, (name, (n_eff, branching)) in zip(panels, trees.items(), strict=True):
            color = WARM[0] if n_eff == 1 else ramp_color(n_eff)
            _draw(axes, branching, color)
            axes.set_title(name)
            axes.text(0.5, -0.02, subtitles[name], transform=axes.transAxes, ha="center", va="top", color=MUTED)
        figure.supxlabel(NOTE, fontsize=9, color=MUTED)
        return save_png(figure, path)


def node_counts(branching: Sequence[float]) -> list[int]:
    """Nodes to draw at depths 0, 1, …: the product of the branching so far, rounded, at most `WIDEST`."""
    return [min(WIDEST, round(float(product))) for product in np.cumprod([1.0, *branching])]


def _draw(axes: Axes, branching: Sequence[float], color: str) -> None:
    counts = node_counts(branching)
    places = [np.linspace(-1, 1, count + 2)[1:-1] for count in counts]
    for depth, (above, below) in enumerate(pairwise(places)):
        parents = above[np.arange(len(below)) * len(above) // max(1, len(below))]
        edges = [[(a, -depth), (b, -depth - 1)] for a, b in zip(parents, below, strict=True)]
        axes.add_collection(LineCollection(edges, colors=color, linewidths=1.1, alpha=0.75))
        axes.scatter(below, np.full(len(below), -depth - 1), s=9, color=color, zorder=3)
        mean = f"{branching[depth]:.1f}"
        axes.annotate(mean, (1.04, -depth - 0.5), color=INK, fontsize=8, ha="left", va="center", annotation_clip=False)
    axes.scatter([0], [0], s=22, color=INK, zorder=4)
    axes.set_xlim(-1.02, 1.2)
    axes.set_ylim(-len(branching) - 0.3, 0.3)
    axes.axis("off")
