"""Every command of README.md, run as it is written; and its links.

The README names a model on the Hub. Here a folder of that name, in the folder where the commands run, holds a tiny one.
"""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from passatn.cli import main
from passatn.tasks import Problem
from tiny_files import additions, save_tiny_model, write_jsonl

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
MODEL = "HuggingFaceTB/SmolLM2-135M"


def commands():
    """The lines of the shell blocks, in order; a backslash joins lines, a comment is none."""
    for language, block in BLOCKS:
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                if words := shlex.split(line, comments=True):
                    marks = [pytest.mark.slow] if words[:2] == ["make", "demo"] else []
                    yield pytest.param(words, id=shlex.join(words)[:60], marks=marks)


def blocks(language):
    return [block for name, block in BLOCKS if name == language]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a reader would be: the commands find what those before them have written."""
    path = tmp_path_factory.mktemp("readme")
    save_tiny_model(path / MODEL)
    (example,) = blocks("json")
    own = [json.loads(line) for line in example.splitlines()]
    write_jsonl(path / "train.jsonl", own + additions(12))
    write_jsonl(path / "test.jsonl", additions(6, seed=1))
    return path


@pytest.fixture(autouse=True)
def _there(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("words", commands())
def test_the_command_runs(words, folder, monkeypatch):
    if words == ["make", "test"]:
        pytest.skip("this is make test")
    if words == ["make", "demo"]:
        words = ["passatn", "demo", "--quick", "--output", "demo"]
    if words[0] != "passatn":
        subprocess.run(words, check=True, timeout=300)
        return
    before = set(folder.rglob("*"))
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    if "--output" in words:
        output = folder / words[words.index("--output") + 1]
        assert output in set(folder.rglob("*")) - before, f"{output} was not written"


@pytest.mark.parametrize("program", blocks("python"))
def test_the_program_runs(program):
    exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})


def test_the_program_is_the_example():
    (program,) = blocks("python")
    assert program in (ROOT / "examples" / "with_trl.py").read_text(encoding="utf-8")


def test_the_records_are_problems():
    for block in blocks("json"):
        for number, line in enumerate(block.splitlines()):
            Problem.from_record(json.loads(line), default_id=str(number))


def test_every_block_is_of_a_kind_that_is_tested():
    assert README.count("```") == 2 * len(BLOCKS)
    assert {language for language, _ in BLOCKS} <= {"sh", "python", "json"}


def test_local_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [target for target in targets if not target.startswith("http") and not (ROOT / target).exists()]
    assert not missing
