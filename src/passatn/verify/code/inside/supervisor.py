"""One program: start it and its examiner in cells of their own, keep the deadline, then kill and reap everything.

The supervisor is the first process of its process namespace, so that the kernel ends all others with it; where there
is no such namespace it adopts orphans and kills by user until none is left. Only the examiner holds the pipe on which
a pass is reported. Requests are read by those they are meant for: the program's part is never in the memory of the
examiner's, nor the tests in the program's.
"""

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable

from . import examiner, kernel, layers, program
from .child import Child, is_cpu_limit, obituary
from .confine import Cell, Limits, confine, keep_only
from .examiner import Report
from .frames import read_frame

FOLDER_BYTES = 64 * 2**20
_TICK_SECONDS = 0.1
_LAST_WORD_SECONDS = 0.5
_MAX_REPORT_BYTES = 2**16


class SetupError(Exception):
    """A process could not be confined, and so ran nothing."""


def supervise(requests: int, active: frozenset[str], limits: Limits, folder: str) -> Report:
    """The report on one program, whose two requests wait on the descriptor `requests`."""
    cells = _cells(active, limits, folder)
    program_end, examiner_end = socket.socketpair()
    report_read, report_write = os.pipe()
    children: list[Child] = []
    try:
        children.append(_spawn(cells[0], [requests, program_end.fileno()], _run_program))
        deadline = time.monotonic() + limits.timeout_seconds
        program_end.close()
        children.append(_spawn(cells[1], [requests, examiner_end.fileno(), report_write], _run_examiner))
        os.close(report_write)
        examiner_end.close()
        return _await(children, report_read, deadline, limits)
    finally:
        _end(children, active)


def _cells(active: frozenset[str], limits: Limits, folder: str) -> tuple[Cell, Cell]:
    """The program's and the examiner's: different users in one folder."""
    users: list[int | None] = [None, None]
    if os.geteuid() == 0 and layers.USER in active:
        users = [*layers.fresh_users(2)]
    if layers.MOUNTS in active:
        libraries = _enter_private_mounts(folder)
    else:
        libraries = _open_libraries()
        if users[0] is not None:
            os.chmod(folder, stat.S_ISVTX | 0o777)
    first, second = (Cell(active, limits, user, folder, libraries) for user in users)
    return first, second


def _enter_private_mounts(folder: str) -> tuple[int, ...]:
    """The standard library's folders, opened where all is read-only and before something is mounted over them.

    The fresh /proc, which shows this namespace only, is refused where the old one is covered in part.
    """
    libraries: list[int] = []
    layers.make_private_mounts(folder, FOLDER_BYTES, lambda: libraries.extend(_open_libraries()))
    with contextlib.suppress(OSError):
        kernel.mount("proc", "/proc", kernel.MS_NOSUID_NODEV | kernel.MS_NOEXEC)
    return tuple(libraries)


def _open_libraries() -> tuple[int, ...]:
    return tuple(os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in sys.path if os.path.isdir(path))


def _spawn(cell: Cell, keep: list[int], main: Callable[[list[int]], None]) -> Child:
    """Fork, confine, run `main`, which starts with reading its request; returns when it is confined and has read.

    Raises SetupError with the child's reason.
    """
    ready_read, ready_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            *kept, ready = keep_only([*keep, ready_write], cell)
            _confine_or_tell(cell, ready)
            main([*kept, ready])
        finally:
            os._exit(0)
    os.close(ready_write)
    answer = os.read(ready_read, 512)
    os.close(ready_read)
    child = Child(pid, cell.user)
    if answer != b"ok":
        child.poll(block=True)
        raise SetupError(answer.decode(errors="replace") or "a process ended while it was being confined")
    return child


def _confine_or_tell(cell: Cell, ready: int) -> None:
    try:
        confine(cell)
    except BaseException as error:
        os.write(ready, f"{type(error).__name__}: {error}".encode())
        os._exit(1)


def _run_program(descriptors: list[int]) -> None:
    requests, channel, ready = descriptors
    job = read_frame(requests)
    os.close(requests)
    os.write(ready, b"ok")
    os.close(ready)
    program.run(job, channel)


def _run_examiner(descriptors: list[int]) -> None:
    """Not dumpable: no process of the same user may trace this one or read its memory."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    requests, channel, report, ready = descriptors
    job = read_frame(requests)
    os.write(ready, b"ok")
    os.close(ready)
    os.write(report, json.dumps(examiner.examine(job, channel)).encode())


def _await(children: list[Child], report_read: int, deadline: float, limits: Limits) -> Report:
    """The examiner's report, or why there is none."""
    untrusted, trusted = children
    while (remaining := deadline - time.monotonic()) > 0:
        if select.select([report_read], [], [], min(remaining, _TICK_SECONDS))[0]:
            report = _read_report(report_read)
            if report is None:
                trusted.poll(block=True)
                blame = "timeout" if is_cpu_limit(trusted, limits) else "error"
                return obituary(trusted, limits, "the tests") | {"outcome": blame}
            return _explain(report, untrusted, limits) if "gone" in report else report
        if untrusted.poll() and not select.select([report_read], [], [], _LAST_WORD_SECONDS)[0]:
            return obituary(untrusted, limits, "the program")
        if _resident_bytes() > limits.memory_mb * 2**20:
            return {"outcome": "error", "detail": "memory limit: all processes together"}
    return {"outcome": "timeout", "detail": f"wall-clock limit of {limits.timeout_seconds:g} s"}


def _read_report(descriptor: int) -> Report | None:
    data = os.read(descriptor, _MAX_REPORT_BYTES)
    return json.loads(data) if data else None


def _explain(report: Report, untrusted: Child, limits: Limits) -> Report:
    """How the program ended, when all the examiner saw is that it did."""
    patience = time.monotonic() + _LAST_WORD_SECONDS
    while not untrusted.poll() and time.monotonic() < patience:
        time.sleep(0.002)
    if untrusted.status is None:
        return {"outcome": "incorrect", "detail": report["detail"]}
    return obituary(untrusted, limits, "the program")


def _resident_bytes() -> int:
    """Of all processes in the namespace, what they share counted once; 0 where /proc is not this namespace's."""
    with contextlib.suppress(OSError, ValueError):
        pids = [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]
        if os.readlink("/proc/self") == "1" and len(pids) > 2:
            return sum(map(_proportional_bytes, pids))
    return 0


def _proportional_bytes(pid: str) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next((1024 * int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
    return 0


def _end(children: list[Child], active: frozenset[str]) -> None:
    """Nothing of the program is left when this returns, or, in a process namespace, when this process has ended."""
    if layers.PROCESSES in active:
        return
    for child in children:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        if child.user is not None:
            _kill_user(child.user)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _kill_user(user: int) -> None:
    """Kill every process of a user that only one program has."""
    pid = os.fork()
    if pid == 0:
        try:
            layers.drop_to_other_user(user)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def settle() -> None:
    """What the supervisor does first: die with the launcher, adopt orphans, need no garbage collection."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.disable()
