"""Small problems, honest and hostile programs, and the data sets' own, for the tests of the code verifier."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from passatn.tasks import Problem
from passatn.verify.verdict import Submission

PROMPT = 'def double(x):\n    """Twice x."""\n'
HONEST = "    return 2 * x\n"
CHECK = "def check(candidate):\n    assert candidate(3) == 6\n    assert candidate(7) == 14\n"


def human_eval(completion: str, *, prompt: str = PROMPT, test: str = CHECK, entry_point: str = "double") -> Submission:
    return Submission(Problem("h", prompt, (), None, {"entry_point": entry_point, "test": test}), completion)


def mbpp(completion: str, *tests: str, setup: str = "") -> Submission:
    metadata = {"test_list": list(tests or ["assert double(3) == 6"]), "test_setup_code": setup}
    return Submission(Problem("m", "Double a number.", (), None, metadata), completion)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def human_eval_submissions(data: Path) -> list[Submission]:
    return [
        human_eval(row["canonical_solution"], prompt=row["prompt"], test=row["test"], entry_point=row["entry_point"])
        for row in rows(data / "humaneval.jsonl")
    ]


def mbpp_submissions(data: Path) -> list[Submission]:
    return [mbpp(row["code"], *row["test_list"], setup=row["test_setup_code"]) for row in rows(data / "mbpp.jsonl")]
