"""`passatn prove` with a tiny model and the real Lean: what it writes, goes on with, and refuses."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from passatn.evaluate import Results
from passatn.experiments.proving_folder import file_name
from passatn.lean import Goal, LeanPool, ProofState, check_file
from passatn.prove.record_files import read_records
from passatn.sample import score_completions
from passatn.sample.models import load_model
from passatn.tasks import Problem, encode_example, get_template
from tactic_files import TACTICS, THEOREMS, read_lines, write_theorems

PROVABLE = {"and_left", "and/swap", "two"}
"""By one tactic of the model; the others need several, or cannot be proved."""


@pytest.fixture(autouse=True, scope="module")
def _lean() -> None:
    from lean_proofs import require_lean

    require_lean()


@pytest.fixture(scope="module")
def theorems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_theorems(tmp_path_factory.mktemp("theorems") / "theorems.jsonl")


@pytest.fixture
def asked(tactic_model: Path, theorems: Path) -> list[Any]:
    small = ["--max-new-tokens", 4, "--max-depth", 4, "--lean-workers", 1]
    return ["--model", tactic_model, "--data", theorems, *small]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to copy: filled by the first test that asks for it."""
    return tmp_path_factory.mktemp("searched") / "run"


@pytest.fixture
def finished(searched: Path, asked: list[Any], passatn: Any) -> Path:
    if not searched.exists():
        done = passatn("prove", *asked, "--num-samples", 96, "--output", searched, "--ns", "1,16,64")
        assert done.code == 0, done.err
    return searched


def test_writes_records_proofs_and_results_that_other_commands_take(
    finished: Path, passatn: Any, tmp_path: Path
) -> None:
    results = Results.load(finished / "results.json")
    assert results.ids == [theorem["id"] for theorem in THEOREMS]
    assert results.run["method"] == "rollouts"
    assert results.run["num_samples"] == 96
    correct = dict(zip(results.ids, results.column("num_correct").tolist(), strict=True))
    assert {name for name, count in correct.items() if count} >= PROVABLE
    assert correct["false"] == 0
    records = {record.theorem: record for record in read_records(finished / "records")}
    for name, record in records.items():
        assert sum(record.ends.values()) == sum(record.lengths.values()) == record.num_samples == 96
        assert record.num_correct == correct[name] == record.ends.get("proved", 0)
        assert record.num_tactics == sum(counts.num_drawn for counts in record.depths)
        assert record.metadata == ({"family": "logic"} if name not in ("two", "false") else {})
    files = {path.name for path in (finished / "proofs").iterdir()}
    assert files == {f"{file_name(name)}.lean" for name, count in correct.items() if count}
    for path in (finished / "proofs").iterdir():
        assert not [message for message in check_file(path.read_text(encoding="utf-8")) if message.is_error]
    again = shutil.copytree(finished, tmp_path / "again")
    assert "pass@N" in passatn("compare", finished, again).out
    assert passatn("report", finished, again, "--output", tmp_path / "report").code == 0
    assert passatn("recommend", finished, again, "--n", 16).code == 0


def test_one_step_frequencies_are_the_exact_probabilities_of_the_tactics_that_work(
    tactic_model: Path, theorems: Path, asked: list[Any], passatn: Any, tmp_path: Path
) -> None:
    """Within 5 standard errors for each theorem."""
    n = 3000
    done = passatn("prove", *asked, "--max-depth", 1, "--num-samples", n, "--output", tmp_path / "out", "--seed", 5)
    assert done.code == 0, done.err
    assert {record.num_samples for record in read_records(tmp_path / "out" / "records")} == {1024, n - 2048}
    model, tokenizer = load_model(str(tactic_model))
    results = Results.load(tmp_path / "out" / "results.json")
    correct = dict(zip(results.ids, results.column("num_correct").tolist(), strict=True))
    with LeanPool(num_workers=1) as lean:
        for theorem in THEOREMS:
            first = lean.start(Goal(theorem["statement"], theorem.get("header", "")))
            steps = lean.apply_many([(first, tactic) for tactic in TACTICS])
            closing = [t for t, s in zip(TACTICS, steps, strict=True) if isinstance(s, ProofState) and s.is_done]
            examples = [
                encode_example(tokenizer, get_template("tactic"), Problem("x", first.text, (tactic,)))
                for tactic in closing
            ]
            p = math.fsum(math.exp(s) for s in score_completions(model, examples)[:, 0]) if examples else 0.0
            assert abs(correct[theorem["id"]] - n * p) <= 5 * math.sqrt(n * p * (1 - p)), theorem["id"]
            assert bool(closing) == (theorem["id"] in PROVABLE)


