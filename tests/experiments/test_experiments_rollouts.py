"""`passatn train` with `confidence: rollouts`: reasoning, a verifier, resuming, and what is refused."""

import json
import random

import pytest
import yaml

from passatn.experiments.run_directory import RunDirectory
from tiny_files import write_jsonl

JUDGE = '''
def judge(completion, problem):
    """Right if its length has the parity of the answer, which a random model knows how to do."""
    return len(completion) % 2 == int(problem.answers[0]) % 2
'''


def reasoned(count, seed=0):
    rng = random.Random(seed)
    pairs = [(rng.randrange(10), rng.randrange(10)) for _ in range(count)]
    return [{"prompt": f"{a}+{b}", "answer": str((a + b) % 10), "reasoning": f"{a} and {b}"} for a, b in pairs]


@pytest.fixture
def recipe(workspace, tmp_path):
    """A recipe in a folder of its own."""
    write_jsonl(tmp_path / "train.jsonl", reasoned(16))
    settings = {
        "model": str(workspace / "tiny"),
        "train_data": str(tmp_path / "train.jsonl"),
        "template": "alpaca",
        "confidence": "rollouts",
        "verifier": "math",
        "n_passes": 16,
        "num_rollouts": 8,
        "rollout_max_new_tokens": 4,
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "save_strategy": "steps",
        "save_steps": 1,
    }

    def write(**changes):
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in (settings | changes).items() if v is not None}))
        return path

    return write


def logs_of(folder):
    entries = [json.loads(line) for line in RunDirectory(folder).metrics.read_text().splitlines()]
    return [entry for entry in entries if "surrogate_loss" in entry]


def test_a_recipe_trains_by_rollouts_on_reasoning(passatn, recipe, tmp_path):
    outcome = passatn("train", "--config", recipe(), "--output", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    logs = logs_of(tmp_path / "run")
    assert [log["step"] for log in logs] == [1, 2]
    assert all(log["rollouts_drawn"] >= 16 for log in logs)
    assert all("seconds_sampling" in log and "p_hat_mean" in log for log in logs)
    state = json.loads((tmp_path / "run/checkpoints/checkpoint-2/coverage_state.json").read_text())
    assert state["min_confidence_weight"] == 0.01
    assert len(state["estimates"]) >= 4
    assert (tmp_path / "run/model/model.safetensors").exists()


def test_options_reach_the_rollouts_and_a_python_verifier_judges_them(passatn, recipe, tmp_path):
    (tmp_path / "judge.py").write_text(JUDGE)
    options = ["--verifier", f"python:{tmp_path / 'judge.py'}:judge", "--rollout_weight", "hard", "--num-rollouts", 16]
    options += ["--hard-max-success", 0.9, "--max_steps", 1, "--rollout-max-new-tokens", 80]
    outcome = passatn("train", "--config", recipe(), *options, "--output", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    (log,) = logs_of(tmp_path / "run")
    assert log["rollouts_drawn"] % 16 == 0
    assert log["verifier_failed"] == 0
    assert 0 < log["p_hat_mean"] < 1 - log["rollouts_truncated"]


def test_exact_compares_the_answer_in_the_templates_form(passatn, recipe, tmp_path):
    outcome = passatn("train", "--config", recipe(verifier="exact", max_steps=1), "--output", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert logs_of(tmp_path / "run")[0]["verifier_failed"] == 0


def test_dry_run_counts_rollouts(passatn, recipe, tmp_path):
    outcome = passatn("train", "--config", recipe(), "--output", tmp_path / "run", "--dry-run")
    lines = dict(line.split(": ", 1) for line in outcome.out.splitlines())
    assert lines["roll-outs per step, at least"] == "16"
    assert "--verifier math" in lines["arguments"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confidence": None}, "verifier judges roll-outs: it goes with confidence: rollouts"),
        ({"verifier": "maths"}, "unknown verifier 'maths'"),
        ({"rollout_weight": "firm"}, "rollout_weight must be one of"),
        ({"packing": True}, "cannot be combined with confidence='rollouts' with packing"),
    ],
)
def test_mistakes_are_one_line(passatn, recipe, tmp_path, changes, message):
    if "confidence" in changes:
        changes = {"confidence": None, "num_rollouts": None, "rollout_max_new_tokens": None}
    outcome = passatn("train", "--config", recipe(**changes), "--output", tmp_path / "run")
    assert message in outcome.error
    assert not (tmp_path / "run").exists()


def test_missing_reasoning_is_said(passatn, recipe, tmp_path):
    direct = passatn("train", "--config", recipe(template="direct"), "--output", tmp_path / "a", "--dry-run")
    assert "the template direct has no place for reasoning: the model is trained to answer directly" in direct.err
    rows = reasoned(4)
    del rows[1]["reasoning"]
    write_jsonl(tmp_path / "train.jsonl", rows)
    partly = passatn("train", "--config", recipe(), "--output", tmp_path / "b", "--dry-run")
    assert "1 of 4 problems have no reasoning" in partly.err
