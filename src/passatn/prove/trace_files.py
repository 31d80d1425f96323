"""`passatn trace`: the theorems of Lean files as one file of steps, `OUTPUT`, and an account of the rest beside it.

Each file's steps are kept under `OUTPUT.parts` until all are done, so that a killed call goes on where it was; a file
that has changed since is traced anew. `OUTPUT` appears at the end, whole.
"""

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from passatn.evaluate import write_atomically
from passatn.lean.repl import StartRepl
from passatn.prove.lean_source import imports_of, split_commands
from passatn.prove.project import FileSession, LeftOut, TracedFile, trace_file
from passatn.tasks.problem import Problem, ProblemError

_OWN_IMPORT = re.compile(r"^[ \t]*(?:prelude|import[ \t]+PassatnInit)[ \t]*$", re.MULTILINE)
_NOT_SOURCES = frozenset({"lakefile.lean"})


@dataclass(frozen=True)
class TraceLimits:
    """Seconds for one tactic, and for one command (such as all imports of a file)."""

    tactic_seconds: float = 10.0
    command_seconds: float = 600.0


@dataclass(frozen=True)
class TraceAccount:
    """What came of all files; `left_out` and `errors` are lines `FILE:LINE: …` for people."""

    num_files: int
    num_theorems: int
    num_traced: int
    num_steps: int
    reasons: dict[str, int]
    left_out: tuple[str, ...]
    errors: tuple[str, ...]

    def describe(self) -> str:
        """One line."""
        counts = f"{self.num_traced:,} of {self.num_theorems:,} theorems in {self.num_files:,} files"
        line = f"{counts} give {self.num_steps:,} steps"
        rest = ", ".join(f"{count} {reason}" for reason, count in self.reasons.items())
        return f"{line}; left out: {rest}" if rest else line


def lean_files(paths: Sequence[Path]) -> list[Path]:
    """Lean files, those of a folder in order of their names; what Lake fetched or built is not among them.

    Raises ProblemError, one line: a path that is not there, or nothing found.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise ProblemError(f"{path}: no such file or folder")
        inside = sorted(path.rglob("*.lean")) if path.is_dir() else [path]
        kept = [
            file for file in inside if ".lake" not in file.relative_to(path).parts and file.name not in _NOT_SOURCES
        ]
        found |= dict.fromkeys(kept if path.is_dir() else inside)
    if not found:
        raise ProblemError(f"no Lean file in {', '.join(map(str, paths))}")
    return list(found)


def trace_files(
    files: Sequence[Path],
    output: Path,
    start_repl: StartRepl,
    *,
    project: Path | None = None,
    limits: TraceLimits | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> TraceAccount:
    """Trace files, each in a process of its own, and write `output` and `output.account.json`.

    Args:
        project: the Lean project they belong to; without it they are for the embedded Lean, and import nothing else.
        advance: told of each file that is done.

    Raises:
        ProblemError: a file is not text, or no theorem gave steps. LeanUnavailableError: no Lean.
    """
    limits = limits or TraceLimits()
    parts = output.with_name(f"{output.name}.parts")
    traced = []
    for file in files:
        path, text = _shown(file, project), _read(file)
        part = parts / f"{_digest(path, text, str(project), repr(limits))}.json"
        if not part.exists():
            write_atomically(part, json.dumps(_trace(path, text, start_repl, project, limits)).encode())
        traced.append((path, json.loads(part.read_text("utf-8"))))
        advance(1)
    account, records = _account(traced), _records(traced)
    if not records:
        shutil.rmtree(parts)
        raise ProblemError(
            f"no theorem gave steps; {account.describe()}; first: {(*account.left_out, 'no theorem')[0]}"
        )
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_atomically(output, lines.encode())
    write_atomically(account_file(output), (json.dumps(asdict(account), ensure_ascii=False, indent=1) + "\n").encode())
    shutil.rmtree(parts)
    return account


def account_file(output: Path) -> Path:
    return output.with_name(f"{output.name}.account.json")


def _trace(path: str, text: str, start_repl: StartRepl, project: Path | None, limits: TraceLimits) -> dict[str, Any]:
    if project is None:
        text = _OWN_IMPORT.sub("", text)
        if missing := imports_of(text):
            traced = _not_here(text, f"imports {missing[0]}, which is not in the embedded Lean: give its --project")
            return _plain(traced)
    with FileSession(
        start_repl, timeout_seconds=limits.tactic_seconds, command_timeout_seconds=limits.command_seconds
    ) as lean:
        return _plain(trace_file(lean, text, path))


def _not_here(text: str, detail: str) -> TracedFile:
    theorems = [command.theorem for command in split_commands(text) if command.theorem is not None]
    left_out = [LeftOut(theorem.name, theorem.line, "not reached", detail) for theorem in theorems]
    return TracedFile(len(theorems), left_out=left_out)


def _plain(traced: TracedFile) -> dict[str, Any]:
    return asdict(traced) | {"steps": [problem.to_record() for problem in traced.steps]}


def _account(traced: Sequence[tuple[str, dict[str, Any]]]) -> TraceAccount:
    left_out = [(path, LeftOut(**item)) for path, file in traced for item in file["left_out"]]
    steps = [step for _, file in traced for step in file["steps"]]
    return TraceAccount(
        num_files=len(traced),
        num_theorems=sum(file["num_theorems"] for _, file in traced),
        num_traced=sum(step["metadata"]["step"] == 1 for step in steps),
        num_steps=len(steps),
        reasons=dict(Counter(item.reason for _, item in left_out).most_common()),
        left_out=tuple(_line(path, item) for path, item in left_out),
        errors=tuple(f"{path}: {' '.join(error.split())}" for path, file in traced for error in file["errors"]),
    )


def _line(path: str, item: LeftOut) -> str:
    line = f"{path}:{item.line}: {item.name}: {item.reason}"
    return f"{line}: {item.detail}" if item.detail else line


def _records(traced: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """All steps; a proof whose name another proof has already is called by its file and line as well."""
    places: dict[str, tuple[str, int]] = {}
    records = []
    for path, file in traced:
        for record in file["steps"]:
            metadata = record["metadata"]
            name, place = metadata["group_id"], (path, metadata["line"])
            if places.setdefault(name, place) != place:
                name = f"{name} ({path}:{metadata['line']})"
            problem = Problem.from_record(
                record | {"id": f"{name}#{metadata['step']}", "metadata": metadata | {"group_id": name}}
            )
            records.append(problem.to_record())
    return records


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ProblemError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def _shown(file: Path, project: Path | None) -> str:
    """The path as the project knows it, so that it is the same wherever the project lies."""
    if project is not None and file.resolve().is_relative_to(project.resolve()):
        return file.resolve().relative_to(project.resolve()).as_posix()
    return file.as_posix()


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]
