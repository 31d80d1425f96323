"""`passatn verify --verifier lean`, as a shell would call it."""

import json
import subprocess
import sys

import pytest

from passatn.lean import LeanError, embedded_lean

LINES = [
    ("t (p : Prop) : p → p", "intro h\nexact h", "correct"),
    ("t (p : Prop) : p → p", "```lean\nby\n  intro h\n  exact h\n```", "correct"),
    ("t (p q : Prop) : p → q", "intro h\nexact h", "incorrect"),
    ("t (p q : Prop) : p → q", "sorry", "incorrect"),
    ("t (a b : Nat) : a + b = b + a", ":= by exact Nat.add_comm a b", "correct"),
]


def test_verdicts_line_by_line(tmp_path):
    try:
        embedded_lean()
    except LeanError as error:
        pytest.skip(str(error))
    records = [
        {"id": i, "completion": text, "problem": {"prompt": "?", "metadata": {"statement": f"theorem {statement}"}}}
        for i, (statement, text, _) in enumerate(LINES)
    ]
    file = tmp_path / "proofs.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    command = [sys.executable, "-m", "passatn", "verify", "--verifier", "lean", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(v["id"], v["verdict"]) for v in verdicts] == [(i, wanted) for i, (_, _, wanted) in enumerate(LINES)]
