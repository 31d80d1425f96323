"""Is this a proof, in a Lean project of the user's own (Mathlib)? By `lake env lean`, each in a fresh process.

What `passatn.lean.check` demands, as far as it can be had. The file is the goal's header (with the imports), the
statement and the proof, then two commands of ours. A proof counts only if

1. its text holds no word that is refused (`syntax.why_refused`);
2. Lean accepts the whole file;
3. the statement, as `#check` prints it with `pp.all` after the proof, is that of a reference file with `sorry`;
4. `#print axioms`, after the proof, names none but `ALLOWED_AXIOMS`;
5. where the `.olean` file is of a format that we read: the statement is the reference's as a term too, and nothing
   else is declared;
6. if asked for: lean4checker replays the file in the kernel alone.

Weaker than the embedded check: axioms are those that Lean prints, since the project's imports are not read here, so 1
carries more weight. Where 5 does not apply, so is the statement.

    project = lean_project("path/to/project")
    check_in_project(project, Goal("theorem t : 1 = 1", header="import Mathlib"), "norm_num")
"""

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from passatn.lean.check import (
    Check,
    Goal,
    GoalError,
    Reference,
    Ruling,
    complaint_about,
    judge_axioms,
    objection,
    opening,
    reference_in,
    statement_name,
    whole_text,
)
from passatn.lean.errors import LeanError
from passatn.lean.lake import find_lake, project_folder
from passatn.lean.olean import Declaration, read_olean
from passatn.lean.process import CommandLimits, LeanRun, never, run_command, run_lean
from passatn.lean.syntax import proof_body, why_refused

MODULE = "PassatnProof"
_SHOW = " in ".join(
    [
        *(f"set_option pp.{name} true" for name in ("all", "deepTerms", "rawOnError")),
        "set_option pp.maxSteps 100000000",
        "#check @{name}",
    ]
)
_AXIOMS = "#print axioms {name}"
_AXIOMS_FOUND = re.compile(r"depends on axioms: \[([^\]]*)\]\s*\Z")
_NO_AXIOMS = re.compile(r"does not depend on any axioms\s*\Z")
_MAX_REFERENCES = 4096


@dataclass(frozen=True)
class LeanProject:
    """The Lean of a project. `replay` is lean4checker: its name in the project, the path of the program, or nothing."""

    folder: Path
    lake: str
    replay: str = ""
    limits_memory: bool = False

    def command(self, arguments: Sequence[str], *, memory_mb: int = 0, cpu_seconds: int = 0) -> list[str]:
        """`lake env lean ARGUMENTS`; limits are kept by whoever starts it."""
        return [self.lake, "env", "lean", *arguments]

    def environment(self, *folders: str | Path) -> dict[str, str]:
        """Ours, with `folders` to import from beside what Lake adds."""
        path = [*map(str, folders), *filter(None, [os.environ.get("LEAN_PATH")])]
        return {**os.environ, **({"LEAN_PATH": os.pathsep.join(path)} if path else {})}

    def replay_command(self) -> list[str]:
        how = ["env"] if os.sep in self.replay else ["exe"]
        return [self.lake, *how, self.replay, MODULE]


def lean_project(folder: str | Path, *, lake: str | None = None, replay: str = "") -> LeanProject:
    """Raises LeanUnavailableError, one line that says what to do, for no project and where there is no Lake."""
    return LeanProject(project_folder(folder), lake or find_lake(), replay)


def check_in_project(
    project: LeanProject,
    goal: Goal,
    proof: str,
    *,
    timeout_seconds: float = 300.0,
    memory_mb: int = 8192,
    cancelled: Callable[[], bool] = never,
) -> Check:
    """Judge a tactic proof; `memory_mb` does not count imported files, which are only mapped.

    Raises GoalError for a problem that the project's Lean does not accept, LeanTimeoutError and LeanMemoryError at a
    limit, and LeanError where Lean or lean4checker does not run or `cancelled` turns true.
    """

    limits = CommandLimits(timeout_seconds, memory_mb, cancelled)
    reference = _reference(project, goal, limits)
    body = proof_body(proof)
    if reason := why_refused(body):
        return Check(Ruling.REFUSED, reason)
    done = _elaborate(project, goal, body, limits)
    if complaint := complaint_about(done.run, first_line=opening(goal, "").count("\n")):
        return Check(Ruling.FAILED, complaint, done.text)
    if done.statement is None or done.axioms is None:
        return Check(Ruling.REFUSED, "Lean does not say what was proved", done.text)
    if done.statement != reference.statement:
        return Check(Ruling.REFUSED, "the theorem has another statement", done.text)
    if reference.compiled is not None:
        if done.declarations is None:
            return Check(Ruling.REFUSED, "the compiled file cannot be read", done.text)
        # All that is not declared here was imported, or could not be named.
        if reason := objection(
            reference.compiled, done.declarations, lambda name: name not in (done.declarations or {})
        ):
            return Check(Ruling.REFUSED, reason, done.text)
    check = judge_axioms(done.axioms, done.text)
    if check.is_proved and project.replay and (reason := _replay(project, done.olean, limits)):
        return Check(Ruling.REFUSED, f"the kernel refuses the file when it is replayed: {reason}", done.text)
    return check


