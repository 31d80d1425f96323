"""Shards: one sealed Parquet file per chunk, which says itself what it holds and which run it belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from passatn.sample.store.chunks import Chunk
from passatn.sample.store.files import DamagedFileError, Folder
from passatn.sample.store.rows import SCHEMA, check_rows
from passatn.sample.store.sealed import read_record, seal, unseal

FOLDER = "shards"
SUFFIX = ".parquet"
_FORMAT_VERSION = 1


@dataclass(frozen=True)
class Shard:
    """What a shard's footer says; `file` is its name in the folder, which differs from the chunk's for a copy."""

    file: str
    chunk: Chunk
    identity: Mapping[str, Any]
    """The manifest's, at the time of writing."""
    source: str | None
    """For imported samples: the hash of the file they came from, and which part of it."""
    num_rows: int
    sha256: str
    """Of the data."""

    @property
    def is_copy(self) -> bool:
        return self.file != file_of(self.chunk)

    @property
    def num_samples(self) -> int:
        return self.chunk.num_samples * len(self.chunk.problem_ids)


def file_of(chunk: Chunk) -> str:
    return chunk.name + SUFFIX


def shard_bytes(chunk: Chunk, rows: pa.Table, identity: Mapping[str, Any], source: str | None = None) -> bytes:
    """The shard of a chunk. Raises StoreError if the rows are not the chunk's."""
    check_rows(chunk, rows)
    record = {
        "kind": "shard",
        "format_version": _FORMAT_VERSION,
        "problem_ids": list(chunk.problem_ids),
        "first_index": chunk.first_index,
        "num_samples": chunk.num_samples,
        "num_rows": len(rows),
        "source": source,
        "identity": dict(identity),
    }
    return seal(rows, record, floats=["log_prob"])


def read_shard_footer(folder: Folder, file: str) -> Shard:
    """Raises DamagedFileError, FileNotFoundError."""
    name = folder.path(f"{FOLDER}/{file}")
    with folder.open(f"{FOLDER}/{file}") as stream:
        return _shard(name, file, read_record(name, stream, folder.size(f"{FOLDER}/{file}")))


def read_shard(folder: Folder, file: str) -> tuple[Shard, pa.Table]:
    """The shard and its rows, `problem_id` dictionary-encoded, checked to the last byte. Raises DamagedFileError."""
    name = folder.path(f"{FOLDER}/{file}")
    record, rows = unseal(name, folder.read(f"{FOLDER}/{file}"), dictionaries=["problem_id"])
    shard = _shard(name, file, record)
    if rows.column_names != SCHEMA.names or len(rows) != shard.num_rows:
        raise DamagedFileError(f"{name}: damaged, its columns or rows are not those of its footer")
    return shard, rows


def _shard(name: str, file: str, record: dict[str, Any]) -> Shard:
    if record.get("kind") != "shard" or record.get("format_version") != _FORMAT_VERSION:
        found = f"{record.get('kind')!r} of format {record.get('format_version')!r}"
        raise DamagedFileError(f"{name}: not a shard of format {_FORMAT_VERSION} (found: {found})")
    chunk = Chunk(tuple(record["problem_ids"]), record["first_index"], record["num_samples"])
    return Shard(file, chunk, record["identity"], record["source"], record["num_rows"], record["sha256"])