def test_a_larger_call_searches_what_is_missing_and_the_same_call_nothing(
    finished: Path, asked: list[Any], passatn: Any, tmp_path: Path
) -> None:
    output = shutil.copytree(finished, tmp_path / "out")
    before = read_lines(output / "records")
    same = passatn("prove", *asked, "--num-samples", 96, "--output", output)
    assert same.code == 0, same.err
    assert "all 6 theorems have been searched" in same.err
    assert read_lines(output / "records") == before
    assert "pass@N" in same.out
    more = passatn("prove", *asked, "--num-samples", 160, "--output", output, "--slice-size", 32)
    assert more.code == 0, more.err
    after = read_lines(output / "records")
    assert [line for line in after if line.get("first_sample", 0) == 0] == before
    borders = sorted({(line.get("first_sample", 0), line["num_samples"]) for line in after})
    assert borders == [(0, 96), (96, 32), (128, 32)]
    assert Results.load(output / "results.json").column("num_samples").tolist() == [160] * 6


def test_shards_are_the_whole_in_parts(finished: Path, asked: list[Any], passatn: Any, tmp_path: Path) -> None:
    for part in ("1/2", "2/2"):
        output = tmp_path / part.replace("/", "of")
        done = passatn("prove", *asked, "--num-samples", 96, "--output", output, "--shard", part)
        assert done.code == 0, done.err
        assert len(Results.load(output / "results.json").ids) == 3
    merged = shutil.copytree(tmp_path / "1of2", tmp_path / "merged")
    shutil.copytree(tmp_path / "2of2" / "records", merged / "records", dirs_exist_ok=True)
    assert read_lines(merged / "records") == read_lines(finished / "records")
    done = passatn("prove", *asked, "--num-samples", 96, "--output", merged)
    assert "all 6 theorems have been searched" in done.err
    whole, parts = (Results.load(folder / "results.json") for folder in (finished, merged))
    assert whole.problems == parts.problems


def test_other_settings_or_statements_are_refused_and_overwrite_starts_anew(
    finished: Path, asked: list[Any], passatn: Any, tmp_path: Path
) -> None:
    output = shutil.copytree(finished, tmp_path / "out")
    call = ["prove", *asked, "--num-samples", 16, "--output", output]
    for options, words in (
        (["--seed", 1], "holds a search with seed=0, now it is 1"),
        (["--temperature", 0.7], "holds a search with temperature=1.0, now it is 0.7"),
        (["--max-depth", 3], "max_depth=4, now it is 3"),
        (["--method", "best-first"], "method='rollouts', now it is 'best-first'"),
    ):
        assert words in passatn(*call, *options).error
    other = write_theorems(tmp_path / "other.jsonl", [THEOREMS[0] | {"statement": "theorem t : 1 = 1"}])
    assert "another statement named 'and_left'" in passatn(*call, "--data", other).error
    assert read_lines(output / "records") == read_lines(finished / "records")
    done = passatn(*call, "--seed", 1, "--overwrite", "--limit", 2)
    assert done.code == 0, done.err
    assert [(line["theorem"], line["num_samples"]) for line in read_lines(output / "records")] == [
        ("and/swap", 16),
        ("and_left", 16),
    ]
    assert json.loads((output / "manifest.json").read_text())["settings"]["seed"] == 1


def test_a_refused_statement_counts_as_not_proved_and_is_named(asked: list[Any], passatn: Any, tmp_path: Path) -> None:
    data = write_theorems(tmp_path / "t.jsonl", [{"id": "odd", "statement": "theorem t : Odd 3"}, THEOREMS[0]])
    done = passatn("prove", *asked, "--data", data, "--num-samples", 64, "--output", tmp_path / "out", "--ns", "64")
    assert done.code == 0, done.err
    assert "1 of 2 theorems not searched, they count as not proved" in done.err
    assert "odd: not searched: Lean does not accept the statement" in done.err
    results = Results.load(tmp_path / "out" / "results.json")
    assert results.column("num_correct").tolist()[0] == 0
    assert results.pass_at_n[0].estimate[0] <= 0.5


