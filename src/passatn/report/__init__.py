"""Numbers to pictures, tables and one self-contained HTML page."""

from passatn.report.curve import Curve, Kind, TrainingHistory
from passatn.report.figures import confidence_figure, over_training_figure, pass_at_n_figure
from passatn.report.html import HtmlReport
from passatn.report.plots import (
    draw_confidence,
    draw_over_training,
    draw_pass_at_n,
    plot_confidence,
    plot_over_training,
    plot_pass_at_n,
    save_png,
    themed_figure,
)
from passatn.report.run_report import run_kind, write_run_report

__all__ = [
    "Curve",
    "HtmlReport",
    "Kind",
    "TrainingHistory",
    "confidence_figure",
    "draw_confidence",
    "draw_over_training",
    "draw_pass_at_n",
    "over_training_figure",
    "pass_at_n_figure",
    "plot_confidence",
    "plot_over_training",
    "plot_pass_at_n",
    "run_kind",
    "save_png",
    "themed_figure",
    "write_run_report",
]
