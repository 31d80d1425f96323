"""Give up, for good, all that a tested program must not have: the last thing a process does before untrusted code."""

import os
import random
import resource
import sys
from dataclasses import dataclass

from . import kernel, landlock, layers, seccomp

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/nix/store")
READABLE = ("/usr/share/zoneinfo", "/etc/localtime", "/dev/urandom", "/dev/zero")
MAX_FILE_BYTES = 16 * 2**20
MAX_OPEN_FILES = 64
MAX_TASKS = 16
"""Processes and threads of one program."""
_FIRST_FREE = 3


@dataclass(frozen=True)
class Limits:
    """What a program may use; wall-clock seconds bound the CPU seconds of each of its processes too."""

    timeout_seconds: float
    memory_mb: int

    @property
    def cpu_seconds(self) -> int:
        return int(self.timeout_seconds) + 1


@dataclass(frozen=True)
class Cell:
    """Where a program runs: the layers in force, its limits, its user (None: unchanged), its folder."""

    active: frozenset[str]
    limits: Limits
    user: int | None
    folder: str
    libraries: tuple[int, ...]
    """Open folders of the standard library, which the user may be unable to reach by name."""


def keep_only(keep: list[int], cell: Cell) -> list[int]:
    """Standard streams to nowhere, then the library folders, then `keep`; returns the numbers `keep` has now.

    Nothing else stays open, and the library folders become the import path.
    """
    wanted = [*cell.libraries, *keep]
    above = max(wanted) + len(wanted) + _FIRST_FREE + 1
    for index, descriptor in enumerate(wanted):
        os.dup2(descriptor, above + index)
    for stream in range(_FIRST_FREE):
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, stream)
        os.close(nowhere)
    for index in range(len(wanted)):
        os.dup2(above + index, _FIRST_FREE + index, inheritable=False)
    os.closerange(_FIRST_FREE + len(wanted), 65536)
    sys.path[:] = [f"/proc/self/fd/{_FIRST_FREE + index}" for index in range(len(cell.libraries))]
    sys.path_importer_cache.clear()
    return [_FIRST_FREE + len(cell.libraries) + index for index in range(len(keep))]


def confine(cell: Cell) -> None:
    """Apply every layer; `keep_only` comes before."""
    os.setsid()
    os.environ.clear()
    os.environ.update({"HOME": cell.folder, "TMPDIR": cell.folder, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"})
    os.umask(0o022)
    if cell.user is not None:
        layers.drop_to_other_user(cell.user)
    os.chdir(cell.folder)
    _limit(cell)
    if layers.USER_NAMESPACE in cell.active:
        kernel.drop_capabilities()
    layers.forbid_new_privileges()
    if layers.LANDLOCK in cell.active:
        folders = range(_FIRST_FREE, _FIRST_FREE + len(cell.libraries))
        readable = (*LIBRARIES, f"{sys.base_prefix}/lib", *READABLE, *folders)
        landlock.restrict(readable, ("/dev/null", cell.folder))
    if layers.SECCOMP in cell.active:
        seccomp.refuse_system_calls()
    random.seed(0)


def _limit(cell: Cell) -> None:
    may_fork = cell.user is not None or layers.USER_NAMESPACE in cell.active
    sizes = {
        resource.RLIMIT_AS: _mapped_bytes() + cell.limits.memory_mb * 2**20,
        resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
        resource.RLIMIT_NPROC: MAX_TASKS if may_fork else 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for kind, size in sizes.items():
        hard = resource.getrlimit(kind)[1]
        size = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(kind, (size, size))
    resource.setrlimit(resource.RLIMIT_CPU, (cell.limits.cpu_seconds, cell.limits.cpu_seconds + 1))


def _mapped_bytes() -> int:
    """What the process has mapped already: the interpreter and its libraries are not the program's."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