@dataclass(frozen=True)
class _Reference:
    """`compiled` is None where `.olean` files of this Lean cannot be read."""

    statement: str
    compiled: Reference | None


@dataclass(frozen=True)
class _Run:
    """`statement` and `axioms` are what Lean prints in the end, None where it does not."""

    run: LeanRun
    text: str
    statement: str | None
    axioms: tuple[str, ...] | None

    @property
    def olean(self) -> bytes:
        assert self.run.olean is not None
        return self.run.olean

    @property
    def declarations(self) -> dict[str, Declaration] | None:
        try:
            return read_olean(self.olean)
        except LeanError:
            return None


_references: OrderedDict[tuple[LeanProject, Goal], _Reference] = OrderedDict()
_lock = Lock()


def _reference(project: LeanProject, goal: Goal, limits: CommandLimits) -> _Reference:
    with _lock:
        if (project, goal) in _references:
            _references.move_to_end((project, goal))
            return _references[project, goal]
    name = statement_name(goal)
    done = _elaborate(project, goal, "sorry", limits)
    if complaint := complaint_about(done.run, first_line=-1):
        raise GoalError(f"Lean does not accept the statement: {complaint}")
    if done.statement is None or done.axioms is None:
        raise GoalError(f"Lean does not show the theorem {name!r} at the end of the file")
    if "sorryAx" not in done.axioms:
        raise GoalError(f"the statement does not declare the theorem {name!r} itself")
    declarations = done.declarations
    reference = _Reference(done.statement, None if declarations is None else reference_in(name, declarations))
    if project.replay and (reason := _replay(project, done.olean, limits)):
        raise LeanError(
            f"{project.replay} does not work in {project.folder}: {reason} (add it to the project and 'lake build "
            f"{project.replay}', or give the path of the built program)"
        )
    with _lock:
        _references[project, goal] = reference
        while len(_references) > _MAX_REFERENCES:
            _references.popitem(last=False)
    return reference


def _elaborate(project: LeanProject, goal: Goal, body: str, limits: CommandLimits) -> _Run:
    name = statement_name(goal)
    text = f"{whole_text(goal, body, '')}\n{_SHOW.format(name=name)}\n{_AXIOMS.format(name=name)}\n"
    run = run_lean(
        project,
        text,
        module=MODULE,
        timeout_seconds=limits.timeout_seconds,
        memory_mb=limits.memory_mb,
        want_olean=True,
        cancelled=limits.cancelled,
    )
    last = text.count("\n")
    statement, axioms = (_said(run, line) for line in (last - 1, last))
    return _Run(run, text, _whole(statement), _axioms(axioms or ""))


def _said(run: LeanRun, line: int) -> str | None:
    """The one message of a line of ours."""
    texts = [message.text for message in run.messages if message.line == line]
    return texts[0] if len(texts) == 1 else None


def _whole(statement: str | None) -> str | None:
    """None where something is left out."""
    is_cut = statement is None or "⋯" in statement or "failed to pretty print" in statement
    return None if is_cut else statement


def _axioms(text: str) -> tuple[str, ...] | None:
    if found := _AXIOMS_FOUND.search(text):
        return tuple(sorted(name.strip() for name in found[1].split(",")))
    return () if _NO_AXIOMS.search(text) else None


def _replay(project: LeanProject, olean: bytes, limits: CommandLimits) -> str:
    """Why lean4checker does not accept a compiled file; empty if it does. Raises what `check_in_project` raises."""
    with TemporaryDirectory(prefix="passatn-lean-") as folder:
        Path(folder, f"{MODULE}.olean").write_bytes(olean)
        output = Path(folder, "output")
        with output.open("wb") as sink:
            exit_code = run_command(
                project.replay_command(), project.folder, project.environment(folder), sink.fileno(), limits
            )
        lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "" if exit_code == 0 else lines[-1][:300] if lines else f"exit code {exit_code}"
