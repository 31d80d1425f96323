"""Rows: unique completions with counts, the one table that a store is made of.

Two samples of a problem share a row if they have the same text, the same number of tokens, and either both ended or
neither did. So the numbers of samples, of tokens and of truncated samples are exact sums over rows. Where one text was
tokenised in several ways of equal length, `log_prob` is that of the most probable one.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from passatn.sample.store.chunks import Chunk
from passatn.sample.store.files import StoreError

if TYPE_CHECKING:
    from passatn.sample.engine import Completion

VERDICTS = ("correct", "incorrect", "timeout", "error")

SCHEMA = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("completion", pa.string(), nullable=False),
        pa.field("answer", pa.string()),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("log_prob", pa.float32()),
        pa.field("num_tokens", pa.int32()),
        pa.field("finished", pa.bool_(), nullable=False),
        pa.field("verdict", pa.string()),
    ]
)
KEY = ("problem_id", "completion", "num_tokens", "finished")


def rows_of_completions(
    chunk: Chunk,
    completions: Sequence["Completion"],
    answers: Sequence[str | None] | None = None,
    verdicts: Sequence[str | None] | None = None,
) -> pa.Table:
    """A chunk's rows: problems in its order, the most frequent completions first.

    Args:
        completions: every sample of the chunk once, in any order.
        answers, verdicts: of each completion, where they are known already.

    Raises:
        StoreError: a sample is missing, doubled or not of this chunk, or a verdict is not one.
    """
    _check_samples(chunk, completions)
    for name, values in (("answers", answers), ("verdicts", verdicts)):
        if values is not None and len(values) != len(completions):
            raise StoreError(f"{name}: {len(values)} for {len(completions)} completions")
    place = {problem_id: number for number, problem_id in enumerate(chunk.problem_ids)}
    rows: dict[tuple[int, str, int | None, bool], list] = {}
    for number, c in enumerate(completions):
        row = rows.setdefault((place[c.problem_id], c.text, c.num_tokens, c.finished), [0, None, None, None])
        row[0] += 1
        if c.log_prob is not None and not math.isnan(c.log_prob) and (row[1] is None or c.log_prob > row[1]):
            row[1] = c.log_prob
        if answers is not None and row[2] is None:
            row[2] = answers[number]
        if verdicts is not None and row[3] is None:
            row[3] = verdicts[number]
    return table_of_rows(chunk, rows)


def table_of_rows(chunk: Chunk, rows: dict[tuple[int, str, int | None, bool], list]) -> pa.Table:
    """From {(place of the problem, text, num_tokens, finished): [count, log_prob, answer, verdict]}, in fixed order."""
    order = sorted(rows.items(), key=lambda item: (item[0][0], -item[1][0], item[0][1], item[0][2] or 0, item[0][3]))
    columns = {
        "problem_id": [chunk.problem_ids[key[0]] for key, _ in order],
        "completion": [key[1] for key, _ in order],
        "answer": [row[2] for _, row in order],
        "count": [row[0] for _, row in order],
        "log_prob": [row[1] for _, row in order],
        "num_tokens": [key[2] for key, _ in order],
        "finished": [key[3] for key, _ in order],
        "verdict": [row[3] for _, row in order],
    }
    try:
        return pa.table(columns, schema=SCHEMA)
    except UnicodeEncodeError as error:
        raise StoreError(f"a text holds half a surrogate pair, which no file takes ({error.object[:40]!r})") from None


def check_rows(chunk: Chunk, rows: pa.Table) -> None:
    """Whether a table is a chunk's: its schema, its verdicts, and `num_samples` samples of each problem."""
    if rows.schema != SCHEMA:
        raise StoreError(f"rows: expected the columns {SCHEMA.names}, found {rows.schema.names} or other types")
    for verdict in pc.unique(rows["verdict"]).to_pylist():
        if verdict not in (None, *VERDICTS):
            raise StoreError(f"verdict: expected one of {', '.join(VERDICTS)} or none, found {verdict!r}")
    codes = problem_codes(rows["problem_id"], chunk.problem_ids)
    if len(rows) and (codes < 0).any():
        raise StoreError(f"problem {rows['problem_id'][int((codes < 0).argmax())].as_py()!r} is not one of the chunk")
    counts = rows["count"].to_numpy()
    if len(counts) and counts.min() < 1:
        raise StoreError(f"count: expected at least 1 in every row, found {counts.min()}")
    totals = np.zeros(len(chunk.problem_ids), dtype=np.int64)
    np.add.at(totals, codes, counts)
    wrong = totals != chunk.num_samples
    if wrong.any():
        number = int(wrong.argmax())
        raise StoreError(
            f"problem {chunk.problem_ids[number]!r}: {totals[number]} samples for a chunk of {chunk.num_samples}"
        )


def plain_rows(rows: pa.Table) -> pa.Table:
    """A shard's rows as they were written, without dictionaries."""
    return rows.set_column(0, "problem_id", rows["problem_id"].cast(pa.string())).cast(SCHEMA)


def problem_codes(column: pa.ChunkedArray, problem_ids: Sequence[str]) -> np.ndarray:
    """int32 `[num_rows]`: the place of each row's problem among `problem_ids`, −1 for one that is not there."""
    values = pa.array(problem_ids, pa.string())
    parts = [np.empty(0, dtype=np.int32)]
    for chunk in column.chunks:
        names = chunk.dictionary if isinstance(chunk, pa.DictionaryArray) else chunk
        codes = pc.index_in(names, value_set=values).fill_null(-1).to_numpy(zero_copy_only=False)
        parts.append(codes[chunk.indices.to_numpy()] if isinstance(chunk, pa.DictionaryArray) else codes)
    return np.concatenate(parts)


def _check_samples(chunk: Chunk, completions: Sequence["Completion"]) -> None:
    found = {(c.problem_id, c.index) for c in completions}
    indices = range(chunk.first_index, chunk.stop)
    expected = {(problem_id, index) for problem_id in chunk.problem_ids for index in indices}
    for what, wrong in (("missing from", expected - found), ("not part of", found - expected)):
        if wrong:
            problem_id, index = min(wrong)
            raise StoreError(f"sample {index} of problem {problem_id!r} is {what} the chunk {chunk.name}")
    if len(completions) != len(expected):
        raise StoreError(f"chunk {chunk.name}: {len(completions)} completions for {len(expected)} samples")
