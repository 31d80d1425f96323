"""The pictures: written whole, not empty, in the theme's colours."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from report_runs import make_runs

from passatn.evaluate import confidence_histogram
from passatn.report import (
    Curve,
    TrainingHistory,
    draw_confidence,
    draw_over_training,
    draw_pass_at_n,
    plot_confidence,
    plot_over_training,
    plot_pass_at_n,
    run_kind,
    save_png,
    themed_figure,
)
from passatn.report.theme import RAMP, WARM, line_styles, n_label, n_ticks, ramp_color

HISTORIES = [
    TrainingHistory("CE", [0, 1, 2], [1, 256], [[0.1, 0.3], [0.2, 0.25], [0.3, 0.2]], kind="ce"),
    TrainingHistory("DCO-256", [0, 1, 2], [1, 256], [[0.1, 0.3], [0.1, 0.4], [0.1, 0.5]], kind="dco", n_passes=256),
]


def _curves() -> list[Curve]:
    kinds = [run_kind(run.run) for run in make_runs()]
    return [
        Curve.from_pass_at_n(run.name, run.pass_at_n[0], kind=kind, n_passes=n_passes)
        for run, (kind, n_passes) in zip(make_runs(), kinds, strict=True)
    ]


def _shows(path: Path, color: str) -> bool:
    """Whether some pixels of the picture have this colour."""
    pixels = imread(path)[..., :3]
    return int((abs(pixels - to_rgb(color)).max(axis=-1) < 0.02).sum()) > 50


def test_pass_at_n_picture(tmp_path: Path) -> None:
    path = plot_pass_at_n(_curves(), tmp_path / "new" / "curves.png", title="A title")
    assert imread(path).shape[:2] == (690, 1140)
    assert all(_shows(path, color) for color in (WARM[0], ramp_color(64), ramp_color(256)))
    assert [entry.name for entry in path.parent.iterdir()] == ["curves.png"]


def test_over_training_picture(tmp_path: Path) -> None:
    path = plot_over_training(HISTORIES, [1, 256], tmp_path / "training.png", title="A title")
    assert _shows(path, WARM[0])
    assert _shows(path, ramp_color(256))


def test_confidence_picture(tmp_path: Path) -> None:
    histogram = confidence_histogram([-0.1, -1.0, -3.0], [True, False, False])
    path = plot_confidence({f"run {i}": histogram for i in range(4)}, tmp_path / "confidence.png", title="A title")
    assert imread(path).std() > 0.05


def test_panels_compose_and_leave_no_settings_behind(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    with themed_figure(width=12, height=4) as figure:
        left, middle, right = figure.subplots(1, 3)
        draw_pass_at_n(left, _curves(), title="curves")
        draw_over_training(middle, HISTORIES, 256)
        draw_confidence(right, confidence_histogram([-0.1, -1.0], [True, False]), title="confidence")
        assert [text.get_text() for text in left.get_legend().get_texts()] == ["CE", "DCO-64", "DCO-256"]
        assert [label.get_text() for label in left.get_xticklabels()] == ["1", "4", "16", "64", "256"]
        save_png(figure, tmp_path / "panels.png")
    assert dict(matplotlib.rcParams) == before


def test_styles_tell_runs_apart() -> None:
    kinds = ("ce", "ce", "dco", "dco", "baseline", "baseline", "other", "other")
    curves = [Curve(f"{kind} {i}", [1], [0.5], kind=kind, n_passes=4.0**i) for i, kind in enumerate(kinds)]
    styles = line_styles(curves)
    assert styles[0].color == WARM[0]
    assert len({style.color for style in styles}) == len(styles)
    assert [style.dash for style in styles] == ["solid"] * 4 + ["dash", "dot"] + ["solid"] * 2
    assert line_styles([Curve("a", [1], [0.5], dash="dashdot")])[0].dash == "dashdot"
    with pytest.raises(ValueError, match="dash of 'a' must be one of solid, dash, dot, dashdot, got 'wavy'"):
        line_styles([Curve("a", [1], [0.5], dash="wavy")])


def test_ramp_darkens_with_n() -> None:
    luminance = [float(np.dot(to_rgb(ramp_color(2.0**k)), [0.2126, 0.7152, 0.0722])) for k in range(2, 12)]
    assert luminance == sorted(luminance, reverse=True)
    assert (ramp_color(1), ramp_color(2**20)) == (RAMP[0], RAMP[-1])


def test_labels_and_ticks() -> None:
    assert [n_label(n) for n in (1, 4096, 10_000, 16_384, 1 << 20)] == ["1", "4096", "10,000", "16k", "1M"]
    assert n_ticks([1, 2, 4]) == [1, 2, 4]
    assert n_ticks([2**k for k in range(13)]) == [4**k for k in range(7)]
    assert n_ticks([2**k for k in range(12)])[-1] == 2**11


def test_curve_errors() -> None:
    with pytest.raises(ValueError, match="curve 'a' has 1 values for 2 values of N"):
        Curve("a", [1, 2], [0.5])
    with pytest.raises(ValueError, match="curve 'a' needs both low and high"):
        Curve("a", [1], [0.5], low=[0.4])
    with pytest.raises(ValueError, match="history 'h' has 1 rows for 2 steps"):
        TrainingHistory("h", [1, 2], [1], [[0.5]])
    with pytest.raises(ValueError, match="history 'h' has 1 values at 1 for 2 values of N"):
        TrainingHistory("h", [1], [1, 2], [[0.5]])
    with pytest.raises(ValueError, match="history 'CE' has no pass@16, only N = 1, 256"):
        HISTORIES[0].at(16)
