"""Verdicts: beside each shard, one sealed file per verifier, row for row, so that shards never change.

`verdicts/<verifier>@<version>/<shard>.parquet` has the rows of its shard in their order: problem_id, answer, count,
finished, verdict. It is enough by itself to compute pass@N and maj@N. A file that was made for another content of its
shard, or is damaged, counts as absent, and its completions as not verified.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc

from passatn.sample.store.files import DamagedFileError, Folder, StoreError
from passatn.sample.store.rows import VERDICTS
from passatn.sample.store.sealed import read_record, seal, unseal
from passatn.sample.store.shard import Shard

FOLDER = "verdicts"
_MAX_NAME_BYTES = 120
_KEPT_BYTES = 80
_CUT_SHORT = re.compile(r"~[0-9a-f]{16}$")
_COLUMNS = ("problem_id", "answer", "count", "finished", "verdict")
_KNOWN = pa.schema(
    [("problem_id", pa.string()), ("completion", pa.string()), ("answer", pa.string()), ("verdict", pa.string())]
)


class Judged(NamedTuple):
    """One verdict; `answer` is the text that the verifier took for the answer."""

    problem_id: str
    completion: str
    verdict: str
    answer: str | None = None


def verifier_name(name: str, version: str) -> str:
    """How a verifier is called in `table(verifier=…)` and, see `_folder_name`, in the folder."""
    if not name or "@" in name:
        raise StoreError(f"verifier: a name without @ is needed, got {name!r}")
    return f"{name}@{version}"


def verifiers_in(folder: Folder) -> list[str]:
    # Each once: a store may also hold a long label's folder from before long ones were cut short.
    return list(dict.fromkeys(_label_of(folder, name) for name in folder.folders(FOLDER)))


def file_of(verifier: str, shard: Shard) -> str:
    return f"{FOLDER}/{_folder_name(verifier)}/{shard.file}"


def _folder_name(verifier: str) -> str:
    """The label with odd characters escaped; a long one, which filesystems refuse, cut short, with its hash."""
    name = _escaped(verifier)
    if len(name) <= _MAX_NAME_BYTES:
        return name
    # Whole characters only, so that escaping the unescaped name gives the same name again.
    start = verifier[:_KEPT_BYTES]
    while len(_escaped(start)) > _KEPT_BYTES:
        start = start[:-1]
    return f"{_escaped(start)}~{hashlib.sha256(verifier.encode()).hexdigest()[:16]}"


def _label_of(folder: Folder, name: str) -> str:
    """The label of a folder; one that was cut short stands in full in the record of each of its files."""
    if _CUT_SHORT.search(name):
        for file in folder.stamps(f"{FOLDER}/{name}"):
            path = f"{FOLDER}/{name}/{file}"
            try:
                with folder.open(path) as opened:
                    label = read_record(folder.path(path), opened, folder.size(path)).get("verifier")
            except (DamagedFileError, OSError):
                continue
            if isinstance(label, str) and _folder_name(label) == name:
                return label
    return unquote(name)


def _escaped(label: str) -> str:
    return quote(label, safe="@ +")


def read_verdicts(folder: Folder, verifier: str, shard: Shard) -> pa.Table | None:
    """The columns `answer` and `verdict` for the rows of a shard; None where there are none for its present content."""
    file = file_of(verifier, shard)
    if not folder.exists(file):
        return None
    try:
        return unseal_verdicts(folder, file, shard)
    except DamagedFileError:
        return None


def unseal_verdicts(folder: Folder, file: str, shard: Shard) -> pa.Table | None:
    """As `read_verdicts`, but a damaged file raises DamagedFileError."""
    record, table = unseal(folder.path(file), folder.read(file))
    if record.get("shard_sha256") != shard.sha256 or len(table) != shard.num_rows:
        return None
    return table.select(["answer", "verdict"])


def write_verdicts(folder: Folder, verifier: str, shard: Shard, rows: pa.Table, verdicts: pa.Table) -> None:
    """Rows of the shard and, aligned with them, their answers and verdicts."""
    for name in ("answer", "verdict"):
        rows = rows.set_column(rows.column_names.index(name), name, verdicts[name])
    table = rows.select(_COLUMNS)
    table = table.set_column(0, "problem_id", table["problem_id"].cast(pa.string()))
    record: dict[str, Any] = {"kind": "verdicts", "verifier": verifier, "shard_sha256": shard.sha256}
    folder.write(file_of(verifier, shard), seal(table, record))


def with_verdicts(rows: pa.Table, verdicts: pa.Table | None) -> pa.Table:
    """A shard's rows with a verifier's answers and verdicts in place of its own; without any, with none."""
    for name in ("answer", "verdict"):
        column = verdicts[name] if verdicts is not None else pa.nulls(len(rows), pa.string())
        rows = rows.set_column(rows.column_names.index(name), name, column)
    return rows


def known_table(judged: Iterable[Judged]) -> pa.Table:
    """Verdicts as a table; raises StoreError for a verdict that is not one."""
    entries = [Judged(*entry) for entry in judged]
    for entry in entries:
        if entry.verdict not in VERDICTS:
            raise StoreError(
                f"problem {entry.problem_id!r}: a verdict is one of {', '.join(VERDICTS)}, got {entry.verdict!r}"
            )
    columns = {name: [getattr(entry, name) for entry in entries] for name in _KNOWN.names}
    return pa.table({name: [None if v is None else str(v) for v in c] for name, c in columns.items()}, schema=_KNOWN)


def known_in_rows(rows: pa.Table) -> pa.Table:
    """The verdicts that a shard's rows carry."""
    judged = rows.filter(pc.is_valid(rows["verdict"])).select(_KNOWN.names)
    return judged.set_column(0, "problem_id", judged["problem_id"].cast(pa.string())).cast(_KNOWN)


def unique_known(tables: Iterable[pa.Table]) -> pa.Table:
    """One verdict per completion of a problem: the first that is given."""
    together = pa.concat_tables(list(tables))
    grouped = together.group_by(["problem_id", "completion"], use_threads=False)
    unique = grouped.aggregate([("answer", "first"), ("verdict", "first")])
    return unique.rename_columns(_KNOWN.names).cast(_KNOWN)


def look_up(rows: pa.Table, known: pa.Table) -> pa.Table:
    """The known answers and verdicts, aligned with the rows; null where a completion is not known."""
    keys = pa.table(
        {
            "problem_id": rows["problem_id"].cast(pa.string()),
            "completion": rows["completion"],
            "row": pa.array(range(len(rows)), pa.int64()),
        }
    )
    joined = keys.join(known, ["problem_id", "completion"], join_type="left outer", use_threads=False)
    return joined.sort_by("row").select(["answer", "verdict"])
