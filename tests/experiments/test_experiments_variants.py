"""Variants of DCO through `passatn train`: an average of the weights, a changing N, given confidences."""

import json

import pytest
import torch

from passatn.coverage import confidence_weight
from passatn.evaluate import Results
from passatn.experiments.config import ConfigError, RunConfig
from passatn.experiments.finetune import train
from passatn.experiments.problems import encode, read_problems
from passatn.experiments.run_directory import RunDirectory
from passatn.sample import score_problems
from passatn.sample.models import load_model
from tiny_files import additions, write_jsonl


def scores(model, settings):
    config = RunConfig.from_mapping(settings)
    loaded, tokenizer = load_model(str(model))
    problems = encode(read_problems(settings["eval_data"], config, split=None), config, tokenizer, limit=None)
    return torch.tensor(score_problems(loaded, problems.answers)[:, 0])


@pytest.mark.parametrize("save_only_model", [True, False])
def test_results_and_the_stored_model_are_those_of_the_average(save_only_model, settings, tmp_path):
    """A checkpoint that is a model and nothing else is the average too; one that can be resumed is not."""
    settings = settings | {"weight_ema": 0.8, "save_only_model": save_only_model, "n_passes": 1}
    run = RunDirectory(tmp_path / "run")
    results = train(RunConfig.from_mapping(settings), run, lambda text: None)
    evaluated = torch.tensor([problem.log_p for problem in results.problems], dtype=torch.float64)
    torch.testing.assert_close(scores(run.model, settings), evaluated, rtol=0, atol=1e-6)
    last = scores(run.checkpoints / "checkpoint-12", settings)
    assert torch.allclose(last, evaluated, rtol=0, atol=1e-6) == save_only_model
    first = Results.load(run.evaluation_files()[0])
    earlier = torch.tensor([problem.log_p for problem in first.problems], dtype=torch.float64)
    assert (
        torch.allclose(scores(run.checkpoints / "checkpoint-6", settings), earlier, rtol=0, atol=1e-6)
        == save_only_model
    )


@pytest.mark.parametrize("written", ["1,64,64", "[1, 64, 64]", "[1.0, 64, 6.4e1]"])
def test_a_mixture_of_n_on_the_command_line(written, passatn, workspace, tmp_path):
    run = tmp_path / "run"
    outcome = passatn(
        "train", "--model", workspace / "tiny", "--train_data", workspace / "train.jsonl", "--max_steps", 5,
        "--n_passes", 64, "--n_passes_schedule", "mixture", "--n_passes_mixture", written, "--output", run,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    entries = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {entry["n_passes"] for entry in entries if "loss" in entry} == {1.0, 64.0}


def test_a_mixture_that_is_no_list_of_numbers():
    with pytest.raises(ConfigError, match="n_passes_mixture 'x': expected numbers separated by commas"):
        RunConfig.from_mapping({"model": "m", "train_data": "d", "n_passes_mixture": "x"})


def test_cross_fitting_is_three_commands(passatn, workspace, tmp_path):
    """Train without each fold, score the fold that was left out, train with what was scored."""
    data = write_jsonl(tmp_path / "data.jsonl", [{"id": f"p{n}", **row} for n, row in enumerate(additions(24))])
    common = ["--model", workspace / "tiny", "--train_data", data, "--max_steps", 2]
    files = []
    for index in range(2):
        half = tmp_path / f"half-{index}"
        outcome = passatn("train", *common, "--without_fold", f"{index}/2", "--output", half)
        assert outcome.code == 0, outcome.err
        files.append(tmp_path / f"fold-{index}.jsonl")
        model = ["--model", half / "model", "--data", data]
        scored = passatn("score", *model, "--fold", f"{index}/2", "--output", files[-1])
        assert scored.code == 0, scored.err
    ids = [json.loads(line)["id"] for file in files for line in file.read_text().splitlines()]
    assert sorted(ids) == sorted(f"p{n}" for n in range(24))
    assert all(file.read_text() for file in files)
    given = ["--confidence", "given", "--n_passes", 256]
    run = tmp_path / "run"
    outcome = passatn("train", *common, *given, "--given_log_p", f"{files[0]},{files[1]}", "--output", run)
    assert outcome.code == 0, outcome.err
    first = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    log_p = torch.tensor([json.loads(line)["log_p"] for file in files for line in file.read_text().splitlines()])
    weights = confidence_weight(log_p, 256.0)
    assert weights.min() - 1e-6 <= first["mean_confidence_weight"] <= weights.max() + 1e-6
    refused = passatn("train", *common, *given, "--given_log_p", files[0], "--output", tmp_path / "no")
    assert "of 24 training problems have no log p there; first: 'p" in refused.error
    assert not (tmp_path / "no").exists()
    common += ["--output", tmp_path / "no"]
    assert "go together" in passatn("train", *common, *given).error
    assert "expected INDEX/COUNT" in passatn("train", *common, "--without_fold", "3/2").error
