"""The sample store: a folder of shards with unique completions, which survives whatever happens to its writers.

    store/manifest.json               what the samples are samples of; written once
    store/shards/<chunk>.parquet      unique completions with counts; immutable; appears whole or not at all
    store/verdicts/<verifier>/…       verdicts on a shard's rows
    store/damaged/, store/tmp/        shards that were set aside; files being written

Which samples there are follows from the shards alone, so any number of processes and machines can add shards at the
same time without a lock. The formats, and how to read them with other tools: docs/sample-store.md.

    store = SampleStore.open_or_create("runs/dco/samples", manifest)
    for chunk in store.missing_chunks(problem_ids, 4096):
        store.add(chunk, completions_of(chunk))
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from passatn.sample.store.catalogue import Catalogue, Contents, groups_of
from passatn.sample.store.chunks import Chunk, missing_chunks
from passatn.sample.store.counts import StoreCounts, counts_of
from passatn.sample.store.files import DamagedFileError, Folder, StoreError
from passatn.sample.store.golds import read_golds, without, write_golds
from passatn.sample.store.integrity import IntegrityReport, check_store
from passatn.sample.store.judging import known_of_group, unverified_rows, write_known
from passatn.sample.store.manifest import Manifest, refuse_difference
from passatn.sample.store.merging import MERGED_SCHEMA
from passatn.sample.store.reading import REMEDY, merged_rows, problem_rows
from passatn.sample.store.rows import plain_rows, rows_of_completions
from passatn.sample.store.shard import FOLDER, Shard, file_of, read_shard, shard_bytes
from passatn.sample.store.verdicts import Judged, known_table, verifier_name, verifiers_in

if TYPE_CHECKING:
    from passatn.sample.engine import Completion

MANIFEST = "manifest.json"
DAMAGED = "damaged"


@dataclass(frozen=True)
class ProblemSamples:
    """The unique completions of one problem."""

    problem_id: str
    rows: pa.Table
    """The columns of `SampleStore.table`, the most frequent completions first."""


class SampleStore:
    """A store that exists; made by `create`, `open` or `open_or_create`."""

    def __init__(self, folder: Folder, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._catalogue = Catalogue(folder)

    @classmethod
    def create(cls, path: str | Path, manifest: Manifest) -> "SampleStore":
        """A new, empty store. Raises StoreError where there is one already."""
        folder = Folder(path)
        if not folder.write(MANIFEST, manifest.to_json(), replace=False):
            raise StoreError(f"{folder.path(MANIFEST)}: a store is there already; open it, or choose another path")
        return cls(folder, manifest)

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether there is a store at `path`."""
        return Folder(path).exists(MANIFEST)

    @classmethod
    def open(cls, path: str | Path, expect: Manifest | None = None) -> "SampleStore":
        """A store that exists.

        Args:
            expect: what its samples should be samples of.

        Raises:
            StoreError: there is none; or its model, prompts or parameters are not the expected ones, or its shards are
                not those of its manifest: then the first field that differs is named, with both values.
        """
        folder = Folder(path)
        name = folder.path(MANIFEST)
        if not folder.exists(MANIFEST):
            raise StoreError(f"{name}: no such file; {path} is not a sample store")
        store = cls(folder, Manifest.from_json(name, folder.read(MANIFEST)))
        if expect is not None:
            refuse_difference(name, store.manifest.identity, expect.identity)
        store.contents()
        return store

    @classmethod
    def open_or_create(cls, path: str | Path, manifest: Manifest) -> "SampleStore":
        """The store at `path` if it has this manifest's samples, or a new one; several processes may do it at once."""
        folder = Folder(path)
        if not folder.exists(MANIFEST):
            folder.write(MANIFEST, manifest.to_json(), replace=False)
        return cls.open(path, expect=manifest)

    # What there is, and what is missing

    def contents(self) -> Contents:
        """The shards that are there now. Raises StoreError if one is of another run or two hold the same sample."""
        contents = self._catalogue.look()
        self._catalogue.check(contents, self.manifest.identity)
        return contents

    def sound_contents(self) -> Contents:
        """As `contents`. Raises StoreError naming the file if a shard is damaged."""
        contents = self.contents()
        if contents.damaged:
            raise StoreError(f"{next(iter(contents.damaged.values()))}; {REMEDY}")
        return contents

    @property
    def num_samples(self) -> int:
        """Of all problems together; reads footers only."""
        return sum(shard.chunk.num_samples * len(shard.chunk.problem_ids) for shard in self.contents().shards)

    def content_hash(self) -> str:
        """Of what the samples are samples of, and of the samples; reads footers only. Verdicts are not part of it."""
        shards = sorted((shard.file, shard.sha256) for shard in self.contents().shards)
        return hashlib.sha256(json.dumps([self.manifest.identity, shards]).encode()).hexdigest()[:16]

    def missing_chunks(
        self,
        problem_ids: Sequence[str],
        num_samples: int,
        *,
        problems_per_chunk: int = 16,
        samples_per_chunk: int = 256,
    ) -> list[Chunk]:
        """What is to be drawn until each problem has `num_samples` samples; a damaged shard counts as missing."""
        done = [shard.chunk for shard in self.contents().shards]
        return missing_chunks(
            problem_ids,
            num_samples,
            done,
            problems_per_chunk=problems_per_chunk,
            samples_per_chunk=samples_per_chunk,
        )

    def next_indices(self, problem_ids: Iterable[str]) -> dict[str, int]:
        """For each problem, the index after its last sample."""
        last = dict.fromkeys(problem_ids, 0)
        for shard in self.contents().shards:
            for problem_id in last.keys() & set(shard.chunk.problem_ids):
                last[problem_id] = max(last[problem_id], shard.chunk.stop)
        return last

    # Writing

    def add(
        self,
        chunk: Chunk,
        completions: Sequence["Completion"],
        *,
        answers: Sequence[str | None] | None = None,
        verdicts: Sequence[str | None] | None = None,
    ) -> bool:
        """Store the samples of a chunk; when this returns they are on the disk.

        Args:
            completions: every sample of the chunk, once.
            answers, verdicts: of each completion, where they are known already; otherwise see `set_verdicts`.

        Returns:
            False if the store has this very chunk already: then nothing is written.

        Raises:
            StoreError: the samples are not the chunk's, some of them are stored in other chunks, or the disk is full.
        """
        return self.add_rows(chunk, rows_of_completions(chunk, completions, answers, verdicts))

    def add_rows(self, chunk: Chunk, rows: pa.Table, *, source: str | None = None) -> bool:
        """As `add`, from rows with counts (`rows.SCHEMA`); `source` names the file they were imported from."""
        data = shard_bytes(chunk, rows, self.manifest.identity, source)
        file = f"{FOLDER}/{file_of(chunk)}"
        stored = self._sound_shard(file_of(chunk))
        if stored is not None:
            self._refuse_other_source(stored, source)
            return False
        if overlap := self._catalogue.overlap_with(chunk):
            raise StoreError(f"{overlap} (the new one is not stored)")
        self.folder.write(file, data)
        self._catalogue.note(chunk)
        return True

    def merge(self, other: "SampleStore") -> int:
        """Take over another store's shards and verdicts; a chunk that both have counts once.

        Returns:
            The number of shards that were added.

        Raises:
            StoreError: the other store is of another run, one of its shards is damaged, or holds samples that this
                store has in other chunks; nothing is merged then.
        """
        refuse_difference(other.folder.path(MANIFEST), other.manifest.identity, self.manifest.identity)
        mine = {shard.chunk.name: shard for shard in self.contents().shards}
        theirs = other.sound_contents().shards
        for shard in theirs:
            if shard.chunk.name in mine:
                self._refuse_other_source(mine[shard.chunk.name], shard.source)
        new = [shard for shard in theirs if shard.chunk.name not in mine]
        if overlap := self._catalogue.overlap([*(shard.chunk for shard in mine.values()), *(s.chunk for s in new)]):
            raise StoreError(f"{overlap} (from {other.folder.name}; nothing is merged)")
        added = 0
        for shard in new:
            stored, rows = read_shard(other.folder, shard.file)
            added += self.add_rows(stored.chunk, plain_rows(rows), source=stored.source)
        shards = self.sound_contents().shards
        for verifier in other.verifiers():
            golds, theirs_golds = (read_golds(s.folder, of, verifier) for s, of in ((self, shards), (other, theirs)))
            differing = {name for name, gold in theirs_golds.items() if golds.get(name, gold) != gold}
            for group in groups_of(theirs):
                known = without(known_of_group(other.folder, group, verifier), differing)
                write_known(self.folder, shards, verifier, known)
            write_golds(self.folder, shards, verifier, theirs_golds | golds)
        return added

    def set_aside_damaged(self) -> dict[str, str]:
        """Read all shards and move those that are not sound, and copies, to damaged/; nothing is deleted.

        Their samples then count as missing.

        Returns:
            Name of each file that was moved -> one line that says what was wrong.
        """
        contents = self._catalogue.look()
        wrong = dict(contents.damaged)
        wrong |= {copy.file: f"{self.folder.path(f'{FOLDER}/{copy.file}')}: a copy" for copy in contents.copies}
        for shard in contents.shards:
            try:
                read_shard(self.folder, shard.file)
            except DamagedFileError as error:
                wrong[shard.file] = str(error)
        for file in wrong:
            self.folder.move(f"{FOLDER}/{file}", f"{DAMAGED}/{file}")
        self._catalogue.look()
        return wrong

    def remove_leftovers(self, older_than_seconds: float = 3600.0) -> int:
        """Delete what killed writers left under tmp/; returns the number of files."""
        return self.folder.remove_leftovers(older_than_seconds)

    # Reading

    def table(self, verifier: str | None = None) -> pa.Table:
        """All unique completions: problem_id, completion, answer, count, log_prob, num_tokens, finished, verdict.

        Sorted by problem, then by count. A completion has one row, or one per number of tokens it was drawn with.

        Args:
            verifier: whose answers and verdicts: "name@version" as in `verifiers()`. None takes the only one there is,
                or what was stored with the samples if there is none.
        """
        problems = self.iter_problems(verifier)
        tables = [problem.rows for problem in sorted(problems, key=lambda problem: problem.problem_id)]
        return pa.concat_tables(tables).unify_dictionaries() if tables else MERGED_SCHEMA.empty_table()

    def iter_problems(self, verifier: str | None = None) -> Iterator[ProblemSamples]:
        """The unique completions problem by problem, in no order, for stores that do not fit into memory."""
        shards = self.sound_contents().shards
        for problem_id, rows in problem_rows(self.folder, shards, self._chosen(verifier)):
            yield ProblemSamples(problem_id, rows)

    def counts(self, problem_ids: Sequence[str] | None = None, verifier: str | None = None) -> StoreCounts:
        """Numbers per problem: in the given order, zeros where there are no samples; or of all problems, sorted."""
        contents = self.sound_contents()
        ids = contents.problem_ids if problem_ids is None else list(problem_ids)
        name = self._chosen(verifier)
        return counts_of(ids, (merged_rows(self.folder, group, name) for group in groups_of(contents.shards)))

    def verify_integrity(self) -> IntegrityReport:
        """Read every file and say what is wrong; changes nothing, and raises nothing about the content."""
        return check_store(self.folder, self.manifest, self._catalogue)

    # Verdicts

    def verifiers(self) -> list[str]:
        """The verifiers whose verdicts are stored, as "name@version"."""
        return verifiers_in(self.folder)

    def unverified(self, verifier: str, version: str) -> Iterator[pa.Table]:
        """Completions without a verdict: problem_id, completion, count; one table per group of problems.

        Truncated completions are not among them: they never count as correct.
        """
        return unverified_rows(self.folder, self.sound_contents().shards, verifier_name(verifier, version))

    def set_verdicts(self, judged: Iterable[Judged], *, verifier: str, version: str) -> int:
        """Store verdicts; each holds for its completion in all shards, and stays after a kill once this returns.

        Writes one small file per shard that holds one of the problems, so give many verdicts at once.

        Returns:
            The number of rows of shards whose verdict or answer is new.
        """
        name = verifier_name(verifier, version)
        return write_known(self.folder, self.sound_contents().shards, name, known_table(judged))

    def spread_verdicts(self, verifier: str, version: str) -> int:
        """Write known verdicts beside later shards in which the same completions were drawn again."""
        name = verifier_name(verifier, version)
        groups = groups_of(self.sound_contents().shards)
        return sum(write_known(self.folder, group, name, known_of_group(self.folder, group, name)) for group in groups)

    def _chosen(self, verifier: str | None) -> str | None:
        names = self.verifiers()
        if verifier is None and len(names) > 1:
            raise StoreError(f"{self.folder.name}: has verdicts of {', '.join(names)}: say which to use (verifier=…)")
        if verifier is not None and verifier not in names:
            found = ", ".join(names) or "none"
            raise StoreError(f"{self.folder.name}: has no verdicts of {verifier!r} (verifiers found: {found})")
        return verifier or (names[0] if names else None)

    def _sound_shard(self, file: str) -> Shard | None:
        """The shard in that file, if it is there and every byte of it is as it was written."""
        if not self.folder.exists(f"{FOLDER}/{file}"):
            return None
        try:
            shard, _ = read_shard(self.folder, file)
        except DamagedFileError:
            return None
        refuse_difference(self.folder.path(f"{FOLDER}/{file}"), shard.identity, self.manifest.identity)
        return shard

    def _refuse_other_source(self, stored: Shard, source: str | None) -> None:
        if stored.source != source:
            raise StoreError(
                f"{self.folder.path(f'{FOLDER}/{stored.file}')}: has other samples under the same indices (source "
                f"{stored.source!r}, not {source!r}): import all files into one store"
            )
