"""What is in the shards folder: which files are sound shards, which are damaged, and which are copies of others.

Only footers are read, and each once as long as the file does not change.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from passatn.sample.store.chunks import Chunk, find_overlap
from passatn.sample.store.files import DamagedFileError, Folder, StoreError
from passatn.sample.store.manifest import refuse_difference
from passatn.sample.store.shard import FOLDER, SUFFIX, Shard, file_of, read_shard_footer


@dataclass(frozen=True)
class Contents:
    """One look at the folder."""

    shards: tuple[Shard, ...]
    """One per chunk, in the order of their names."""
    copies: tuple[Shard, ...] = ()
    """Further files of a chunk that is there already."""
    damaged: Mapping[str, str] = field(default_factory=dict)
    """Name of the file -> one line that says what is wrong."""

    @property
    def problem_ids(self) -> list[str]:
        return sorted({problem_id for shard in self.shards for problem_id in shard.chunk.problem_ids})


class Catalogue:
    """Looks at the shards of a folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._known: dict[tuple[str, str], Shard | DamagedFileError] = {}
        self._chunks: dict[str, Chunk] | None = None

    def look(self) -> Contents:
        """What is there now; nothing is refused."""
        seen: dict[tuple[str, str], Shard | DamagedFileError] = {}
        for file, stamp in self._folder.stamps(FOLDER).items():
            if file.startswith((".", "_")) or not file.endswith(SUFFIX):  # as the readers of Parquet folders do
                continue
            known = self._known.get((file, stamp))
            try:
                seen[file, stamp] = known or read_shard_footer(self._folder, file)
            except DamagedFileError as error:
                seen[file, stamp] = error
            except FileNotFoundError:  # set aside by another process since the listing
                continue
        self._known = seen
        shards: dict[str, Shard] = {}
        copies = []
        found = [shard for shard in seen.values() if isinstance(shard, Shard)]
        for shard in sorted(found, key=lambda shard: (shard.is_copy, shard.file)):
            if shards.setdefault(shard.chunk.name, shard) is not shard:
                copies.append(shard)
        self._chunks = {name: shard.chunk for name, shard in shards.items()}
        return Contents(
            shards=tuple(shards[name] for name in sorted(shards)),
            copies=tuple(copies),
            damaged={file: str(error) for (file, _), error in seen.items() if isinstance(error, DamagedFileError)},
        )

    def check(self, contents: Contents, identity: Mapping[str, Any]) -> None:
        """Raise StoreError if a shard belongs to another run, or if two shards hold the same sample."""
        for shard in (*contents.shards, *contents.copies):
            refuse_difference(self._folder.path(f"{FOLDER}/{shard.file}"), shard.identity, identity)
        if overlap := self.overlap([shard.chunk for shard in contents.shards]):
            raise StoreError(overlap)

    def overlap(self, chunks: Iterable[Chunk]) -> str | None:
        """One line on two chunks that hold the same sample, if there are any."""
        pair = find_overlap(chunks)
        if pair is None:
            return None
        shared = min(set(pair[0].problem_ids) & set(pair[1].problem_ids))
        return (
            f"{self._folder.path(FOLDER)}: {file_of(pair[0])} and {file_of(pair[1])} both hold sample "
            f"{max(pair[0].first_index, pair[1].first_index)} of problem {shared!r}: keep one of them"
        )

    def overlap_with(self, chunk: Chunk) -> str | None:
        """As `overlap`, of a new chunk with those that the last look found or `note` was told of."""
        if self._chunks is None:
            self.look()
        ids = set(chunk.problem_ids)
        for name, other in (self._chunks or {}).items():
            ranges_meet = other.first_index < chunk.stop and chunk.first_index < other.stop
            if ranges_meet and name != chunk.name and not ids.isdisjoint(other.problem_ids):
                return self.overlap([other, chunk])
        return None

    def note(self, chunk: Chunk) -> None:
        """A shard of this chunk has been written."""
        if self._chunks is not None:
            self._chunks[chunk.name] = chunk


def groups_of(shards: Iterable[Shard]) -> list[list[Shard]]:
    """Shards that share a problem, directly or through others, together: each group can be read by itself."""
    parents: dict[str, str] = {}

    def root(problem_id: str) -> str:
        while (parent := parents.setdefault(problem_id, problem_id)) != problem_id:
            parents[problem_id] = parents[parent]
            problem_id = parents[problem_id]
        return problem_id

    shards = list(shards)
    for shard in shards:
        first = root(shard.chunk.problem_ids[0])
        for problem_id in shard.chunk.problem_ids[1:]:
            parents[root(problem_id)] = first
    groups: dict[str, list[Shard]] = {}
    for shard in shards:
        groups.setdefault(root(shard.chunk.problem_ids[0]), []).append(shard)
    return list(groups.values())
