"""Source text: what a module binds, and how prompt and completion join to a program. Parses, never runs.

Parsing hostile text can end a process, so a completion is parsed only where it will run.
"""

import ast
import warnings
from typing import Any


def assemble(job: dict[str, Any]) -> str:
    """The program of a job {"prompt", "preamble", "code", "entry_point"}.

    A completion continues the prompt, unless it is a module that defines the entry point itself: that stands after
    the prompt, or alone where the prompt is no Python or the two do not go together.
    """
    if not job["entry_point"] or not defines(job["code"], job["entry_point"]):
        return f"{job['prompt']}{job['code']}"
    joined = f"{job['preamble']}\n\n{job['code']}"
    return joined if job["preamble"] and parse(joined) is not None else str(job["code"])


def parse(source: str) -> ast.Module | None:
    """The syntax tree, or None where there is none. Never runs anything."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def defines(source: str, name: str) -> bool:
    """Whether the source is a module of its own that binds `name` at its top level."""
    tree = parse(source)
    return tree is not None and name in top_level_names(tree)


def top_level_names(tree: ast.Module) -> set[str]:
    """What a module binds outside of functions and classes (branches of `if` and `try` included)."""
    names, pending = set(), list[ast.AST](tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        if not isinstance(node, ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))
    return names
