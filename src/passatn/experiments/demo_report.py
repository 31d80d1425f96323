"""The demo's picture and page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from passatn.evaluate import ConfidenceHistogram
from passatn.experiments.demo_analysis import NS, SHOWN_NS, ArmRun, Row
from passatn.experiments.mini_math import Settings
from passatn.report import (
    Curve,
    HtmlReport,
    TrainingHistory,
    confidence_figure,
    over_training_figure,
    pass_at_n_figure,
)
from passatn.report.plots import draw_confidence, draw_over_training, draw_pass_at_n, save_png, themed_figure
from passatn.report.theme import line_styles

TEST_N = 256


def write_picture(
    path: Path,
    rows: Mapping[str, Row],
    runs: Mapping[str, Sequence[ArmRun]],
    histograms: Mapping[str, ConfidenceHistogram],
) -> Path:
    """Four panels: pass@1 and pass@256 over training, final curves, greedy confidence of cross-entropy and DCO."""
    histories, curves = _histories(runs), _curves(rows)
    colors = {history.name: style.color for history, style in zip(histories, line_styles(histories), strict=True)}
    with themed_figure(width=12.5, height=8.6) as figure:
        panels = figure.subplots(2, 2)
        draw_over_training(panels[0, 0], histories, 1, title="Over training, pass@1", legend=False)
        draw_over_training(panels[0, 1], histories, TEST_N, title=f"Over training, pass@{TEST_N}")
        draw_pass_at_n(panels[1, 0], curves, title="Final models and tuned cross-entropy")
        shown = [name for name in ("CE", f"DCO-{TEST_N}") if name in histograms]
        draw_confidence(
            panels[1, 1],
            histograms[shown[0]],
            color=colors[shown[0]],
            title=f"Greedy confidence at the end: {shown[0]}",
        )
        return save_png(figure, path)


def write_page(
    path: Path,
    rows: Mapping[str, Row],
    runs: Mapping[str, Sequence[ArmRun]],
    histograms: Mapping[str, ConfidenceHistogram],
    sentences: Sequence[str],
    caution: str,
    picture: Path,
    settings: Settings,
    options: Mapping[str, Any],
) -> Path:
    """The page: findings, caution, curves, table, training, confidence, settings."""
    page = HtmlReport("passatn demo: what limiting confidence does to pass@N")
    page.add_paragraph(_introduction(settings, options))
    page.add_heading("What was measured")
    page.add_list(sentences)
    page.add_heading("What it does not show")
    page.add_paragraph(caution)
    page.add_heading("pass@N of the final models")
    page.add_figure(pass_at_n_figure(_curves(rows)), "Exact, on test problems. A click on a name hides its curve.")
    page.add_table(
        ["", "steps", "examples weighed", *(f"pass@{n}" for n in SHOWN_NS)],
        [[row.name, *_costs(row, runs), *(_cell(row, n) for n in SHOWN_NS)] for row in rows.values()],
        _table_caption(options),
    )
    page.add_list([f"{row.name}, chosen on validation (seed 0): {row.note}" for row in rows.values() if row.note])
    page.add_heading("Over training")
    histories = _histories(runs)
    page.add_figure_row({f"pass@{n}": over_training_figure(histories, n, unit="epoch") for n in (1, 16, TEST_N, 4096)})
    page.add_heading("Greedy confidence against accuracy")
    colors = {history.name: style.color for history, style in zip(histories, line_styles(histories), strict=True)}
    page.add_figure_row(
        {
            name: confidence_figure(histogram, color=colors[name])
            for name, histogram in histograms.items()
            if name in colors
        }
    )
    page.add_heading("The same as one picture")
    page.add_image(picture, "demo.png")
    return page.save(path)


def _introduction(settings: Settings, options: Mapping[str, Any]) -> str:
    size = "The quick form: shorter training, fewer runs. " if options["quick"] else ""
    return (
        f"{size}A Llama of 337,000 parameters learns mini-MATH (ten functions of three two-digit numbers) in "
        f"{settings.pretrain_steps:,} steps of {settings.pretrain_batch} fresh problems. Then its ten function "
        f"embeddings are reset and it is fine-tuned on {settings.num_train:,} problems for {settings.epochs} epochs "
        "by cross-entropy (CE) and by Direct Coverage Optimization, DCO-N, which minimises −log(1 − (1 − p)^N) and "
        "replaces examples with F(N, p) < 0.3. No operand pair is shared between the training, validation and test "
        f"problems ({settings.num_eval:,} each). pass@N is exact: the probability of the answer comes from teacher "
        f"forcing, not from samples. Fine-tuning seeds: {options['seeds']}, all from the same base model."
    )


def _table_caption(options: Mapping[str, Any]) -> str:
    if options["seeds"] > 1:
        return f"Test pass@N in percent, mean ± standard deviation over {options['seeds']} seeds."
    return "Test pass@N in percent ± half a 95 % bootstrap interval over problems; one seed, whose spread is not in it."


def _cell(row: Row, n: int) -> str:
    index = NS.index(n)
    if row.sd is not None:
        return f"{100 * row.mean[index]:.1f} ± {100 * row.sd[index]:.1f}"
    curve = row.curves[0]
    return f"{100 * curve.estimate[index]:.1f} ± {50 * (curve.high[index] - curve.low[index]):.1f}"


def _costs(row: Row, runs: Mapping[str, Sequence[ArmRun]]) -> tuple[str, str]:
    group = runs.get(row.name) or (runs["CE"] if row.name == "CE, last epoch" else None)
    if group is None:
        return "–", "–"
    steps, examples = (np.mean([run.data[name] for run in group]) for name in ("steps_done", "examples_seen"))
    return f"{steps:,.0f}", f"{examples:,.0f}"


def _curves(rows: Mapping[str, Row]) -> list[Curve]:
    """Final models, and the two baselines that matter; bands only for a single seed would crowd the picture."""
    baselines = [name for name in ("CE, tuned rates", "CE, best epoch and temperature per N") if name in rows]
    shown = [row for row in rows.values() if row.kind != "baseline"] + [rows[name] for name in baselines]
    return [Curve(row.name, NS, row.mean.tolist(), kind=row.kind, n_passes=row.n_passes) for row in shown]


def _histories(runs: Mapping[str, Sequence[ArmRun]]) -> list[TrainingHistory]:
    histories = []
    for name, group in runs.items():
        shortest = min(len(run.epochs) for run in group)
        mean = np.mean([run.over_training()[:shortest] for run in group], axis=0)
        arm = group[0].arm
        kind: Any = "baseline" if arm.ema is not None else "ce" if arm.n_passes == 1 else "dco"
        n_passes = arm.n_passes if kind == "dco" else None
        histories.append(TrainingHistory(name, group[0].epochs[:shortest], NS, mean.tolist(), kind, n_passes))
    return histories
