"""Exact match, a user's function, a user's command, and all of them by name."""

import hashlib
import pickle
import re
import sys
import time
from pathlib import Path

import pytest

from passatn.sample.store.verdicts import verifier_name
from passatn.tasks import Problem
from passatn.verify.exact import ExactVerifier
from passatn.verify.registry import get_verifier
from passatn.verify.verdict import Submission

HERE = Path(__file__).parent
PROBLEM = Problem("p", "q", ("4", "four"), metadata={"level": 2})

COMMAND = """
import json, os, sys, time
for line in sys.stdin:
    record = json.loads(line)
    text = record["completion"]
    if text == "hang": time.sleep(1000)
    if text == "exit": os._exit(1)
    if text == "bomb": kept = bytearray(10**9)
    if text == "two": sys.stdout.write("true\\ntrue\\n")
    elif text == "wrong id": print('{"id": 77, "verdict": true}')
    elif text == "junk": print("hello")
    elif text == "bool": print("true")
    elif text == "list": print("[1]")
    else: print(json.dumps({"verdict": "correct" if text in record["problem"]["answer"] else "incorrect",
                            "extracted": text, "detail": record["problem"]["metadata"]["level"]}))
"""
LATE = """
import json, sys
print("\\n".join(json.dumps({"verdict": json.loads(line)["completion"] == "4"}) for line in sys.stdin.readlines()))
"""


def outcomes(verifier, *completions):
    return [str(verdict.outcome) for verdict in verifier.verify([Submission(PROBLEM, text) for text in completions])]


def command(tmp_path, source):
    path = tmp_path / "check.py"
    path.write_text(source)
    return f"cmd {sys.executable} '{path}'"


def test_exact_match():
    assert outcomes(ExactVerifier(), " four\n", "4.0", "") == ["correct", "incorrect", "incorrect"]
    assert ExactVerifier().verify([Submission(Problem("p", "q", ()), "x")])[0].outcome == "error"


@pytest.mark.parametrize("spec", ["python:verify_functions:check", f"python:{HERE}/verify_functions.py:check"])
def test_function(spec, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    verifier = get_verifier(spec, timeout=1, workers=2)
    found = outcomes(verifier, "4", "5", "hang", "exit", "odd", "four", "4")
    assert found == ["correct", "incorrect", "timeout", "error", "error", "correct", "correct"]
    assert verifier.version.startswith("sha256")
    verifier.close()


def test_function_that_answers_in_words():
    verifier = get_verifier(f"python:{HERE}/verify_functions.py:check_in_words", workers=1)
    late, other = verifier.verify([Submission(PROBLEM, "late"), Submission(PROBLEM, "other")])
    assert (late.outcome, other.outcome, other.extracted, other.detail) == ("timeout", "incorrect", "other", "why not")
    copy = pickle.loads(pickle.dumps(verifier))
    assert outcomes(copy, "late") == ["timeout"]
    copy.close()
    verifier.close()


def test_command(tmp_path):
    verifier = get_verifier(command(tmp_path, COMMAND), timeout=1, memory_mb=200, workers=2)
    found = outcomes(verifier, "4", "exit", "5", "bomb", "junk", "bool", "list", "two", "wrong id", "4")
    assert found == ["correct", "error", "incorrect", "error", "error", "correct", "error", "error", "error", "correct"]
    verdict = verifier.verify([Submission(PROBLEM, "4")])[0]
    assert (verdict.extracted, verdict.detail) == ("4", "2")
    verifier.close()


def test_command_that_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr("passatn.verify.command_worker.START_SECONDS", 1.0)
    verifier = get_verifier(command(tmp_path, COMMAND), timeout=0.5, workers=1)
    assert outcomes(verifier, "4", "hang", "four") == ["correct", "timeout", "correct"]
    verifier.close()


def test_command_that_answers_at_the_end_of_its_input(tmp_path, monkeypatch):
    monkeypatch.setattr("passatn.verify.command_worker.START_SECONDS", 0.5)
    verifier = get_verifier(command(tmp_path, LATE), timeout=1, workers=1)
    start = time.monotonic()
    assert outcomes(verifier, "4", "5", "four", "6") == ["correct", "incorrect", "incorrect", "incorrect"]
    assert time.monotonic() - start < 30
    verifier.close()


def version_of(command):
    verifier = get_verifier(command, workers=1)
    verifier.close()
    return verifier.version


def test_the_version_of_a_command_changes_with_each_file_that_it_names(tmp_path):
    script, table = tmp_path / "check.py", tmp_path / "table.txt"
    script.write_text("first")
    table.write_text("second")
    line = f"cmd {sys.executable} '{script}' --table '{table}' {'x' * 5000}"
    before = version_of(line)
    assert re.fullmatch(r"sha256 [0-9a-f]{16}", before)
    assert version_of(line) == before
    script.write_text("other")
    edited = version_of(line)
    table.write_text("third")
    assert len({before, edited, version_of(line)}) == 3
    # The same bytes, divided otherwise.
    script.write_text("firsts")
    table.write_text("econd")
    assert version_of(line) != before


def test_the_version_of_a_lone_program_is_the_hash_of_its_file(tmp_path):
    program = tmp_path / "check"
    program.write_text(COMMAND)
    program.chmod(0o755)
    assert version_of(f"cmd '{program}' --strict") == f"sha256 {hashlib.sha256(COMMAND.encode()).hexdigest()[:16]}"


def test_an_at_sign_is_no_part_of_a_name(tmp_path):
    folder = tmp_path / "a@b"
    folder.mkdir()
    (folder / "judge.py").write_text("def check(completion, problem): return True")
    for spec in (command(folder, COMMAND), f"python:{folder}/judge.py:check"):
        verifier = get_verifier(spec, workers=1)
        verifier.close()
        assert verifier.name == spec.replace("a@b", "a(at)b")
        assert verifier_name(verifier.name, verifier.version) == f"{verifier.name}@{verifier.version}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("maths", r"unknown verifier 'maths'; there are math, exact, code, lean, python:module:function"),
        ("python:nothing", "module:function"),
        ("python:no_such_module:f", "no_such_module"),
        ("python:/no/file.py:f", "no file"),
        (f"python:{HERE}/verify_functions.py:nothing", "nothing"),
        ("cmd no-such-program -x", "no program 'no-such-program'"),
        ("cmd 'unclosed", "quotation"),
        ("cmd  ", "no command"),
    ],
)
def test_a_verifier_that_does_not_exist_is_one_line(name, message):
    with pytest.raises(ValueError, match=message) as raised:
        get_verifier(name)
    assert "\n" not in str(raised.value)


def test_limits_are_checked():
    with pytest.raises(ValueError, match="timeout_seconds"):
        get_verifier("exact", timeout=-1)
