"""Proof search while its processes are killed: Lean's, and the command itself. The records are the undisturbed ones."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from lean_proofs import EndangeredPool, require_lean

from passatn.lean import Goal, LeanPool
from passatn.prove.loop import SearchLoop
from passatn.prove.proof_checks import embedded_checks
from passatn.prove.record_files import RecordFiles, missing_slices, read_records
from passatn.prove.records import SearchRecord
from passatn.prove.rollouts import RolloutSearch
from passatn.prove.tactic_model import TacticModel
from passatn.prove.theorem import Theorem
from passatn.sample import HFEngine, SamplingParams
from passatn.sample.models import load_model
from tactic_files import THEOREMS, read_lines, save_tactic_model, write_theorems


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_lean()
    return save_tactic_model(tmp_path_factory.mktemp("tactics") / "model")


def searches() -> list[RolloutSearch]:
    theorems = [Theorem(t["id"], Goal(t["statement"], t.get("header", ""))) for t in THEOREMS]
    return [RolloutSearch(theorem, first, 150, max_depth=5) for theorem in theorems for first in (0, 150)]


def records_with(pool: LeanPool, model: Path) -> list[dict[str, Any]]:
    loaded, tokenizer = load_model(str(model))
    params = SamplingParams(n=1, max_new_tokens=4, seed=0)
    loop = SearchLoop(
        TacticModel(HFEngine(loaded, tokenizer), tokenizer, params), pool, embedded_checks(), batch_size=64
    )
    found = [record.to_dict() | {"seconds": 0} for record in loop.run(searches())]
    for record in found:
        for proof in record.get("proofs", ()):
            proof["log_prob"] = round(proof["log_prob"], 4)
    return sorted(found, key=lambda record: (record["theorem"], record["first_sample"]))


def test_lean_processes_that_are_killed_do_not_change_a_record(model: Path) -> None:
    with LeanPool(num_workers=2) as pool:
        undisturbed = records_with(pool, model)
    assert sum(record["num_correct"] for record in undisturbed) > 0
    with EndangeredPool(20) as pool:
        assert records_with(pool, model) == undisturbed
        assert len(pool.killed) >= 4
        assert pool.num_starts > 4


def command(model: Path, data: Path, output: Path) -> list[str]:
    small = ["--max-new-tokens", "4", "--max-depth", "5", "--num-samples", "600", "--slice-size", "100", "--ns", "1,64"]
    speed = ["--lean-workers", "1", "--in-flight", "3", "--batch-size", "64"]
    return [
        *(sys.executable, "-m", "passatn", "prove", "--model", str(model), "--data", str(data)),
        *("--output", str(output), *small, *speed),
    ]


@pytest.mark.slow
def test_the_command_that_is_killed_and_called_again_leaves_the_undisturbed_records(
    model: Path, tmp_path: Path
) -> None:
    data = write_theorems(tmp_path / "theorems.jsonl")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(model, data, whole), check=True, capture_output=True, timeout=300)
    kept: list[int] = []
    for number in (1, 8, 20):
        process = subprocess.Popen(command(model, data, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Killed as soon as it has so many records: each call stores some that the next one need not search again.
        while process.poll() is None and len(read_records(killed / "records")) < number:
            time.sleep(0.005)
        process.kill()
        process.wait()
        kept.append(len(read_records(killed / "records")))
    assert kept[0] >= 1
    assert kept == sorted(kept)
    assert kept[-1] < 6 * len(THEOREMS), "it ended before it was killed: give it more to do"
    assert not (killed / "results.json").exists()
    last = subprocess.run(command(model, data, killed), capture_output=True, text=True, timeout=300, check=True)
    assert read_lines(killed / "records") == read_lines(whole / "records")
    results = [json.loads((folder / "results.json").read_text()) for folder in (whole, killed)]
    assert results[0]["pass_at_n"] == results[1]["pass_at_n"]
    proofs = [{path.name: path.read_bytes() for path in (folder / "proofs").iterdir()} for folder in (whole, killed)]
    assert proofs[0] == proofs[1]
    assert "theorems proved" in last.stderr


def record(theorem: str, first: int, count: int) -> SearchRecord:
    return SearchRecord(theorem, f"theorem {theorem} : P", "rollouts", count, 0, first_sample=first)


def test_a_line_that_a_kill_cut_off_is_left_out_and_searched_again(tmp_path: Path) -> None:
    files = RecordFiles(tmp_path, "1-of-1")
    for first in (0, 10, 20):
        files.append(record("t", first, 10))
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    assert [found.first_sample for found in read_records(tmp_path)] == [0, 10]
    assert missing_slices(read_records(tmp_path), 30, 10) == [(20, 10)]
    RecordFiles(tmp_path, "1-of-1").append(record("t", 20, 10))
    assert [found.first_sample for found in read_records(tmp_path)] == [0, 10, 20]


def test_a_slice_of_two_processes_counts_once_and_a_damaged_line_is_named(tmp_path: Path) -> None:
    for _ in range(2):
        RecordFiles(tmp_path, "1-of-1").append(record("t", 0, 10))
    assert len(list(tmp_path.iterdir())) == 2
    assert len(read_records(tmp_path)) == 1
    (tmp_path / "odd.jsonl").write_text('{"theorem": "t"}\n')
    with pytest.raises(ValueError, match=r"odd\.jsonl, line 1: not a search record .*searched again"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([], [(0, 8), (8, 8), (16, 4)]),
        ([(0, 20)], []),
        ([(0, 5)], [(5, 3), (8, 8), (16, 4)]),
        ([(8, 8)], [(0, 8), (16, 4)]),
        ([(3, 2), (9, 1), (30, 5)], [(0, 3), (5, 3), (8, 1), (10, 6), (16, 4)]),
        ([(0, 100)], []),
    ],
)
def test_missing_slices_cover_what_is_not_there(
    there: Sequence[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    missing = missing_slices([record("t", first, count) for first, count in there], 20, 8)
    assert missing == expected
    samples = [k for first, count in [*there, *missing] for k in range(first, first + count)]
    assert len(samples) == len(set(samples))
    assert set(range(20)) <= set(samples)
