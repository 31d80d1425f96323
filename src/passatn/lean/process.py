"""Run Lean once on a text, with limits, and take what it says.

run = run_lean(embedded_lean(), text, timeout_seconds=60, memory_mb=2048)
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
from typing import Protocol

from passatn.lean.errors import LeanError, LeanMemoryError, LeanTimeoutError
from passatn.lean.launcher import MEMORY_EXIT_CODE

_MAX_OUTPUT_BYTES = 8 * 2**20
TICK_SECONDS = 0.25
"""How often something that waits looks whether it was cancelled."""


def never() -> bool:
    return False


class LeanProgram(Protocol):
    """The `lean` command: the embedded one, or that of a project."""

    @property
    def folder(self) -> Path | None:
        """Where it has to run, if that matters."""

    @property
    def limits_memory(self) -> bool:
        """Does it end by itself, with `MEMORY_EXIT_CODE`, where it needs more than `memory_mb`?"""

    def command(self, arguments: Sequence[str], *, memory_mb: int, cpu_seconds: int) -> list[str]: ...

    def environment(self, *folders: str | Path) -> dict[str, str]: ...


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
    lean: LeanProgram,
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
        arguments = ["--json", "-j1", "-R", folder, *(["-o", str(olean)] if want_olean else []), str(source)]
        command = lean.command(arguments, memory_mb=memory_mb, cpu_seconds=math.ceil(timeout_seconds))
        limits = CommandLimits(timeout_seconds, 0 if lean.limits_memory else memory_mb, cancelled)
        with output.open("wb") as sink:
            exit_code = run_command(command, lean.folder or folder, lean.environment(*folders), sink.fileno(), limits)
        with output.open("rb") as file:
            written = file.read(_MAX_OUTPUT_BYTES).decode("utf-8", "replace")
        messages, noise = _parse(written)
        _check_limits(exit_code, noise, memory_mb)
        return LeanRun(exit_code, tuple(messages), noise, olean.read_bytes() if olean.is_file() else None)


@dataclass(frozen=True)
class CommandLimits:
    """`memory_mb` is 0 where the process sees to that itself."""

    timeout_seconds: float
    memory_mb: int
    cancelled: Callable[[], bool]


def run_command(
    command: list[str], folder: str | Path, environment: dict[str, str], output: int, limits: CommandLimits
) -> int:
    """The exit code. Raises LeanTimeoutError, LeanMemoryError or LeanError, when nothing of it runs any more."""
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
        raise LeanError(f"{command[0]} could not be started: {error}") from None
    try:
        _wait(process, limits)
        return process.wait()
    finally:
        kill_group(process)


def _wait(process: "subprocess.Popen[bytes]", limits: CommandLimits) -> None:
    """Return as soon as the process ends; `Popen.wait(timeout=...)` alone looks only every 50 ms."""
    deadline = time.monotonic() + limits.timeout_seconds
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:  # some sandboxes have no such call
        descriptor = -1
    try:
        while not _ends_within(process, descriptor, max(0.0, min(TICK_SECONDS, deadline - time.monotonic()))):
            if limits.cancelled():
                raise LeanError("cancelled")
            if time.monotonic() >= deadline:
                raise LeanTimeoutError(f"Lean took longer than {limits.timeout_seconds:g} s")
            if limits.memory_mb and session_mb(process.pid) > limits.memory_mb:
                raise LeanMemoryError(f"Lean needed more than {limits.memory_mb} MiB")
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


def session_mb(leader: int) -> float:
    """The memory of all processes in the session of `leader`, without files that are only mapped (imports)."""
    total = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError):
            if int(Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                status = Path("/proc", name, "status").read_text()
                total += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))
    return total / 1024


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
