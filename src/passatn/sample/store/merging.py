"""Rows of many shards as one row per completion, in little memory.

Rows are put together until there are about as many as have been merged already, and then merged a few problems at a
time: so each row is merged a few times at most, and what a merge needs beside its result stays small.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from passatn.sample.store.rows import KEY, SCHEMA, problem_codes

# Offsets of 64 bits: the text of many shards together can be more than 2 GiB. Problems are numbers while merging.
_MERGING = SCHEMA.set(0, pa.field("problem_id", pa.int32(), nullable=False)).set(
    1, pa.field("completion", pa.large_string(), nullable=False)
)
MERGED_SCHEMA = _MERGING.set(0, pa.field("problem_id", pa.dictionary(pa.int32(), pa.string()), nullable=False))

_PROBLEMS_AT_ONCE = 16
_ROWS_AT_ONCE = 2**20


def merge_rows(tables: Iterable[pa.Table], problem_ids: Sequence[str]) -> pa.Table:
    """One row per key from rows of several shards: counts are added; the first answer and verdict there is are kept.

    In the order of `problem_ids`, the most frequent completions of each first; equal ones stay as they came. The
    column problem_id is dictionary-encoded with `problem_ids` as its dictionary.
    """
    edges = [*range(0, len(problem_ids), _PROBLEMS_AT_ONCE), len(problem_ids)]
    buckets = [_Bucket() for _ in edges[1:]]
    num_pending = num_merged = 0
    for table in tables:
        codes = problem_codes(table["problem_id"], problem_ids)
        rows = table.set_column(0, "problem_id", pa.array(codes)).cast(_MERGING)
        if (np.diff(codes) < 0).any():
            order = np.argsort(codes, kind="stable")
            codes, rows = codes[order], rows.take(pa.array(order))
        borders = np.searchsorted(codes, edges).tolist()
        for bucket, (first, last) in zip(buckets, pairwise(borders), strict=True):
            bucket.add(rows.slice(first, last - first))
        num_pending += len(rows)
        if num_pending > max(_ROWS_AT_ONCE, num_merged):
            num_pending, num_merged = 0, sum(bucket.merge() for bucket in buckets)
    ids = pa.array(problem_ids, pa.string())
    return pa.concat_tables([MERGED_SCHEMA.empty_table(), *(bucket.result(ids) for bucket in buckets)])


@dataclass
class _Bucket:
    """The rows of some problems: merged ones, and others that are yet to be."""

    merged: pa.Table = field(default_factory=_MERGING.empty_table)
    pending: list[pa.Table] = field(default_factory=list)

    def add(self, rows: pa.Table) -> None:
        if len(rows):
            self.pending.append(rows)

    def merge(self) -> int:
        """The number of rows that remain."""
        if self.pending:
            grouped = (
                pa.concat_tables([self.merged, *self.pending])
                .group_by(list(KEY), use_threads=False)
                .aggregate([("answer", "first"), ("count", "sum"), ("log_prob", "max"), ("verdict", "first")])
                .rename_columns([*KEY, "answer", "count", "log_prob", "verdict"])
            )
            self.merged, self.pending = grouped.select(_MERGING.names).cast(_MERGING), []
        return len(self.merged)

    def result(self, ids: pa.Array) -> pa.Table:
        """All rows, sorted; the bucket is empty then."""
        self.merge()
        rows, self.merged = self.merged, _MERGING.empty_table()
        rows = rows.take(pc.sort_indices(rows, [("problem_id", "ascending"), ("count", "descending")]))
        names = pa.DictionaryArray.from_arrays(rows["problem_id"].combine_chunks(), ids)
        return rows.set_column(0, MERGED_SCHEMA.field(0), names).cast(MERGED_SCHEMA)
