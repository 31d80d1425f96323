"""A process of one program and how it ended."""

import os
import signal
from dataclasses import dataclass

from .confine import Limits
from .examiner import Report


@dataclass
class Child:
    pid: int
    user: int | None
    status: int | None = None
    cpu_seconds: float = 0.0

    def poll(self, *, block: bool = False) -> bool:
        """Whether it has ended."""
        if self.status is None:
            pid, status, usage = os.wait4(self.pid, 0 if block else os.WNOHANG)
            if pid:
                self.status, self.cpu_seconds = status, usage.ru_utime + usage.ru_stime
        return self.status is not None


def obituary(child: Child, limits: Limits, who: str) -> Report:
    """The report on a program whose process has ended by itself."""
    assert child.status is not None
    code = os.waitstatus_to_exitcode(child.status)
    if is_cpu_limit(child, limits):
        return {"outcome": "timeout", "detail": f"CPU limit of {limits.cpu_seconds} s"}
    if -code == signal.SIGXFSZ:
        return {"outcome": "error", "detail": "file size limit"}
    how = f"died of {_signal_name(-code)}" if code < 0 else f"ended early, with exit code {code}"
    return {"outcome": "incorrect", "detail": f"{who} {how}"}


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in list(signal.Signals) else f"signal {number}"


def is_cpu_limit(child: Child, limits: Limits) -> bool:
    """Whether it was the CPU limit: the signal that warns can be ignored, the one that ends cannot."""
    signalled = -os.waitstatus_to_exitcode(child.status or 0)
    spent = child.cpu_seconds >= limits.cpu_seconds
    return signalled == signal.SIGXCPU or (signalled == signal.SIGKILL and spent)
