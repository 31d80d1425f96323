r"""Your own verifier: a Python function, or a command that reads and writes JSON Lines; both through the pool.

A function `python:package.module:function` or `python:file.py:function` is called as `function(completion, problem)`,
with a str and a `passatn.tasks.Problem`, and returns True or False, an outcome ("correct", "incorrect", "timeout",
"error") or a `Verdict`:

    def check(completion, problem):
        return completion.strip().lower() in problem.answers

A command `cmd ./check --strict` reads lines {"id", "completion", "problem"} and writes one line for each, in order:
{"verdict": "correct"} (or true, or false), with `extracted` and `detail` if it likes, and with the line's `id` to be
safe against lines that went missing. It is started once per worker and
should write each line as soon as it can; a command that answers only at the end of its input works too, but is then
started for every line. It runs without a shell; its standard error is discarded.

The version of a command is a hash of its program and of every word of it that is a file; that of a function, of its
file. An `@` in either is written "(at)" in the verifier's name.

What a function raises, and a command that dies or writes something else, is an error of that one verdict.
"""

import hashlib
import importlib
import importlib.util
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from passatn.tasks.problem import Problem
from passatn.verify.cache import VerdictCache
from passatn.verify.command_worker import CommandWorker
from passatn.verify.pool import TaskResult, WorkerPool
from passatn.verify.verdict import Outcome, Submission, Verdict

CACHE_SIZE = 2**16


class CustomVerifier:
    """What functions and commands share: one task per distinct submission, and the reading of what comes back."""

    def __init__(self, name: str, version: str, pool: WorkerPool) -> None:
        # The store writes "name@version", so a name has no @.
        self.name = name.replace("@", "(at)")
        self.version = version
        self._pool = pool
        self._cache = VerdictCache(CACHE_SIZE)

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        """One verdict per submission, in order. Raises PoolError after `close`."""
        keys = [_key(submission) for submission in submissions]
        verdicts = self._cache.resolve(keys, self._judge)
        return [verdicts[key] for key in keys]

    def close(self) -> None:
        """Release the worker processes; safe to call twice."""
        self._pool.close()

    def _judge(self, keys: Sequence[tuple[str, str]]) -> list[Verdict]:
        results = self._pool.map([completion, json.loads(record)] for completion, record in keys)
        return [_verdict(result) for result in results]


class FunctionVerifier(CustomVerifier):
    """Judges by a Python function, "module:function" or "file.py:function"."""

    def __init__(
        self, spec: str, *, timeout_seconds: float = 10.0, memory_mb: int = 2048, num_workers: int | None = None
    ) -> None:
        """Loads the function in a worker at once; raises ValueError where that fails."""
        source, separator, function = spec.rpartition(":")
        if not separator or not source or not function:
            raise ValueError(
                f"a Python verifier is written python:module:function or python:file.py:function, got {spec!r}"
            )
        if source.endswith(".py"):
            source = str(Path(source).resolve())
        limits = {"timeout_seconds": timeout_seconds, "memory_mb": memory_mb, "num_workers": num_workers}
        pool = WorkerPool("passatn.verify.custom:load", [source, function], **limits)  # type: ignore[arg-type]
        super().__init__(f"python:{spec}", _source_version(source), pool)
        self._options = (spec, limits)
        failed = pool.map([None])[0]
        if failed.failure is not None:
            pool.close()
            raise ValueError(f"python:{spec}: {failed.detail}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), *self._options)


class CommandVerifier(CustomVerifier):
    """Judges by a command line, split as a shell would, but run without one."""

    def __init__(
        self, command: str, *, timeout_seconds: float = 10.0, memory_mb: int = 2048, num_workers: int | None = None
    ) -> None:
        """Raises ValueError if there is no such program."""
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"cmd {command}: {error}") from None
        if not words or shutil.which(words[0]) is None:
            raise ValueError(f"cmd {command}: {'no command given' if not words else f'no program {words[0]!r}'}")
        limits = {"timeout_seconds": timeout_seconds, "memory_mb": memory_mb, "num_workers": num_workers}
        self._options = (command, limits)
        answers_late = [False]

        def start(cancelled: Callable[[], bool]) -> CommandWorker:
            return CommandWorker(words, memory_mb, cancelled, answers_late)

        pool = WorkerPool(start_worker=start, **limits)  # type: ignore[arg-type]
        super().__init__(f"cmd {command}", _command_version(words), pool)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), *self._options)


