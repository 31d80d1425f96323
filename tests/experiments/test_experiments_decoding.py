"""Temperature and top-p chosen on validation, exactly and from stores; the split of a budget over models."""

import json

import numpy as np
import pytest

from passatn.coverage import coverage
from passatn.evaluate import Results, problems_from_arrays
from passatn.experiments.decoding import TUNED, default_of, tune_stores
from passatn.sample import score_problems
from passatn.sample.models import load_model
from passatn.tasks import Problem, encode_answers, get_template
from tiny_files import additions, write_jsonl

SETTINGS = [(0.5, 0.8), (0.5, 1.0), (1.0, 0.8), (1.0, 1.0), (1.5, 0.8), (1.5, 1.0)]


def encoded(tokenizer, records):
    problems = [Problem(str(i), r["prompt"], (r["answer"],)) for i, r in enumerate(records)]
    return [encode_answers(tokenizer, get_template("direct"), problem) for problem in problems]


def test_exact_tuning_is_the_best_validation_setting_at_each_n(passatn, finished_run, settings, workspace, tmp_path):
    write_jsonl(workspace / "validation.jsonl", additions(20, seed=5))
    outcome = passatn(
        "evaluate", "--model", finished_run.model, "--data", settings["eval_data"], "--ns", "1,8",
        "--validation", workspace / "validation.jsonl", "--temperatures", "0.5,1,1.5", "--top-ps", "0.8,1",
        "--output", tmp_path / "eval",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (curve,) = Results.load(tmp_path / "eval" / "results.json").metrics
    model, tokenizer = load_model(str(finished_run.model))
    temperatures, top_ps = zip(*SETTINGS, strict=True)
    log_p = [
        score_problems(model, encoded(tokenizer, records), temperatures=temperatures, top_ps=top_ps)
        for records in (additions(20, seed=5), additions(12, seed=1))
    ]
    values = [coverage(log[..., None], np.array([1.0, 8.0])).mean(axis=0) for log in log_p]
    best = values[0].argmax(axis=0)
    assert curve.metric == TUNED
    assert curve.estimate == pytest.approx(values[1][best, [0, 1]], rel=1e-6)
    labels = [f"T = {t:g}, top-p = {p:g}" for t, p in SETTINGS]
    assert curve.detail["chosen"] == [labels[i] for i in best]
    assert curve.detail["validation"][labels[0]] == pytest.approx(values[0][0].tolist(), rel=1e-6)
    assert "chosen on 20 validation problems" in " ".join(outcome.out.split())


def test_a_grid_of_stores_is_sampled_judged_and_chosen_from(passatn, finished_run, settings, workspace, tmp_path):
    write_jsonl(workspace / "validation.jsonl", additions(20, seed=5))
    arguments = ["--model", finished_run.model, "--max-new-tokens", 4, "--temperature", "0.5,1", "--top-p", "0.8,1"]
    for name, data in (("val", workspace / "validation.jsonl"), ("test", settings["eval_data"])):
        sampled = passatn(
            "sample", *arguments, "--data", data, "--num-samples", 32, "--verifier", "exact", "--output",
            tmp_path / name, "--ns", "1,4",
        )  # fmt: skip
        assert sampled.code == 0, sampled.err
    assert len(list((tmp_path / "val").iterdir())) == 4
    outcome = passatn(
        "evaluate", "--samples", tmp_path / "test", "--validation-samples", tmp_path / "val", "--ns", "1,4",
        "--output", tmp_path / "eval",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    results = Results.load(tmp_path / "eval" / "results.json")
    curve = results.metrics[-1]
    assert curve.metric == TUNED
    chosen = curve.detail["chosen"]
    assert set(chosen) <= set(curve.detail["validation"])
    for number, label in enumerate(chosen):
        assert curve.detail["validation"][label][number] == max(v[number] for v in curve.detail["validation"].values())
    # The plain curve beside it is that of the model's own distribution.
    assert results.run["samples"].endswith("temperature-1-top-p-1")
    tuned = tune_stores(str(tmp_path / "val"), str(tmp_path / "test"), [1, 4, 64])
    assert (tuned.ns, tuned.estimate) == ((1, 4), curve.estimate)
    for changed, message in [
        (["--validation-samples", tmp_path / "test"], "a setting must be chosen on other problems"),
        (["--validation-samples", tmp_path / "nothing"], "no sample stores in it"),
        (["--validation-samples", tmp_path / "val", "--verifier", "exact", "--data", "x"], "judged already"),
    ]:
        assert (
            message in passatn("evaluate", "--samples", tmp_path / "test", *changed, "--output", tmp_path / "e").error
        )
    bad = passatn("sample", *arguments, "--temperature", "warm", "--data", "x", "--num-samples", 1, "--output", "y")
    assert "--temperature 'warm': expected numbers separated by commas" in bad.error


def test_the_default_setting_is_the_one_closest_to_the_model_itself():
    assert default_of(SETTINGS) == (1.0, 1.0)
    assert default_of([(0.5, 1.0), (0.9, 0.95), (2.0, 1.0)]) == (0.9, 0.95)


def save_runs(folder, rates, prefix, **columns):
    """One run per row of rates, over problems named after their columns."""
    paths = []
    for number, row in enumerate(rates):
        ids = [f"{prefix}{i}" for i in range(len(row))]
        with np.errstate(divide="ignore"):
            values = columns or {"log_p": np.log(row)}
        values = {name: value[number] if np.ndim(value) == 2 else value for name, value in values.items()}
        results = Results.from_problems({"name": f"m{number}"}, problems_from_arrays(ids, **values), ns=[1, 8])
        paths.append(results.save(folder / f"{prefix}-m{number}.json"))
    return paths


def test_a_split_between_specialists_beats_the_best_single_model(passatn, tmp_path):
    """Each model solves one half of the problems with p = 0.2 and nothing else: half of the samples to each."""
    rates = np.array([[0.2] * 20 + [0.0] * 20, [0.0] * 20 + [0.2] * 20])
    paths = save_runs(tmp_path, rates, "v")
    tests = save_runs(tmp_path, rates[:, ::2], "t")
    outcome = passatn("recommend", *paths, "--n", 16, "--test", tests[0], "--test", tests[1])
    assert outcome.code == 0, outcome.err
    shown = " ".join(outcome.out.split())
    assert "the best split: 8 of m0, 8 of m1" in shown
    single, both = 50 * (1 - 0.8**16), 100 * (1 - 0.8**8)
    assert f"{single:.1f} (" in shown
    assert f"{both:.1f} (" in shown
    assert f"gains {both - single:+.1f} points" in shown
    assert "on 20 test problems" in shown
    crossed = passatn("recommend", *paths, "--n", 16)
    assert "each of 10 parts under what the other parts chose" in " ".join(crossed.out.split())


def test_a_split_from_counts_and_what_is_refused(passatn, tmp_path):
    rng = np.random.default_rng(0)
    rates = np.stack([rng.beta(0.3, 3, 40), rng.beta(0.3, 3, 40)])
    correct = rng.binomial(64, rates)
    paths = save_runs(tmp_path, rates, "c", num_samples=64, num_correct=correct)
    outcome = passatn("recommend", *paths, "--n", 32)
    assert outcome.code == 0, outcome.err
    assert (
        "n = 128 needs as many samples of every problem, some have 64" in passatn("recommend", *paths, "--n", 128).error
    )
    assert "at least two runs" in passatn("recommend", paths[0], "--n", 4).error
    other = save_runs(tmp_path, rates[:, :3], "d")
    assert "differ in problem" in passatn("recommend", paths[0], other[0], "--n", 4).error
    assert "give one for each" in passatn("recommend", *paths, "--n", 4, "--test", paths[0]).error
    record = json.loads(other[1].read_text())
    record["problems"] = [{"id": p["id"]} for p in record["problems"]]
    other[1].write_text(json.dumps(record))
    assert "share neither log_p nor counts" in passatn("recommend", *other, "--n", 4).error
