"""Verifiers by name, as recipes and the command line call them."""

from passatn.verify.verdict import Verifier

NAMES = ("math", "exact", "code", "lean", "python:module:function", "python:file.py:function", '"cmd COMMAND"')
DEFAULT_MEMORY_MB = 2048
DEFAULT_TIMEOUTS = {"math": 5.0, "code": 10.0, "lean": 60.0, "python": 10.0, "cmd": 10.0}
"""Seconds of wall clock per completion."""


def get_verifier(
    name: str,
    *,
    timeout: float | None = None,
    memory_mb: int | None = None,
    workers: int | None = None,
) -> Verifier:
    """The verifier of that name with its limits, each at its default where it is None.

    Raises ValueError, one line, for an unknown name (with the names there are), a limit that is not positive, or a
    function or command that cannot be found.
    """
    from passatn.verify.pool import check_limits

    kind = "cmd" if name.startswith("cmd ") else name.partition(":")[0]
    seconds = DEFAULT_TIMEOUTS.get(kind, 10.0) if timeout is None else timeout
    memory = DEFAULT_MEMORY_MB if memory_mb is None else memory_mb
    check_limits(seconds, memory, workers)
    if name == "exact":
        from passatn.verify.exact import ExactVerifier

        return ExactVerifier()
    if name == "math":
        from passatn.verify.math import MathVerifier

        return MathVerifier(timeout_seconds=seconds, memory_mb=memory, num_workers=workers)
    if name == "code":
        from passatn.verify.code import CodeVerifier

        return CodeVerifier(timeout_seconds=seconds, memory_mb=memory, num_workers=workers)
    if name == "lean":
        from passatn.verify.lean import LeanVerifier

        return LeanVerifier(timeout_seconds=seconds, memory_mb=memory, num_workers=workers)
    if kind == "python" and ":" in name:
        from passatn.verify.custom import FunctionVerifier

        spec = name.removeprefix("python:")
        return FunctionVerifier(spec, timeout_seconds=seconds, memory_mb=memory, num_workers=workers)
    if kind == "cmd":
        from passatn.verify.custom import CommandVerifier

        command = name.removeprefix("cmd ")
        return CommandVerifier(command, timeout_seconds=seconds, memory_mb=memory, num_workers=workers)
    raise ValueError(f"unknown verifier {name!r}; there are {', '.join(NAMES)}")
