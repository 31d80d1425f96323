"""Whole proofs checked from scratch, as the last word of a search: by the embedded Lean, or in a Lean project.

    check = embedded_checks(timeout_seconds=60, memory_mb=2048)
    rulings = check(goal, [("intro h", "exact h.2")])

The embedded check is `passatn.lean.check_proofs`, with all that it demands. In a project, where the compiled file is
not at hand, Lean's own words have to do: a fresh process must accept the theorem without a message of error or `sorry`,
and `#print axioms` must name none but the usual. Proofs with words that declare or command anything are refused before,
so what prints is Lean itself.
"""

import re
from collections.abc import Sequence

from passatn.lean import (
    ALLOWED_AXIOMS,
    Check,
    Goal,
    GoalError,
    LeanError,
    LeanTimeoutError,
    LeanUnavailableError,
    Ruling,
    check_proofs,
)
from passatn.lean.client import ReplClient
from passatn.lean.repl import StartRepl
from passatn.lean.syntax import indent, proof_body, theorem_name, why_refused
from passatn.prove.loop import CheckProofs
from passatn.prove.search import Proof

_AXIOMS = re.compile(r"depends on axioms: \[([^\]]*)\]")
_NO_AXIOMS = "does not depend on any axioms"


def proof_text(tactics: Proof) -> str:
    """A proof as text, one tactic below the other."""
    return "\n".join(tactics)


def whole_file(goal: Goal, tactics: Proof) -> str:
    """What a person would save: header, statement, proof; `passatn.lean.check_file` accepts it if it is one."""
    header = f"{goal.header.rstrip()}\n" if goal.header.strip() else ""
    return f"{header}{goal.statement.strip()} := by\n{indent(proof_text(tactics))}\n"


def embedded_checks(*, timeout_seconds: float = 60.0, memory_mb: int = 2048) -> CheckProofs:
    """By the embedded Lean; `timeout_seconds` is for each proof. What runs into a limit is not proved."""

    def check(goal: Goal, proofs: Sequence[Proof]) -> list[Check]:
        try:
            texts = [proof_text(proof) for proof in proofs]
            return check_proofs(goal, texts, timeout_seconds=timeout_seconds, memory_mb=memory_mb)
        except LeanUnavailableError:
            raise
        except LeanError as error:
            return [Check(Ruling.ERROR, str(error)) for _ in proofs]

    return check


def project_checks(start_repl: StartRepl, *, timeout_seconds: float = 60.0) -> CheckProofs:
    """A fresh process of a project's REPL for the proofs of one goal."""

    def check(goal: Goal, proofs: Sequence[Proof]) -> list[Check]:
        with start_repl() as repl:
            try:
                environment = _environment(repl, goal)
            except LeanError as error:
                return [_undecided(error) for _ in proofs]
            checks: list[Check] = []
            for proof in proofs:
                try:
                    checks.append(_check_in(repl, environment, goal, proof_text(proof), timeout_seconds))
                except LeanError as error:
                    # The process is of no use any more.
                    rest = proofs[len(checks) + 1 :]
                    return [*checks, _undecided(error), *(check(goal, rest) if rest else [])]
            return checks

    return check


def _undecided(error: LeanError) -> Check:
    return Check(Ruling.TIMEOUT if isinstance(error, LeanTimeoutError) else Ruling.ERROR, str(error))


def _environment(repl: ReplClient, goal: Goal) -> int | None:
    if not goal.header.strip():
        return None
    reply = repl.command(goal.header, timeout_seconds=600.0)
    if reply.errors:
        raise GoalError(f"Lean does not accept the header: {reply.errors[0]}")
    return reply.environment


def _check_in(repl: ReplClient, environment: int | None, goal: Goal, proof: str, timeout_seconds: float) -> Check:
    body = proof_body(proof)
    if reason := why_refused(body):
        return Check(Ruling.REFUSED, reason)
    text = f"{goal.statement.strip()} := by\n{indent(body)}"
    reply = repl.command(text, environment, timeout_seconds=timeout_seconds)
    if reply.errors:
        return Check(Ruling.FAILED, " ".join(reply.errors[0].split())[:500], text)
    if reply.states:
        return Check(Ruling.REFUSED, "the proof uses sorry", text)
    printed = repl.command(
        f"#print axioms {theorem_name(goal.statement)}", reply.environment, timeout_seconds=timeout_seconds
    )
    said = " ".join(message for _, message in printed.messages)
    named = _AXIOMS.search(said)
    if printed.errors or (named is None and _NO_AXIOMS not in said):
        return Check(Ruling.FAILED, f"Lean does not say which axioms it rests on: {said:.200}", text)
    axioms = sorted(name.strip() for name in named[1].split(",")) if named else []
    if foreign := [name for name in axioms if name not in ALLOWED_AXIOMS]:
        return Check(Ruling.REFUSED, f"the proof rests on the axiom {foreign[0]!r}", text)
    return Check(Ruling.PROVED, "", text, tuple(axioms))
