"""`passatn score`, `evaluate` and `report`: what they write, print and refuse."""

import json
import os

import numpy as np
import pytest

from passatn.coverage import coverage
from passatn.evaluate import Results
from tiny_files import additions, write_jsonl


@pytest.fixture
def asked(finished_run, settings):
    """The words that name the trained model and the held-out problems."""
    return ["--model", finished_run.model, "--data", settings["eval_data"]]


def test_score_prints_json_lines_and_nothing_else(passatn, asked, finished_run):
    outcome = passatn("score", *asked)
    assert outcome.code == 0
    records = [json.loads(line) for line in outcome.out.splitlines()]
    stored = Results.load(finished_run.results)
    assert [record["id"] for record in records] == stored.ids
    np.testing.assert_allclose([record["log_p"] for record in records], stored.column("log_p"), atol=1e-6)
    assert all(record["answers"][0]["num_tokens"] == 3 for record in records)


def test_score_adds_up_accepted_answers(passatn, asked, tmp_path):
    rows = write_jsonl(tmp_path / "rows.jsonl", [{"id": "p", "prompt": "3+4", "answer": ["7", "11"]}])
    (record,) = map(json.loads, passatn("score", *asked, "--data", rows).out.splitlines())
    parts = [answer["log_p"] for answer in record["answers"]]
    assert record["log_p"] == pytest.approx(np.logaddexp(*parts))


def test_score_to_a_file_does_not_replace_one_unasked(passatn, asked, tmp_path):
    file = tmp_path / "folder" / "scores.jsonl"
    assert passatn("score", *asked, "--output", file).out == ""
    before = file.read_text()
    assert len(before.splitlines()) == 12
    assert "exists: choose another --output, or --overwrite" in passatn("score", *asked, "--output", file).error
    assert passatn("score", *asked, "--output", file, "--overwrite").code == 0
    assert file.read_text() == before


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluations")


def test_exact_and_sampled_pass_at_n_agree(passatn, asked, evaluations):
    output = evaluations / "a"
    outcome = passatn("evaluate", *asked, "--output", output, "--num-samples", 256, "--ns", "1,4,16", "--name", "A")
    assert outcome.code == 0
    assert sorted(os.listdir(output)) == ["pass_at_n.png", "report.html", "results.json"]
    assert "A: lower bound, 12 problems" in outcome.out
    assert "A: samples, 12 problems" in outcome.out
    results = Results.load(output / "results.json")
    # Each problem's samples are binomial with the exact p: 5 standard errors of the mean over 12 problems.
    p = coverage(results.column("log_p"), 1)
    error = 5 * np.sqrt((p * (1 - p)).sum() / 256) / 12
    assert abs((results.column("num_correct") / 256).mean() - p.mean()) < error
    for exact, sampled in zip(results.pass_at_n[0].estimate, results.pass_at_n[1].estimate, strict=True):
        assert abs(exact - sampled) < 0.1
    assert results.confidence is not None
    assert results.run["n_passes"] == 8


def test_a_finished_evaluation_is_shown_again_and_other_settings_are_refused(passatn, asked, evaluations, monkeypatch):
    output = evaluations / "again"
    assert passatn("evaluate", *asked, "--output", output, "--ns", "1,4").code == 0
    monkeypatch.setattr("passatn.sample.models.load_model", None)
    shown = passatn("evaluate", *asked, "--output", output, "--ns", "1,4")
    assert shown.code == 0
    assert "is already evaluated (--overwrite does it again)" in shown.err
    assert "lower bound, 12 problems" in shown.out
    refused = passatn("evaluate", *asked, "--output", output, "--ns", "1,4", "--temperature", 2)
    assert "holds an evaluation with temperature=1.0, now it is 2.0" in refused.error
    assert "with ns=[1, 4], now it is [1, 8]" in passatn("evaluate", *asked, "--output", output, "--ns", "1,8").error
    assert "with limit=None, now it is 3" in passatn("evaluate", *asked, "--output", output, "--limit", 3).error


