"""From the rows of a file to chunks of a store.

The samples of other tools have no indices, so each problem's get those after the last one that the store has. Every
shard remembers the hash of the file and the options it was read with, so that importing the same file again, after a
kill too, adds what is missing and nothing twice.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from passatn.sample.store.chunks import Chunk
from passatn.sample.store.files import StoreError, one_line
from passatn.sample.store.importing.lighteval import LightevalReader
from passatn.sample.store.importing.lm_eval import LmEvalReader
from passatn.sample.store.importing.plain import read_plain
from passatn.sample.store.importing.sample import ImportedSample, RowError
from passatn.sample.store.rows import table_of_rows
from passatn.sample.store.store import SampleStore

FORMATS = ("jsonl", "lm-eval", "lighteval")
_PROBLEMS_PER_CHUNK = 256

_Key = tuple[str, int | None, bool]
_Rows = dict[str, dict[_Key, list]]


@dataclass(frozen=True)
class ImportReport:
    """What `import_samples` did."""

    num_problems: int
    num_samples: int
    """In the file; those that were imported before are among them."""
    num_added: int
    """Added to the store by this call."""
    errors: tuple[str, ...] = ()
    """One line per row that was left out, with on_error="skip"."""


@dataclass(frozen=True)
class _Options:
    format: str
    id_field: str | None = None
    metric: str | None = None
    filter_name: str | None = None
    on_error: str = "raise"

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise StoreError(f"format: expected one of {', '.join(FORMATS)}, got {self.format!r}")
        if self.on_error not in ("raise", "skip"):
            raise StoreError(f'on_error: expected "raise" or "skip", got {self.on_error!r}')

    def reader(self) -> Callable[[Any], Iterator[ImportedSample]]:
        if self.format == "lm-eval":
            return LmEvalReader(self.id_field, self.metric, self.filter_name)
        if self.format == "lighteval":
            return LightevalReader(self.id_field, self.metric)
        return lambda row: read_plain(row, self.id_field)


@dataclass
class _Parsed:
    rows: _Rows = field(default_factory=lambda: defaultdict(dict))
    errors: list[str] = field(default_factory=list)

    def add(self, samples: list[ImportedSample]) -> None:
        """All samples of one row of the file or, where one contradicts what is known, none of them."""
        self._check(samples)
        for sample in samples:
            row = self.rows[sample.problem_id].setdefault(_key(sample), [0, None, sample.answer, sample.verdict])
            row[0] += sample.count
            if sample.log_prob is not None and (row[1] is None or sample.log_prob > row[1]):
                row[1] = sample.log_prob
            row[2], row[3] = row[2] or sample.answer, row[3] or sample.verdict

    def _check(self, samples: list[ImportedSample]) -> None:
        here: dict[tuple[str, _Key], str] = {}
        for sample in samples:
            if sample.verdict is None:
                continue
            known = self.rows.get(sample.problem_id, {}).get(_key(sample))
            if known is not None and known[3] not in (None, sample.verdict):
                raise RowError(f"this completion was {known[3]} in an earlier row and is {sample.verdict} here")
            other = here.setdefault((sample.problem_id, _key(sample)), sample.verdict)
            if other != sample.verdict:
                raise RowError(f"the same completion is {other} and {sample.verdict} in this row")


def _key(sample: ImportedSample) -> _Key:
    return sample.completion, sample.num_tokens, sample.finished


def import_samples(
    path: str | Path,
    format: str,
    store: SampleStore,
    *,
    id_field: str | None = None,
    metric: str | None = None,
    filter_name: str | None = None,
    on_error: str = "raise",
) -> ImportReport:
    """Add the samples of another tool's file to a store. The same file again adds nothing.

    Args:
        path: a file, also at an fsspec path; JSON Lines may be compressed (.gz, .bz2, .xz).
        format: "jsonl", "lm-eval" or "lighteval"; see `importing.plain`, `.lm_eval`, `.lighteval`.
        id_field: dotted path of the field with the problem's id, where it is not the format's own.
        metric: the metric that says whether a completion is correct (lm-eval, lighteval).
        filter_name: whose rows to take (lm-eval).
        on_error: "raise" stops at the first row that cannot be read, before anything is stored; "skip" leaves such
            rows out and lists them in the report.

    Raises:
        StoreError: the file or a row cannot be read (one line with the file and the row), or nothing is in it.
    """
    options = _Options(format, id_field, metric, filter_name, on_error)
    parsed = _parse(str(path), options)
    if not parsed.rows:
        raise StoreError(f"{path}: no samples in it" + (f" ({parsed.errors[0]})" if parsed.errors else ""))
    source = f"{_hash(str(path))} {json.dumps(asdict(options), sort_keys=True)}"
    totals = {problem_id: sum(row[0] for row in rows.values()) for problem_id, rows in parsed.rows.items()}
    added = _store(store, parsed.rows, totals, source)
    return ImportReport(len(totals), sum(totals.values()), added, tuple(parsed.errors))


def _store(store: SampleStore, rows: _Rows, totals: dict[str, int], source: str) -> int:
    shards = store.contents().shards
    done = {p for shard in shards if shard.source == source for p in shard.chunk.problem_ids}
    left = [problem_id for problem_id in rows if problem_id not in done]
    first = store.next_indices(left)
    ranges: dict[tuple[int, int], list[str]] = defaultdict(list)
    for problem_id in left:
        ranges[first[problem_id], totals[problem_id]].append(problem_id)
    for (index, count), ids in ranges.items():
        for start in range(0, len(ids), _PROBLEMS_PER_CHUNK):
            chunk = Chunk(tuple(ids[start : start + _PROBLEMS_PER_CHUNK]), index, count)
            numbered = {
                (number, *key): row for number, p in enumerate(chunk.problem_ids) for key, row in rows[p].items()
            }
            store.add_rows(chunk, table_of_rows(chunk, numbered), source=source)
    return sum(totals[problem_id] for problem_id in left)


def _parse(path: str, options: _Options) -> _Parsed:
    parsed, reader = _Parsed(), options.reader()
    rows = _parquet_rows(path) if options.format == "lighteval" else _json_rows(path)
    try:
        for number, row in rows:
            try:
                if isinstance(row, RowError):
                    raise row
                parsed.add(list(reader(row)))
            except RowError as error:
                line = f"{path}, row {number}: {error}"
                if options.on_error == "raise":
                    raise StoreError(line) from None
                parsed.errors.append(line)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path}: cannot be read ({one_line(error):.160})") from None
    return parsed


def _json_rows(path: str) -> Iterator[tuple[int, Any]]:
    """Lines numbered from 1; blank ones are left out."""
    with fsspec.open(path, "rb", compression="infer") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield number, json.loads(line.decode("utf-8"))
                except (ValueError, RecursionError) as error:
                    yield number, RowError(f"not JSON ({one_line(error):.80})")


def _parquet_rows(path: str) -> Iterator[tuple[int, Any]]:
    """Rows numbered from 1."""
    with fsspec.open(path, "rb") as file:
        number = 0
        for batch in pq.ParquetFile(file).iter_batches(batch_size=256):
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _hash(path: str) -> str:
    with fsspec.open(path, "rb") as file:
        return _digest(iter(lambda: file.read(2**20), b""))


def _digest(blocks: Iterable[bytes]) -> str:
    sha = hashlib.sha256()
    for block in blocks:
        sha.update(block)
    return sha.hexdigest()
