"""What can go wrong with Lean that is no fault of a proof."""


class LeanError(Exception):
    """Lean could not do what was asked; the message is one line and says what to do where that is known."""


class LeanUnavailableError(LeanError, ImportError):
    """There is no Lean here that could be started: something is not installed, or this is another platform."""


class LeanTimeoutError(LeanError):
    """A wall-clock or CPU limit was reached."""


class LeanMemoryError(LeanError):
    """The memory limit was reached."""
