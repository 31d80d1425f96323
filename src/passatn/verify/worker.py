"""The child's side of the pool: load one function, then answer one request after the other until the pipe closes.

Runs in a process of its own, started by `passatn.verify.process`; standard library only, so that a worker holds what
its function needs and nothing else. Requests and replies are JSON, each behind its length (4 bytes, big-endian).

    hello    {"factory": "module:name", "arguments": [...], "memory_mb": 2048}    -> {"ready": true}
    request  any JSON value, given to what the factory returned                   -> {"value": ...}
    failure  of the function or its result                                        -> {"error": "ValueError: ..."}

`"retire": true` in a reply asks for a fresh process: after a MemoryError, or when this one has become large.
"""

import contextlib
import ctypes
import importlib
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

LENGTH = struct.Struct(">I")
_PR_SET_PDEATHSIG = 1
_OUT_OF_MEMORY = json.dumps({"error": "memory limit", "retire": True}).encode()


def main(parent_pid: int) -> None:
    """Serve until end of file; `parent_pid` is the process that must outlive this one."""
    die_with_parent(parent_pid)
    requests, replies = _private_pipes()
    hello = json.loads(_read(requests) or b"{}")
    try:
        function = _load(hello["factory"])(*hello["arguments"])
    except BaseException as error:
        _write(replies, json.dumps({"error": _describe(error)}).encode())
        return
    budget = limit_memory(hello["memory_mb"])
    _write(replies, b'{"ready": true}')
    while (request := _read(requests)) is not None:
        reply = _answer(function, request, budget)
        _write(replies, reply)
        if reply is _OUT_OF_MEMORY:
            return


def die_with_parent(parent_pid: int) -> None:
    """Ask Linux to kill this process when the thread that started it ends; elsewhere end of file has to do."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


def limit_memory(memory_mb: int) -> int:
    """Allow `memory_mb` MiB on top of what is mapped now, and no core dumps; the resident size at which to retire."""
    mapped, resident = _mapped_and_resident()
    for kind, size in ((resource.RLIMIT_AS, mapped + memory_mb * 2**20), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        size = size if hard == resource.RLIM_INFINITY else min(size, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (size, size))
    return resident + memory_mb * 2**19


def _mapped_and_resident() -> tuple[int, int]:
    """Bytes of this process, 0 where /proc does not tell (getrusage would count what the parent had before exec)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = file.read().split()
    except OSError:
        return 0, 0
    return int(pages[0]) * resource.getpagesize(), int(pages[1]) * resource.getpagesize()


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for this module alone: a function that prints writes to nowhere."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return requests, replies


def _load(spec: str) -> Callable[..., Any]:
    module, _, name = spec.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return loaded


def _answer(function: Callable[[Any], Any], request: bytes, budget: int) -> bytes:
    try:
        reply: dict[str, Any] = {"value": function(json.loads(request))}
        if _mapped_and_resident()[1] > budget:
            reply["retire"] = True
        return json.dumps(reply).encode()
    except MemoryError:
        return _OUT_OF_MEMORY
    except BaseException as error:
        return json.dumps({"error": _describe(error)}).encode()


def _describe(error: BaseException) -> str:
    message = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _read(stream: BinaryIO) -> bytes | None:
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    size = LENGTH.unpack(header)[0]
    body = stream.read(size)
    return body if len(body) == size else None


def _write(stream: BinaryIO, body: bytes) -> None:
    try:
        stream.write(LENGTH.pack(len(body)) + body)
        stream.flush()
    except BrokenPipeError:
        sys.exit(0)
