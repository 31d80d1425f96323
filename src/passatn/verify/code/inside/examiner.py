"""The trusted side: run the tests on what the program answers. Only this process can report a pass.

The tests run here, with Python's own builtins, in a process that the program can neither read nor write: what it
overrides, patches or prints stays on its side. The job is {"preamble": the problem's own code, "tests", "names": what
to ask of the program, "classes", "modules": what to import, "entry_point": the argument of check, or null}.
"""

import errno
import importlib
import sys
import types
from typing import Any

from .peer import Peer, PeerGoneError, UnsendableError, describe

_FILE = "<tests>"
_MAX_DETAIL = 200
_RECURSION_LIMIT = 5000
_LIMITS = {
    errno.EAGAIN: "process limit",
    errno.EFBIG: "file size limit",
    errno.EMFILE: "open files limit",
    errno.ENOSPC: "disk space limit",
    errno.EDQUOT: "disk space limit",
    errno.ENOMEM: "memory limit",
}

Report = dict[str, str]


def examine(job: dict[str, Any], descriptor: int) -> Report:
    """{"outcome", "detail"} for the program at the other end."""
    sys.setrecursionlimit(_RECURSION_LIMIT)
    peer = Peer(descriptor, serves_all=False)
    try:
        namespace = _prepare(job)
    except BaseException as error:
        return _report("error", f"the problem's own code fails: {_text(describe(error, {}))}")
    try:
        failure = _meet(peer, job, namespace) or _run_tests(peer, job, namespace)
    except PeerGoneError as error:
        return {"outcome": "incorrect", "detail": f"the program ended early: {error}", "gone": "yes"}
    return failure or _report("correct", "")


def _prepare(job: dict[str, Any]) -> dict[str, Any]:
    module = types.ModuleType("tests")
    sys.modules["tests"] = module
    for name in job["modules"]:
        module.__dict__[name] = importlib.import_module(name)
    exec(compile(job["preamble"], "<prompt>", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def _meet(peer: Peer, job: dict[str, Any], namespace: dict[str, Any]) -> Report | None:
    """Wait for the program to be loaded and put its functions where the tests look for them."""
    peer.codec.shared = {name: namespace[name] for name in job["classes"] if name in namespace}
    greeting = peer.receive()
    if "raised" in greeting:
        return _judge_exception(greeting["raised"], "", during="loading")
    ready = greeting.get("ready")
    if not isinstance(ready, dict):
        raise PeerGoneError("it wrote on the channel")
    entry_point = job["entry_point"]
    if entry_point is not None and entry_point not in ready:
        return _report("incorrect", f"the program does not define {entry_point}")
    try:
        namespace.update({name: peer.codec.decode(ready[name]) for name in job["names"] if name in ready})
    except Exception as error:
        raise PeerGoneError(f"it wrote on the channel ({type(error).__name__})") from None
    return None


def _run_tests(peer: Peer, job: dict[str, Any], namespace: dict[str, Any]) -> Report | None:
    """None when every test passed."""
    subject = namespace.get(job["entry_point"])
    try:
        exec(compile(job["tests"], _FILE, "exec", dont_inherit=True), namespace)
        if job["entry_point"] is not None:
            namespace["check"](subject)
        if peer.failure is not None:
            raise peer.failure
    except PeerGoneError:
        raise
    except UnsendableError as error:
        return _report("error", f"the tests pass a value of type {error}, which cannot be sent to the program")
    except BaseException as error:
        raised = getattr(error, "raised", None) or describe(error, {})
        return _judge_exception(raised, _failing_line(error, job["tests"]), during="a test")
    return None


def _judge_exception(raised: Any, line: str, during: str) -> Report:
    if not isinstance(raised, dict):
        raise PeerGoneError("it wrote on the channel")
    types_raised = raised.get("types") or []
    limit = _LIMITS.get(raised["errno"]) if "OSError" in types_raised and "errno" in raised else None
    if "MemoryError" in types_raised:
        limit = "memory limit"
    elif "RuntimeError" in types_raised and "start new thread" in str(raised.get("message")):
        limit = "process limit"
    if limit:
        return _report("error", f"{limit}: {_text(raised)}")
    return _report("incorrect", f"{_text(raised)} at {line}" if line else f"{_text(raised)} during {during}")


def _failing_line(error: BaseException, tests: str) -> str:
    """The innermost line of the tests in the traceback."""
    number, step = 0, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == _FILE:
            number = step.tb_lineno
        step = step.tb_next
    lines = tests.splitlines()
    return f"`{lines[number - 1].strip()}`" if 0 < number <= len(lines) else ""


def _text(raised: dict[str, Any]) -> str:
    name, message = str(raised.get("name"))[:60], str(raised.get("message") or "")
    return f"{name}: {message}" if message else name


def _report(outcome: str, detail: str) -> Report:
    detail = " ".join(detail.split())
    return {"outcome": outcome, "detail": detail if len(detail) <= _MAX_DETAIL else detail[: _MAX_DETAIL - 1] + "…"}
