"""`passatn theorems`: the files, that they are the same again, and that nothing is written when something is wrong."""

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from lean_proofs import require_lean

from command_line import CommandLine
from passatn.experiments import theorems as module
from passatn.experiments.config import ConfigError
from passatn.experiments.theorems import TheoremSettings, make_theorems
from passatn.lean import Goal, LeanPool
from passatn.prove.generator import generate as generator
from passatn.prove.generator.sequent import Draft
from passatn.prove.generator.statement import Statement
from passatn.prove.generator.terms import parse
from passatn.prove.trace import TraceError, trace_proof
from passatn.tasks import load_problems

SETTINGS = TheoremSettings(num_train=14, num_validation=3, num_test=4, seed=3, num_checked=2, num_branching=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    require_lean()
    output = tmp_path_factory.mktemp("theorems") / "set"
    return output, make_theorems(output, SETTINGS)


def test_files(made: tuple[Path, dict[str, Any]]) -> None:
    output, manifest = made
    files = {"train.jsonl", "validation.jsonl", "test.jsonl", "train-tactics.jsonl", "validation-tactics.jsonl"}
    assert {path.name for path in output.iterdir()} == files | {"manifest.json"}
    assert json.loads((output / "manifest.json").read_text()) == manifest
    assert not list(output.parent.glob(".*"))
    for split, count in (("train", 14), ("validation", 3), ("test", 4)):
        problems = list(load_problems(output / f"{split}.jsonl"))
        assert len(problems) == count
        for problem in problems:
            assert problem.prompt == problem.metadata["statement"]
            assert problem.metadata["num_steps"] == len(problem.metadata["proof"])
            assert problem.id.rpartition("_")[0] == problem.metadata["family"]


def test_steps_are_those_of_the_proofs(made: tuple[Path, dict[str, Any]]) -> None:
    output, _ = made
    steps = {problem.id: problem for problem in load_problems(output / "train-tactics.jsonl")}
    num_steps = 0
    with LeanPool(num_workers=1) as lean:
        for problem in load_problems(output / "train.jsonl"):
            trace = trace_proof(lean, Goal(problem.metadata["statement"]), problem.metadata["proof"])
            for number, (text, tactic) in enumerate(zip(trace.texts, trace.tactics, strict=False), start=1):
                step = steps[f"{problem.id}#{number}"]
                assert (step.prompt, step.answers) == (text, (tactic,))
                assert step.metadata["group_id"] == problem.id
                num_steps += 1
    assert num_steps == len(steps)


def test_the_manifest_counts_right(made: tuple[Path, dict[str, Any]]) -> None:
    output, manifest = made
    proofs = {
        split: [p.metadata["proof"] for p in load_problems(output / f"{split}.jsonl")] for split in ("train", "test")
    }
    train, test = manifest["statistics"]["train"], manifest["statistics"]["test"]
    tactics = [tactic for proof in proofs["train"] for tactic in proof]
    assert train["num_tactics"] == len(tactics)
    assert train["num_distinct_tactics"] == len(set(tactics))
    assert train["num_tactics_histogram"] == {str(n): c for n, c in sorted(Counter(map(len, proofs["train"])).items())}
    assert train["share_of_tactics_in_train"] == 1
    known = [tactic in set(tactics) for proof in proofs["test"] for tactic in proof]
    assert test["share_of_tactics_in_train"] == pytest.approx(sum(known) / len(known), abs=1e-4)
    assert train["tactic_characters"]["max"] == max(map(len, tactics))
    assert manifest["num_checked_as_files"] == 2
    assert manifest["branching"]["num_states"] == 3


def test_the_same_files_again_and_a_folder_that_is_taken(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    output, _ = made
    again = tmp_path / "again"
    make_theorems(again, SETTINGS, num_workers=1)
    for path in output.glob("*.jsonl"):
        assert path.read_bytes() == (again / path.name).read_bytes()
    with pytest.raises(ConfigError, match="again exists: choose another --output, or --overwrite"):
        make_theorems(again, SETTINGS)
    (again / "notes.txt").write_text("mine")
    (again / "test.jsonl").write_text("old")
    make_theorems(again, SETTINGS, overwrite=True)
    assert (again / "test.jsonl").read_bytes() == (output / "test.jsonl").read_bytes()
    assert (again / "notes.txt").read_text() == "mine"


def test_a_family_with_a_bug_writes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require_lean()
    names = iter(range(10**6))

    def buggy(rng: Random) -> Draft:
        number = next(names)
        goal = parse(" ∧ ".join(["p"] * (number + 2)))
        return Draft(Statement((("p", "Prop"),), (("h", parse("p")),), goal), ("exact h",))

    monkeypatch.setattr(generator, "FAMILIES", {"buggy": (buggy, 1.0)})
    settings = TheoremSettings(num_train=3, num_validation=0, num_test=0, families=("buggy",))
    with pytest.raises(
        TraceError, match=r"Lean does not follow 3 of the proofs, such as buggy_1: step 1 of 1, 'exact h'"
    ):
        make_theorems(tmp_path / "out", settings)
    assert not list(tmp_path.iterdir())


def test_a_kill_between_files_leaves_no_manifest(
    made: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An old manifest never stands beside new files."""
    output, _ = made
    for path in output.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    replace = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if Path(target).name == "train.jsonl" and Path(target).parent == tmp_path:
            raise OSError("disk full")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="disk full"):
        make_theorems(tmp_path, SETTINGS, overwrite=True)
    assert not (tmp_path / "manifest.json").exists()


def test_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    require_lean()
    passatn = CommandLine(monkeypatch, capsys)
    arguments = ("--num-train", 4, "--num-validation", 0, "--num-test", 2, "--families", "order, divisibility")
    assert "there are propositional" in passatn("theorems", "--output", tmp_path / "a", "--families", "x").error
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    assert passatn("theorems", "--output", tmp_path / "file", *arguments).error.endswith("choose another --output")
    monkeypatch.setattr(module, "branching", lambda *_, **__: {"num_states": 0})
    done = passatn("theorems", "--output", tmp_path / "b", *arguments)
    assert done.code == 0
    assert "4 train, 0 validation, 2 test; " in done.err
    assert {p.metadata["family"] for p in load_problems(tmp_path / "b" / "test.jsonl")} <= {"order", "divisibility"}
