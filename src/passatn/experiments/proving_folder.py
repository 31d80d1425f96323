"""The folder that `passatn prove` writes: manifest.json, records/, proofs/, results.json.

manifest.json marks the folder and is written first, so that records of different settings never come together.
"""

import hashlib
import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from passatn.evaluate import write_atomically
from passatn.experiments.config import ConfigError
from passatn.lean import Goal
from passatn.prove.proof_checks import whole_file
from passatn.prove.records import FoundProof, SearchRecord
from passatn.sample.store.manifest import installed_versions

FORMAT = "passatn proof search"
_MAX_NAME = 100


class ProofFolder:
    """Where a search is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = path / "manifest.json"
        self.records = path / "records"
        self.proofs = path / "proofs"
        self.results = path / "results.json"

    def check(self, settings: Mapping[str, Any], *, overwrite: bool) -> None:
        """Whether a search with these settings may use the folder; nothing is written or deleted.

        Raises:
            ConfigError: it holds something else, or a search with other settings and no `overwrite`.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"{self.path} is a file: choose another --output")
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        before = self._settings()
        if overwrite:
            return
        now = json.loads(json.dumps(dict(settings)))
        for key in [*now, *(key for key in before if key not in now)]:
            if before.get(key) != now.get(key):
                raise ConfigError(
                    f"{self.path} holds a search with {key}={before.get(key)!r:.80}, now it is {now.get(key)!r:.80}: "
                    "use the same settings, another --output, or --overwrite"
                )

    def begin(self, settings: Mapping[str, Any], *, overwrite: bool) -> None:
        """Make the folder, in place of an old search if told to; one that is to be continued is left as it is."""
        if overwrite and self.manifest.exists():
            # The manifest goes last: what is left of a folder is still known for a search.
            for path in (self.results, self.records, self.proofs, self.manifest):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if not self.manifest.exists():
            about = {
                "format": FORMAT,
                "format_version": 1,
                "settings": dict(settings),
                "versions": installed_versions(),
            }
            write_atomically(self.manifest, (json.dumps(about, indent=1) + "\n").encode())

    def write_proofs(self, records: Sequence[SearchRecord]) -> None:
        """For each proved theorem a file that Lean accepts."""
        for record in records:
            if proof := most_probable(record):
                text = whole_file(Goal(record.statement, record.header), proof.tactics)
                write_atomically(self.proofs / f"{file_name(record.theorem)}.lean", text.encode())

    def _settings(self) -> dict[str, Any]:
        """Raises ConfigError where the folder is no search's."""
        try:
            about = json.loads(self.manifest.read_text(encoding="utf-8"))
            if about["format"] != FORMAT:
                raise ValueError(about["format"])
            return dict(about["settings"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(f"{self.path} exists and holds no proof search: choose another --output") from None


def most_probable(record: SearchRecord) -> FoundProof | None:
    """The checked proof of the highest probability; where it is not known, the most frequent one."""
    checked = [proof for proof in record.proofs if proof.is_checked]
    return max(checked, key=_rank, default=None)


def _rank(proof: FoundProof) -> tuple[float, int, tuple[str, ...]]:
    return -math.inf if math.isnan(proof.log_prob) else proof.log_prob, proof.num_found, proof.tactics


def file_name(name: str) -> str:
    """A theorem's name as that of a file; one that had to be changed gets a digest, so that names differ."""
    safe = re.sub(r"[^A-Za-z0-9_.\-]", "_", name).strip(".")[:_MAX_NAME]
    if safe == name:
        return name
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
