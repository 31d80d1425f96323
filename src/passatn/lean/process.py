"""Run the embedded Lean once on a text, with limits, and take what it says.

run = run_lean(text, timeout_seconds=60, memory_mb=2048)
run.messages, run.exit_code
"""

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from passatn.lean.embedded import EmbeddedLean
from passatn.lean.errors import LeanError, LeanMemoryError, LeanTimeoutError
from passatn.lean.launcher import MEMORY_EXIT_CODE

_MAX_OUTPUT_BYTES = 8 * 2**20
_TICK_SECONDS = 0.25


def never() -> bool:
    return False


@dataclass(frozen=True)
class Message:
    """What Lean says about a place in a text: `line` from 1, `column` from 0 in characters."""

    severity: str
    text: str
    line: int
    column: int

    @property
    def is_error(self) -> bool:
        return self.severity == "error"


@dataclass(frozen=True)
class LeanRun:
    """The outcome of one process; `noise` is what it wrote that is no message, such as a panic."""

    exit_code: int
    messages: tuple[Message, ...]
    noise: str
    olean: bytes | None


def run_lean(
    lean: EmbeddedLean,
    text: str,
    *,
    module: str = "Main",
    folders: Sequence[Path] = (),
    timeout_seconds: float,
    memory_mb: int,
    want_olean: bool = False,
    cancelled: Callable[[], bool] = never,
) -> LeanRun:
    """Elaborate `text` in a fresh process.

    Raises LeanTimeoutError, LeanMemoryError, or LeanError if it does not start or `cancelled` turns true meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="passatn-lean-") as folder:
        source, olean, output = (Path(folder) / name for name in (f"{module}.lean", f"{module}.olean", "output"))
        source.write_text(text, encoding="utf-8")
        arguments = ["--json", "-j1", *(["-o", str(olean)] if want_olean else []), source.name]
        command = lean.command(arguments, memory_mb=memory_mb, cpu_seconds=math.ceil(timeout_seconds))
        with output.open("wb") as sink:
            exit_code = _run(command, folder, lean.environment(*folders), sink.fileno(), timeout_seconds, cancelled)
        with output.open("rb") as file:
            written = file.read(_MAX_OUTPUT_BYTES).decode("utf-8", "replace")
        messages, noise = _parse(written)
        _check_limits(exit_code, noise, memory_mb)
        return LeanRun(exit_code, tuple(messages), noise, olean.read_bytes() if olean.is_file() else None)


def _run(
    command: list[str],
    folder: str,
    environment: dict[str, str],
    output: int,
    timeout_seconds: float,
    cancelled: Callable[[], bool],
) -> int:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise LeanError(f"Lean could not be started: {error}") from None
    try:
        _wait(process, timeout_seconds, cancelled)
        return process.wait()
    finally:
        kill_group(process)


def _wait(process: "subprocess.Popen[bytes]", timeout_seconds: float, cancelled: Callable[[], bool]) -> None:
    """Return as soon as the process ends; `Popen.wait(timeout=...)` alone looks only every 50 ms."""
    deadline = time.monotonic() + timeout_seconds
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:  # some sandboxes have no such call
        descriptor = -1
    try:
        while not _ends_within(process, descriptor, max(0.0, min(_TICK_SECONDS, deadline - time.monotonic()))):
            if cancelled():
                raise LeanError("cancelled")
            if time.monotonic() >= deadline:
                raise LeanTimeoutError(f"Lean took longer than {timeout_seconds:g} s")
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _ends_within(process: "subprocess.Popen[bytes]", descriptor: int, seconds: float) -> bool:
    if descriptor < 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
        return process.returncode is not None
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process that leads a session with all that it started, and wait for it; safe to call twice."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _check_limits(exit_code: int, noise: str, memory_mb: int) -> None:
    if exit_code == MEMORY_EXIT_CODE or "out of memory" in noise:
        raise LeanMemoryError(f"Lean needed more than {memory_mb} MiB")
    if exit_code == -signal.SIGXCPU:
        raise LeanTimeoutError("Lean reached its limit of CPU time")
    if exit_code == -signal.SIGKILL:
        raise LeanError("Lean was killed by SIGKILL, perhaps because the machine ran out of memory")
    if exit_code == 1 and "lean_main" in noise:
        raise LeanError(f"Lean could not be started: {noise.strip().splitlines()[-1]}")


def _parse(written: str) -> tuple[list[Message], str]:
    messages: list[Message] = []
    noise: list[str] = []
    for line in written.splitlines():
        record = None
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                record = json.loads(line)
        if isinstance(record, dict) and "severity" in record:
            position = record.get("pos") or {}
            messages.append(
                Message(record["severity"], record["data"], position.get("line", 0), position.get("column", 0))
            )
        elif line.strip():
            noise.append(line)
    return messages, "\n".join(noise)


def errors_of(messages: Sequence[Message]) -> Iterator[Message]:
    return (message for message in messages if message.is_error)
