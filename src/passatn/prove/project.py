"""The theorems of one's own Lean files as steps to train on: the proofs that are there, replayed tactic by tactic.

    with FileSession(embedded_repl()) as lean:
        traced = trace_file(lean, Path("Sums.lean").read_text(), "Sums.lean")
    traced.steps, traced.left_out

A file goes to a REPL command by command, so that each theorem starts where it stands: with the namespaces, variables
and definitions before it. Its tactics are those at the margin of its block; a bullet is one. A theorem counts only if
Lean accepts it as written, and its tactics one after the other as well; the others are left out, with the reason.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from passatn.lean import Goal, GoalError, LeanError, ProofState, TacticFailure
from passatn.lean.client import CommandReply, OpenState, ReplClient
from passatn.lean.errors import LeanMemoryError, LeanTimeoutError, LeanUnavailableError
from passatn.lean.process import Message
from passatn.lean.repl import StartRepl
from passatn.lean.session import FailureKind, Step
from passatn.lean.syntax import why_refused
from passatn.prove.lean_source import LeanCommand, TheoremText, split_commands
from passatn.prove.trace import split_tactics, tactic_problems, trace_proof
from passatn.tasks.problem import Problem

_SORRY = re.compile(r"declaration uses .?sorry")


@dataclass(frozen=True)
class LeftOut:
    """A theorem that gives no steps; `reason` is one of few, `detail` is Lean's word on it."""

    name: str
    line: int
    reason: str
    detail: str = ""


@dataclass
class TracedFile:
    """What a file gave. `errors` are what Lean says against commands other than theorems by tactics."""

    num_theorems: int = 0
    steps: list[Problem] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class FileSession:
    """A `LeanSession` that walks through one file: theorems start in the environment that it has reached.

    A process that hangs or dies is replaced, and told again what the file has said so far.
    """

    def __init__(
        self, start_repl: StartRepl, *, timeout_seconds: float = 10.0, command_timeout_seconds: float = 600.0
    ) -> None:
        self.timeout_seconds, self.command_timeout_seconds = timeout_seconds, command_timeout_seconds
        self._start_repl = start_repl
        self._repl: ReplClient | None = None
        self._said: list[str] = []
        self._environment: int | None = None
        self._states: dict[tuple[Goal, tuple[str, ...]], OpenState] = {}

    def elaborate(self, commands: str) -> CommandReply:
        """Go on by some commands. Raises LeanError; the session is then where it was."""
        try:
            reply = self._client().command(commands, self._environment, timeout_seconds=self.command_timeout_seconds)
        except LeanError:
            self.close()
            raise
        self._said.append(commands)
        self._environment, self._states = reply.environment, {}
        return reply

    def start(self, goal: Goal) -> ProofState:
        """The first state; the goal's header is what stands right before `theorem`."""
        text = f"{goal.header} {goal.statement} := by\n  sorry"
        try:
            reply = self._client().command(text, self._environment, timeout_seconds=self.command_timeout_seconds)
        except LeanError:
            self.close()
            raise
        if reply.errors or len(reply.states) != 1:
            raise GoalError(f"Lean does not accept the statement: {next(iter(reply.errors), 'it opens no goal')}")
        self._states[goal, ()] = reply.states[0]
        return ProofState(goal, (), reply.states[0].goals)

    def apply(self, state: ProofState, tactic: str) -> Step:
        """What a tactic makes of a state of the theorem that was started last."""
        before = self._states.get((state.goal, state.tactics))
        if before is None:
            raise LeanError("the state belongs to another place of the file")
        try:
            after = self._client().tactic(tactic, before.id, timeout_seconds=self.timeout_seconds)
        except LeanTimeoutError:
            return self._failure(FailureKind.TIMEOUT, f"no answer within {self.timeout_seconds:g} s")
        except LeanMemoryError as error:
            return self._failure(FailureKind.MEMORY, str(error))
        except LeanError as error:
            return self._failure(FailureKind.CRASH, str(error))
        if isinstance(after, str):
            return TacticFailure(FailureKind.ERROR, after)
        reached = (*state.tactics, tactic)
        self._states[state.goal, reached] = after
        return ProofState(state.goal, reached, after.goals)

    def check_file(self, text: str) -> tuple[Message, ...]:
        """What Lean says about commands at this place, without going on by them."""
        reply = self._client().command(text, self._environment, timeout_seconds=self.command_timeout_seconds)
        return tuple(Message(severity, said, 0, 0) for severity, said in reply.messages)

    def close(self) -> None:
        """End the process; safe to call twice. The next request starts another one."""
        repl, self._repl = self._repl, None
        self._states = {}
        if repl is not None:
            repl.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _client(self) -> ReplClient:
        if self._repl is None:
            try:
                self._repl, self._environment = self._start_repl(), None
            except LeanError as error:
                raise LeanUnavailableError(str(error)) from None
            for commands in self._said:
                reply = self._repl.command(commands, self._environment, timeout_seconds=self.command_timeout_seconds)
                self._environment = reply.environment
        return self._repl

    def _failure(self, kind: FailureKind, message: str) -> TacticFailure:
        self.close()
        return TacticFailure(kind, message)


