"""A proof as a chain of states and tactics, and as the examples that a tactic model learns from.

    with LeanPool() as lean:
        trace = trace_proof(lean, Goal("theorem t (p q : Prop) (h : p ∧ q) : q ∧ p"), split_tactics(proof))
    problems = tactic_problems(trace, name="t", family="propositional")

A problem's prompt is a state as Lean prints it, its answer the tactic that the proof has there; the template "tactic"
renders them as `STATE:::TACTIC` (arXiv 2502.07154, section 5.2). Steps are hints: `check_proof` says what is proved.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from passatn.lean import Goal, LeanError, LeanSession, ProofState, TacticFailure
from passatn.lean.syntax import proof_body, theorem_name
from passatn.tasks.lean_text import masked, without_comments
from passatn.tasks.problem import Problem

_GOES_ON = re.compile(r"<;>|\||with\b|[)\]}⟩]")
"""How a line at the margin begins that belongs to the tactic before it."""
_LEFT_OPEN = re.compile(r"(?:<;>|[=<>≤≥+∧∨→↔▸,←]|(?<!\w)(?:by|from|at|using|with|fun))\Z")
"""How a line ends after which its tactic goes on, wherever the next line begins."""
_BLOCK = re.compile(r"\A\s*(?:·|\.|try\b|repeat'?\s|all_goals\b|any_goals\b|focus\b|first\b)|=>|(?<!\w)by(?!\w)")
"""What makes a `;` after it separate the tactics of an inner block."""


class TraceError(LeanError):
    """A step of a proof that Lean does not accept, or a proof that leaves goals; the message is one line."""


@dataclass(frozen=True)
class Trace:
    """`states[i]` is what `tactics[i]` works on; the state after the last tactic has no goals."""

    goal: Goal
    tactics: tuple[str, ...]
    states: tuple[ProofState, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """One more than there are tactics; the last is "no goals"."""
        return tuple(state.text for state in self.states)


def trace_proof(lean: LeanSession, goal: Goal, tactics: Sequence[str]) -> Trace:
    """Run a proof tactic by tactic.

    Raises:
        TraceError: a tactic fails, or comes after the last goal; or goals are left at the end.
        GoalError: Lean does not accept the statement.
    """
    states = [lean.start(goal)]
    where = f"{theorem_name(goal.statement)}: step"
    for number, tactic in enumerate(tactics, start=1):
        step = lean.apply(states[-1], tactic)
        if isinstance(step, TacticFailure):
            raise TraceError(f"{where} {number} of {len(tactics)}, {_short(tactic)!r}: {_short(step.message, 300)}")
        states.append(step)
    if not states[-1].is_done:
        raise TraceError(f"{where} {len(tactics)} of {len(tactics)} leaves goals: {_short(states[-1].text, 300)}")
    return Trace(goal, tuple(tactics), tuple(states))


def tactic_problems(trace: Trace, *, name: str = "", **metadata: Any) -> list[Problem]:
    """One problem per step, `NAME#1` and so on; `name` is the theorem's own by default.

    The metadata holds `theorem`, `step`, `num_steps`, `group_id` (again the theorem: the steps of one proof succeed or
    fail together) and what else is given.
    """
    name = name or theorem_name(trace.goal.statement)
    common = {"group_id": name, "theorem": name, "num_steps": len(trace.tactics), **metadata}
    return [
        Problem(f"{name}#{number}", state.text, (tactic,), metadata={"step": number, **common})
        for number, (state, tactic) in enumerate(zip(trace.states, trace.tactics, strict=False), start=1)
    ]


def split_tactics(proof: str) -> list[str]:
    """The top-level tactics of a tactic block, with or without `by`; comments are dropped.

    A tactic begins at the block's margin, or after a `;` there; a bullet or a `case` at the margin is a tactic, and
    Lean takes it for one. Deeper lines belong to the tactic above them, as do lines at the margin that begin with
    `<;>` or `|`, those inside an open bracket, and whatever follows a line that cannot end a tactic (`… :=`, `… <;>`).

    >>> split_tactics("by\\n  intro h\\n  cases h with\\n  | inl a => exact a\\n  | inr b =>\\n    exact b")
    ['intro h', 'cases h with\\n| inl a => exact a\\n| inr b =>\\n  exact b']
    """
    body = proof_body(without_comments(proof))
    tactics: list[str] = []
    for line in filter(str.strip, map(str.rstrip, body.split("\n"))):
        if tactics and (line[0] == " " or _GOES_ON.match(line) or _is_open(tactics[-1])):
            tactics[-1] += f"\n{line}"
        else:
            tactics.append(line)
    return [part for tactic in tactics for part in _at_semicolons(tactic)]


def _is_open(tactic: str) -> bool:
    text = masked(tactic)
    return _depth(text) > 0 or bool(_LEFT_OPEN.search(text))


def _depth(text: str) -> int:
    return sum(map(text.count, "([{⟨")) - sum(map(text.count, ")]}⟩"))


def _at_semicolons(tactic: str) -> list[str]:
    text, parts, start = masked(tactic), [], 0
    for mark in re.finditer(r"(?<!<);", text):
        before = text[start : mark.start()]
        if _depth(before) == 0 and not _BLOCK.search(before):
            parts.append(tactic[start : mark.start()])
            start = mark.end()
    return [part.strip() for part in (*parts, tactic[start:]) if part.strip()]


def _short(text: str, limit: int = 80) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
