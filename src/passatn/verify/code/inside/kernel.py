"""The few system calls that Python does not offer, through ctypes. Failures raise OSError with the call's name."""

import ctypes
import os
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

MS_NOSUID_NODEV = 0x2 | 0x4
MS_NOEXEC = 0x8
_MS_RECURSIVE_PRIVATE = 0x4000 | 0x40000
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_SYS_MOUNT_SETATTR = 442
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user_namespace")]


def check(result: int, name: str) -> int:
    """The result of a C call, or OSError."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def syscall(name: str, number: int, *arguments: Any) -> int:
    return check(_libc.syscall(ctypes.c_long(number), *arguments), name)


def prctl(option: int, *arguments: Any) -> None:
    padded = [ctypes.c_ulong(item) if isinstance(item, int) else item for item in (*arguments, 0, 0, 0, 0)[:4]]
    check(_libc.prctl(option, *padded), f"prctl {option}")


def unshare(flags: int) -> None:
    check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    check(_libc.setns(descriptor, kind), "setns")


def mount(kind: str, target: str, flags: int, options: str = "") -> None:
    result = _libc.mount(kind.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    check(result, f"mount {target}")


def detach_mounts() -> None:
    """Keep mounts of this namespace from spreading to others."""
    check(_libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_RECURSIVE_PRIVATE), None), "mount --make-rprivate")


def make_mounts_read_only() -> None:
    """Everything that is mounted now, for this mount namespace."""
    attributes = _MountAttributes(1, 0, 0, 0)
    size = ctypes.sizeof(attributes)
    flags = (_AT_FDCWD, b"/", _AT_RECURSIVE, ctypes.byref(attributes), ctypes.c_size_t(size))
    syscall("mount_setattr", _SYS_MOUNT_SETATTR, *flags)


def drop_capabilities() -> None:
    """All of them; needed where a user namespace gave them (a change of uid drops them by itself)."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    syscall("capset", _SYS_CAPSET[os.uname().machine], header, (ctypes.c_uint32 * 6)())
