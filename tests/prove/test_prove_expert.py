"""Which proofs are kept, what is trained on, and that a killed expert iteration ends like an undisturbed one."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from expert_run import KNOWN, UNPROVED, MadeUpSearch, make_config, theorem, write_inputs
from lake_project import executable, standin_project
from safetensors.torch import load_file
from search_records import proof, record

from passatn.experiments.config import ConfigError
from passatn.experiments.expert_iteration import ExpertConfig, proof_search, run_expert
from passatn.experiments.options import EngineOptions
from passatn.experiments.proof_report import read_proof_run
from passatn.experiments.proving_options import SearchOptions
from passatn.experiments.quiet import quiet_libraries
from passatn.lean import Goal, GoalError, LeanPool, LeanUnavailableError, embedded_lean
from passatn.lean.prelude import HEADER
from passatn.prove.expert import found_steps, known_steps
from passatn.tasks.problem import Problem, ProblemError
from tiny_files import write_jsonl

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def lean() -> Any:
    try:
        embedded_lean()
    except LeanUnavailableError as error:
        pytest.skip(f"no embedded Lean: {error}")
    with LeanPool(num_workers=1) as pool:
        yield pool


def test_found_proofs_become_states_and_tactics(lean):
    swap = record(
        "swap",
        4,
        1,
        statement="theorem swap (p q : Prop) : p ∧ q → q ∧ p",
        proofs=(proof("intro h", "exact ⟨h.2, h.1⟩"), proof("rfl", is_checked=False)),
    )
    wrong = record("wrong", 4, 1, statement="theorem wrong : 1 = 2", proofs=(proof("rfl"),))
    steps, notices = found_steps(lean, [swap, wrong])
    assert [(step.id, step.answers) for step in steps] == [
        ("swap/found-1#1", ("intro h",)),
        ("swap/found-1#2", ("exact ⟨h.2, h.1⟩",)),
    ]
    assert steps[0].prompt == "p q : Prop\n⊢ p ∧ q → q ∧ p"
    assert steps[1].prompt == "p q : Prop\nh : p ∧ q\n⊢ q ∧ p"
    assert {step.metadata["group_id"] for step in steps} == {"swap/found-1"}
    assert {step.metadata["theorem"] for step in steps} == {"swap"}
    assert len(notices) == 1
    assert notices[0].startswith("left out, a found proof that does not replay: wrong: step 1 of 1")


def test_a_statement_that_lean_refuses_costs_its_own_proofs_only(lean):
    proved = {"num_samples": 4, "num_correct": 1, "proofs": (proof("rfl"),)}
    elsewhere = record("b", statement="theorem t : Odd 3", **proved)
    header = record("c", statement="theorem t : 1 = 1", header="open Nowhere", **proved)
    steps, notices = found_steps(lean, [record("a", **proved), elsewhere, header, record("d", **proved)])
    assert [step.id for step in steps] == ["a/found-1#1", "d/found-1#1"]
    said = "left out, a found proof that does not replay: "
    assert [notice.removeprefix(said).split(": ")[:2] for notice in notices] == [
        ["b", "Lean does not accept the statement"],
        ["c", "Lean does not accept the header"],
    ]


def test_known_proofs_are_replayed(lean):
    def problem(**metadata: Any) -> Problem:
        return Problem("p1", "t", (), metadata={"statement": "theorem t (p : Prop) : p → p"} | metadata)

    steps = known_steps(lean, [problem(proof=["intro h", "exact h"])])
    assert [(step.id, step.prompt.splitlines()[-1], step.answers) for step in steps] == [
        ("p1#1", "⊢ p → p", ("intro h",)),
        ("p1#2", "⊢ p", ("exact h",)),
    ]
    with pytest.raises(ProblemError, match="problem 'p1': expected a list of tactics under `proof`"):
        known_steps(lean, [problem()])
    with pytest.raises(ProblemError, match="problem 'p1': t: step 1 of 1"):
        known_steps(lean, [problem(proof=["rfl"])])


@pytest.fixture(scope="module")
def undisturbed(lean, tmp_path_factory) -> tuple[Path, list[Any], list[str]]:
    folder = tmp_path_factory.mktemp("expert")
    write_inputs(folder)
    lines: list[str] = []
    config = make_config(folder, test=str(folder / "test.jsonl"), test_samples=4)
    with quiet_libraries():
        iterations = run_expert(config, folder / "expert", MadeUpSearch(), lines.append)
    return folder / "expert", iterations, lines


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_each_iteration_learns_what_those_before_found_and_proves_the_rest(undisturbed):
    output, iterations, _ = undisturbed
    assert [(i.num_examples, i.num_found_examples, i.num_to_prove, i.num_proved) for i in iterations] == [
        (4, 0, 4, 2),
        (7, 3, 2, 1),
        (8, 4, 0, 0),
    ]
    added = [row["id"] for row in rows_of(output / "iteration-2" / "tactics.jsonl")[4:]]
    assert added == ["easy/found-1#1", "other/found-1#1", "other/found-1#2", "later/found-1#1"]
    assert [row["id"] for row in rows_of(output / "iteration-1" / "unproved.jsonl")] == ["later", "never"]
    assert not (output / "iteration-2" / "search").exists()
    assert iterations[0].pass_at_n == {1: pytest.approx((2 / 8 + 1 / 8) / 4), 8: 0.5}
    assert [i.test_pass_at_n for i in iterations] == [{1: 0.0}] * 3
    assert [entry["num_proved"] for entry in json.loads((output / "iterations.json").read_text())] == [2, 1, 0]


def test_every_iteration_trains_from_the_base_model(undisturbed):
    output, _, _ = undisturbed
    for number in range(3):
        settings = (output / f"iteration-{number}" / "run" / "config.yaml").read_text()
        assert f"model: {output.parent / 'tiny'}\n" in settings
        assert f"train_data: {output}/iteration-{number}/tactics.jsonl\n" in settings


def test_a_finished_one_is_only_read(undisturbed):
    output, iterations, _ = undisturbed
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    config = make_config(output.parent, test=str(output.parent / "test.jsonl"), test_samples=4)
    assert run_expert(config, output, MadeUpSearch(), print) == iterations
    after = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    del before[output / "iterations.json"], after[output / "iterations.json"]
    assert after == before


def test_a_recipe_s_own_steps_are_known_by_their_contents(tmp_path):
    steps = tmp_path / "steps.jsonl"
    config = ExpertConfig(recipe={"train_data": str(steps)}, unproved="unproved", search={})
    digests = []
    for text in ("one", "two", "one"):
        steps.write_text(text)
        digests.append(config.to_mapping()["train_data_digest"])
    assert digests[0] == digests[2] != digests[1]
    assert "train_data_digest" not in replace(config, theorems="theorems").to_mapping()


def test_other_settings_or_other_theorems_are_refused(undisturbed, tmp_path):
    output, _, _ = undisturbed
    settings = {"test": str(output.parent / "test.jsonl"), "test_samples": 4}
    with pytest.raises(ConfigError, match="was begun with keep='shortest', now it is 'probable'"):
        run_expert(make_config(output.parent, keep="probable", **settings), output, MadeUpSearch(), print)
    unproved = output.parent / "unproved.jsonl"
    text = unproved.read_text()
    unproved.write_text(text.replace("1 = 2", "1 = 3"))
    try:
        with pytest.raises(ConfigError, match="was begun with unproved_digest="):
            run_expert(make_config(output.parent, **settings), output, MadeUpSearch(), print)
    finally:
        unproved.write_text(text)
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(ConfigError, match="holds something else"):
        run_expert(make_config(output.parent, **settings), tmp_path, MadeUpSearch(), print)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_search_that_finds_nothing_ends_it(lean, tmp_path):
    write_inputs(tmp_path)
    unproved = tmp_path / "unproved.jsonl"
    unproved.write_text(unproved.read_text().splitlines()[-1] + "\n")
    lines: list[str] = []
    with quiet_libraries():
        iterations = run_expert(make_config(tmp_path), tmp_path / "expert", MadeUpSearch(), lines.append)
    assert [i.num_proved for i in iterations] == [0]
    assert "iteration 0 proved nothing" in lines[-1]


def test_found_proofs_that_do_not_replay_are_counted(lean, tmp_path, monkeypatch):
    write_inputs(tmp_path)
    monkeypatch.setitem(UNPROVED, "other", (UNPROVED["other"][0], [["rfl"]]))
    lines: list[str] = []
    with quiet_libraries():
        run_expert(make_config(tmp_path, iterations=1), tmp_path / "expert", MadeUpSearch(), lines.append)
    counted = "iteration 1: 4 steps of known proofs and 1 of proofs found, of 2 theorems; 1 found proofs left out"
    assert counted in lines
    assert lines[lines.index(counted) - 1].startswith("left out, a found proof that does not replay: other: step 1")


def test_settings_that_cannot_be(tmp_path):
    write_inputs(tmp_path)

    def refused(**changes: Any) -> str:
        with pytest.raises((ConfigError, ProblemError)) as error:
            run_expert(make_config(tmp_path, **changes), tmp_path / "expert", MadeUpSearch(), print)
        assert not (tmp_path / "expert").exists()
        return str(error.value)

    recipe = make_config(tmp_path).recipe
    assert refused(iterations=0) == "iterations and numbers of samples must be at least 1"
    assert refused(recipe=recipe | {"template": "direct"}).startswith("template direct: ")
    no_steps = refused(recipe={"trainer": "grpo", "model": recipe["model"]})
    assert no_steps.startswith("expert trains on proofs: trainer grpo has none")
    assert "keep must be one of" in refused(keep="all")
    assert "train_data is not set" in refused(theorems=None)
    assert "hold 'easy' (4 such theorems)" in refused(test=str(tmp_path / "unproved.jsonl"))
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"id": "x", "prompt": "x", "answer": "y"}\n')
    for name in ("unproved", "theorems", "test"):
        assert refused(**{name: str(bad)}).startswith(f"{bad}: problem 'x': proof search needs")


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--temperature 0", "--temperature must be positive, got 0.0"),
        ("--method walk", "--method 'walk': there are rollouts, best-first"),
        ("--tactic-timeout 0", "--tactic-timeout must be positive, got 0.0"),
        ("--num-samples 3 --ns 4,8", "--num-samples 3 is less than the smallest of --ns, 4"),
        ("--test tested.jsonl --test-samples 3 --ns 4,8", "--test-samples 3 is less than the smallest of --ns, 4"),
        ("--replay lean4checker", "--replay belongs to --project"),
    ],
)
def test_search_options_that_cannot_be_are_refused_before_the_first_training(option, complaint, passatn, tmp_path):
    write_inputs(tmp_path)
    done = passatn(
        "expert", "--unproved", tmp_path / "unproved.jsonl", "--theorems", tmp_path / "train.jsonl",
        "--output", tmp_path / "expert", "--model", tmp_path / "no-model", *option.split(),
    )  # fmt: skip
    assert (done.code, (tmp_path / "expert").exists()) == (1, False)
    assert complaint in done.err


@pytest.mark.parametrize("file", ["unproved", "train"])
def test_a_tested_theorem_is_not_learnt_under_another_name(file, tmp_path):
    write_inputs(tmp_path)
    binders = (UNPROVED["other"] if file == "unproved" else KNOWN["known_and"])[0]
    disguised = theorem("held_out", binders.replace(" ", "\n "))
    write_jsonl(tmp_path / "test.jsonl", [theorem("apart", ": 3 = 3"), disguised])
    name = "other" if file == "unproved" else "known_and"
    with pytest.raises(ConfigError, match=rf"{file}.jsonl and .*test.jsonl both hold '{name}' \(1 such theorems\)"):
        run_expert(make_config(tmp_path, test=str(tmp_path / "test.jsonl")), tmp_path / "x", MadeUpSearch(), print)


def test_without_its_lean_nothing_is_begun(tmp_path):
    write_inputs(tmp_path)
    options = SearchOptions(project=str(tmp_path / "nowhere"))
    search = proof_search(EngineOptions(), options, [1], print)
    with pytest.raises(LeanUnavailableError, match="nowhere"):
        run_expert(make_config(tmp_path), tmp_path / "expert", search, print)
    assert not (tmp_path / "expert").exists()


def test_found_proofs_are_replayed_in_the_project_that_they_were_found_in(
    lean, tactic_model, tmp_path, passatn, monkeypatch
):
    """The stand-in for the REPL shows `⊢ True` whatever the statement; the embedded session refuses the header."""
    project = standin_project(tmp_path)
    repl = executable(tmp_path / "repl", f"#!/bin/sh\nexec {sys.executable} {HERE / 'project_lean.py'}\n")
    executable(tmp_path / "checker", '#!/bin/sh\nexec "$@"\n')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(GoalError):
        lean.start(Goal("theorem yes : True", HEADER.strip()))
    write_jsonl(tmp_path / "train.jsonl", [theorem("known", "(n : Nat) : True", proof=["skip", "trivial"])])
    write_jsonl(tmp_path / "unproved.jsonl", [theorem("yes", ": True", header=HEADER.strip())])
    (tmp_path / "recipe.yaml").write_text(f"model: {tactic_model}\nn_passes: 4\nlearning_rate: 0.0\n")
    asked = ["--config", tmp_path / "recipe.yaml", "--output", tmp_path / "expert", "--num-samples", 64, "--ns", "1"]
    asked += ["--theorems", tmp_path / "train.jsonl", "--unproved", tmp_path / "unproved.jsonl", "--lean-workers", 1]
    asked += ["--max-new-tokens", 4, "--max-depth", 2]
    done = passatn("expert", *asked, "--project", project.folder, "--repl", repl)
    assert done.code == 0, done.err
    assert "iteration 1: 2 steps of known proofs and 1 of proofs found, of 1 theorems" in done.err
    rows = rows_of(tmp_path / "expert" / "iteration-1" / "tactics.jsonl")
    assert [(row["id"], row["prompt"], row["answer"]) for row in rows] == [
        ("known#1", "⊢ True", "skip"),
        ("known#2", "⊢ True", "trivial"),
        ("yes/found-1#1", "⊢ True", "trivial"),
    ]
    shown = read_proof_run(tmp_path / "expert" / "iteration-0" / "search", print)
    assert shown is not None
    assert shown.steps["yes", ("trivial",)] == ("⊢ True",), "the page's states are the project's too"


@pytest.mark.slow
@pytest.mark.parametrize("place", ["search", "tactics", "train"])
def test_a_killed_one_goes_on_and_ends_like_the_undisturbed_one(place, undisturbed, tmp_path):
    write_inputs(tmp_path)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
    command = [sys.executable, str(HERE / "expert_run.py"), str(tmp_path)]
    killed = subprocess.run([*command, place], env=environment, capture_output=True, text=True, timeout=300)
    assert killed.returncode == -9, killed.stderr[-2000:]
    if place == "train":
        assert (tmp_path / "expert" / "iteration-0" / "search" / "results.json").exists()
        assert (tmp_path / "expert" / "iteration-1" / "run" / "checkpoints" / "checkpoint-2").exists()
        assert not (tmp_path / "expert" / "iteration-1" / "run" / "model").exists()
    subprocess.run(command, env=environment, check=True, timeout=300)
    output, _, _ = undisturbed
    mine = tmp_path / "expert"
    for number in range(3):
        tactics = f"iteration-{number}/tactics.jsonl"
        assert (mine / tactics).read_text() == (output / tactics).read_text()
        weights = [load_file(f / f"iteration-{number}/run/model/model.safetensors") for f in (mine, output)]
        assert all(weights[0][name].equal(weights[1][name]) for name in weights[1])
    ours, theirs = (json.loads((folder / "iterations.json").read_text()) for folder in (mine, output))
    for entry in (*ours, *theirs):
        del entry["test_pass_at_n"]
    assert ours == theirs


@pytest.mark.slow
def test_the_command_with_the_real_search_and_its_report(lean, tmp_path):
    """A tiny model learns `rfl` and `intro h _` from ten steps, and with 64 roll-outs proves what they prove."""
    write_inputs(tmp_path)
    sums = [theorem(f"k{i}", f": {i} + {i} = {2 * i}", proof=["rfl"]) for i in range(6)]
    swaps = [theorem(f"a{i}", "(p q : Prop) : p → q → p", proof=["intro h _", "exact h"]) for i in range(2)]
    write_jsonl(tmp_path / "train.jsonl", [*sums, *swaps])
    easy = [theorem(f"u{i}", f": {i} + 1 = {i + 1}") for i in range(3)]
    write_jsonl(tmp_path / "unproved.jsonl", [*easy, theorem("never", ": 1 = 2")])
    (tmp_path / "recipe.yaml").write_text(
        f"model: {tmp_path / 'tiny'}\nn_passes: 4\nnum_train_epochs: 12\nper_device_train_batch_size: 4\n"
        "learning_rate: 1.0e-2\nlr_scheduler_type: constant\n"
    )
    output = tmp_path / "expert"

    def passatn(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "passatn", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    files = ["--theorems", tmp_path / "train.jsonl", "--unproved", tmp_path / "unproved.jsonl"]
    options = ["--config", tmp_path / "recipe.yaml", *files, "--num-samples", 64, "--max-new-tokens", 20]
    done = passatn("expert", *options, "--output", output)
    assert done.returncode == 0, done.stderr
    first, second = json.loads((output / "iterations.json").read_text())
    assert (first["num_examples"], first["num_to_prove"], first["num_proved"]) == (10, 4, 3)
    assert second["num_found_examples"] >= 3
    added = rows_of(output / "iteration-1" / "tactics.jsonl")[10:]
    assert {row["metadata"]["theorem"] for row in added} == {"u0", "u1", "u2"}
    again = passatn("expert", *options, "--output", output, "--lean-workers", 1)
    assert (again.returncode, again.stdout) == (0, done.stdout), again.stderr
    refused = passatn("expert", *options, "--output", output, "--shard", "1/2")
    assert refused.returncode == 1
    assert refused.stderr.strip() == "error: --shard cannot be used here: an iteration needs all theorems"
    report = passatn("report", output / "iteration-0" / "search", "--output", tmp_path / "report")
    assert report.returncode == 0, report.stderr
    assert "⊢ 0 + 1 = 1" in (tmp_path / "report" / "report.html").read_text()


def test_the_made_up_theorems_are_what_they_are_meant_to_be(lean):
    """Otherwise the tests above would pass for want of proofs."""
    problems = [
        Problem(name, name, (), metadata={"statement": f"theorem {name} {binders}", "proof": tactics})
        for name, (binders, tactics) in KNOWN.items()
    ]
    assert len(known_steps(lean, problems)) == 4
