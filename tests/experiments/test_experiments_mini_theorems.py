"""The comparison on generated theorems: its tables from counts, and the whole at a size that shows that it runs."""

import json
from dataclasses import replace

import pytest

from passatn.experiments.config import ConfigError
from passatn.experiments.mini_theorems import ARMS, Data, Settings, begin, run_arm
from passatn.experiments.mini_theorems_report import (
    differences,
    expert_table,
    large_table,
    lengths,
    main_table,
    plot,
    read_runs,
    who_finds,
)
from passatn.experiments.small_models import byte_pairs
from passatn.prove.records import DepthCounts, FoundProof, SearchRecord

SETTINGS = Settings(
    num_pretrain=20, num_train=12, num_unproved=6, num_test=4, pretrain_epochs=1, hidden_size=16, num_layers=1,
    epochs=2, batch_size=16, eval_epochs=(1, 2), validation_samples=4, num_samples=8,
)  # fmt: skip


@pytest.mark.slow
def test_an_arm_runs_and_is_not_run_again(tmp_path):
    data, base = begin(SETTINGS, tmp_path)
    steps = [json.loads(line) for line in data.pretrain.read_text().splitlines()]
    families = {step["metadata"]["group_id"].split("_")[0] for step in steps}
    assert families <= set(SETTINGS.pretrain_families)
    tuned = {json.loads(line)["metadata"]["group_id"] for line in data.train.read_text().splitlines()}
    unproved = {json.loads(line)["id"] for line in data.unproved.read_text().splitlines()}
    assert (len(tuned), len(unproved)) == (12, 6)
    assert not tuned & unproved
    assert {name.split("_")[0] for name in tuned | unproved} <= set(SETTINGS.families)
    with pytest.raises(ConfigError, match=r"other settings \(num_test\)"):
        begin(replace(SETTINGS, num_test=5), tmp_path)
    for arm in (ARMS[0], ARMS[1], ARMS[-1]):
        folder = tmp_path / "arms" / f"{arm.name}, seed 0"
        run_arm(arm, 0, SETTINGS, data, base, folder)
        before = (folder / "arm.json").stat().st_mtime_ns
        run_arm(arm, 0, SETTINGS, Data(tmp_path / "nowhere"), base, folder)
        assert (folder / "arm.json").stat().st_mtime_ns == before
    runs = read_runs(tmp_path)
    assert [run.name for run in runs] == ["CE", "N_eff = 4", "whole proof"]
    assert {record.num_samples for record in runs[0].last[0]} == {8}
    assert "| CE | 1 | last (2) |" in main_table(runs, [1, 4])


def store(folder, arm, seed, last, best):
    """`last` and `best`: correct ones of 16 roll-outs per theorem."""
    for name, counts in (("test-4", last), ("test-2", best)):
        records = folder / "arms" / f"{arm}, seed {seed}" / name / "records"
        records.mkdir(parents=True)
        lines = [json.dumps(made(f"t{k}", count).to_dict()) for k, count in enumerate(counts)]
        (records / "one.jsonl").write_text("\n".join(lines) + "\n")
    entry = {"arm": arm, "seed": seed, "epochs": [2, 4], "best": 2, "last": 4}
    (folder / "arms" / f"{arm}, seed {seed}" / "arm.json").write_text(json.dumps(entry))


def made(name, count):
    proofs = (FoundProof(("rfl",), count, -1.0, is_checked=True),) if count else ()
    return SearchRecord(
        theorem=name, statement=f"theorem {name} : 1 = 1", method="rollouts", num_samples=16, num_correct=count,
        num_tactics=16, num_tried=4, ends={"proved": count, "error": 16 - count}, lengths={1: 16},
        depths=(DepthCounts(1, 16, 4, 1, count),), proofs=proofs, metadata={"num_steps": 1 + int(name[1:])},
    )  # fmt: skip


def test_tables_are_those_of_the_counts(tmp_path):
    store(tmp_path, "CE", 0, last=[8, 0], best=[4, 4])
    store(tmp_path, "CE", 1, last=[16, 0], best=[4, 4])
    for arm in ("N_eff = 4", "N_eff = 8", "N_eff = 16", "N_eff = 32"):
        store(tmp_path, arm, 0, last=[0, 8], best=[8, 8])
    runs = read_runs(tmp_path)
    assert [run.name for run in runs] == ["CE", "N_eff = 4", "N_eff = 8", "N_eff = 16", "N_eff = 32"]
    table = main_table(runs, [1, 16])
    assert "| CE | 2 | last (4) | 37.5 ± 17.7 | 50.0 ± 0.0 |" in table
    assert "|  |  | best (2) | 25.0 ± 0.0 | 100.0 ± 0.0 |" in table
    # One sample of each model: CE proves the first theorem by half, the other four the second with 1 − 1/16.
    assert "| ensemble, N from each | 1 | last | 71.9 | 100.0 |" in table
    gaps = differences(runs, [1, 16])
    assert "| N_eff = 4 | last | +0.0 [-50.0, +50.0] | +0.0 [-100.0, +100.0] |" in gaps
    assert "| N_eff = 4 | best | +25.0 [+25.0, +25.0] | +0.0 [+0.0, +0.0] |" in gaps
    # With five samples CE proves the first theorem unless all of 5 are among the 8 wrong ones of 16.
    wrong = 8 * 7 * 6 * 5 * 4 / (16 * 15 * 14 * 13 * 12)
    line = next(line for line in gaps.splitlines() if "minus CE with 5N | last" in line)
    assert f"{100 * (0.71875 - (1 - wrong) / 2):+.1f} [" in line
    assert "| 1 tactics | 1 | 100 | 0 | 0 | 0 | 0 |" in lengths(runs, 16)
    assert "| CE | 1 | 1 |" in who_finds(runs)
    assert "| all together | 2 |" in who_finds(runs)
    assert expert_table(tmp_path, [1]) == ""
    assert plot(runs, [1, 16], tmp_path / "curves.png").stat().st_size > 10_000
    assert large_table(runs, [1, 32]) == ""
    large = large_table(runs, [1, 16])
    assert "| CE | 1 | 50.0 | 50.0 |" in large  # seed 1
    assert f"| CE, 5N samples | 0 | {100 * (1 - wrong) / 2:.1f} |  |" in large
    assert "| ensemble, N from each | 0 | 71.9 | 100.0 |" in large


def test_no_token_crosses_the_mark():
    tokenizer = byte_pairs(["h : p ∧ q\n⊢ q:::exact h.2", "⊢ a:::(rfl)"] * 20, 300, mark=":::")
    for state, tactic in (("h : p ∧ q\n⊢ q", "exact h.2"), ("⊢ a", "(rfl)"), ("⊢ a:", ":x"), ("é", "·")):
        prompt, whole = tokenizer(f"{state}:::")["input_ids"], tokenizer(f"{state}:::{tactic}")["input_ids"]
        if not tactic.startswith(":"):
            assert whole[: len(prompt)] == prompt
        assert tokenizer.decode(whole) == f"{state}:::{tactic}"