def test_overwrite_evaluates_again(passatn, asked, evaluations):
    output = evaluations / "overwritten"
    assert passatn("evaluate", *asked, "--output", output).code == 0
    assert passatn("evaluate", *asked, "--output", output, "--limit", 3, "--overwrite").code == 0
    assert len(Results.load(output / "results.json").problems) == 3


def test_names_may_be_written_with_underscores(passatn, asked, evaluations):
    output = evaluations / "underscores"
    outcome = passatn("evaluate", *asked, "--output", output, "--max_prompt_tokens", 200, "--skip_bad_rows")
    assert outcome.code == 0


def test_nothing_is_left_when_the_report_cannot_be_written(passatn, asked, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr("passatn.report.run_report.plot_pass_at_n", fail)
    assert "No space left" in passatn("evaluate", *asked, "--output", tmp_path / "eval").error
    assert os.listdir(tmp_path) == []


def test_a_report_compares_runs_on_the_same_problems(passatn, asked, finished_run, workspace, settings, tmp_path):
    for name, model in (("trained", finished_run.model), ("random", workspace / "tiny")):
        words = ["--model", model, "--data", settings["eval_data"], "--output", tmp_path / name]
        assert passatn("evaluate", *words).code == 0
    outcome = passatn("report", tmp_path / "random", tmp_path / "trained", "--output", tmp_path / "report")
    assert outcome.code == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Difference to random" in page
    assert "Frontier" in page
    again = passatn("report", tmp_path / "random", finished_run.path, "--output", tmp_path / "report")
    assert again.code == 0
    refused = passatn("report", tmp_path / "random", "--output", tmp_path / "trained")
    assert "is not a folder for reports" in refused.error
    missing = passatn("report", tmp_path / "none", "--output", tmp_path / "report")
    assert "none: no results there" in missing.error


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--ns", "1,x"], "--ns '1,x': expected whole numbers from 1"),
        (["--ns", "0"], "--ns '0': expected whole numbers from 1"),
        (["--column", "prompt"], "--column prompt: expected FIELD=COLUMN, such as prompt=question"),
        (["--column", "prompt=question"], "row 1: there is no column 'question' for the field 'prompt'"),
        (["--template", "poem"], "unknown prompt template 'poem'; there are raw, direct"),
        (["--preset", "poem"], "unknown preset 'poem'; there are math"),
        (["--data", "none.jsonl"], "none.jsonl: no such file"),
        (["--data", "none.txt"], "none.txt: not a source of problems"),
        (["--dtype", "int8"], "dtype must be one of auto, float32"),
        (["--temperature", "0"], "temperatures must be positive"),
        (["--model", "none"], "cannot load the model 'none'"),
        (["--model", "none.gguf"], "cannot load the model 'none.gguf': no such file"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(passatn, asked, tmp_path, monkeypatch, changed, message):
    monkeypatch.chdir(tmp_path)
    assert message in passatn("evaluate", *asked, *changed, "--output", "eval").error
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "the file is empty"),
        ([*additions(1), '{"prompt": '], "row 2: malformed JSON"),
        ([{"prompt": "3+4"}], "row 1: the field 'answer' is missing"),
        (
            [{"prompt": "3+4", "answer": None, "test": "assert True"}],
            "no problem is left; 1 problems without an accepted",
        ),
        ([{"prompt": "3+4", "answer": "<eos>7"}], "stands inside the completion"),
    ],
)
def test_bad_rows_are_named(passatn, asked, tmp_path, rows, message):
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    error = passatn("score", *asked, "--data", file).error
    assert message in error
    assert error.startswith(str(file))


def test_usage_errors_are_plain(passatn, tmp_path):
    outcome = passatn("evaluate", "--modle", "x")
    assert outcome.code == 2
    assert outcome.out == ""
    assert "No such option: --modle" in outcome.err


def test_an_existing_folder_with_other_things_is_refused(passatn, asked, finished_run):
    for extra in ([], ["--overwrite"]):
        outcome = passatn("evaluate", *asked, "--output", finished_run.path, *extra)
        assert "exists and holds something else" in outcome.error
