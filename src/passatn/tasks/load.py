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
    """Problems in the order of their source; `skipped` holds one line for each row that was left out.

    `num_without` counts rows of which there is nothing to learn, such as proofs without a tactic. `broken_groups` are
    the values of metadata `group_id` beside which a row was left out that may have been one of theirs.
    """

    problems: tuple[Problem, ...]
    source: str
    skipped: tuple[str, ...] = ()
    num_without: int = 0
    broken_groups: frozenset[str] = frozenset()

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
        preset: one of `PRESETS`: how to read the rows of `source`; beside its own name it changes nothing.
        columns: from a field of a problem to the column that holds it, {"prompt": "question"}.
        split: the split of a Hub dataset, needed where it has several.
        limit: the number of problems to keep, the first ones.
        skip_bad_rows: leave out rows that are malformed, incomplete or repeat an id, and keep the reasons.

    Raises:
        ProblemError: one line with the source, the row (counted from 1) and what to do about it.
    """
    name = os.fspath(source)
    if name in PRESETS and (preset is None or (preset == name and not os.path.isdir(name))):
        preset, name = name, _default_place(PRESETS[name])
    if limit is not None and limit < 1:
        raise ProblemError(f"limit must be at least 1, got {limit}")
    reader = _RecordReader(get_preset(preset) if preset else None, columns or {})
    return _collect(open_source(name, split=split), reader, limit, skip_bad_rows)


def _default_place(preset: Preset) -> str:
    if preset.hub_id is None:
        raise ProblemError(f"the preset {preset.name!r} has no default place: give a file, and {preset.name} as preset")
    return preset.hub_id


class _RecordReader:
    """From a row's fields to records: through a preset's layout, or by renaming columns."""

    def __init__(self, preset: Preset | None, columns: Mapping[str, str]) -> None:
        unknown = [field for field in columns if field not in _COLUMNS]
        if unknown:
            raise ProblemError(f"columns maps the unknown field {unknown[0]!r}; the fields are {', '.join(_COLUMNS)}")
        if preset and columns:
            raise ProblemError(f"preset {preset.name!r} brings its own columns; give either preset or columns")
        self.is_plain = preset is None and not columns
        self._columns = columns
        self._read = (lambda row: [self._renamed(row)]) if preset is None else preset.new_reader()

    def records(self, fields: Any) -> list[Any]:
        return self._read(fields) if isinstance(fields, Mapping) else [fields]

    def _renamed(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        for field, column in self._columns.items():
            if column not in fields:
                found = ", ".join(map(str, fields))
                raise ProblemError(f"there is no column {column!r} for the field {field!r} (columns found: {found})")
        used = set(self._columns.values())
        kept = {key: value for key, value in fields.items() if key not in used}
        return kept | {field: fields[column] for field, column in self._columns.items()}


class _Collector:
    """Problems row by row; a row is taken whole or left out."""

    def __init__(self, source: RowSource, reader: _RecordReader) -> None:
        self.problems: list[Problem] = []
        self.skipped: list[str] = []
        self.num_without = 0
        self.broken_groups: set[str] = set()
        self._source, self._reader = source, reader
        self._rows_by_id: dict[str, int] = {}
        self._is_after_loss = False

    def add(self, row: Row) -> None:
        """Raises ProblemError for a row that is left out."""
        if row.error is not None:
            raise ProblemError(row.error)
        records = self._reader.records(row.fields)
        problems = [self._problem(record, row) for record in records]
        for problem in problems:
            first = self._rows_by_id.setdefault(problem.id, row.number)
            if first != row.number:
                raise ProblemError(f"the id {problem.id!r} was already used in row {first}")
        if self._is_after_loss and problems:
            self.broken_groups |= _groups(problems[:1])
        self._is_after_loss = False
        self.problems += problems
        self.num_without += not problems

    def skip(self, reason: str) -> None:
        """The rows of a group stand together, so what is lost belongs to the group before it or to the one after it."""
        self.skipped.append(reason)
        self.broken_groups |= _groups(self.problems[-1:])
        self._is_after_loss = True

    def _problem(self, record: Any, row: Row) -> Problem:
        try:
            return Problem.from_record(record, default_id=f"{self._source.stem}-{row.number}")
        except ProblemError as error:
            if self._reader.is_plain and isinstance(record, Mapping) and "prompt" not in record:
                raise ProblemError(f"{error}; name its column with columns={{'prompt': …}} or a preset") from None
            raise


def _groups(problems: Sequence[Problem]) -> set[str]:
    """The groups of which nobody says how many problems they have."""
    metadata = [problem.metadata for problem in problems if problem.metadata.get("num_steps") is None]
    return {known["group_id"] for known in metadata if known.get("group_id") is not None}


def _collect(source: RowSource, reader: _RecordReader, limit: int | None, skip_bad_rows: bool) -> ProblemSet:
    found = _Collector(source, reader)
    for row in source.rows:
        try:
            found.add(row)
        except ProblemError as error:
            reason = f"{source.name}, row {row.number}: {error}"
            if not skip_bad_rows:
                raise ProblemError(
                    f"{reason}; fix the row, or leave such rows out: --skip-bad-rows (in Python, skip_bad_rows=True)"
                ) from None
            found.skip(reason)
        if limit is not None and len(found.problems) >= limit:
            break
    if not found.problems:
        raise ProblemError(f"{source.name}: no problem in it, {_why_none(found)}")
    return ProblemSet(
        tuple(found.problems[:limit]),
        source.name,
        tuple(found.skipped),
        found.num_without,
        frozenset(found.broken_groups),
    )


def _why_none(found: _Collector) -> str:
    if found.skipped:
        return f"all {len(found.skipped)} were skipped; first: {found.skipped[0]}"
    return f"none of its {found.num_without} rows has a proof by tactics" if found.num_without else "it has no rows"
