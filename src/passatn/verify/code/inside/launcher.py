"""The process that stays: one per worker, it forks a supervisor for every program.

It holds nothing that a program could want, since every program starts with a copy of its memory: no environment, no
test, no earlier program. Requests are taken off its input by the processes they are for.

    hello     {"timeout_seconds": 10, "memory_mb": 2048, "without": [layer, ...]}   ->  {"layers": [...], "missing"}
    requests  {"code", "names", ...} for the program, {"tests", ...} for the other  ->  {"outcome", "detail"}
"""

import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Iterator
from typing import Any

from . import kernel, layers
from .confine import Limits
from .examiner import Report
from .frames import FrameError, read_frame, write_frame
from .supervisor import SetupError, settle, supervise

_PRELOADED = """
    abc array ast asyncio base64 bisect calendar cmath collections copy csv dataclasses datetime decimal difflib enum
    fractions functools hashlib heapq inspect io itertools json math numbers operator queue random re secrets
    statistics string struct subprocess textwrap threading time traceback types typing unicodedata uuid zlib
"""
"""What programs import most: loaded once, here."""


def main(parent_pid: int) -> None:
    """Serve until end of file; ends with the thread that started it."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        return
    requests, replies = _private_pipes()
    hello = read_frame(requests)
    for name in _PRELOADED.split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    active = layers.probe() - frozenset(hello.get("without", ()))
    write_frame(replies, {"layers": layers.describe(active), "missing": layers.missing(active)})
    limits = Limits(hello["timeout_seconds"], hello["memory_mb"])
    own_namespace = _enter_namespaces(active)
    gc.collect()
    gc.freeze()
    with contextlib.suppress(FrameError):
        _serve(requests, replies, active, limits, own_namespace)


def _private_pipes() -> tuple[int, int]:
    requests, replies = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return requests, replies


def _enter_namespaces(active: frozenset[str]) -> int:
    """No network and no shared memory from here on, for all programs; a descriptor of this process's own namespace."""
    if layers.USER_NAMESPACE in active:
        layers.enter_user_namespace()
    if layers.NETWORK in active:
        kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC)
    if {layers.USER_NAMESPACE, layers.PROCESSES} <= active:
        _enter_own_process_namespace()
    return os.open("/proc/self/ns/pid", os.O_RDONLY)


def _enter_own_process_namespace() -> None:
    """Go on in a child: a process may return to its own process namespace only where its user namespace owns that."""
    kernel.unshare(kernel.CLONE_NEWPID)
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        os._exit(0)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def _serve(requests: int, replies: int, active: frozenset[str], limits: Limits, own_namespace: int) -> None:
    while select.select([requests], [], [])[0] and _has_input(requests):
        with _folder(active) as folder:
            report = _judge(requests, active, limits, folder, own_namespace)
        write_frame(replies, report)
        if "retire" in report:
            return


@contextlib.contextmanager
def _folder(active: frozenset[str]) -> Iterator[str]:
    """Where a program mounts its own folder, or else a new folder on disk."""
    if layers.MOUNTS in active:
        yield layers.MOUNT_POINT
        return
    folder = tempfile.mkdtemp(prefix="passatn-code-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_input(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))


def _judge(requests: int, active: frozenset[str], limits: Limits, folder: str, own_namespace: int) -> dict[str, Any]:
    """Fork the supervisor, as the first process of a new namespace where there can be one."""
    read_end, write_end = os.pipe()
    if layers.PROCESSES in active:
        kernel.unshare(kernel.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        try:
            settle()
            os.close(read_end)
            os.write(write_end, json.dumps(_supervise(requests, active, limits, folder)).encode())
        finally:
            os._exit(0)
    if layers.PROCESSES in active:
        kernel.setns(own_namespace, kernel.CLONE_NEWPID)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        data = stream.read()
    os.waitpid(pid, 0)
    return json.loads(data) if data else {"outcome": "error", "detail": "the supervisor died", "retire": True}


def _supervise(requests: int, active: frozenset[str], limits: Limits, folder: str) -> Report | dict[str, Any]:
    try:
        report = supervise(requests, active, limits, folder)
    except (SetupError, OSError, FrameError) as error:
        return {"outcome": "error", "detail": f"the program could not be confined: {error}", "retire": True}
    return {"outcome": report["outcome"], "detail": report["detail"]}
