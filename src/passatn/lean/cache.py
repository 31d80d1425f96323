"""The user's cache folder: what is computed once per machine. Always safe to delete."""

import os
import shutil
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path


def cache_folder() -> Path:
    """`passatn/lean` under XDG_CACHE_HOME, or ~/.cache; not created here. Raises OSError where there is no home."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    home = os.path.expanduser("~")
    if not os.path.isabs(root) and not os.path.isabs(home):
        raise FileNotFoundError("there is no home folder: set XDG_CACHE_HOME")
    return (Path(root) if os.path.isabs(root) else Path(home, ".cache")) / "passatn" / "lean"


def cached_text(name: str, compute: Callable[[], str]) -> str:
    """The text kept under `name`, or computed and kept; where nothing can be kept, just computed."""
    try:
        return (cache_folder() / name).read_text(encoding="utf-8")
    except OSError:
        text = compute()
    try:
        path = cache_folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
    except OSError:
        pass
    return text


def cached_folder(name: str, build: Callable[[Path], None]) -> Path:
    """The folder kept under `name`; `build` fills a new one, which appears by renaming, whole or not at all.

    Where the cache cannot be written, a temporary folder that lives as long as this process.
    """
    try:
        target = cache_folder() / name
        if target.is_dir():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=target.parent))
    except OSError:
        return _temporary_folder(name, build)
    try:
        build(building)
        building.chmod(0o755)
        building.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


@lru_cache(maxsize=8)
def _temporary_folder(name: str, build: Callable[[Path], None]) -> Path:
    holder = tempfile.TemporaryDirectory(prefix=f"passatn-{name}.")
    _holders.append(holder)
    build(Path(holder.name))
    return Path(holder.name)


_holders: list[tempfile.TemporaryDirectory[str]] = []
"""Removed when the interpreter ends."""
