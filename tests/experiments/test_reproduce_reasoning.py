"""Table 3, figures 3 and 4 from stored counts, and once from training on."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from hub_stub import stub_hub
from passatn.coverage import pass_at_n
from passatn.evaluate import Results
from passatn.experiments.config import ConfigError, RunConfig, read_settings
from passatn.experiments.problems import read_problems
from passatn.experiments.reproduce import discarded, reasoning, reasoning_confidence, reasoning_plan, reasoning_table
from passatn.experiments.reproduce.arm_record import ArmRecord
from passatn.experiments.reproduce.command import reproduce
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.workspace import Workspace
from passatn.train import CoverageGRPOConfig
from tiny_files import save_tiny_model

LOG = [{"step": 10, "discarded_candidates": 1.5, "active_fraction": 0.9}, {"step": 20, "discarded_candidates": 6.0}]


def arm(kind, epochs, log=()):
    evaluations = [
        {"epoch": epoch, "step": epoch, "test_num_correct": correct, "test_most_frequent": frequent}
        for epoch, (correct, frequent) in epochs.items()
    ]
    options = {"n_passes": 64.0} if kind == "dcoa" else {}
    record = {
        "arm": {"name": kind.upper(), "kind": kind, "options": options},
        "settings": {"num_samples": 64, "batch_size": 8, "warm_epochs": 1},
        "evaluations": evaluations,
        "log": list(log),
        "ended_early": None,
    }
    return ArmRecord(Path("x.json"), record)


ARMS = {
    "ce": arm("ce", {1: ([0, 32], [16, 32]), 2: ([0, 8], [16, 32]), 3: ([1, 1], [64, 1])}),
    "grpo": arm("grpo", {2: ([0, 64], [32, 64]), 3: ([0, 64], [48, 64])}),
    "dcoa": arm("dcoa", {1: ([2, 2], [16, 2]), 2: ([2, 2], [16, 2]), 3: ([4, 4], [16, 4])}, LOG),
}


@pytest.fixture
def context(tmp_path, monkeypatch):
    monkeypatch.setattr(reasoning, "trained_arms", lambda context: ARMS)
    return Context("table3", "demo", Workspace(tmp_path, print))


def test_the_table_is_of_unbiased_estimates(context):
    section = reasoning_table.section(context)
    rows = {row[0]: row for row in section.tables[0].rows}
    assert list(rows) == [
        "CE, epoch 1", "DCOA, epoch 1", "CE, epoch 2", "GRPO, epoch 2", "DCOA, epoch 2",
        "CE, epoch 3", "GRPO, epoch 3", "DCOA, epoch 3",
    ]  # fmt: skip
    expected = 100 * float(pass_at_n(64, 4, 16))
    assert rows["DCOA, epoch 3"][2].startswith(f"{expected:.1f} ")
    assert rows["GRPO, epoch 3"][1].startswith("50.0 ")
    assert section.findings[0].startswith("pass@1 after epoch 3, the highest first: GRPO 50.0 %, DCOA 6.2 %, CE 1.6 %")
    found = {(row[0], row[1], row[3]): row[4] for row in section.csv["table3.csv"].rows}
    assert found["CE", 2, 1] == pytest.approx(8 / 128)


def test_the_most_frequent_answer_is_right_where_it_is_the_correct_one(context):
    section = reasoning_confidence.section(context)
    rows = {row[0]: row for row in section.tables[0].rows}
    assert rows["CE, epoch 1"][1:3] == ("37.5", "50.0")
    assert rows["CE, epoch 2"][2] == "0.0"
    assert rows["CE, epoch 3"][1:] == ("50.8", "50.0", "100.0", "0.0"), "surest where it is wrong"
    assert "GRPO: mean confidence 75.0 % after epoch 2, 87.5 % after epoch 3" in section.findings[2]


def test_discards_are_those_logged(context):
    section = discarded.section(context)
    assert section.numbers == {"steps": [10, 20], "discarded": [1.5, 6.0]}
    assert section.findings == ["Discarded: 1.5 a step, then 6.0 a step (first and second half of 20 steps)."]
    ARMS["dcoa"].record["log"].clear()
    with pytest.raises(ConfigError, match="no logged steps"):
        discarded.section(context)
    ARMS["dcoa"].record["log"].extend(LOG)


@pytest.mark.parametrize(("scale", "num_processes", "problems"), [("small", 1, 32), ("paper", 8, 128)])
def test_all_three_arms_have_commands_that_train(scale, num_processes, problems, tmp_path):
    plan = reasoning_plan.plan(Context("table3", scale, Workspace(tmp_path, print)))
    assert [run.name for run in plan.runs] == ["CE", "DCOa-64", "GRPO"]
    for run in plan.runs:
        words = shlex.split(run.command)
        if "--config_file" in words:
            assert (Path(__file__).parents[2] / words[words.index("--config_file") + 1]).is_file()
        words = words[words.index("passatn") + 1 :]
        assert words[:2] == ["train", "--output"]
        config = RunConfig.from_mapping(read_settings(None, words[3:]))
        size = config.training["per_device_train_batch_size"] * config.training["gradient_accumulation_steps"]
        assert size * num_processes == problems * config.training.get("num_generations", 1)
    assert (config.trainer, config.template, config.verifier) == ("grpo", "r1", "math")
    args = CoverageGRPOConfig(str(tmp_path), use_cpu=True, bf16=False, **config.training)
    assert (args.num_generations, args.learning_rate, args.max_data_passes) == (8, 1e-6, 5)
    assert scale == "small" or "--template r1" in plan.afterwards[-1]


@pytest.mark.parametrize("scale", ["small", "paper"])
def test_the_commands_find_their_problems_on_the_hub(scale, tmp_path, monkeypatch, passatn):
    calls = stub_hub(monkeypatch)
    plan = reasoning_plan.plan(Context("table3", scale, Workspace(tmp_path, print)))
    for run in plan.runs:
        words = shlex.split(run.command)
        config = RunConfig.from_mapping(read_settings(None, words[words.index("train") + 3 :]))
        assert len(read_problems(config.train_data, config, split=config.train_split)) == 16
    assert {split for _, split in calls} == {"train"}
    if scale == "small":
        assert plan.afterwards == [f"passatn reproduce table3 --scale small --output {tmp_path}"]
        return
    commands = [words for command in plan.afterwards for words in words_of(command)]
    assert commands == [], "no run has checkpoints yet"
    assert all("--data math --split test --preset math" in command for command in plan.afterwards)


def words_of(command):
    """The calls of `passatn` that a shell makes of it."""
    script = f'passatn() {{ printf "%s\\n" "$*"; }}; {command}'
    printed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False).stdout
    return [line.split() for line in printed.splitlines()]


def test_three_epochs_are_sampled_and_evaluated_and_all_checkpoints_of_grpo(tmp_path, monkeypatch, passatn):
    stub_hub(monkeypatch)
    plan = reasoning_plan.plan(Context("table3", "paper", Workspace(tmp_path, print)))
    tiny = save_tiny_model(tmp_path / "tiny")
    for run, steps in (("CE", (8, 16, 24, 32, 100)), ("DCOa-64", (8, 16, 24, 32, 100)), ("GRPO", (8, 11))):
        for step in steps:
            folder = tmp_path / "shared" / f"run-{run}" / "checkpoints" / f"checkpoint-{step}"
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.symlink_to(tiny)
    calls = [words for command in plan.afterwards for words in words_of(command)]
    sampled = [Path(words[words.index("--model") + 1]).name for words in calls if words[0] == "sample"]
    assert sampled == [f"checkpoint-{step}" for step in (8, 24, 100, 8, 24, 100, 8, 11)]
    # One store is enough to see that the commands fit together.
    first = [
        ["16" if before == "--num-samples" else "3" if before == "--max-new-tokens" else word
         for before, word in zip(["", *words], words, strict=False)]
        for words in calls[:2]
    ]  # fmt: skip
    for words in first:
        outcome = passatn(*words)
        assert outcome.code == 0, outcome.err
    results = Results.load(tmp_path / "shared" / "eval-CE" / "checkpoint-8" / "results.json")
    assert (len(results.problems), results.pass_at_n[0].ns) == (4, (1, 16))
    assert (tmp_path / "shared" / "eval-CE" / "checkpoint-8" / "answers.parquet").is_file()


@pytest.mark.slow
def test_all_three_from_training_on(tmp_path, monkeypatch):
    for name in ("table3", "fig3", "fig4"):
        reproduce(Context(name, "demo", Workspace(tmp_path / "out", print), quick=True))
    record = json.loads((tmp_path / "out" / "fig3" / "results.json").read_text())
    assert set(record["ours"]) == {"CE", "DCOa-64", "GRPO"}
    assert all((tmp_path / "out" / source).is_file() for source in record["sources"])
    monkeypatch.setattr(reasoning.mini_reasoning, "pretrain", lambda *rest: pytest.fail("pre-trained again"))
    (tmp_path / "out" / "table3" / "results.json").unlink()
    reproduce(Context("table3", "demo", Workspace(tmp_path / "out", print), quick=True))
