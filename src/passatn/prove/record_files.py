"""Records of a search on disk: JSON Lines, a line as soon as a slice is done; a kill loses what was not done.

Each process writes files of its own, named after its share of the theorems, so that several machines can share a
folder, or their folders be copied together: all files of a folder are its records. A line is written at once and
flushed; one that a kill has cut off is left out when the file is read.

    files = RecordFiles(output / "records", "1-of-2")
    files.append(record)
    read_records(output / "records")
"""

import json
import os
import uuid
from pathlib import Path

from passatn.prove.records import SearchRecord


class RecordFiles:
    """Appends to a new file in `folder`, which appears with the first record."""

    def __init__(self, folder: Path, label: str) -> None:
        self._folder = folder
        self._path = folder / f"{label}-{uuid.uuid4().hex[:12]}.jsonl"

    def append(self, record: SearchRecord) -> None:
        """Put a record on disk. Raises OSError where it cannot be written."""
        line = json.dumps(record.to_dict(), ensure_ascii=False, allow_nan=False) + "\n"
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def read_records(folder: str | Path) -> list[SearchRecord]:
    """All records of a folder, by theorem and first sample; a slice that is there twice counts once.

    Two processes that were given the same share draw the same slices: their samples are the same, not more.

    Raises:
        ValueError: a line that is no record; names the file and the line.
    """
    found: dict[tuple[str, int, int], SearchRecord] = {}
    for path in sorted(Path(folder).glob("*.jsonl")):
        for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
            try:
                record = SearchRecord.from_dict(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(
                    f"{path}, line {number}: not a search record ({' '.join(str(error).split()):.200}): delete the "
                    "line, and the slice is searched again"
                ) from None
            found.setdefault((record.theorem, record.first_sample, record.num_samples), record)
    return sorted(found.values(), key=lambda record: (record.theorem, record.first_sample))


def missing_slices(records: list[SearchRecord], num_samples: int, slice_size: int) -> list[tuple[int, int]]:
    """(first sample, number) of the slices that a theorem with these records lacks of samples 0 … num_samples − 1.

    Slices end at multiples of `slice_size`, where nothing that is there forces another border.
    """
    taken = sorted((record.first_sample, record.first_sample + record.num_samples) for record in records)
    missing: list[tuple[int, int]] = []
    start = 0
    for first, end in [*taken, (num_samples, num_samples)]:
        while start < min(first, num_samples):
            stop = min(first, num_samples, (start // slice_size + 1) * slice_size)
            missing.append((start, stop - start))
            start = stop
        start = max(start, end)
    return missing
