"""The parent's side of a launcher: start it with an empty environment, give it an exam, take its report.

A launcher is started by a bare interpreter: no site-packages, no user folder, no variable of ours. It stays for many
programs, each of which gets processes of its own; see `inside`.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from passatn.verify.code.inside.frames import LENGTH, pack_frame
from passatn.verify.process import START_SECONDS, PipedProcess, WorkerDiedError, never

GRACE_SECONDS = 10.0
"""What a launcher may take beyond a program's own limit before it is given up: it keeps that limit itself."""

_ENVIRONMENT = ("PATH=/usr/bin:/bin", "LANG=C.UTF-8", "PYTHONHASHSEED=0")
_BOOTSTRAP = (
    "import sys; sys.path.insert(0, {folder!r}); from inside.launcher import main; del sys.path[0]; main({parent})"
)


@dataclass(frozen=True)
class Layer:
    """One layer of confinement; `detail` says what it does or, where it is not active, what would activate it."""

    name: str
    active: bool
    detail: str


class LauncherWorker:
    """A launcher as a worker of `passatn.verify.pool`. `without` names layers to leave out."""

    def __init__(
        self,
        timeout_seconds: float,
        memory_mb: int,
        *,
        without: Sequence[str] = (),
        cancelled: Callable[[], bool] = never,
    ) -> None:
        """Raises WorkerTimeoutError, WorkerDiedError or OSError."""
        self.num_tasks = 0
        self.retired = False
        self._cancelled = cancelled
        bootstrap = _BOOTSTRAP.format(folder=str(Path(__file__).parent), parent=os.getpid())
        python = (sys.executable, "-s", "-P", "-S", "-c", bootstrap)
        self._process = PipedProcess(["/usr/bin/env", "-i", *_ENVIRONMENT, *python])
        hello = {"timeout_seconds": timeout_seconds, "memory_mb": memory_mb, "without": list(without)}
        try:
            reply = self._exchange([hello], START_SECONDS)
        except BaseException:
            self._process.kill()
            raise
        self.layers = [Layer(*layer) for layer in reply["layers"]]
        self.missing: str = reply["missing"]

    def ask(self, payload: Any, timeout_seconds: float) -> dict[str, Any]:
        """The report on the exam (program, tests) as {"value": ...}. Raises WorkerTimeoutError or WorkerDiedError."""
        self.num_tasks += 1
        report = self._exchange(payload, timeout_seconds)
        self.retired = "retire" in report
        return {"value": report}

    def kill(self) -> None:
        self._process.kill()

    def _exchange(self, messages: Sequence[Any], timeout_seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_seconds
        self._process.send(b"".join(map(pack_frame, messages)), deadline, self._cancelled)
        buffer = bytearray()
        while len(buffer) < LENGTH.size or len(buffer) < LENGTH.size + LENGTH.unpack_from(buffer)[0]:
            buffer += self._process.receive(deadline, self._cancelled)
        reply = json.loads(buffer[LENGTH.size :])
        if not isinstance(reply, dict):
            raise WorkerDiedError("the launcher wrote something that is not a reply")
        return reply


def probe_layers() -> list[Layer]:
    """Which layers of confinement hold on this machine, for `passatn doctor`."""
    return list(_probe()[0])


def missing_layers() -> str:
    """Why untrusted programs cannot be run here, and what to do; empty where they can."""
    return _probe()[1]


@lru_cache(maxsize=1)
def _probe() -> tuple[tuple[Layer, ...], str]:
    if not sys.platform.startswith("linux"):
        return (Layer("Linux", False, "the layers are Linux's: use Linux or a container"),), "this is not Linux"
    worker = LauncherWorker(1.0, 1024)
    worker.kill()
    return tuple(worker.layers), worker.missing
