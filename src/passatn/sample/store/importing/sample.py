"""One imported sample, or several equal ones, and what can be wrong with a row."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from passatn.sample.store.rows import VERDICTS


class RowError(ValueError):
    """A row that cannot be read; the message is one line without the row's number."""


@dataclass(frozen=True)
class ImportedSample:
    """`count` samples of a problem with the same text."""

    problem_id: str
    completion: str
    count: int = 1
    answer: str | None = None
    log_prob: float | None = None
    num_tokens: int | None = None
    finished: bool = True
    verdict: str | None = None

    def __post_init__(self) -> None:
        for name in ("problem_id", "completion"):
            _checked_text(name, getattr(self, name))
        if self.problem_id == "":
            raise RowError("the problem's id is empty")
        if self.answer is not None:
            _checked_text("answer", self.answer)
        if not _is_whole(self.count) or self.count < 1:
            raise RowError(f"count: expected a whole number ≥ 1, got {self.count!r:.40}")
        if self.num_tokens is not None and (not _is_whole(self.num_tokens) or self.num_tokens < 0):
            raise RowError(f"num_tokens: expected a whole number ≥ 0, got {self.num_tokens!r:.40}")
        if self.log_prob is not None and (not _is_number(self.log_prob) or not self.log_prob <= 0):
            raise RowError(f"log_prob: expected a number ≤ 0, got {self.log_prob!r:.40}")
        if not isinstance(self.finished, bool):
            raise RowError(f"finished: expected true or false, got {self.finished!r:.40}")
        if self.verdict is not None and self.verdict not in VERDICTS:
            raise RowError(f"verdict: expected one of {', '.join(VERDICTS)}, got {self.verdict!r:.40}")


def dotted(record: Mapping[str, Any], path: str) -> Any:
    """record["a"]["b"] for the path "a.b"; None where a step is missing."""
    value: Any = record
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def identifier(value: Any, name: str) -> str:
    """A problem's id: a string, or a whole number read as one."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RowError(f"{name}: expected a string or a whole number, got {value!r:.40}")
    return str(value)


def verdict_of(value: Any) -> str | None:
    """A score that says yes or no as a verdict; None for one in between, or none."""
    if isinstance(value, bool) or (_is_number(value) and value in (0, 1)):
        return "correct" if value else "incorrect"
    return None


def per_text(value: Any, count: int) -> Sequence[Any]:
    """A value for each of `count` texts: from a list of that length, or a single value for a single text."""
    if isinstance(value, list) and len(value) == count:
        return value
    return [value] if count == 1 and not isinstance(value, list) else [None] * count


def _checked_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise RowError(f"{name}: expected a string, got {'nothing' if value is None else repr(value)[:40]}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RowError(f"{name}: half a surrogate pair at character {error.start + 1}") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
