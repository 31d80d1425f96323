"""What a stage reads, by its contents: other bytes under the same name are another recipe, the same elsewhere are not.

A Hub id, which nothing can be read of without the network, counts by its name.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

_MODEL_SUFFIXES = (".safetensors", ".bin", ".gguf", ".json", ".model", ".jinja", ".txt")
_ADAPTER, _BASE = "adapter_config.json", "base_model_name_or_path"


def data_identity(source: str) -> str:
    """Name and digest of a file, or of all files of a folder; another source as it is."""
    path = Path(source)
    if path.is_dir():
        return _of_files(path, sorted(file for file in path.rglob("*") if file.is_file()))
    return _of_file(path) if path.is_file() else source


def model_identity(source: str) -> str:
    """Name and digest of a .gguf file, or of weights, settings and tokenizer of a folder; another source as it is."""
    path = Path(source)
    if not path.is_dir():
        return data_identity(source)
    found = _of_files(path, sorted(file for file in path.iterdir() if file.suffix in _MODEL_SUFFIXES))
    if (path / _ADAPTER).is_file():
        base = json.loads((path / _ADAPTER).read_text(encoding="utf-8")).get(_BASE)
        return f"{found} on {model_identity(base)}" if base else found
    return found


def _of_file(path: Path) -> str:
    return f"{path.name} {_digest(path)[:16]}"


def _of_files(folder: Path, files: list[Path]) -> str:
    lines = "\n".join(f"{file.relative_to(folder).as_posix()} {_digest(file)}" for file in files)
    return f"{folder.resolve().name} {hashlib.sha256(lines.encode()).hexdigest()[:16]}"


def _digest(path: Path) -> str:
    stat = path.stat()
    return _read_digest(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1024)
def _read_digest(path: Path, size: int, modified: int) -> str:
    """Read anew in the same process only if the file's size or time has changed."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
