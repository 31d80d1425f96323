"""The comparison on mini-reasoning from pre-training to its tables, at a size that shows that it runs."""

import json

import numpy as np
import pytest

from passatn.experiments.mini_reasoning import Arm, Settings, pretrain, run_arm
from passatn.experiments.mini_reasoning_report import NS, ArmResults, differences, plot, read_arms, table, tuned_arms

SETTINGS = Settings(
    pretrain_steps=2, pretrain_batch=8, num_train=32, num_eval=4, num_samples=128, batch_size=16, epochs=2,
    eval_epochs=(1, 2), warm_epochs=1,
)  # fmt: skip


@pytest.mark.slow
def test_all_three_arms_run_and_are_not_run_again(tmp_path):
    base = tmp_path / "base"
    pretrain(SETTINGS, base)
    arms = [Arm("CE", "ce"), Arm("DCOa-8", "dcoa", options={"n_passes": 8.0, "num_rollouts": 8}), Arm("GRPO", "grpo")]
    for arm in arms:
        run_arm(arm, SETTINGS, base, tmp_path)
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert sorted(files) == ["CE-seed0.json", "DCOa-8-seed0.json", "GRPO-seed0.json"]
    for arm in arms:
        run_arm(arm, SETTINGS, base, tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")} == files
    results = read_arms(tmp_path)
    assert [arm.name for arm in results] == ["CE", "DCOa-8", "GRPO"]
    assert results[0].epochs == [1, 2]
    assert results[2].epochs == [2], "GRPO starts from the cross-entropy run after one epoch"
    assert plot(results, tmp_path / "x.png").stat().st_size > 10_000


def test_a_run_killed_between_its_model_and_its_record_is_run_again(tmp_path):
    base = tmp_path / "base"
    pretrain(SETTINGS, base)
    run_arm(Arm("CE", "ce"), SETTINGS, base, tmp_path)
    before = json.loads((tmp_path / "CE-seed0.json").read_text())["evaluations"]
    (tmp_path / "CE-seed0.json").unlink()
    run_arm(Arm("CE", "ce"), SETTINGS, base, tmp_path)
    assert json.loads((tmp_path / "CE-seed0.json").read_text())["evaluations"] == before


def record(name, validation, test):
    evaluations = [
        {"epoch": e + 1, "step": e, "validation_num_correct": v, "test_num_correct": t, "test_most_frequent": t}
        for e, (v, t) in enumerate(zip(validation, test, strict=True))
    ]
    arm = {"name": name, "kind": "ce" if name.startswith("CE") else "dcoa", "options": {}}
    return {"arm": arm, "settings": {"num_samples": 128}, "evaluations": evaluations, "seconds": 60, "log": []}


def test_tables_are_those_of_the_counts(tmp_path):
    """Validation prefers the first epoch at every N, test would prefer the second."""
    counts = {"CE": ([[4, 4], [1, 1]], [[8, 0], [16, 16]]), "DCOa": ([[4, 4], [1, 1]], [[16, 16], [64, 64]])}
    for name, (validation, test) in counts.items():
        (tmp_path / f"{name}-seed0.json").write_text(json.dumps(record(name, validation, test)))
    ce, dcoa = read_arms(tmp_path)
    assert isinstance(ce, ArmResults)
    assert ce.last[0, 0] == pytest.approx(16 / 128)
    assert ce.best[0, 0] == pytest.approx(4 / 128)
    assert NS[0] == 1
    assert "| CE | 1 | last (2) | 12.5 |" in table([ce, dcoa])
    assert "| DCOa | last | +37.5 [+37.5, +37.5] |" in differences([ce, dcoa])
    assert "| DCOa | best on validation | +9.4 [+6.2, +12.5] |" in differences([ce, dcoa])
    assert np.array_equal(ce.max_confidence, [0.125, 0.125])


def test_a_tuned_arm_chooses_among_rates_and_epochs(tmp_path):
    """At the other rate the second epoch is best on validation; both sides choose there, test is what it is."""
    counts = {
        "CE": ([[4, 4], [1, 1]], [[8, 0], [16, 16]]),
        "CE, rate 0.003": ([[2, 2], [8, 8]], [[1, 1], [32, 32]]),
        "DCOa": ([[4, 4], [1, 1]], [[16, 16], [64, 64]]),
        "DCOa, rate 0.003": ([[1, 1], [2, 2]], [[0, 0], [128, 128]]),
    }
    for name, (validation, test) in counts.items():
        (tmp_path / f"{name}-seed0.json").write_text(json.dumps(record(name, validation, test)))
    arms = read_arms(tmp_path)
    tuned_ce, tuned_dcoa = tuned_arms(arms)
    assert tuned_ce.best[0, 0] == pytest.approx(32 / 128)
    assert tuned_dcoa.best[0, 0] == pytest.approx(16 / 128)
    assert "| CE, rate and epoch | 1 | best on validation | 25.0 |" in table(arms)
    assert (
        "| DCOa, rate and epoch (minus CE, rate and epoch) | best on validation | -12.5 [-12.5, -12.5] |"
    ) in differences(arms)
