"""A user's command as a worker of the pool: one JSON line in, one JSON line out."""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from passatn.verify.process import MAX_REPLY_BYTES, PipedProcess, WorkerDiedError, WorkerTimeoutError, never

START_SECONDS = 10.0
"""What the first line of a process may take beyond the limit: interpreters and libraries load."""

_LAUNCH = (
    "import sys; sys.path[:] = {path!r}\n"
    "from passatn.verify.worker import die_with_parent, limit_memory\n"
    "import os; die_with_parent({parent}); limit_memory({memory_mb}); os.execvp({words!r}[0], {words!r})"
)


class CommandWorker:
    """Asks a line, reads a line.

    A command that buffers its output answers only at the end of its input. When no answer comes in time, the input is
    closed and the limit runs once more: an answer then sets `answers_late`, which all workers of a verifier share, and
    from there on each line gets a process of its own.
    """

    def __init__(
        self,
        words: Sequence[str],
        memory_mb: int,
        cancelled: Callable[[], bool] = never,
        answers_late: list[bool] | None = None,
    ) -> None:
        """Raises OSError if no process can be started."""
        self.num_tasks = 0
        self.retired = False
        self._cancelled = cancelled
        self._answers_late = [False] if answers_late is None else answers_late
        path = [entry or os.getcwd() for entry in sys.path]
        launch = _LAUNCH.format(path=path, parent=os.getpid(), memory_mb=memory_mb, words=list(words))
        self._process = PipedProcess([sys.executable, "-c", launch], environment={"PYTHONUNBUFFERED": "1"})

    def ask(self, payload: Any, timeout_seconds: float) -> dict[str, Any]:
        """{"value": what the command wrote} or {"error": ...}. Raises WorkerTimeoutError or WorkerDiedError."""
        self.num_tasks += 1
        if self._process.has_output():
            raise WorkerDiedError("the command wrote a line that nobody asked for, or ended")
        completion, record = payload
        line = json.dumps({"id": self.num_tasks, "completion": completion, "problem": record}).encode() + b"\n"
        start_seconds = START_SECONDS if self.num_tasks == 1 else 0.0
        deadline = time.monotonic() + timeout_seconds + start_seconds
        self._process.send(line, deadline, self._cancelled)
        if self._answers_late[0]:
            self._end_input()
            return self._read(deadline)
        try:
            return self._read(deadline)
        except WorkerTimeoutError:
            self._end_input()
            reply = self._read(time.monotonic() + timeout_seconds)
            self._answers_late[0] = True
            return reply

    def kill(self) -> None:
        self._process.kill()

    def _end_input(self) -> None:
        self.retired = True
        self._process.close_input()

    def _read(self, deadline: float) -> dict[str, Any]:
        line = b""
        while b"\n" not in line:
            line += self._process.receive(deadline, self._cancelled)
            if len(line) > MAX_REPLY_BYTES:
                raise WorkerDiedError(f"the command's line exceeds {MAX_REPLY_BYTES // 2**20} MiB")
        first, _, rest = line.partition(b"\n")
        try:
            value = json.loads(first)
        except (ValueError, RecursionError):
            value = None
        answered = value.get("id", self.num_tasks) if isinstance(value, dict) else self.num_tasks
        if rest.strip() or value is None or answered != self.num_tasks:
            self.retired = True
            shown = line[:200].decode("utf-8", "replace").strip()
            return {"error": f"the command wrote something else than one JSON line per line: {shown}"}
        return {"value": value}
