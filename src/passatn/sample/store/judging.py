"""Giving completions their verdicts: which have none yet, and writing those that come in."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from passatn.sample.store.catalogue import groups_of
from passatn.sample.store.files import Folder, StoreError
from passatn.sample.store.golds import digest_of, renew_golds
from passatn.sample.store.reading import judged_rows, merged_rows
from passatn.sample.store.shard import Shard, read_shard
from passatn.sample.store.verdicts import (
    Judged,
    known_in_rows,
    look_up,
    read_verdicts,
    unique_known,
    verifier_name,
    with_verdicts,
    write_verdicts,
)

if TYPE_CHECKING:
    from passatn.sample.store.store import SampleStore
    from passatn.tasks import Problem
    from passatn.verify.verdict import Verifier


def unverified_rows(folder: Folder, shards: Sequence[Shard], verifier: str) -> Iterator[pa.Table]:
    """problem_id, completion and count of what ended and has no verdict, one table per group of problems.

    An error is no verdict: it may have been of the moment, and is tried again.
    """
    for group in groups_of(shards):
        rows = merged_rows(folder, group, verifier)
        is_open = pc.equal(rows["verdict"].fill_null("error"), "error")
        rows = rows.filter(pc.and_(rows["finished"], is_open))
        if len(rows):
            rows = rows.set_column(0, "problem_id", rows["problem_id"].cast(pa.string()))
            grouped = rows.group_by(["problem_id", "completion"], use_threads=False).aggregate([("count", "sum")])
            yield grouped.rename_columns(["problem_id", "completion", "count"])


def known_of_group(folder: Folder, group: Sequence[Shard], verifier: str) -> pa.Table:
    """All verdicts on the problems of a group."""
    return unique_known(known_in_rows(rows) for rows in judged_rows(folder, group, verifier))


def write_known(folder: Folder, shards: Sequence[Shard], verifier: str, known: pa.Table) -> int:
    """Write known verdicts beside every shard that has such a completion; returns how many rows changed."""
    problem_ids = set(pc.unique(known["problem_id"]).to_pylist())
    changed = 0
    for shard in shards:
        mine = problem_ids.intersection(shard.chunk.problem_ids)
        if not mine:
            continue
        _, rows = read_shard(folder, shard.file)
        before = with_verdicts(rows, read_verdicts(folder, verifier, shard))
        given = known.filter(pc.is_in(known["problem_id"], value_set=pa.array(sorted(mine), pa.string())))
        after = look_up(rows, unique_known([given, known_in_rows(before)]))
        num_changed = len(rows) - _num_same(before, after)
        if num_changed:
            write_verdicts(folder, verifier, shard, rows, after)
            changed += num_changed
    return changed


def _num_same(one: pa.Table, two: pa.Table) -> int:
    same = pc.and_(*(pc.equal(one[n].fill_null(""), two[n].fill_null("")) for n in ("verdict", "answer")))
    return pc.sum(same).as_py() or 0


def verify_store(
    store: "SampleStore",
    verifier: "Verifier",
    problems: Mapping[str, "Problem"],
    *,
    batch_size: int = 1024,
    save_every_seconds: float = 30.0,
    progress: bool = False,
) -> int:
    """Verify what has no verdict yet; every completion of a problem once, however often it was drawn.

    Verdicts on a problem that has changed since (another accepted answer, other tests) are dropped first, and errors
    are tried again.

    A kill loses at most the verdicts of the last `save_every_seconds` and of the batch at work.

    Args:
        problems: by id, for every problem of the store.

    Returns:
        The number of completions that were verified.

    Raises:
        StoreError: a problem of the store is not among `problems`, or a file cannot be read or written.
    """
    from passatn.sample.progress import progress_bar

    shards = store.sound_contents().shards
    if unknown := sorted({p for shard in shards for p in shard.chunk.problem_ids} - problems.keys()):
        raise StoreError(
            f"{store.folder.name}: problem {unknown[0]!r} is not among those given ({len(unknown)} in all)"
        )
    digests = {p: digest_of(problems[p]) for p in sorted({p for s in shards for p in s.chunk.problem_ids})}
    renew_golds(store.folder, shards, verifier_name(verifier.name, verifier.version), digests)
    num_verified, pending, saved = 0, [], time.monotonic()
    for rows in store.unverified(verifier.name, verifier.version):
        with progress_bar("verifying", len(rows), show=progress) as advance:
            for batch in _batches(rows, batch_size):
                pending += _judge(verifier, problems, batch)
                num_verified += len(batch)
                advance(len(batch))
                if time.monotonic() - saved >= save_every_seconds:
                    store.set_verdicts(pending, verifier=verifier.name, version=verifier.version)
                    pending, saved = [], time.monotonic()
    store.set_verdicts(pending, verifier=verifier.name, version=verifier.version)
    store.spread_verdicts(verifier.name, verifier.version)
    return num_verified


def _batches(rows: pa.Table, size: int) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(rows), size):
        part = rows.slice(start, size)
        yield list(zip(part["problem_id"].to_pylist(), part["completion"].to_pylist(), strict=True))


def _judge(verifier: "Verifier", problems: Mapping[str, "Problem"], batch: list[tuple[str, str]]) -> list[Judged]:
    from passatn.verify.verdict import Submission

    verdicts = verifier.verify([Submission(problems[problem_id], text) for problem_id, text in batch])
    return [
        Judged(problem_id, text, str(verdict.outcome), verdict.extracted)
        for (problem_id, text), verdict in zip(batch, verdicts, strict=True)
    ]
