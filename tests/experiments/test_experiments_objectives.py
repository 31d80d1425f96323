"""`passatn train --objective …` and `passatn average`: from the command line to a model that can be scored."""

import json

import pytest
import yaml
from safetensors.torch import load_file

from passatn.train.objectives import OPTIONS

CALLS = {
    "label_smoothing": ["--smoothing", 0.05],
    "focal": ["--focal_gamma", 2],
    "confidence_penalty": ["--penalty_beta", 0.1],
    "gem": ["--gem_beta", 0.7],
    "dft": [],
    "entropy_gated": ["--gate_top_k", 20, "--gate_power", 1],
    "majority_vote": ["--n_passes", 16, "--majority_threshold", 3, "--min_confidence_weight", 0.1],
    "best_of_n": ["--n_passes", 16, "--false_positive_rate", 0.1],
}


def test_all_objectives_are_tried():
    assert {"dco", *CALLS} == {*OPTIONS}


@pytest.fixture
def words(settings):
    """A run of three steps from the settings of `finished_run`, without their objective."""
    kept = {key: value for key, value in settings.items() if key not in ("n_passes", "eval_ns", "num_train_epochs")}
    kept |= {"eval_ns": "1,4,16", "max_steps": 3, "save_strategy": "steps", "save_steps": 2}
    return [word for key, value in kept.items() for word in (f"--{key}", str(value))]


@pytest.mark.parametrize("objective", CALLS)
def test_an_objective_is_trained_and_recorded(objective, passatn, tmp_path, words):
    call = ["train", *words, "--objective", objective, *CALLS[objective], "--output", tmp_path / "run"]
    outcome = passatn(*call)
    assert outcome.code == 0, outcome.err
    stored = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    given = dict(zip(CALLS[objective][::2], CALLS[objective][1::2], strict=True))
    assert {f"--{key}": value for key, value in stored.items() if f"--{key}" in given} == given
    assert stored["objective"] == objective
    entries = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in entries if "loss" in entry]
    assert len(losses) == 3
    assert losses[-1] < losses[0], "the random model learns that answers are digits"
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


def test_a_recipe_names_the_objective_and_an_option_of_another_is_an_error(passatn, tmp_path, words):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("objective: gem\ngem_beta: 0.5\n")
    call = ["train", "--config", recipe, *words, "--output", tmp_path / "run"]
    assert "n_passes=256 would change nothing" in passatn(*call, "--n_passes", 256).error
    assert "focal_gamma belongs to objective='focal', this is 'gem'" in passatn(*call, "--focal_gamma", 3).error
    assert "objective must be one of dco, label_smoothing" in passatn(*call, "--objective", "ce").error
    assert not (tmp_path / "run").exists()


def test_average_interpolates_and_takes_the_mean_of_checkpoints(passatn, finished_run, workspace, tmp_path):
    base, tuned = workspace / "tiny", finished_run.model
    outcome = passatn("average", base, tuned, "--alpha", 0.25, "--output", tmp_path / "quarter")
    assert outcome.code == 0, outcome.err
    assert f"model in {tmp_path / 'quarter'}" in outcome.err
    parts = [load_file(folder / "model.safetensors") for folder in (base, tuned, tmp_path / "quarter")]
    for name, first in parts[0].items():
        expected = 0.75 * first.double() + 0.25 * parts[1][name].double()
        assert (parts[2][name].double() - expected).abs().max() < 1e-6
    checkpoints = sorted(finished_run.checkpoints.glob("checkpoint-*"))
    assert len(checkpoints) == 2
    assert passatn("average", *checkpoints, "--output", tmp_path / "mean").code == 0
    scored = passatn("score", "--model", tmp_path / "mean", "--data", workspace / "test.jsonl")
    assert scored.code == 0, scored.err
    assert len(scored.out.splitlines()) == 12
    assert "exists: choose another output" in passatn("average", base, tuned, "--output", tmp_path / "mean").error
    assert "takes two models or more, got 1" in passatn("average", base, "--output", tmp_path / "one").error
