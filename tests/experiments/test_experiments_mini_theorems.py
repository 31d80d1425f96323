"""The comparison on generated theorems: its tables from counts, and the whole at a size that shows that it runs."""

import json
import math
from dataclasses import replace

import pytest

from passatn.evaluate import Results
from passatn.experiments.config import ConfigError
from passatn.experiments.mini_theorems import ARMS, Data, Settings, begin, run_arm, search_further
from passatn.experiments.mini_theorems_report import (
    ArmRuns,
    differences,
    ensemble_differences,
    expert_table,
    families,
    large_table,
    lengths,
    main_table,
    plot,
    raw_counts,
    read_runs,
    splits,
    who_finds,
    widths,
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
    for arm in (ARMS[0], ARMS[1]):
        folder = tmp_path / "arms" / f"{arm.name}, seed 0"
        best = json.loads((folder / "arm.json").read_text())["best"]
        assert {path.name for path in (folder / "models").iterdir()} == {"2", str(best)}
        assert not (folder / "run" / "checkpoints").exists()
        search_further(0, replace(SETTINGS, num_samples=12, large_samples=12), data, folder)
        for epoch in {2, best}:
            assert Results.load(folder / f"test-{epoch}" / "results.json").problems[0].num_samples == 12
    runs = read_runs(tmp_path)
    assert [run.name for run in runs] == ["CE", "N_eff = 4", "whole proof"]
    assert [{record.num_samples for record in run.last[0]} for run in runs] == [{12}, {12}, {8}]
    assert "| CE | 1 | last (2) |" in main_table(runs, [1, 4])


def store(folder, arm, seed, last, best, num_samples=16, validation=()):
    """`last` and `best`: correct ones of 16 roll-outs per theorem, after the last epoch of `num_samples`."""
    searches = [("test-4", last, num_samples), ("test-2", best, 16)]
    for name, counts, number in searches + [("validation-4", validation, 16)] * bool(validation):
        records = folder / "arms" / f"{arm}, seed {seed}" / name / "records"
        records.mkdir(parents=True)
        made_up = [replace(made(f"t{k}", count), num_samples=number) for k, count in enumerate(counts)]
        lines = [json.dumps(record.to_dict()) for record in made_up]
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
    gaps = ensemble_differences(runs, [1, 16])
    # With five samples CE proves the first theorem unless all of 5 are among the 8 wrong ones of 16.
    wrong = 8 * 7 * 6 * 5 * 4 / (16 * 15 * 14 * 13 * 12)
    line = next(line for line in gaps.splitlines() if "| CE with 5N | last" in line)
    assert f"{100 * (0.71875 - (1 - wrong) / 2):+.1f} [" in line
    # Over two seeds of CE, 3 + 2 samples: one seed has half of its samples right for the first theorem, one has all.
    line = next(line for line in gaps.splitlines() if "| 2 seeds of CE with 5N in all | last" in line)
    assert line.split(" | ")[2].startswith(f"{100 * (0.71875 - 0.5):+.1f} [")
    wrong_3_2 = (12 * 11 * 10 / (16 * 15 * 14)) * (12 * 11 / (16 * 15))
    line = next(line for line in gaps.splitlines() if "| 2 seeds of CE with 5N in all | best" in line)
    best = 1 - (1 - 4 / 16) * (1 - 8 / 16) ** 4
    assert line.split(" | ")[2].startswith(f"{100 * (best - (1 - wrong_3_2)):+.1f} [")
    assert line.split(" | ")[3].strip(" |") == ""
    assert "seeds of N_eff" not in gaps
    assert ensemble_differences(runs, [16]) == ensemble_differences(runs[:2], [1]) == ""
    assert "| 1 tactics | 1 | 100 | 0 | 0 | 0 | 0 |" in lengths(runs, 16)
    assert "| CE | 1 | 1 |" in who_finds(runs)
    assert "| all together | 2 |" in who_finds(runs)
    assert expert_table(tmp_path, [1]) == ""
    assert plot(runs, [1, 16], tmp_path / "curves.png").stat().st_size > 10_000
    assert large_table(runs, [1, 32]) == ""
    large = large_table(runs, [1, 16])
    assert "| CE | 1 | last (4) | 50.0 | 50.0 |" in large
    assert "| CE | 1 | best (2) | 25.0 | 100.0 |" in large
    assert f"| CE, 5N samples | 0 | last | {100 * (1 - wrong) / 2:.1f} |  |" in large
    assert "| ensemble, N from each | 0 | last | 71.9 | 100.0 |" in large


def test_seeds_that_were_searched_further_are_compared_as_far_as_the_others(tmp_path):
    for arm in ("CE", "N_eff = 4", "N_eff = 8", "N_eff = 16", "N_eff = 32"):
        store(tmp_path, arm, 0, last=[8, 0], best=[8, 0], num_samples=80)
        store(tmp_path, arm, 1, last=[8, 0], best=[8, 0])
    runs = read_runs(tmp_path)
    assert "| ensemble, N from each | 2 | best | 48.4 ± 0.0 | 50.0 ± 0.0 |" in main_table(runs, [1, 16])
    gaps = ensemble_differences(runs, [1, 4])
    line = next(line for line in gaps.splitlines() if "| CE with 5N | last" in line)
    apart = [math.comb(n - 8, 5) / math.comb(n, 5) - ((n - 8) / n) ** 5 for n in (80, 16)]  # drawn together, and not
    assert line.split(" | ")[2].startswith(f"{100 * sum(apart) / 4:+.1f} [")
    assert line.split(" | ")[3].strip(" |") == "", "seed 1 has 16 roll-outs, not 20"


def test_a_split_is_chosen_on_validation_and_judged_on_test(tmp_path):
    """On validation the two models solve a theorem each by 1/2; CE a third one as well; the others none."""
    counts = {"CE": ([8, 0, 0], [8, 0, 16]), "N_eff = 4": ([0, 8, 0], [0, 8, 0])}
    for arm in ("CE", "N_eff = 4", "N_eff = 8", "N_eff = 16", "N_eff = 32"):
        last, validation = counts.get(arm, ([0, 0, 0], [0, 0, 0]))
        store(tmp_path, arm, 0, last=last, best=last, validation=validation)
    runs = read_runs(tmp_path)
    one, four = (math.comb(8, n) / math.comb(16, n) for n in (1, 4))
    assert splits(runs, [1, 4]).splitlines()[2:] == [
        f"| N from each | last | {100 * 2 * (1 - one) / 3:.1f} | {100 * 2 * (1 - four) / 3:.1f} |",
        # 3 of 5 and 10 of 20 samples are CE's, 2 and 10 those of N_eff = 4.
        f"| split chosen on validation | last | {split_of(3, 2):.1f} | {split_of(10, 10):.1f} |",
        f"| one model chosen on validation | last | {split_of(5, 0):.1f} |  |",
        "",
        "- split of 5 samples, last epoch, mean over seeds: CE 60 %, N_eff = 4 40 %, N_eff = 8 0 %, N_eff = 16 0 %, "
        "N_eff = 32 0 %",
        "- split of 20 samples, last epoch, mean over seeds: CE 50 %, N_eff = 4 50 %, N_eff = 8 0 %, N_eff = 16 0 %, "
        "N_eff = 32 0 %",
    ]
    assert splits(runs[:1], [1]) == ""


def split_of(first, second):
    """Percent of three theorems; one is solved by 8 of 16 samples of the first model, one by those of the second."""
    return 100 * (2 - math.comb(8, first) / math.comb(16, first) - math.comb(8, second) / math.comb(16, second)) / 3


def test_expert_iteration_of_each_arm_and_of_the_ensemble(tmp_path):
    arms = ("CE", "N_eff = 4", "N_eff = 8", "N_eff = 16", "N_eff = 32")
    for rank, arm in enumerate(arms):
        folder = tmp_path / "experts" / f"{arm}, seed 0"
        for number, count in ((0, 8 if rank < 2 else 0), (1, 16 if rank == 4 else 0)):
            records = folder / f"iteration-{number}" / "test" / "records"
            records.mkdir(parents=True)
            (records / "one.jsonl").write_text(json.dumps(made("t0", count).to_dict()) + "\n")
        entries = [
            {"iteration": number, "num_examples": 9 + number, "num_found_examples": number,
             "test_pass_at_n": {"1": rank / 10, "16": 0.5}}
            for number in (0, 1)
        ]  # fmt: skip
        (folder / "iterations.json").write_text(json.dumps(entries))
    table = expert_table(tmp_path, [1, 16, 64]).splitlines()
    assert table[2:5] == [
        "| CE, seed 0 | 0 | 9 | 0 | 0.0 | 50.0 |  |",
        "| CE, seed 0 | 1 | 10 | 1 | 0.0 | 50.0 |  |",
        "| N_eff = 4, seed 0 | 0 | 9 | 0 | 10.0 | 50.0 |  |",
    ]
    assert table[-2:] == [
        "| ensemble, N from each, seed 0 | 0 |  |  | 75.0 | 100.0 |  |",
        "| ensemble, N from each, seed 0 | 1 |  |  | 100.0 | 100.0 |  |",
    ]


def test_families_are_means_over_their_theorems_and_seeds():
    counts = [{"order_1": 16, "order_22": 0, "lists_of_3": 8}, {"order_1": 16, "order_22": 16, "lists_of_3": 0}]
    runs = one_run(*([replace(made("t0", count), theorem=name) for name, count in of.items()] for of in counts))
    rows = families(runs, 1).splitlines()[2:]
    assert rows == ["| lists_of | 1 | 25 |", "| order | 2 | 75 |"]


def test_the_raw_counts_are_those_of_each_theorem(tmp_path):
    store(tmp_path, "CE", 0, last=[8, 0], best=[4, 5])
    store(tmp_path, "CE", 3, last=[1, 2], best=[3, 4], num_samples=32)
    store(tmp_path, "N_eff = 8", 0, last=[0, 6], best=[7, 0])
    counts = json.loads(json.dumps(raw_counts(read_runs(tmp_path))))
    epochs = {"last_epoch": 4, "best_epoch": 2, "best_num_samples": 16}
    assert counts == {
        "CE": [
            {"seed": 0, "num_samples": 16, "last": {"t0": 8, "t1": 0}, "best": {"t0": 4, "t1": 5}} | epochs,
            {"seed": 3, "num_samples": 32, "last": {"t0": 1, "t1": 2}, "best": {"t0": 3, "t1": 4}} | epochs,
        ],
        "N_eff = 8": [{"seed": 0, "num_samples": 16, "last": {"t0": 0, "t1": 6}, "best": {"t0": 7, "t1": 0}} | epochs],
    }


def explored(name, distinct, log_prob):
    """16 draws from the first state, `distinct` of them different; a proof of one tactic if `log_prob` is given."""
    proofs = () if log_prob is None else (FoundProof(("rfl",), 4, log_prob, is_checked=True),)
    counts = DepthCounts(num_states=1, num_drawn=16, num_distinct=distinct, num_valid=1, num_valid_drawn=4)
    return replace(made(name, 0), num_correct=4 * len(proofs), depths=(counts,), proofs=proofs)


def one_run(*by_seed):
    number = len(by_seed)
    return [ArmRuns("CE", tuple(range(number)), by_seed, by_seed, (4,) * number, (2,) * number)]


def cells(table):
    return [cell.strip() for cell in table.splitlines()[2].strip("| ").split(" | ")]


def test_widths_are_means_over_seeds_beside_the_first_seed_s_interval():
    def of(distinct):
        """The W of which 16 draws show W (1 − (1 − 1/W)^16) = `distinct`."""
        low, high = 1.0, 100.0
        for _ in range(100):
            middle = (low + high) / 2
            is_low = middle * (1 - (1 - 1 / middle) ** 16) < distinct
            low, high = (middle, high) if is_low else (low, middle)
        return low

    same = [explored(f"t{k}", 2, -math.log(2)) for k in range(8)]
    other = [explored(f"t{k}", 4, -math.log(8)) for k in range(8)]
    name, mean, alone, steps, valid = cells(widths(one_run(same, other)))
    assert (name, mean, steps, valid) == ("CE", f"{(of(2) + of(4)) / 2:.1f}", "5.0", "25 %")
    assert alone == f"{of(2):.1f} [{of(2):.1f}, {of(2):.1f}]", "all theorems of the first seed are alike"
    # Of the theorems half show 2 and half 4 distinct ones. How many wide ones a resample of eight holds is binomial;
    # P(at most 0) = 0.4 % and P(at most 1) = 3.5 %, so that its 2.5 % and 97.5 % points are 1 and 7.
    mixed = [explored(f"t{k}", 2 + 2 * (k % 2), None) for k in range(8)]
    _, mean, alone, steps, _ = cells(widths(one_run(mixed, other)))
    assert (mean, steps) == (f"{(of(3) + of(4)) / 2:.1f}", "8.0")
    assert alone == f"{of(3):.1f} [{of(2 + 2 * 1 / 8):.1f}, {of(2 + 2 * 7 / 8):.1f}]"


def test_widths_that_nothing_is_known_of():
    nowhere = [replace(made("t0", 0), depths=())]
    assert cells(widths(one_run(nowhere))) == ["CE", "–", "–", "–", "0 %"]
    everywhere = [explored(f"t{k}", 16, None) for k in range(3)]
    assert cells(widths(one_run(everywhere))) == ["CE", "∞", "∞ [∞, ∞]", "–", "25 %"]


def test_who_finds_names_what_one_arm_alone_found():
    first = [made(f"t{k}", int(k < 14)) for k in range(20)]
    second = [made(f"t{k}", int(k in (0, 15))) for k in range(20)]
    none = [made(f"t{k}", 0) for k in range(20)]
    runs = [replace(one_run(records)[0], name=name) for name, records in {"A": first, "B": second, "C": none}.items()]
    table, _, names = who_finds(runs).partition("\n\n")
    assert "| A | 14 | 13 |" in table
    assert "| B | 2 | 1 |" in table
    assert names.splitlines() == [
        f"- found by A alone: {', '.join(f't{k}' for k in range(1, 13))} and 1 more",
        "- found by B alone: t15",
    ]
    assert "alone:" not in who_finds([runs[0], runs[0]])


def test_no_token_crosses_the_mark():
    tokenizer = byte_pairs(["h : p ∧ q\n⊢ q:::exact h.2", "⊢ a:::(rfl)"] * 20, 300, mark=":::")
    for state, tactic in (("h : p ∧ q\n⊢ q", "exact h.2"), ("⊢ a", "(rfl)"), ("⊢ a:", ":x"), ("é", "·")):
        prompt, whole = tokenizer(f"{state}:::")["input_ids"], tokenizer(f"{state}:::{tactic}")["input_ids"]
        if not tactic.startswith(":"):
            assert whole[: len(prompt)] == prompt
        assert tokenizer.decode(whole) == f"{state}:::{tactic}"
