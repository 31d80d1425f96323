"""Sealed Parquet: an ordinary Parquet file whose footer says what it is and what its bytes must be.

The footer's key `passatn` holds a JSON record: whatever the writer says about the file, the length and SHA-256 of all
that lies before the footer, and a SHA-256 of the record itself. One file so carries its data and the proof that it is
complete; there is no second file that could be missing or disagree. A file cut short has no footer; one with bytes
removed, added or changed does not match its record.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from passatn.sample.store.files import DamagedFileError, one_line

_KEY = "passatn"
_UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError)


def seal(table: pa.Table, record: dict[str, Any], *, floats: Sequence[str] = ()) -> bytes:
    """The file's bytes; the same for the same table, record and version of pyarrow.

    Args:
        record: what JSON can hold; the names `num_bytes`, `sha256` and `check` are taken.
        floats: columns of floating-point numbers, stored byte by byte (BYTE_STREAM_SPLIT), which compresses better.
    """
    sink = io.BytesIO()
    others = [name for name in table.column_names if name not in floats]
    encoding = dict.fromkeys(floats, "BYTE_STREAM_SPLIT")
    with pq.ParquetWriter(
        sink, table.schema, compression="zstd", compression_level=3, use_dictionary=others, column_encoding=encoding
    ) as writer:
        writer.write_table(table)
        body = sink.getvalue()
        full = record | {"num_bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        writer.add_key_value_metadata({_KEY: json.dumps(full | {"check": _check(full)})})
    return sink.getvalue()


def read_record(name: str, file: IO[bytes], size: int) -> dict[str, Any]:
    """The record of an open file of `size` bytes, without reading its data.

    Raises:
        DamagedFileError: the footer is missing or does not match itself, or the file's length is not what it says.
    """
    try:
        metadata = pq.read_metadata(file)
        record = json.loads(metadata.metadata[_KEY.encode()])
        check = record.pop("check")
        expected = record["num_bytes"] + metadata.serialized_size + 8
    except _UNREADABLE as error:
        raise DamagedFileError(f"{name}: damaged, or not a file of a sample store ({one_line(error):.120})") from None
    if check != _check(record):
        raise DamagedFileError(f"{name}: damaged, its footer does not match its checksum")
    if expected != size:
        raise DamagedFileError(f"{name}: damaged, it has {size} bytes where {expected} were written")
    return record


def unseal(name: str, data: bytes, *, dictionaries: Sequence[str] = ()) -> tuple[dict[str, Any], pa.Table]:
    """The record and the table of a whole file.

    Args:
        dictionaries: text columns to be returned dictionary-encoded, which takes less memory.

    Raises:
        DamagedFileError: as for `read_record`, or a byte of the data has changed.
    """
    record = read_record(name, io.BytesIO(data), len(data))
    if hashlib.sha256(memoryview(data)[: record["num_bytes"]]).hexdigest() != record["sha256"]:
        raise DamagedFileError(f"{name}: damaged, its data do not match their SHA-256")
    try:
        table = pq.read_table(pa.BufferReader(data), read_dictionary=list(dictionaries), use_threads=False)
    except _UNREADABLE as error:
        raise DamagedFileError(f"{name}: damaged ({one_line(error):.120})") from None
    return record, table.replace_schema_metadata(None)


def _check(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:32]
