"""The programs in examples/ run; torch is imported once for all of them."""

import runpy
import sys
from pathlib import Path

import pytest

from tiny_files import save_tiny_model

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run an example in an empty folder and return what it printed."""
    monkeypatch.chdir(tmp_path)

    def run_example(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run_example


def test_every_example_has_a_test():
    tested = {"with_trl.py", "objective_in_own_loop.py", "own_task.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested


def test_with_trl(run, tmp_path):
    save_tiny_model(tmp_path / "HuggingFaceTB" / "SmolLM2-135M")
    assert "'loss'" in run("with_trl.py")
    assert (tmp_path / "runs" / "with-trl" / "checkpoint-20").is_dir()


@pytest.mark.parametrize("n", ["1", "4"])
def test_objective_in_own_loop(run, n):
    last = run("objective_in_own_loop.py", "--n", n).splitlines()[-1]
    assert last.startswith("step 200")
    # Four answers are equally right, so pass@1 of any one of them is near 1/4.
    assert 0.2 < float(last.split("pass@1 ")[1].split()[0]) < 0.3


def test_own_task(run, tmp_path):
    printed = run("own_task.py", "task")
    assert "pass@16: " in printed
    assert (tmp_path / "task" / "dco-16" / "model").is_dir()
