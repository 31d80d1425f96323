"""The charts of what a run logged: which there are, and that they show the numbers that were logged."""

import json

import pytest

from passatn.evaluate import Results, problems_from_arrays
from passatn.report import write_run_report
from passatn.report.theme import LineStyle
from passatn.report.training import read_entries, training_figures

ROLLOUTS = [
    {
        "surrogate_loss": 1.0,
        "step": step,
        "discarded_candidates": 3 * step,
        "rollouts_drawn": 640,
        "max_confidence_by_answer": 0.1 * step,
        "active_fraction": 0.5,
        "p_hat_to_0": 6.0,
        "p_hat_to_0.1": 3.0,
        "p_hat_to_1": 1.0,
        "seconds_sampling": 2.0,
        "seconds_verifying": 0.5,
        "seconds_training": 1.0,
    }
    for step in (1, 2, 3)
]
PLAIN = [{"loss": 2.0, "step": step, "active_fraction": 1.0} for step in (1, 2)]
STYLES = {name: LineStyle(color, "solid", "circle") for name, color in (("DCOa", "#111111"), ("CE", "#222222"))}


def test_each_logged_number_has_its_chart():
    figures = training_figures({"DCOa": ROLLOUTS, "CE": PLAIN}, STYLES)
    assert list(figures) == [
        "candidates discarded per step",
        "roll-outs drawn per step",
        "probability of the most frequent answer",
        "share of candidates that are trained on",
        "DCOa: success rates of candidates",
        "DCOa: seconds per step",
    ]
    discarded = figures["candidates discarded per step"].data
    assert [(trace.name, list(trace.x), list(trace.y)) for trace in discarded] == [("DCOa", [1, 2, 3], [3, 6, 9])]
    confidence = figures["probability of the most frequent answer"].data[0]
    assert list(confidence.y) == pytest.approx([10, 20, 30])
    active = figures["share of candidates that are trained on"].data
    assert [trace.name for trace in active] == ["DCOa", "CE"]
    bins = figures["DCOa: success rates of candidates"].data
    assert [(trace.name, trace.y[0]) for trace in bins] == [("none right", 60), ("p̂ ≤ 0.1", 30), ("p̂ ≤ 1", 10)]
    # Verifying runs beside sampling, so it is not stacked upon it.
    stacks = {trace.name: trace.stackgroup for trace in figures["DCOa: seconds per step"].data}
    assert stacks == {"sampling": "phases", "verifying (beside sampling)": None, "training": "phases"}


def test_a_report_of_runs_without_a_log_has_no_such_section(tmp_path):
    results = [
        Results.from_problems({"name": name}, problems_from_arrays(["a", "b"], log_p=[-1.0, -2.0]), ns=[1, 4])
        for name in ("DCOa", "CE")
    ]
    write_run_report(results, tmp_path / "with", logs=[ROLLOUTS, []])
    write_run_report(results, tmp_path / "without")
    assert "candidates discarded per step" in (tmp_path / "with" / "report.html").read_text()
    assert "Training" not in (tmp_path / "without" / "report.html").read_text()


def test_reading_the_log_of_a_run(tmp_path):
    file = tmp_path / "metrics.jsonl"
    assert read_entries(file) == []
    lines = [{"loss": 1.0, "step": 1}, {"eval_loss": 1.0, "step": 1}, {"train_runtime": 3.0}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_entries(file) == lines[:1]
    file.write_text('{"loss": 1.0, "step": 1}\n{"loss": 2.')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2: not a JSON object"):
        read_entries(file)
