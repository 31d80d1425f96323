"""From a problem and a completion to two jobs: the program to run, and the tests to run on it, kept apart.

HumanEval's format (metadata `entry_point`, `test`): the program is the prompt with the completion, the tests are
`test` and then `check(entry_point)`. A completion that defines the entry point again, in a fence or not, stands after
the prompt as a definition that replaces it, or alone where the prompt is no Python.

MBPP's (metadata `test_list`, optional `test_setup_code` and `test_imports`): the program is set-up and completion, the
tests are the assertions. A set-up that uses the program's own names runs before the assertions instead.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from passatn.tasks.problem import Problem
from passatn.verify.code.completion import find_code
from passatn.verify.code.inside.source import defines, parse, top_level_names
from passatn.verify.code.names import needs


class ExamError(ValueError):
    """A problem without usable tests; the message is one line."""


@dataclass(frozen=True)
class Exam:
    """`program` is for the process that runs untrusted code, `tests` for the one that judges it."""

    code: str
    program: dict[str, Any] = field(repr=False)
    tests: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class _Parts:
    """`prompt` precedes the code in the program; `preamble` is what the tests know of it."""

    prompt: str
    code: str
    preamble: str
    tests: str
    entry_point: str | None = None


def make_exam(problem: Problem, completion: str) -> Exam:
    """Raises ExamError where the metadata is missing or its code cannot be parsed."""
    metadata = problem.metadata
    code = find_code(completion)
    if metadata.get("test"):
        return _human_eval(problem.prompt, metadata, code)
    if metadata.get("test_list"):
        return _mbpp(metadata, code)
    raise ExamError("the problem has no tests: its metadata needs 'test' and 'entry_point', or 'test_list'")


def _human_eval(prompt: str, metadata: Mapping[str, Any], code: str) -> Exam:
    entry_point, tests = metadata.get("entry_point"), metadata["test"]
    if not isinstance(entry_point, str) or not entry_point.isidentifier():
        raise ExamError(f"the metadata 'entry_point' must be the name of a function, got {entry_point!r}")
    if not isinstance(tests, str) or not defines(tests, "check"):
        raise ExamError("the metadata 'test' must be Python that defines check(candidate)")
    preamble = _complete_prompt(prompt)
    return _exam(_Parts(prompt, code, preamble, tests, entry_point))


def _complete_prompt(prompt: str) -> str:
    """The prompt as a module: the definitions that come before the function asked for. Empty if it is no Python."""
    return next((text for text in (prompt, f"{prompt}\n    pass\n") if parse(text) is not None), "")


def _mbpp(metadata: Mapping[str, Any], code: str) -> Exam:
    tests = "\n".join(_lines(metadata, "test_list"))
    setup = "\n".join([*_lines(metadata, "test_imports"), *_lines(metadata, "test_setup_code")])
    if parse(tests) is None or parse(setup) is None:
        raise ExamError("the metadata 'test_list' and 'test_setup_code' must be Python")
    if needs(setup, set()).program:
        return _exam(_Parts("", code, "", f"{setup}\n{tests}"))
    return _exam(_Parts(f"{setup}\n" if setup else "", code, setup, tests))


def _lines(metadata: Mapping[str, Any], key: str) -> list[str]:
    value = metadata.get(key) or []
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list | tuple) or not all(isinstance(line, str) for line in value):
        raise ExamError(f"the metadata {key!r} must be Python in a list of strings")
    return [line.replace("\r\n", "\n") for line in value]


def _exam(parts: _Parts) -> Exam:
    tree = parse(parts.preamble) or ast.Module([], [])
    provided = top_level_names(tree)
    if parts.entry_point:
        provided = provided - {parts.entry_point} | {"check"}
    try:
        compile(parts.tests, "<tests>", "exec", dont_inherit=True)
        need = needs(parts.tests, provided)
    except SyntaxError as error:
        raise ExamError(f"the tests cannot be compiled: {error.msg}") from None
    shared = {
        "names": sorted({*need.program, *([parts.entry_point] if parts.entry_point else [])}),
        "classes": sorted(provided & {node.name for node in tree.body if isinstance(node, ast.ClassDef)}),
        "preamble": parts.preamble,
        "entry_point": parts.entry_point,
    }
    program = {**shared, "prompt": parts.prompt, "code": parts.code}
    return Exam(parts.code, program, {**shared, "tests": parts.tests, "modules": list(need.modules)})
