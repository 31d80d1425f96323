"""Starts the embedded Lean inside this process. A script of its own: standard library only, no import of this package.

    python -I -S launcher.py LIBRARY PARENT_PID MEMORY_MB CPU_SECONDS [lean's own arguments ...]

`libleanshared.so` exports `lean_main`, the whole `lean` command. The interpreter's lock is released while it runs, so a
thread of this script can watch the memory: Lean reserves gigabytes of address space that it never touches (stacks of
1 GiB, arenas), which makes RLIMIT_AS and RLIMIT_DATA useless below 6 GiB. 0 means no limit.
"""

import _thread
import ctypes
import os
import resource
import signal
import sys
import time

MEMORY_EXIT_CODE = 86
_ADDRESS_SPACE_RESERVE = 16 * 2**30
_MAX_FILE_BYTES = 2**30
_WATCH_SECONDS = 0.02
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def main(library: str, parent_pid: int, memory_mb: int, cpu_seconds: int, arguments: list[str]) -> None:
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if parent_pid and os.getppid() != parent_pid:
        os._exit(1)
    lean = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, _MAX_FILE_BYTES)
    if cpu_seconds:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    if memory_mb:
        _lower(resource.RLIMIT_AS, memory_mb * 2**20 + _ADDRESS_SPACE_RESERVE)
        _thread.start_new_thread(_watch, (memory_mb * 2**20 // resource.getpagesize(),))
    words = [b"lean", *map(os.fsencode, arguments)]
    argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    code = lean.lean_main(len(words), argv)
    libc.fflush(None)
    os._exit(code & 0xFF)


def _lower(kind: int, size: int) -> None:
    hard = resource.getrlimit(kind)[1]
    size = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(kind, (size, size))


def _watch(max_pages: int) -> None:
    """End this process as soon as it holds more than `max_pages` of memory."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        while True:
            file.seek(0)
            if int(file.read(128).split()[1]) > max_pages:
                os._exit(MEMORY_EXIT_CODE)
            time.sleep(_WATCH_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
