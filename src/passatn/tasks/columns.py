"""A row's columns by the names they go by in different files."""

from collections.abc import Mapping
from typing import Any

from passatn.tasks.problem import ProblemError

Row = Mapping[str, Any]


def given(row: Row, *names: str) -> Any:
    """The value of the first of these columns that has one, None if none has."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def required(row: Row, *names: str) -> Any:
    """As `given`; ProblemError names the columns that would do and those there are."""
    value = given(row, *names)
    if value is None:
        wanted = f"column {names[0]!r} is" if len(names) == 1 else f"columns {' or '.join(map(repr, names))} are"
        raise ProblemError(f"the {wanted} missing (columns found: {', '.join(map(str, row)) or 'none'})")
    return value


def required_text(row: Row, *names: str) -> str:
    """As `required`, for text."""
    value = required(row, *names)
    if not isinstance(value, str):
        name = next(name for name in names if row.get(name) is not None)
        raise ProblemError(f"the column {name!r} must be text, got {value!r:.60}")
    return value
