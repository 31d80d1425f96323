"""From a source to problems: read the rows, map them to records, and say exactly which row is wrong when one is.

load_problems("train.jsonl", columns={"prompt": "question", "answer": "final"})
load_problems("math", split="train", skip_bad_rows=True)
load_problems("reasoning-gym:chain_sum?size=500&seed=3")
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from passatn.tasks.presets import PRESETS, Preset, get_preset
from passatn.tasks.problem import Problem, ProblemError
from passatn.tasks.sources import Row, RowSource, open_source

_COLUMNS = ("id", "prompt", "answer", "reasoning", "metadata")


@dataclass(frozen=True)
class ProblemSet(Sequence[Problem]):
    """Problems in the order of their source; `skipped` holds one line for each row that was left out."""

    problems: tuple[Problem, ...]
    source: str
    skipped: tuple[str, ...] = ()

    @property
    def num_skipped(self) -> int:
        return len(self.skipped)

    @overload
    def __getitem__(self, index: int) -> Problem: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Problem, ...]: ...

    def __getitem__(self, index: int | slice) -> Problem | tuple[Problem, ...]:
        return self.problems[index]

    def __len__(self) -> int:
        return len(self.problems)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.problems)


def load_problems(
    source: str | os.PathLike[str],
    *,
    preset: str | None = None,
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
    limit: int | None = None,
    skip_bad_rows: bool = False,
) -> ProblemSet:
    """The problems of a file, a Hub dataset, a reasoning-gym family or a preset.

    Args:
        source: a .jsonl, .json (list) or .parquet file, the first two also as .gz, local or behind an fsspec URL;
            `org/name` or `org/name:config` on the Hub, or a folder with a dataset;
            `reasoning-gym:FAMILY?size=…&seed=…`; or a preset's name for its default place on the Hub.
        preset: "math", "gsm8k" or "aime": how to read the rows of `source`.
        columns: from a field of a problem to the column that holds it, {"prompt": "question"}.
        split: the split of a Hub dataset, needed where it has several.
        limit: the number of problems to keep, the first ones.
        skip_bad_rows: leave out rows that are malformed, incomplete or repeat an id, and keep the reasons.

    Raises:
        ProblemError: one line with the source, the row (counted from 1) and what to do about it.
    """
    name = os.fspath(source)
    if preset is None and name in PRESETS:
        preset, name = name, PRESETS[name].hub_id
    if limit is not None and limit < 1:
        raise ProblemError(f"limit must be at least 1, got {limit}")
    reader = _RecordReader(get_preset(preset) if preset else None, columns or {})
    return _collect(open_source(name, split=split), reader, limit, skip_bad_rows)


@dataclass(frozen=True)
class _RecordReader:
    """From a row's fields to a record: through a preset's layout, or by renaming columns."""

    preset: Preset | None
    columns: Mapping[str, str]

    def __post_init__(self) -> None:
        unknown = [field for field in self.columns if field not in _COLUMNS]
        if unknown:
            raise ProblemError(f"columns maps the unknown field {unknown[0]!r}; the fields are {', '.join(_COLUMNS)}")
        if self.preset and self.columns:
            raise ProblemError(f"preset {self.preset.name!r} brings its own columns; give either preset or columns")

    def record(self, fields: Any) -> Any:
        if not isinstance(fields, Mapping):
            return fields
        if self.preset:
            return self.preset.to_record(fields)
        for field, column in self.columns.items():
            if column not in fields:
                found = ", ".join(map(str, fields))
                raise ProblemError(f"there is no column {column!r} for the field {field!r} (columns found: {found})")
        used = set(self.columns.values())
        kept = {key: value for key, value in fields.items() if key not in used}
        return kept | {field: fields[column] for field, column in self.columns.items()}


def _collect(source: RowSource, reader: _RecordReader, limit: int | None, skip_bad_rows: bool) -> ProblemSet:
    problems: list[Problem] = []
    skipped: list[str] = []
    rows_by_id: dict[str, int] = {}
    for row in source.rows:
        try:
            problem = _problem(source, reader, row)
            _check_new(problem, row, rows_by_id)
        except ProblemError as error:
            reason = f"{source.name}, row {row.number}: {error}"
            if not skip_bad_rows:
                raise ProblemError(f"{reason}; fix the row, or leave such rows out with skip_bad_rows=True") from None
            skipped.append(reason)
            continue
        problems.append(problem)
        if len(problems) == limit:
            break
    if not problems:
        detail = f"all {len(skipped)} were skipped; first: {skipped[0]}" if skipped else "it has no rows"
        raise ProblemError(f"{source.name}: no problem in it, {detail}")
    return ProblemSet(tuple(problems), source.name, tuple(skipped))


def _problem(source: RowSource, reader: _RecordReader, row: Row) -> Problem:
    if row.error is not None:
        raise ProblemError(row.error)
    record = reader.record(row.fields)
    try:
        return Problem.from_record(record, default_id=f"{source.stem}-{row.number}")
    except ProblemError as error:
        if reader.preset is None and not reader.columns and isinstance(record, Mapping) and "prompt" not in record:
            raise ProblemError(f"{error}; name its column with columns={{'prompt': …}} or a preset") from None
        raise


def _check_new(problem: Problem, row: Row, rows_by_id: dict[str, int]) -> None:
    first = rows_by_id.setdefault(problem.id, row.number)
    if first != row.number:
        raise ProblemError(f"the id {problem.id!r} was already used in row {first}")
