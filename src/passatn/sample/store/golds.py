"""What verdicts were judged against: a digest of each problem, per verifier.

`golds/<verifier>.json` maps problem ids to digests. When a problem has changed (another accepted answer, other
tests), its verdicts are dropped before new ones are made: a corrected answer key must not meet old verdicts.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from passatn.sample.store.files import Folder
from passatn.sample.store.shard import Shard, read_shard
from passatn.sample.store.verdicts import file_of, read_verdicts, write_verdicts

if TYPE_CHECKING:
    from passatn.tasks import Problem

FOLDER = "golds"


def digest_of(problem: "Problem") -> str:
    """Of all that a verifier may look at."""
    record = json.dumps(problem.to_record(), sort_keys=True, default=str)
    return hashlib.sha256(record.encode()).hexdigest()[:16]


def renew_golds(folder: Folder, shards: Sequence[Shard], verifier: str, digests: Mapping[str, str]) -> int:
    """Drop the verdicts of problems that have changed, then note these digests; returns how many problems had changed.

    In this order, so that a kill in between leaves verdicts that are dropped, not old ones that look new.
    """
    if not shards:
        return 0
    known = read_golds(folder, shards, verifier)
    changed = {name for name, digest in digests.items() if known.get(name, digest) != digest}
    for shard in shards:
        if changed.intersection(shard.chunk.problem_ids):
            _drop(folder, shard, verifier, changed)
    if any(known.get(name) != digest for name, digest in digests.items()):
        write_golds(folder, shards, verifier, known | dict(digests))
    return len(changed)


def read_golds(folder: Folder, shards: Sequence[Shard], verifier: str) -> dict[str, str]:
    """The digests noted; none where there are none, or the file is damaged."""
    if not shards or not folder.exists(file := _file_of(shards, verifier)):
        return {}
    try:
        golds = json.loads(folder.read(file))
    except ValueError:
        return {}
    return golds if isinstance(golds, dict) else {}


def write_golds(folder: Folder, shards: Sequence[Shard], verifier: str, golds: Mapping[str, str]) -> None:
    if shards and golds:
        folder.write(_file_of(shards, verifier), json.dumps(dict(golds), indent=0, sort_keys=True).encode())


def without(known: pa.Table, problem_ids: set[str]) -> pa.Table:
    """Verdicts but those of some problems."""
    if not problem_ids:
        return known
    return known.filter(pc.invert(pc.is_in(known["problem_id"], value_set=pa.array(sorted(problem_ids), pa.string()))))


def _drop(folder: Folder, shard: Shard, verifier: str, problem_ids: set[str]) -> None:
    verdicts = read_verdicts(folder, verifier, shard)
    if verdicts is None:
        return
    _, rows = read_shard(folder, shard.file)
    names = rows["problem_id"].cast(pa.string())
    stale = pc.is_in(names, value_set=pa.array(sorted(problem_ids), pa.string()))
    for number, name in enumerate(("answer", "verdict")):
        nulls = pa.nulls(len(rows), pa.string())
        kept = pc.if_else(stale, nulls, verdicts[name].combine_chunks().cast(pa.string()))
        verdicts = verdicts.set_column(number, name, kept)
    write_verdicts(folder, verifier, shard, rows, verdicts)


def _file_of(shards: Sequence[Shard], verifier: str) -> str:
    return f"{FOLDER}/{file_of(verifier, shards[0]).split('/')[-2]}.json"
