"""Write a file so that a reader finds the old one or the new one, never half of either."""

import os
import uuid
from pathlib import Path


def write_atomically(path: str | Path, data: bytes) -> Path:
    """Write beside the target, flush to disk, rename over it; creates the folder, and leaves nothing when it fails."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