def trace_file(lean: FileSession, text: str, path: str) -> TracedFile:
    """The steps of a file's theorems, `NAME#1` and so on, with `file_path` and `line` in their metadata.

    Raises LeanUnavailableError where no process can be started.
    """
    traced, context = TracedFile(), ""
    commands = split_commands(text)
    traced.num_theorems = sum(command.theorem is not None for command in commands)
    for number, command in enumerate(commands):
        theorem = command.theorem
        if theorem is None or theorem.proof is None:
            context += command.text
            if theorem is not None:
                traced.left_out.append(LeftOut(theorem.name, theorem.line, theorem.why_not))
            continue
        try:
            _go_on(lean, context, traced)
            context = ""
            _trace_theorem(lean, command, theorem, path, traced)
        except LeanUnavailableError:
            raise
        except LeanError as error:
            _give_up(commands[number:], str(error), traced)
            break
    return traced


def _go_on(lean: FileSession, context: str, traced: TracedFile) -> None:
    if context.strip():
        traced.errors += lean.elaborate(context).errors


def _give_up(commands: Sequence[LeanCommand], detail: str, traced: TracedFile) -> None:
    """What follows a command that Lean does not get through cannot be started."""
    for command in commands:
        if command.theorem is not None and command.theorem.proof is not None:
            traced.left_out.append(LeftOut(command.theorem.name, command.theorem.line, "not reached", detail))


def _trace_theorem(
    lean: FileSession, command: LeanCommand, theorem: TheoremText, path: str, traced: TracedFile
) -> None:
    """Trace it, then go on by it as written, which decides whether it counts."""
    steps, failure = _steps(lean, theorem, {"file_path": path, "line": theorem.line})
    reply = lean.elaborate(command.text)
    if reply.errors:
        failure = ("not accepted by Lean", reply.errors[0])
    elif any(_SORRY.search(text) for _, text in reply.messages):
        failure = ("with sorry", "")
    if failure is None:
        traced.steps += steps
    else:
        reason, detail = failure
        traced.left_out.append(LeftOut(theorem.name, theorem.line, reason, " ".join(detail.split())[:300]))


def _steps(
    lean: FileSession, theorem: TheoremText, metadata: dict[str, object]
) -> tuple[list[Problem], tuple[str, str] | None]:
    """The steps of a proof, or why there are none."""
    tactics = split_tactics(theorem.proof or "")
    refused = next(filter(None, map(why_refused, tactics)), "" if tactics else "an empty proof")
    if refused:
        return [], ("with what proof search refuses", refused)
    statement = re.sub(r"\Alemma\b", "theorem", theorem.head)
    try:
        trace = trace_proof(lean, Goal(statement, theorem.opening), tactics)
    except LeanUnavailableError:
        raise
    except (GoalError, ValueError) as error:
        return [], ("not started", str(error))
    except LeanError as error:  # a TraceError, or a process that died
        return [], ("not replayed step by step", str(error))
    return tactic_problems(trace, name=theorem.name, **metadata), None
