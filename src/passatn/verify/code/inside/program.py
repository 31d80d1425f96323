"""The untrusted side: run the program, then answer the examiner's calls. It never holds a test or an expected value.

Nothing here has to resist the program, which may rewrite all of it: it can lie about its own results, and that is
what the tests are for. The job is what `source.assemble` takes, with "names": what the tests use of the program, and
"classes": what both sides define.
"""

import os
import sys
import types
from typing import Any

from .frames import pack_frame
from .peer import Peer, describe
from .source import assemble

_RESERVE_BYTES = 2**22
_MODULE = "program"


class _MemoryReserve:
    """Kept back so that running out of memory can still be reported."""

    def __init__(self) -> None:
        self._reserve = bytearray(_RESERVE_BYTES)
        self._report = pack_frame({"raised": describe(MemoryError(), {})})

    def report(self, error: BaseException) -> bytes | None:
        if not isinstance(error, MemoryError):
            return None
        self._reserve = bytearray()
        return self._report


def run(job: dict[str, Any], descriptor: int) -> None:
    """Never returns to what a program could reach: the caller ends the process."""
    peer = Peer(descriptor, serves_all=True)
    reserve = _MemoryReserve()
    peer.prepared_failure = reserve.report
    module = types.ModuleType(_MODULE)
    sys.modules[_MODULE] = module
    try:
        exec(compile(assemble(job), f"<{_MODULE}>", "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        os.write(descriptor, reserve.report(error) or pack_frame({"raised": describe(error, {})}))
        return
    values = {name: module.__dict__[name] for name in job["names"] if name in module.__dict__}
    peer.codec.shared = {
        name: module.__dict__[name] for name in job["classes"] if isinstance(module.__dict__.get(name), type)
    }
    peer.send({"ready": {name: peer.codec.encode(value) for name, value in values.items()}})
    peer.serve()
