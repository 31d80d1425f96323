"""Many proofs judged as `check_proof` judges one, in one process of Lean instead of one process each.

A process that starts costs some twenty times what a short proof costs. So one is started per call, which imports the
prelude, reads each header once, and then elaborates every proof from that same state (`modules/PassatnCheck.lean`).
Lean's environments are values: what one proof adds is not there for the next, under no name. Each proof gets its own
compiled file, with the same contents as if it had been alone, and is judged from that file by the same rules.

References are compiled first, before the process has seen a proof. A proof that takes too long costs the process; one
that crashes it or runs out of memory is checked once more by `check_proof`, alone, and the next ones in a new process.

    checks = check_proofs(Goal("theorem t (a b : Nat) : a + b = b + a"), ["simp", "exact Nat.add_comm a b"])
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from passatn.lean.cache import cached_folder
from passatn.lean.check import (
    Check,
    Goal,
    Limits,
    Reference,
    Ruling,
    check_proof,
    first_error,
    judge,
    keep_reference,
    known_reference,
    reference_in,
    reference_of,
    statement_name,
    whole_text,
)
from passatn.lean.client import START_SECONDS, ReplClient
from passatn.lean.embedded import EmbeddedLean, embedded_lean
from passatn.lean.errors import LeanError, LeanTimeoutError
from passatn.lean.olean import read_olean
from passatn.lean.prelude import HEADER, SOURCES, compile_module, compiled_prelude
from passatn.lean.process import Message, never
from passatn.lean.repl import compiled_loop
from passatn.lean.syntax import indent, proof_body, why_refused

_MODULE = "PassatnCheck"
_DRIVER = f"{HEADER}import {_MODULE}\n#passatn_check\n"


def check_proofs(
    goal: Goal,
    proofs: Iterable[str],
    *,
    timeout_seconds: float = 60.0,
    memory_mb: int = 2048,
    cancelled: Callable[[], bool] = never,
) -> list[Check]:
    """Judge tactic proofs of one goal, in order; `timeout_seconds` is for each, `memory_mb` for the process.

    Where `check_proof` raises for a proof, its ruling is TIMEOUT or ERROR. Raises GoalError for a problem that Lean
    does not accept, LeanUnavailableError without an embedded Lean, and LeanError where `cancelled` turns true.
    """
    with _Batch(Limits(timeout_seconds, memory_mb), cancelled) as batch:
        batch.prepare(goal)
        return [batch.check(goal, proof) for proof in proofs]


def check_all(
    pairs: Sequence[tuple[Goal, str]],
    *,
    timeout_seconds: float = 60.0,
    memory_mb: int = 2048,
    cancelled: Callable[[], bool] = never,
) -> list[Check]:
    """As `check_proofs`, for proofs of several goals; a goal that Lean does not accept is the ruling ERROR."""
    faults: dict[Goal, Check] = {}
    with _Batch(Limits(timeout_seconds, memory_mb), cancelled) as batch:
        for goal in dict.fromkeys(goal for goal, _ in pairs):
            try:
                batch.prepare(goal)
            except LeanError as error:
                faults[goal] = batch.undecided(error)
        return [faults.get(goal) or batch.check(goal, proof) for goal, proof in pairs]


class _Batch:
    """One process at a time, and the states in which its headers end."""

    def __init__(self, limits: Limits, cancelled: Callable[[], bool]) -> None:
        self._limits, self._cancelled = limits, cancelled
        self._lean = embedded_lean()
        self._folder = tempfile.TemporaryDirectory(prefix="passatn-lean-")
        self._process: ReplClient | None = None
        self._states: dict[str, int] = {}
        self._num_files = 0
        self._known: dict[tuple[Goal, str], Check] = {}

    def prepare(self, goal: Goal) -> Reference:
        """The goal's reference. Raises GoalError and what `check_proof` raises."""
        if reference := known_reference(goal, self._limits):
            return reference
        name, olean = statement_name(goal), None
        try:
            _, olean = self._elaborate(goal, "sorry")
        except LeanError:
            self._stop()
        if olean is None:
            return reference_of(goal, self._limits, self._cancelled)
        return keep_reference(goal, self._limits, reference_in(name, read_olean(olean)))

    def check(self, goal: Goal, proof: str) -> Check:
        body = proof_body(proof)
        if (goal, body) not in self._known:
            reason = why_refused(body)
            self._known[goal, body] = Check(Ruling.REFUSED, reason) if reason else self._check(goal, body)
        return self._known[goal, body]

    def _check(self, goal: Goal, body: str) -> Check:
        reference = self.prepare(goal)
        text = whole_text(goal, body)
        try:
            messages, olean = self._elaborate(goal, body)
        except LeanTimeoutError as error:
            self._stop()
            return self.undecided(error, text)
        except LeanError:
            self._stop()
            return self._alone(goal, body)
        if olean is None:
            return Check(Ruling.FAILED, first_error(messages, goal.statement.strip().count("\n")), text)
        try:
            return judge(reference, read_olean(olean), text)
        except LeanError as error:
            return self.undecided(error, text)

    def _alone(self, goal: Goal, body: str) -> Check:
        seconds, memory_mb = self._limits.timeout_seconds, self._limits.memory_mb
        try:
            return check_proof(goal, body, timeout_seconds=seconds, memory_mb=memory_mb, cancelled=self._cancelled)
        except LeanError as error:
            return self.undecided(error, whole_text(goal, body))

    def undecided(self, error: LeanError, text: str = "") -> Check:
        """What is left of an error; raises it where the batch was cancelled."""
        if self._cancelled():
            raise error
        return Check(Ruling.TIMEOUT if isinstance(error, LeanTimeoutError) else Ruling.ERROR, str(error), text)

    def _elaborate(self, goal: Goal, body: str) -> tuple[list[Message], bytes | None]:
        """What Lean says, with lines counted from the statement's first, and the compiled file if there is no error."""
        state, before = self._state(goal.header)
        path = Path(self._folder.name, f"{self._num_files}.olean")
        self._num_files += 1
        text = f"{before}{goal.statement.strip()} := by\n{indent(body)}\n"
        messages, _ = self._ask({"text": text, "from": state, "olean": str(path)}, self._limits.timeout_seconds)
        shift = before.count("\n")
        messages = [Message(one.severity, one.text, one.line - shift, one.column) for one in messages]
        if any(message.is_error for message in messages):
            return messages, None
        try:
            olean = path.read_bytes()
            path.unlink()
        except OSError as error:
            raise LeanError(f"Lean wrote no file: {error}") from None
        return messages, olean

    def _state(self, header: str) -> tuple[int, str]:
        """The state after the header, and no text; or state 0 and the header as text, if it means nothing alone."""
        self._renew()
        if not header.strip():
            return 0, ""
        text = f"{header.rstrip()}\n"
        if header not in self._states:
            messages, state = self._ask({"text": text, "from": 0}, self._limits.timeout_seconds)
            self._states[header] = 0 if any(message.is_error for message in messages) else state
        state = self._states[header]
        return state, "" if state else text

    def _ask(self, request: dict[str, Any], seconds: float) -> tuple[list[Message], int]:
        assert self._process is not None
        try:
            reply = self._process.ask(request, seconds)
        except LeanTimeoutError:
            raise LeanTimeoutError(f"Lean took longer than {seconds:g} s") from None
        try:
            messages = [
                Message(one["severity"], one["data"], one["pos"]["line"], one["pos"]["column"])
                for one in reply["messages"]
            ]
            return messages, int(reply.get("state", 0))
        except (KeyError, TypeError, ValueError):
            raise LeanError(f"Lean wrote something that is not a reply: {reply!s:.200}") from None

    def _renew(self) -> None:
        """See to it that there is a process."""
        if self._process is not None and self._process.has_outgrown(self._limits.memory_mb):
            self._stop()
        if self._process is None:
            folders = [compiled_prelude(self._lean).folder, compiled_loop(self._lean), _compiled_checker(self._lean)]
            command = self._lean.command(["-j1", str(folders[-1] / "Driver.lean")], memory_mb=self._limits.memory_mb)
            self._process = ReplClient(command, self._lean.environment(*folders), cancelled=self._cancelled)
            self._process.ask({"text": "", "from": 0}, START_SECONDS)

    def _stop(self) -> None:
        process, self._process = self._process, None
        self._states = {}
        if process is not None:
            process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._folder.cleanup()


@lru_cache(maxsize=2)
def _compiled_checker(lean: EmbeddedLean) -> Path:
    source = (SOURCES / f"{_MODULE}.lean").read_bytes()
    prelude, loop = compiled_prelude(lean).folder, compiled_loop(lean)
    key = hashlib.sha256(source + _DRIVER.encode() + loop.name.encode()).hexdigest()[:24]

    def build(folder: Path) -> None:
        compile_module(lean, source, _MODULE, folder, prelude, loop)
        (folder / "Driver.lean").write_text(_DRIVER, encoding="utf-8")

    return cached_folder(f"check-{key}", build)
