"""Speaks the protocol of the community's REPL with a process: the embedded Lean's loop, or `lake env repl`.

One JSON object and a blank line each way. One client serves one thread at a time.

    with ReplClient(command, environment) as repl:
        reply = repl.command("theorem t : 1 = 1 := by sorry")
        repl.tactic("rfl", reply.states[0].id, timeout_seconds=5)
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from passatn.lean.errors import LeanError, LeanMemoryError, LeanTimeoutError
from passatn.lean.launcher import MEMORY_EXIT_CODE
from passatn.lean.process import TICK_SECONDS, kill_group, never

START_SECONDS = 60.0
_OUTGROWN_FRACTION, _OUTGROWN_REQUESTS = 0.6, 64
_MAX_AHEAD_BYTES = 2**15
"""What is written before it is read must fit into the pipe, or both sides might wait for each other."""
_MAX_REPLY_BYTES = 16 * 2**20
_LOST_HINT = "(invalid MessageData.lazy, missing context)"
"""What Lean prints for a hint that it can no longer make up, after an error outside of its context."""


@dataclass(frozen=True)
class OpenState:
    """A proof state in the process that knows it by this number."""

    id: int
    goals: tuple[str, ...]


@dataclass(frozen=True)
class CommandReply:
    """`states`: what `sorry` stands for, in order; `environment`: the number of what is declared by then."""

    states: tuple[OpenState, ...]
    messages: tuple[tuple[str, str], ...]
    environment: int

    @property
    def errors(self) -> tuple[str, ...]:
        return tuple(text for severity, text in self.messages if severity == "error")


class ReplClient:
    """A REPL process and its two pipes. A process that failed is of no use any more: `kill` it.

    An embedded Lean dies with the thread that started it.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        *,
        cancelled: Callable[[], bool] = never,
    ) -> None:
        """Raises LeanError if it cannot be started. Whoever waits when `cancelled` turns true gets a LeanError."""
        self.num_requests = 0
        self._cancelled = cancelled
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=None if environment is None else dict(environment),
                cwd=folder,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise LeanError(f"Lean's REPL could not be started: {error}") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        os.set_blocking(self._output, False)
        self._pending = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def resident_mb(self) -> float:
        """What the process holds in memory, 0 where that cannot be read."""
        try:
            with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
        except (OSError, IndexError):
            return 0.0

    def has_outgrown(self, memory_mb: int) -> bool:
        """Does it hold so much between two requests that a fresh one should take its place?

        Not if it has only just started and needs as much for nothing.
        """
        return self.num_requests > _OUTGROWN_REQUESTS and self.resident_mb > _OUTGROWN_FRACTION * memory_mb

    def command(
        self, text: str, environment: int | None = None, *, timeout_seconds: float = START_SECONDS
    ) -> CommandReply:
        """Elaborate commands. Raises LeanTimeoutError, LeanMemoryError or LeanError."""
        request = {"cmd": text} if environment is None else {"cmd": text, "env": environment}
        reply = self.ask(request, timeout_seconds)
        if "env" not in reply:
            raise LeanError(str(reply.get("message", reply)))
        try:
            states = tuple(OpenState(sorry["proofState"], (sorry["goal"],)) for sorry in reply.get("sorries", ()))
            messages = tuple((message["severity"], message["data"]) for message in reply.get("messages", ()))
        except (KeyError, TypeError):
            raise _malformed(reply) from None
        return CommandReply(states, messages, reply["env"])

    def tactic(self, text: str, state: int, *, timeout_seconds: float = START_SECONDS) -> OpenState | str:
        """The next state or, as text, why there is none. Raises LeanTimeoutError, LeanMemoryError or LeanError."""
        return _next_state(self.ask({"tactic": text, "proofState": state}, timeout_seconds))

    def tactics(self, pairs: Sequence[tuple[str, int]], *, timeout_seconds: float) -> Iterator[OpenState | str]:
        """As `tactic` for each, sent ahead of the replies as far as the pipe holds them.

        `timeout_seconds` is for each. After an error the first without a reply is the one to blame.
        """
        requests = deque(_encoded({"tactic": text, "proofState": state}) for text, state in pairs)
        sent: deque[int] = deque()
        for _ in pairs:
            self.num_requests += 1
            deadline = time.monotonic() + timeout_seconds
            ahead = bytearray()
            while requests and (not sent or sum(sent) + len(requests[0]) <= _MAX_AHEAD_BYTES):
                sent.append(len(requests[0]))
                ahead += requests.popleft()
            self._send(bytes(ahead), deadline)
            yield _next_state(self._reply(deadline))
            sent.popleft()

    def ask(self, request: Mapping[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """The reply to a request. Raises LeanTimeoutError, LeanMemoryError or LeanError."""
        self.num_requests += 1
        deadline = time.monotonic() + timeout_seconds
        self._send(_encoded(request), deadline)
        return self._reply(deadline)

    def interrupt(self) -> None:
        """Kill the process, from any thread: whoever waits for an answer gets a LeanError."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill the process and those it started; safe to call twice. Only where nobody waits for an answer."""
        kill_group(self._process)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _reply(self, deadline: float) -> dict[str, Any]:
        while b"\n\n" not in self._pending:
            self._receive(deadline)
        text, _, self._pending = self._pending.partition(b"\n\n")
        try:
            reply = json.loads(text)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise LeanError(f"Lean's REPL wrote something that is not a reply: {text[:200].decode('utf-8', 'replace')}")
        return reply

    def _send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._input, select.POLLOUT, deadline)
            try:
                view = view[os.write(self._input, view) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._obituary() from None

    def _receive(self, deadline: float) -> None:
        self._wait(self._output, select.POLLIN, deadline)
        try:
            data = os.read(self._output, 2**16)
        except BlockingIOError:
            return
        if not data:
            raise self._obituary()
        self._pending += data
        if len(self._pending) > _MAX_REPLY_BYTES:
            raise LeanError(f"a reply of Lean's REPL exceeds {_MAX_REPLY_BYTES // 2**20} MiB")

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        while not poll.poll(1000 * max(0.0, min(TICK_SECONDS, deadline - time.monotonic()))):
            if self._cancelled():
                raise LeanError("cancelled")
            if time.monotonic() >= deadline:
                raise LeanTimeoutError("Lean did not answer in time")

    def _obituary(self) -> LeanError:
        try:
            code = self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            return LeanError("Lean's REPL closed its pipe")
        if code == MEMORY_EXIT_CODE:
            return LeanMemoryError("Lean reached its memory limit")
        return LeanError(f"Lean's REPL ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}")


def _encoded(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request, ensure_ascii=False).encode() + b"\n\n"


def _next_state(reply: Mapping[str, Any]) -> OpenState | str:
    if "message" in reply:
        return str(reply["message"]).removeprefix("Lean error:\n").replace(_LOST_HINT, "").strip()
    try:
        errors = [str(message["data"]) for message in reply.get("messages", ()) if message["severity"] == "error"]
        if errors or "proofState" not in reply:
            return "\n".join(errors) or json.dumps(reply, ensure_ascii=False)
        return OpenState(reply["proofState"], tuple(reply.get("goals", ())))
    except (KeyError, TypeError):
        raise _malformed(reply) from None


def _malformed(reply: Mapping[str, Any]) -> LeanError:
    return LeanError(f"Lean's REPL wrote something that is not a reply: {reply!s:.200}")
