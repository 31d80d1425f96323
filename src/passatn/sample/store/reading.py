"""From shards to tables, one group of problems at a time."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from passatn.sample.store.catalogue import groups_of
from passatn.sample.store.files import DamagedFileError, Folder, StoreError
from passatn.sample.store.merging import merge_rows
from passatn.sample.store.rows import problem_codes
from passatn.sample.store.shard import Shard, read_shard
from passatn.sample.store.verdicts import read_verdicts, with_verdicts

REMEDY = "resume sampling, which sets it aside and draws it again, or restore the file"


def judged_rows(folder: Folder, group: Sequence[Shard], verifier: str | None) -> Iterator[pa.Table]:
    """Each shard's rows with a verifier's verdicts, or with those stored with the samples if none is named.

    Raises:
        StoreError: a shard is damaged; the message names the file and says what to do.
    """
    for shard in group:
        try:
            _, rows = read_shard(folder, shard.file)
        except DamagedFileError as error:
            raise StoreError(f"{error}; {REMEDY}") from None
        yield rows if verifier is None else with_verdicts(rows, read_verdicts(folder, verifier, shard))


def merged_rows(folder: Folder, group: Sequence[Shard], verifier: str | None) -> pa.Table:
    """The unique completions of a group, sorted by problem and count."""
    return merge_rows(judged_rows(folder, group, verifier), _ids_of(group))


def problem_rows(folder: Folder, shards: Sequence[Shard], verifier: str | None) -> Iterator[tuple[str, pa.Table]]:
    """Each problem with its unique completions; views into the table of its group."""
    for group in groups_of(shards):
        rows = merged_rows(folder, group, verifier)
        ids = _ids_of(group)
        borders = np.searchsorted(problem_codes(rows["problem_id"], ids), np.arange(len(ids) + 1))
        for number, problem_id in enumerate(ids):
            yield problem_id, rows.slice(borders[number], borders[number + 1] - borders[number])


def _ids_of(group: Sequence[Shard]) -> list[str]:
    return sorted({problem_id for shard in group for problem_id in shard.chunk.problem_ids})