def load(source: str, function: str) -> Callable[[Any], Any]:
    """In a worker: the function of one task, [completion, record of the problem] to what `_verdict` reads."""
    if source.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(source).stem, source)
        if spec is None or spec.loader is None or not Path(source).is_file():
            raise FileNotFoundError(f"no file {source}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        sys.path.insert(0, str(Path(source).parent))
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(source)
    judge = getattr(module, function)
    if not callable(judge):
        raise TypeError(f"{function} is not callable")

    def run(task: list[Any] | None) -> Any:
        if task is None:
            return None
        completion, record = task
        return _plain(judge(completion, Problem.from_record(record)))

    return run


def _plain(answer: Any) -> Any:
    """The function's answer as JSON; numpy's booleans have `item`."""
    answer = answer.item() if hasattr(answer, "item") else answer
    if isinstance(answer, Verdict):
        return {"verdict": str(answer.outcome), "extracted": answer.extracted, "detail": answer.detail}
    if isinstance(answer, bool) or (isinstance(answer, str) and answer in set(Outcome)):
        return {"verdict": answer if isinstance(answer, bool) else str(answer)}
    raise TypeError(f"the function returned {type(answer).__name__}, expected True, False, an outcome or a Verdict")


def _verdict(result: TaskResult) -> Verdict:
    if result.failure is not None:
        return Verdict(result.failure, None, result.detail)
    record = result.value if isinstance(result.value, dict) else {"verdict": result.value}
    verdict, extracted, detail = (record.get(field) for field in ("verdict", "extracted", "detail"))
    if isinstance(verdict, bool):
        verdict = Outcome.CORRECT if verdict else Outcome.INCORRECT
    if not isinstance(verdict, str) or verdict not in set(Outcome):
        return Verdict(Outcome.ERROR, None, f"not a verdict: {json.dumps(result.value)[:200]}")
    extracted = extracted if extracted is None or isinstance(extracted, str) else json.dumps(extracted)
    return Verdict(Outcome(verdict), extracted, "" if detail is None else str(detail))


def _key(submission: Submission) -> tuple[str, str]:
    return submission.completion, json.dumps(submission.problem.to_record(), sort_keys=True)


def _source_version(source: str) -> str:
    if source.endswith(".py"):
        return _file_version(Path(source))
    try:
        spec = importlib.util.find_spec(source)
    except (ImportError, ValueError):
        spec = None
    return _file_version(Path(spec.origin)) if spec is not None and spec.origin else "unknown"


def _file_version(path: Path) -> str:
    """A hash of the verifier's own file; what it imports or calls is not seen."""
    return _version([path])


def _command_version(words: Sequence[str]) -> str:
    """A hash of the program and of every word that is a file: in `python check.py` the script is what judges."""
    return _version([Path(str(shutil.which(words[0]))), *map(Path, words[1:])])


def _version(paths: Sequence[Path]) -> str:
    """A hash of those paths that are files and can be read (a program may be executable only)."""
    digests = []
    for path in paths:
        # Unlike Path.is_file, False for a word too long to be a path; and a pipe must not be read.
        if os.path.isfile(path) and os.access(path, os.R_OK):
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256"))
    if not digests:
        return "unknown"
    # One file has its plain hash; of several, the hash of their hashes depends on where one ends and the next begins.
    whole = digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(each.digest() for each in digests))
    return f"sha256 {whole.hexdigest()[:16]}"


def _rebuild(kind: Callable[..., CustomVerifier], spec: str, limits: dict[str, Any]) -> CustomVerifier:
    return kind(spec, **limits)
