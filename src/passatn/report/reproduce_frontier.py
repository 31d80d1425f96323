"""The pictures of figures 2 and 13: the frontier of pass@N curves, the weight F(N, p), and F by level of difficulty."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from passatn.evaluate import Frontier
from passatn.evaluate.by_level import LevelWeights
from passatn.report.curve import Curve
from passatn.report.plots import draw_pass_at_n, save_png, themed_figure
from passatn.report.reproduce_plots import PLAIN
from passatn.report.theme import INK, MUTED, WARM, n_label, ramp_color


def plot_frontier(
    path: Path,
    curves: Sequence[Curve],
    best: Frontier,
    confidences: Sequence[float],
    weights: Mapping[int, Sequence[float]],
) -> Path:
    """(a) curves with the frontier as a broad line behind them; (b) F(N, p) against p."""
    with themed_figure(width=11.5, height=4.4) as figure:
        left, right = figure.subplots(1, 2)
        front = [100 * value for value in best.best]
        left.plot(curves[0].ns, front, color=INK, linewidth=7, alpha=0.18, label="frontier", zorder=1)
        draw_pass_at_n(left, curves, title="(a) pass@N by training N")
        for n, values in weights.items():
            color = WARM[0] if n == 1 else ramp_color(n)
            right.plot(confidences, values, color=color, label=f"N = {n_label(n)}")
            if n > 1:
                right.axvline(1 / n, color=color, linewidth=0.8, linestyle=":")
        right.set_xscale("log")
        right.xaxis.set_major_formatter(PLAIN)
        right.set_xlabel("confidence p (dotted: 1/N)")
        right.set_ylabel("F(N, p)")
        right.set_ylim(0, 1.05)
        right.set_title("(b) weight of an example's gradient")
        right.legend(loc="lower left")
        return save_png(figure, path)


def plot_levels(path: Path, panels: Mapping[str, Sequence[LevelWeights]], n: int, threshold: float) -> Path:
    """One panel per time of training: the spread of F over the problems of each level."""
    with themed_figure(width=1.0 + 2.9 * len(panels), height=3.9) as figure:
        all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, levels) in zip(all_axes, panels.items(), strict=True):
            for x, level in enumerate(levels):
                low, q1, median, q3, high = level.quantiles
                axes.plot([x, x], [low, high], color=ramp_color(n), linewidth=1.2)
                axes.plot([x, x], [q1, q3], color=ramp_color(n), linewidth=9, alpha=0.35, solid_capstyle="butt")
                axes.plot(x, median, marker="_", markersize=13, color=INK, label="median" if x == 0 else None)
                axes.plot(x, level.mean, marker="D", markersize=5, color=WARM[0], label="mean" if x == 0 else None)
            axes.axhline(threshold, color=MUTED, linewidth=1, linestyle="--")
            axes.set_xticks(range(len(levels)), [level.level for level in levels])
            axes.set_xlabel("level of difficulty")
            axes.set_title(title)
            axes.set_ylim(0, 1.05)
        all_axes[0].set_ylabel(f"F({n}, p)")
        handles, labels = all_axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        return save_png(figure, path)
