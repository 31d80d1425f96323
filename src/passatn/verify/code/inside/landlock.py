"""Landlock: the files a process may touch, TCP, and (ABI 6) signals to processes outside; Linux 5.13 and newer.

Rights are those of linux/landlock.h; a kernel is asked only for what its ABI knows.
"""

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterable

from . import kernel

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE = 1 << 14
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_FILESYSTEM_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP_RIGHTS = 3
_SCOPES = 3


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def abi() -> int:
    """The kernel's version of Landlock, 0 where there is none."""
    try:
        return kernel.syscall("landlock", _CREATE, None, ctypes.c_size_t(0), _VERSION_FLAG)
    except OSError:
        return 0


def restrict(readable: Iterable[int | str], writable: Iterable[int | str]) -> None:
    """Forbid all files but these, for good; paths that do not exist are passed over. Needs no_new_privs."""
    version = abi()
    rights = _FILESYSTEM_RIGHTS[min(version, 5)]
    ruleset = _Ruleset(rights, _TCP_RIGHTS if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    descriptor = kernel.syscall("landlock_create_ruleset", _CREATE, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    try:
        for path in readable:
            _allow(descriptor, path, _READ & rights)
        for path in writable:
            _allow(descriptor, path, rights)
        kernel.syscall("landlock_restrict_self", _RESTRICT, descriptor, 0)
    finally:
        os.close(descriptor)


def _allow(ruleset: int, path: int | str, rights: int) -> None:
    with contextlib.ExitStack() as stack:
        if isinstance(path, str):
            try:
                path = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                return
            stack.callback(os.close, path)
        if not stat.S_ISDIR(os.fstat(path).st_mode):
            rights &= _FILE_RIGHTS
        rule = _PathRule(rights, path)
        kernel.syscall("landlock_add_rule", _ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
