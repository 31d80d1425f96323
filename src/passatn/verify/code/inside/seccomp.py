"""A seccomp filter: system calls that no tested program needs, refused with EPERM (clone3, as unknown: libc then
falls back to clone, whose flags a filter can read). It is what keeps programs off the network where namespaces are
not to be had."""

import ctypes
import errno
import os
import struct

from . import kernel

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_X32_BIT = 0x40000000
_MODE_FILTER = 2
_NEW_NAMESPACES = 0x7E020000
"""Every CLONE_NEW* flag but that of the time namespace, which clone does not take."""

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435

_REFUSED = {
    # name: (x86_64, aarch64)
    "socket": (41, 198),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "memfd_create": (319, 279),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "personality": (135, 92),
    "open_by_handle_at": (304, 265),
    "kcmp": (312, 272),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "pidfd_getfd": (438, 438),
    "mount_setattr": (442, 442),
    "memfd_secret": (447, 447),
}


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def is_known_machine() -> bool:
    return os.uname().machine in _ARCHITECTURES


def refuse_system_calls() -> None:
    """Install the filter, for good, for this process and its children. Needs no_new_privs."""
    code = _assemble(os.uname().machine)
    program = _Program(len(code) // 8, code)
    kernel.prctl(kernel.PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program))


def _assemble(machine: str) -> bytes:
    column = list(_ARCHITECTURES).index(machine)
    lines = [_line(_LOAD, _ARCHITECTURE), _line(_JUMP_EQUAL, _ARCHITECTURES[machine], 1, 0), _line(_RETURN, _KILL)]
    lines.append(_line(_LOAD, _NUMBER))
    if machine == "x86_64":
        lines += [_line(_JUMP_AT_LEAST, _X32_BIT, 0, 1), _line(_RETURN, _ERRNO | errno.EPERM)]
    for numbers in _REFUSED.values():
        lines += [_line(_JUMP_EQUAL, numbers[column], 0, 1), _line(_RETURN, _ERRNO | errno.EPERM)]
    lines += [_line(_JUMP_EQUAL, _CLONE3, 0, 1), _line(_RETURN, _ERRNO | errno.ENOSYS)]
    lines += [_line(_JUMP_EQUAL, _CLONE[machine], 0, 3), _line(_LOAD, _FIRST_ARGUMENT)]
    lines += [_line(_JUMP_BITS, _NEW_NAMESPACES, 0, 1), _line(_RETURN, _ERRNO | errno.EPERM)]
    lines.append(_line(_RETURN, _ALLOW))
    return b"".join(lines)


def _line(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)
