"""Is this a proof of that statement? Elaborated from scratch in a fresh process and read off the compiled file.

A proof counts only if

1. its text holds no command, declaration or word that gives up (`syntax.why_refused`);
2. Lean accepts the whole file: no error, no panic, exit code 0;
3. in the `.olean` that Lean wrote, the theorem has the statement it should have: the very type (and universes) of a
   file in which our own text alone, with `sorry` for the proof, has been compiled;
4. there is nothing else but what that file has and auxiliaries that Lean derives from the theorem or from declarations
   that were there before;
5. it rests on no axioms but `ALLOWED_AXIOMS`, followed through all constants it uses: what `#print axioms` prints, but
   computed outside of Lean, which could be made to print something else.

    check_proof(Goal("theorem t (a b : Nat) : a + b = b + a"), "exact Nat.add_comm a b")
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock

from passatn.lean.embedded import embedded_lean
from passatn.lean.errors import LeanError
from passatn.lean.olean import Declaration, read_olean
from passatn.lean.prelude import HEADER, axioms_of, compiled_prelude
from passatn.lean.process import LeanRun, Message, errors_of, never, run_lean
from passatn.lean.syntax import indent, proof_body, theorem_name, why_refused

ALLOWED_AXIOMS = frozenset({"propext", "Classical.choice", "Quot.sound"})
_DERIVED = re.compile(
    r"eq_\d+|eq_def|eq_unfold|congr_simp|congr_eq_\d+|hcongr_\d+|match_\d+|splitter|induct|induct_unfolding|fun_cases"
    r"|injEq|inj|sizeOf_spec|noConfusion|_sizeOf_\d+|_proof_\d+|_unary|_cstage\d|_simp_\d+|_sunfold|ctorIdx|ctorElim"
)
_MAX_REFERENCES = 4096


class GoalError(LeanError):
    """The problem itself is at fault: its statement or header is not what Lean accepts."""


class Ruling(StrEnum):
    PROVED = "proved"
    REFUSED = "refused"
    FAILED = "failed"
    TIMEOUT = "timeout"
    """A time limit was reached: `check_proof` raises instead."""
    ERROR = "error"
    """Another limit, or Lean itself: `check_proof` raises instead."""


@dataclass(frozen=True)
class Goal:
    """What is to be proved: `theorem NAME … : …`, after the lines of `header` (trusted, like the statement)."""

    statement: str
    header: str = ""


@dataclass(frozen=True)
class Check:
    """`text` is the file that was checked; `axioms` are those that a proof rests on."""

    ruling: Ruling
    detail: str = ""
    text: str = ""
    axioms: tuple[str, ...] = ()

    @property
    def is_proved(self) -> bool:
        return self.ruling is Ruling.PROVED


def check_proof(
    goal: Goal,
    proof: str,
    *,
    timeout_seconds: float = 60.0,
    memory_mb: int = 2048,
    cancelled: Callable[[], bool] = never,
) -> Check:
    """Judge a tactic proof (with or without `by`).

    Raises GoalError for a problem that Lean does not accept, LeanTimeoutError and LeanMemoryError at a limit,
    LeanUnavailableError without an embedded Lean, and LeanError where Lean itself fails or `cancelled` turns true.
    """
    limits = Limits(timeout_seconds, memory_mb)
    reference = reference_of(goal, limits, cancelled)
    body = proof_body(proof)
    if reason := why_refused(body):
        return Check(Ruling.REFUSED, reason)
    text = whole_text(goal, body)
    run = _run(text, limits, cancelled)
    if complaint := complaint_about(run, first_line=opening(goal).count("\n")):
        return Check(Ruling.FAILED, complaint, text)
    assert run.olean is not None
    return judge(reference, read_olean(run.olean), text)


def check_file(text: str, *, timeout_seconds: float = 60.0, memory_mb: int = 2048) -> tuple[Message, ...]:
    """What Lean says about a whole file, which is put after the prelude's header; lines count from the text's first.

    Raises LeanTimeoutError, LeanMemoryError, LeanUnavailableError or LeanError.
    """
    run = _run(f"{HEADER}{text}", Limits(timeout_seconds, memory_mb), never)
    shift = HEADER.count("\n")
    messages = [
        Message(message.severity, message.text, message.line - shift, message.column) for message in run.messages
    ]
    if run.exit_code and not any(message.is_error for message in messages):
        messages.append(Message("error", _crash(run), 0, 0))
    return tuple(messages)


@dataclass(frozen=True)
class Reference:
    """The declarations of header and statement, the theorem's full name among them."""

    name: str
    declarations: Mapping[str, Declaration]


@dataclass(frozen=True)
class Limits:
    timeout_seconds: float
    memory_mb: int


_references: OrderedDict[tuple[Goal, Limits], Reference] = OrderedDict()
_lock = Lock()


def reference_of(goal: Goal, limits: Limits, cancelled: Callable[[], bool] = never) -> Reference:
    """Compiled once per goal. Raises GoalError and what `check_proof` raises."""
    if reference := known_reference(goal, limits):
        return reference
    name = statement_name(goal)
    run = _run(whole_text(goal, "sorry"), limits, cancelled)
    if complaint := complaint_about(run, first_line=HEADER.count("\n") - 1):
        raise GoalError(f"Lean does not accept the statement: {complaint}")
    assert run.olean is not None
    return keep_reference(goal, limits, reference_in(name, read_olean(run.olean)))


def known_reference(goal: Goal, limits: Limits) -> Reference | None:
    with _lock:
        if (goal, limits) in _references:
            _references.move_to_end((goal, limits))
        return _references.get((goal, limits))


