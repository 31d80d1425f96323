"""The folder of a store, on any filesystem of fsspec: a file in it is there as a whole or not at all.

On a local filesystem a file is written under `tmp/`, flushed to the disk and renamed into its place. Object stores
(s3, gcs, abfs, memory) have no rename, and need none: an object appears when its upload has ended. On other remote
filesystems (sftp, smb) an interrupted upload can leave a part of a file; the seal of every file tells (see `sealed`).
"""

import errno
import os
import time
import uuid
from pathlib import Path
from typing import IO

import fsspec
from fsspec.implementations.local import LocalFileSystem

TEMPORARY = "tmp"
# What filesystems without hard links (FAT, some network ones) answer.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class StoreError(ValueError):
    """A store that cannot be used as asked; the message is one line and names the file or the field."""


class DamagedFileError(StoreError):
    """A file whose content is not what was written."""


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class Folder:
    """Files below one path, named relative to it with forward slashes."""

    def __init__(self, path: str | Path) -> None:
        self.name = str(path).rstrip("/")
        try:
            self._fs, root = fsspec.core.url_to_fs(str(path))
        except (ValueError, ImportError) as error:
            raise StoreError(f"{path}: no such kind of path ({one_line(error)})") from None
        self._root = root.rstrip("/")
        self._is_local = isinstance(self._fs, LocalFileSystem)

    def path(self, file: str) -> str:
        """As a person would write it, for messages."""
        return f"{self.name}/{file}"

    def stamps(self, folder: str) -> dict[str, str]:
        """The names of the files directly in `folder`, sorted, with a text that changes when a file does."""
        return {
            entry["name"].rstrip("/").rpartition("/")[2]: str(sorted(entry.items(), key=lambda item: item[0]))
            for entry in sorted(self._entries(folder), key=lambda entry: str(entry["name"]))
            if entry["type"] == "file"
        }

    def folders(self, folder: str) -> list[str]:
        """The names of the folders directly in `folder`, sorted."""
        entries = self._entries(folder)
        return sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in entries if entry["type"] == "directory")

    def exists(self, file: str) -> bool:
        return bool(self._fs.exists(self._full(file)))

    def open(self, file: str) -> IO[bytes]:
        return self._fs.open(self._full(file), "rb")

    def size(self, file: str) -> int:
        return int(self._fs.size(self._full(file)))

    def read(self, file: str) -> bytes:
        """The whole file. Raises StoreError where it cannot be read."""
        try:
            return bytes(self._fs.cat_file(self._full(file)))
        except OSError as error:
            raise StoreError(f"{self.path(file)}: cannot be read ({one_line(error)})") from None

    def write(self, file: str, data: bytes, *, replace: bool = True) -> bool:
        """Put a whole file in place. With `replace=False` an existing one stays, and the answer is False.

        Raises:
            StoreError: the disk is full, or the file cannot be written for another reason; no part of it remains.
        """
        try:
            if self._is_local:
                return self._write_local(Path(self._full(file)), data, replace)
            if not replace and self.exists(file):
                return False
            self._fs.pipe_file(self._full(file), data)
        except OSError as error:
            reason = error.strerror or one_line(error)
            remedy = "what was stored before is intact: make room or choose another place, then resume"
            raise StoreError(f"{self.path(file)}: cannot be written ({reason}); {remedy}") from None
        return True

    def move(self, file: str, target: str) -> None:
        """Within the folder; a file that is gone already is no error."""
        try:
            self._fs.makedirs(self._full(target).rpartition("/")[0], exist_ok=True)
            self._fs.mv(self._full(file), self._full(target))
        except FileNotFoundError:
            return

    def remove_leftovers(self, older_than_seconds: float) -> int:
        """Delete what writers that were killed have left under tmp/; returns how many files."""
        if not self._is_local:
            return 0
        old = []
        for name in self.stamps(TEMPORARY):
            path = Path(self._full(f"{TEMPORARY}/{name}"))
            if path.exists() and time.time() - path.stat().st_mtime >= older_than_seconds:
                old.append(path)
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _full(self, file: str) -> str:
        return f"{self._root}/{file}"

    def _entries(self, folder: str) -> list[dict]:
        full = self._full(folder)
        self._fs.invalidate_cache(full)
        try:
            return list(self._fs.ls(full, detail=True))
        except FileNotFoundError:
            return []

    def _write_local(self, target: Path, data: bytes, replace: bool) -> bool:
        temporary = Path(self._full(f"{TEMPORARY}/{uuid.uuid4().hex}"))
        temporary.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace or not _links(temporary, target):
                temporary.replace(target)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(target.parent)
        return True


def _links(temporary: Path, target: Path) -> bool:
    """Give a file a second name if that name is free, which a rename does not ask; False where links do not exist."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in _NO_LINKS and not target.exists():
            return False
        raise
    return True


def _flush_folder(path: Path) -> None:
    """Make the new name in the folder as lasting as the file's content; not every system can open a folder."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
