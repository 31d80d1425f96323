"""What can be reproduced, stages, costs, recipes as files, and figure 11 from the command line."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.optimize import minimize

from passatn.experiments.config import RunConfig, read_settings
from passatn.experiments.mini_theorems import ARMS
from passatn.experiments.reproduce import bounds, catalogue, paper
from passatn.experiments.reproduce.costs import GIB, Machine, ModelShape, estimate
from passatn.experiments.reproduce.engines import engine_config
from passatn.experiments.reproduce.recipes import LLAMA_8B, direct_recipe
from passatn.experiments.reproduce.workspace import Workspace

RECIPES = Path(__file__).parents[2] / "recipes"


def test_the_list_is_plain_and_needs_no_libraries():
    script = (
        "import sys; sys.argv = ['passatn', 'reproduce', '--list']\n"
        "for name in ('torch', 'transformers', 'numpy', 'matplotlib', 'datasets'): sys.modules[name] = None\n"
        "from passatn.cli import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = ran.stdout.splitlines()
    names = [f"table{i}" for i in range(1, 7)] + [f"fig{i}" for i in (1, 2, 3, 4, 5, 11, 12, 13)]
    assert [line.split()[0] for line in lines] == names
    assert all(len(line.split()) > 3 for line in lines)
    assert ran.stdout.replace("\n", "").isprintable()


def test_unknown_names(passatn, tmp_path):
    assert "did you mean fig11" in passatn("reproduce", "fig111", "--output", tmp_path / "x").error
    assert "give the name" in passatn("reproduce", "--output", tmp_path / "x").error
    assert not (tmp_path / "x").exists()


def test_options_that_do_not_fit(passatn, tmp_path):
    out = ["--output", tmp_path / "x"]
    assert "expected demo, small, paper" in passatn("reproduce", "fig11", "--scale", "huge", *out).error
    assert "--model goes with" in passatn("reproduce", "fig11", "--model", "m", *out).error
    assert "no such folder" in passatn("reproduce", "fig11", "--data-dir", tmp_path / "none", *out).error
    (tmp_path / "thesis.tex").write_text("mine")
    assert "is not a reproduction" in passatn("reproduce", "fig11", "--output", tmp_path).error


def test_figure_11_from_the_command_line(passatn, tmp_path):
    outcome = passatn("reproduce", "fig11", "--output", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "lower ≤ optimum ≤ upper at every N" in " ".join(outcome.out.split())
    folder = tmp_path / "out" / "fig11"
    assert (folder / "fig11.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((folder / "results.json").read_text())
    assert record["paper"]["shows"] == paper.SHOWS["fig11"]
    with (folder / "fig11.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(bounds.NS) * len(bounds.INSTANCES)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "fig11: bounds on the optimal largest confidence" in page
    again = passatn("reproduce", "fig11", "--output", tmp_path / "out")
    assert "finished already" in again.err
    other = passatn("reproduce", "fig11", "--scale", "paper", "--output", tmp_path / "out")
    assert "scale='demo', now it is 'paper'" in other.error


@pytest.mark.parametrize("n", [2.0, 16.0])
def test_the_optimum_of_figure_11_is_found_by_search_too(n):
    index = bounds.NS.index(n)
    name = next(iter(bounds.INSTANCES))
    a = np.array(bounds.INSTANCES[name])
    found = minimize(
        lambda z: float(np.sum(a * (1 - np.exp(z) / np.exp(z).sum()) ** n)), np.log(a), method="BFGS", tol=1e-12
    )
    q = np.exp(found.x) / np.exp(found.x).sum()
    assert bounds.curves()[name]["optimum"][index] == pytest.approx(q[0], abs=2e-3)


def test_a_stage_is_made_once_and_a_failed_one_leaves_nothing(tmp_path):
    said = []
    work = Workspace(tmp_path / "out", said.append)

    def failing(path):
        path.mkdir()
        (path / "half").write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        work.stage("data", {"rows": 3}, failing)
    made = work.stage("data", {"rows": 3}, lambda path: (path.mkdir(), (path / "whole").write_text("whole")))
    assert [file.name for file in made.iterdir()] == ["whole"]
    assert work.stage("data", {"rows": 3}, lambda path: pytest.fail("made again")) == made
    assert work.stage("data", {"rows": 4}, lambda path: path.write_text("other")) != made
    assert said == ["data …", "data …", "data: there already", "data …"]
    note = tmp_path / "out" / "shared" / "recipes" / f"{made.name}.json"
    assert json.loads(note.read_text()) == {"rows": 3}


def test_costs_by_hand():
    model = ModelShape("m", parameters=1e9, layers=10, hidden=1000, vocabulary=50_000)
    machine = Machine("gpu", flops=1e15, gib=80, count=4)
    found = estimate(model, machine, "zero3", micro_batch=2, tokens=100, examples=7000)
    assert found.memory["weights"] * GIB == pytest.approx(1e9)
    assert found.memory["optimiser states"] * GIB == pytest.approx(2e9)
    assert found.memory["activations"] * GIB == pytest.approx(200 * 1000 * 54)
    assert found.memory["logits"] * GIB == pytest.approx(200 * 50_000 * 6)
    assert found.hours == pytest.approx(6 * 1e9 * 700_000 / (4 * 1e15 * 0.35) / 3600)
    assert found.gpu_hours == pytest.approx(4 * found.hours)
    whole = estimate(model, machine, "zero2", micro_batch=2, tokens=100, examples=7000)
    assert whole.memory["weights"] * GIB == pytest.approx(4e9)
    assert found.fits
    assert not estimate(model, Machine("small", 1e15, 2.0), "zero2", micro_batch=2, tokens=100, examples=1).fits
    with pytest.raises(ValueError, match="engine must be"):
        estimate(model, machine, "ddp", micro_batch=1, tokens=1, examples=1)


@pytest.mark.parametrize("name", ["table1", "table4"])
def test_the_recipes_as_files_are_those_that_are_run(name):
    recipe = direct_recipe("paper", large=name == "table4")
    config = RunConfig.from_mapping(read_settings(RECIPES / f"{name}.yaml", ["--train_data", "d"]))
    wanted = RunConfig.from_mapping(
        {"model": recipe.model.name, "train_data": "d", "eval_ns": list(recipe.eval_ns), "n_passes": 1}
        | dict(recipe.settings)
    )
    assert config == wanted
    batch = config.training["per_device_train_batch_size"] * recipe.machine.count
    assert (batch, config.training["learning_rate"], config.training["num_train_epochs"]) == (64, 2e-5, 4)


@pytest.mark.parametrize("engine", ["fsdp2", "zero2", "zero3"])
def test_the_engines_as_files_are_those_that_are_written_and_accelerate_reads_them(engine):
    from accelerate.commands.config.config_args import load_config_from_file

    file = RECIPES / "engines" / f"{engine}.yaml"
    assert yaml.safe_load(file.read_text()) == engine_config(engine)
    assert load_config_from_file(str(file)).num_processes == 8


def test_a_dry_run_at_the_papers_scale_writes_nothing(passatn, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("math_train_12000.jsonl.gz", "math_test_500.jsonl"):
        (tmp_path / "data" / name).write_bytes(b"")
    out = tmp_path / "out"
    outcome = passatn(
        "reproduce", "fig2", "--scale", "paper", "--dry-run", "--data-dir", tmp_path / "data", "--output", out
    )
    assert outcome.code == 0, outcome.err
    assert not out.exists()
    lines = outcome.out.splitlines()
    launched = [line for line in lines if "accelerate launch" in line]
    commands = [line for line in launched if "recipes/prove-" not in line]
    assert len(commands) == 4
    assert len(launched) == 4 + len(ARMS), "(c) has its runs too"
    assert sum("passatn prove" in line for line in lines) == len(ARMS)
    assert [line for line in lines if line.startswith("  $")][-1].startswith("  $ passatn reproduce fig2")
    for n, command in zip((1, 16, 256, 4096), commands, strict=True):
        words = command.split()
        assert words[words.index("--n_passes") + 1] == str(n)
        assert words[words.index("--model") + 1] == LLAMA_8B.name
    assert "memory per GPU" in outcome.out
    assert "6 x parameters x tokens" in outcome.out


def test_the_papers_scale_names_the_run_that_is_missing(passatn, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("math_train.jsonl", "math_test.jsonl"):
        (tmp_path / "data" / name).write_bytes(b"")
    error = passatn(
        "reproduce", "table1", "--scale", "paper", "--data-dir", tmp_path / "data", "--output", tmp_path / "out"
    ).error
    assert "is not there yet" in error
    config = Path(error.split("--config_file ")[1].split()[0])
    assert yaml.safe_load(config.read_text())["fsdp_config"]["fsdp_version"] == 2


def test_data_files_are_named_when_they_are_not_there(passatn, tmp_path):
    (tmp_path / "data").mkdir()
    options = ["--data-dir", tmp_path / "data", "--output", tmp_path / "out"]
    error = passatn("reproduce", "table1", "--scale", "small", "--dry-run", *options).error
    assert "expected one file math_train*.jsonl*, found none" in error


def test_every_built_entry_has_a_plan_at_every_scale(passatn, tmp_path):
    for entry in catalogue.ENTRIES:
        for scale in ("demo", "small", "paper"):
            outcome = passatn("reproduce", entry.name, "--scale", scale, "--dry-run", "--output", tmp_path / "out")
            assert outcome.code == 0, outcome.err
            assert entry.title in outcome.out
    assert not (tmp_path / "out").exists()


def test_the_papers_numbers_are_whole():
    for table in paper.TABLES.values():
        assert all(len(row) == len(table.columns) for row in table.rows.values())
        for row in table.rows.values():
            known = [value for value in row if value is not None]
            if not table.columns[0].startswith("pass@"):
                continue  # table 2 has one N, and models as columns
            assert known == sorted(known), f"pass@N falls with N in {table.source}"
    assert paper.TABLE_1.at("epoch 4", "pass@256") == 44.5


def test_reasoning_at_the_papers_scale_is_refused_with_what_there_is(passatn, tmp_path):
    error = passatn("reproduce", "table3", "--scale", "paper", "--output", tmp_path / "out").error
    assert "--dry-run prints them" in error
