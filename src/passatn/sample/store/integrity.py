"""Is everything in a store what was written? Every byte is read; nothing is changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from passatn.sample.store.catalogue import Catalogue, Contents
from passatn.sample.store.files import TEMPORARY, DamagedFileError, Folder, StoreError
from passatn.sample.store.manifest import Manifest, refuse_difference
from passatn.sample.store.rows import check_rows, plain_rows
from passatn.sample.store.shard import FOLDER, read_shard
from passatn.sample.store.verdicts import file_of, unseal_verdicts, verifiers_in


@dataclass(frozen=True)
class IntegrityReport:
    """What is there, and what is wrong with it."""

    num_shards: int
    num_samples: int
    """In sound shards, each sample once."""
    problems: tuple[str, ...]
    """One line for each thing that is wrong, which names the file."""
    num_leftovers: int
    """Files that killed writers left under tmp/ (or that are being written now): harmless."""

    @property
    def is_sound(self) -> bool:
        return not self.problems


def check_store(folder: Folder, manifest: Manifest, catalogue: Catalogue) -> IntegrityReport:
    """See `SampleStore.verify_integrity`."""
    contents = catalogue.look()
    problems = list(contents.damaged.values())
    for copy in contents.copies:
        problems.append(f"{folder.path(f'{FOLDER}/{copy.file}')}: a copy of {copy.chunk.name}, not counted; remove it")
    if overlap := catalogue.overlap([shard.chunk for shard in contents.shards]):
        problems.append(overlap)
    num_samples = 0
    for shard in contents.shards:
        try:
            refuse_difference(folder.path(f"{FOLDER}/{shard.file}"), shard.identity, manifest.identity)
            check_rows(shard.chunk, plain_rows(read_shard(folder, shard.file)[1]))
            num_samples += shard.num_samples
        except StoreError as error:
            problems.append(str(error))
    problems += _verdict_problems(folder, contents)
    return IntegrityReport(len(contents.shards), num_samples, tuple(problems), len(folder.stamps(TEMPORARY)))


def _verdict_problems(folder: Folder, contents: Contents) -> Iterator[str]:
    for verifier in verifiers_in(folder):
        for shard in contents.shards:
            file = file_of(verifier, shard)
            try:
                if folder.exists(file) and unseal_verdicts(folder, file, shard) is None:
                    yield f"{folder.path(file)}: made for another content of its shard; verify again"
            except DamagedFileError as error:
                yield f"{error}; verify again"
