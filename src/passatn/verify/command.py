r"""`passatn verify`: JSON Lines of completions in, JSON Lines of verdicts out, one line for every line, in order.

    in   {"id": "a", "completion": "so \\boxed{4}", "problem": {"id": "p", "prompt": "2 + 2?", "answer": "4"}}
    out  {"id": "a", "verdict": "correct", "extracted": "4", "detail": ""}

A line that is blank, not UTF-8, not JSON or not such a record gives the verdict `error` with id null, and its number in
`detail`. Lines are read in batches, small ones first, so that the first verdicts do not wait for the last line.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from passatn.tasks.problem import Problem, ProblemError
from passatn.verify.verdict import Outcome, Submission, Verdict, Verifier

FIRST_BATCH = 16
LARGEST_BATCH = 4096


@dataclass(frozen=True)
class _Request:
    id: str | int
    submission: Submission


def run_verify(lines: Iterable[bytes], write: Callable[[str], Any], verifier: Verifier) -> None:
    """Judge every line; `write` gets whole lines, a batch at a time. What the verifier raises passes through."""
    for batch in _batches(lines):
        requests = [_read(line, number) for number, line in batch]
        submissions = [request.submission for request in requests if isinstance(request, _Request)]
        verdicts = iter(verifier.verify(submissions))
        records = [
            _record(request.id, next(verdicts)) if isinstance(request, _Request) else _record(None, request)
            for request in requests
        ]
        write("".join(json.dumps(record) + "\n" for record in records))


def write_stdout(text: str) -> None:
    """Write UTF-8 whatever the locale, and at once."""
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def _batches(lines: Iterable[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    numbered = iter(enumerate(lines, start=1))
    size = FIRST_BATCH
    while batch := list(islice(numbered, size)):
        yield batch
        size = min(2 * size, LARGEST_BATCH)


def _read(line: bytes, number: int) -> _Request | Verdict:
    """What a line asks, or the error that it is."""
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        return _bad(number, f"not UTF-8 (byte {error.start + 1})")
    if not text.strip():
        return _bad(number, "blank")
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        return _bad(number, f"not JSON: {error.msg} (column {error.colno})")
    except (ValueError, RecursionError) as error:
        return _bad(number, f"not JSON: {error}")
    try:
        return _request(record)
    except ProblemError as error:
        return _bad(number, str(error))


def _request(record: Any) -> _Request:
    if not isinstance(record, dict):
        raise ProblemError("expected an object with the fields id, completion, problem")
    missing = [name for name in ("id", "completion", "problem") if record.get(name) is None]
    if missing:
        raise ProblemError(f"the field {missing[0]!r} is missing")
    identifier, completion = record["id"], record["completion"]
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise ProblemError("the field 'id' must be a string or a whole number")
    if not isinstance(completion, str):
        raise ProblemError("the field 'completion' must be a string")
    problem = Problem.from_record(record["problem"], default_id=str(identifier))
    return _Request(identifier, Submission(problem, completion))


def _bad(number: int, reason: str) -> Verdict:
    return Verdict(Outcome.ERROR, None, f"line {number}: {reason}")


def _record(identifier: str | int | None, verdict: Verdict) -> dict[str, Any]:
    return {
        "id": identifier,
        "verdict": str(verdict.outcome),
        "extracted": verdict.extracted,
        "detail": verdict.detail,
    }