def keep_reference(goal: Goal, limits: Limits, reference: Reference) -> Reference:
    with _lock:
        _references[goal, limits] = reference
        while len(_references) > _MAX_REFERENCES:
            _references.popitem(last=False)
    return reference


def reference_in(name: str, declarations: dict[str, Declaration]) -> Reference:
    """What a file declares in which the theorem called `name` rests on `sorry`. Raises GoalError if there is none."""
    plain = name.replace("«", "").replace("»", "").removeprefix("_root_.")
    names = [
        found
        for found, declaration in declarations.items()
        if declaration.kind == "theorem" and declaration.value_head == "sorryAx" and f".{found}".endswith(f".{plain}")
    ]
    if len(names) != 1:
        raise GoalError(f"the statement must declare exactly one theorem {name!r}, and the header prove its own")
    return Reference(names[0], declarations)


def statement_name(goal: Goal) -> str:
    """The theorem's name as it is written. Raises GoalError."""
    try:
        f"{goal.statement}{goal.header}".encode()
        return theorem_name(goal.statement)
    except UnicodeEncodeError as error:
        raise GoalError(
            f"the statement or its header has half a character in it: {error.object[error.start]!r}"
        ) from None
    except ValueError as error:
        raise GoalError(str(error)) from None


def whole_text(goal: Goal, body: str, before: str = HEADER) -> str:
    """The file in which tactics are checked."""
    return f"{opening(goal, before)} := by\n{indent(body)}\n"


def opening(goal: Goal, before: str = HEADER) -> str:
    header = goal.header.rstrip()
    return f"{before}{header}\n{goal.statement.strip()}" if header else f"{before}{goal.statement.strip()}"


def _run(text: str, limits: Limits, cancelled: Callable[[], bool]) -> LeanRun:
    lean = embedded_lean()
    return run_lean(
        lean,
        text,
        folders=[compiled_prelude(lean).folder],
        timeout_seconds=limits.timeout_seconds,
        memory_mb=limits.memory_mb,
        want_olean=True,
        cancelled=cancelled,
    )


def complaint_about(run: LeanRun, first_line: int) -> str:
    """Why a run is no success; lines are counted from `first_line`, that before the proof."""
    if complaint := first_error(run.messages, first_line):
        return complaint
    if run.exit_code or "PANIC" in run.noise or run.olean is None:
        return _crash(run)
    return ""


def first_error(messages: Sequence[Message], first_line: int) -> str:
    """The first error, in one line; empty if there is none."""
    for message in errors_of(messages):
        place = f"line {message.line - first_line - 1}: " if message.line > first_line + 1 else ""
        return place + " ".join(message.text.split())[:500]
    return ""


def _crash(run: LeanRun) -> str:
    first = next(iter(run.noise.splitlines()), "it wrote nothing")
    return f"Lean ended with exit code {run.exit_code}: {first[:300]}"


def judge(reference: Reference, found: dict[str, Declaration], text: str) -> Check:
    """The ruling on a file that the embedded Lean has compiled."""
    imported = compiled_prelude(embedded_lean()).axioms
    if reason := objection(reference, found, lambda name: name in imported):
        return Check(Ruling.REFUSED, reason, text)
    return judge_axioms(axioms_of(found, imported)[reference.name], text)


def objection(reference: Reference, found: dict[str, Declaration], is_imported: Callable[[str], bool]) -> str:
    """What is wrong with the declarations of a file, axioms aside; empty if nothing is."""
    theorem, expected = found.get(reference.name), reference.declarations[reference.name]
    if theorem is None or theorem.kind != "theorem":
        return f"there is no theorem {reference.name!r}"
    if (theorem.type_digest, theorem.num_levels) != (expected.type_digest, expected.num_levels):
        return "the theorem has another statement"
    for name, declaration in reference.declarations.items():
        if name != reference.name and found.get(name) != declaration and not _is_private_proof(name):
            return f"the declaration {name!r} of the header has changed"
    for name in found:
        if not _is_expected(name, found[name], reference, is_imported):
            return f"the proof declares {name!r}"
    return ""


def judge_axioms(axioms: Collection[str], text: str) -> Check:
    """The ruling on a theorem with nothing else against it."""
    if foreign := sorted(set(axioms) - ALLOWED_AXIOMS):
        reason = "uses sorry" if foreign == ["sorryAx"] else f"rests on the axiom {foreign[0]!r}"
        return Check(Ruling.REFUSED, f"the proof {reason}", text)
    return Check(Ruling.PROVED, "", text, tuple(sorted(axioms)))


def _is_private_proof(name: str) -> bool:
    """Proofs inside of a statement are named in the order in which Lean meets them."""
    return re.search(r"\._proof_\d+(?:_\d+)?$", name) is not None


def _is_expected(name: str, declaration: Declaration, reference: Reference, is_imported: Callable[[str], bool]) -> bool:
    """Was this there before, or does Lean derive it from the theorem or from what was there before?"""
    if name in reference.declarations:
        return True
    if declaration.kind not in ("theorem", "def"):
        return False
    public = re.sub(r"^_private\.(?:[^.]+\.)*?0\.", "", name)
    if public.startswith(f"{reference.name}."):
        return True
    owner, _, last = public.rpartition(".")
    while owner:
        if not _DERIVED.fullmatch(last):
            return False
        if is_imported(owner) or owner in reference.declarations:
            return True
        owner, _, last = owner.rpartition(".")
    return False
