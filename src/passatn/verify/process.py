"""The parent's side of one worker process: start it, ask it with a deadline, kill it.

Processes are started by `subprocess` (fork and exec in one step, safe beside threads), each in a session of its own, so
that it dies with its children. No signal handler is installed and none is needed. A worker dies with the thread that
started it: start it from a thread that lives as long as the worker should (`passatn.verify.pool` does).
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from passatn.verify.worker import LENGTH

START_SECONDS = 60.0
MAX_REPLY_BYTES = 16 * 2**20
_TICK_SECONDS = 0.25
_BOOTSTRAP = "import sys; sys.path[:] = {path!r}; from passatn.verify.worker import main; main({parent})"
_THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}


class WorkerTimeoutError(Exception):
    """No answer before the deadline; the process is of no use any more."""


class WorkerDiedError(Exception):
    """The process ended, or answered something that is not a reply."""


class WorkerLoadError(ValueError):
    """The function cannot be loaded: no other worker would do better."""


def never() -> bool:
    return False


class PipedProcess:
    """A process with non-blocking pipes at its input and output; its errors go nowhere."""

    def __init__(self, command: Sequence[str], *, environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_THREADS, "PYTHONHASHSEED": "0", **(environment or {})},
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        os.set_blocking(self._output, False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, data: bytes, deadline: float, cancelled: Callable[[], bool] = never) -> None:
        """Write all of `data`. Raises WorkerTimeoutError or WorkerDiedError."""
        view = memoryview(data)
        while view:
            self._wait(self._input, select.POLLOUT, deadline, cancelled)
            try:
                view = view[os.write(self._input, view) :]
            except BlockingIOError:
                continue
            except OSError:
                raise WorkerDiedError(self._obituary()) from None

    def receive(self, deadline: float, cancelled: Callable[[], bool] = never) -> bytes:
        """Some bytes. Raises WorkerTimeoutError or, at end of file, WorkerDiedError."""
        while True:
            self._wait(self._output, select.POLLIN, deadline, cancelled)
            try:
                data = os.read(self._output, 2**16)
            except BlockingIOError:
                continue
            if not data:
                raise WorkerDiedError(self._obituary())
            return data

    def has_output(self) -> bool:
        """Is there something to receive, an end of file included?"""
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        return bool(poll.poll(0))

    def close_input(self) -> None:
        """Let the process see end of file."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        """Kill the process and those it started, and wait for it; safe to call twice."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _wait(self, descriptor: int, event: int, deadline: float, cancelled: Callable[[], bool]) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        while not cancelled():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise WorkerTimeoutError
            if poll.poll(1000 * min(remaining, _TICK_SECONDS)):
                return
        raise WorkerDiedError("the pool was closed")

    def _obituary(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)
        code = self._process.returncode
        if code is None:
            return "the worker closed its pipe"
        if code < 0:
            return f"the worker was killed by {_signal_name(-code)}"
        return f"the worker ended with exit code {code}"


class FunctionWorker:
    """A process that answers requests through the function that `factory` ("module:name") returns."""

    def __init__(
        self,
        factory: str,
        arguments: Sequence[Any],
        memory_mb: int,
        cancelled: Callable[[], bool] = never,
    ) -> None:
        """Raises WorkerLoadError, WorkerTimeoutError, WorkerDiedError or OSError."""
        path = [entry or os.getcwd() for entry in sys.path]
        bootstrap = _BOOTSTRAP.format(path=path, parent=os.getpid())
        self.num_tasks = 0
        self.retired = False
        self._cancelled = cancelled
        self._process = PipedProcess([sys.executable, "-c", bootstrap])
        hello = {"factory": factory, "arguments": list(arguments), "memory_mb": memory_mb}
        try:
            reply = self._exchange(hello, START_SECONDS)
        except BaseException:
            self._process.kill()
            raise
        if "error" in reply:
            self._process.kill()
            raise WorkerLoadError(reply["error"])

    def ask(self, payload: Any, timeout_seconds: float) -> dict[str, Any]:
        """The worker's reply, {"value": ...} or {"error": ...}. Raises WorkerTimeoutError or WorkerDiedError."""
        self.num_tasks += 1
        reply = self._exchange(payload, timeout_seconds)
        self.retired = bool(reply.get("retire"))
        return reply

    def kill(self) -> None:
        self._process.kill()

    def _exchange(self, payload: Any, timeout_seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_seconds
        body = json.dumps(payload).encode()
        self._process.send(LENGTH.pack(len(body)) + body, deadline, self._cancelled)
        buffer = bytearray()
        while len(buffer) < LENGTH.size or len(buffer) < LENGTH.size + LENGTH.unpack_from(buffer)[0]:
            buffer += self._process.receive(deadline, self._cancelled)
            if len(buffer) > MAX_REPLY_BYTES:
                raise WorkerDiedError(f"the worker's reply exceeds {MAX_REPLY_BYTES // 2**20} MiB")
        try:
            reply = json.loads(buffer[LENGTH.size :])
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise WorkerDiedError("the worker wrote something that is not a reply")
        return reply


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