def test_what_whole_files_would_not_accept_is_not_searched(asked: list[Any], passatn: Any, tmp_path: Path) -> None:
    """Imports that the embedded Lean does not have, and a header that only step by step does no harm."""
    real = {"statement": "theorem t (x : ℝ) : x = x", "header": "import Mathlib\nopen Real"}
    twice = {"statement": "theorem t : True", "header": "namespace A\ntheorem t : 1 = 2 := sorry\nend A"}
    rows = [{"id": "one", **real}, {"id": "two", **real}, {"id": "twice", **twice}, THEOREMS[0]]
    data = write_theorems(tmp_path / "t.jsonl", rows)
    done = passatn("prove", *asked, "--data", data, "--num-samples", 64, "--output", tmp_path / "out", "--ns", "64")
    assert done.code == 0, done.err
    assert "3 of 4 theorems not searched" in done.err
    assert "one: not searched: Lean does not accept the header: nothing from here on is read: 'import'" in done.err
    assert "two: not searched" not in done.err
    assert "twice: not searched: the statement must declare exactly one theorem 't'" in done.err
    records = {record.theorem: record for record in read_records(tmp_path / "out" / "records")}
    assert [bool(records[name].problem) for name in ("one", "two", "twice")] == [True] * 3
    assert {records[name].num_tactics for name in ("one", "two", "twice")} == {0}
    assert records[THEOREMS[0]["id"]].num_correct


def test_best_first_is_one_sample_per_theorem(asked: list[Any], passatn: Any, tmp_path: Path) -> None:
    output = tmp_path / "out"
    call = ["prove", *asked, "--method", "best-first", "--width", 64, "--max-tactics", 640, "--output", output]
    done = passatn(*call)
    assert done.code == 0, done.err
    records = {record.theorem: record for record in read_records(output / "records")}
    assert {name for name, record in records.items() if record.num_correct} >= PROVABLE
    assert {record.num_samples for record in records.values()} == {1}
    assert all(record.num_tactics <= 640 for record in records.values())
    # Nothing applies to it: one expansion, and no state is left.
    assert records["false"].num_tactics == 64
    assert Results.load(output / "results.json").pass_at_n[0].ns == (1,)


def test_mistakes_are_one_line_and_leave_nothing(asked: list[Any], passatn: Any, tmp_path: Path) -> None:
    output = tmp_path / "out"
    call = ["prove", *asked, "--num-samples", 4, "--output", output]
    bad = {
        "no statement": ({"id": "x", "prompt": "?", "answer": "1"}, "problem 'x': proof search needs `statement`"),
        "proved": (
            {"id": "x", "statement": "theorem t : 1 = 1 := by rfl"},
            "problem 'x': the statement must end before",
        ),
        "no theorem": ({"id": "x", "statement": "1 = 1"}, "problem 'x': the statement must read 'theorem NAME"),
        "header": ({"id": "x", "statement": "theorem t : 1 = 1", "header": 3}, "problem 'x': proof search needs"),
    }
    for name, (record, words) in bad.items():
        data = tmp_path / f"{name}.jsonl"
        data.write_text(json.dumps({"prompt": "?"} | record) + "\n")
        assert words in passatn(*call, "--data", data).error
    for options, words in (
        (["--method", "magic"], "--method 'magic': there are rollouts, best-first"),
        (["--shard", "3/2"], "--shard 3/2: expected I/N"),
        (["--shard", "9/9"], "there are only 6 theorems"),
        (["--temperature", 0], "--temperature must be positive"),
        (["--time-limit", 0], "--time-limit must be positive"),
        (["--alpha", -1], "--alpha must be finite"),
        (["--repl", "x"], "--repl belongs to --project"),
        (["--project", tmp_path], "is no Lean project"),
        (["--ns", "16"], "less than the smallest of --ns"),
        (["--max-new-tokens", 256], "the model takes 256 tokens"),
        (["--max-prompt-tokens", 9], "--max-length"),
        (["--model", tmp_path / "nowhere"], "nowhere"),
        (["--engine", "server"], "--engine server needs --base-url"),
        (["--template", "x"], "unknown prompt template 'x'"),
    ):
        assert words in passatn(*call, *options).error
    assert not output.exists()
    output.mkdir()
    (output / "thesis.txt").write_text("mine")
    assert "holds no proof search" in passatn(*call, "--overwrite").error
    assert [path.name for path in output.iterdir()] == ["thesis.txt"]


def test_file_names_are_safe_and_differ() -> None:
    names = ["t", "Nat.add_comm", "a/b", "a_b", "..", ".", "", "a b", "∀", "x" * 300, "x" * 301, "con:"]
    files = [file_name(name) for name in names if name]
    assert len(set(files)) == len(files)
    assert all(set(file) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") for file in files)
    assert all(0 < len(file) <= 120 and file[0] != "." for file in files)
    assert file_name("Nat.add_comm") == "Nat.add_comm"
