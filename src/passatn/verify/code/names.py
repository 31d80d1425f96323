"""Which names do tests use, and which of them does the program have to provide? Read off the tests, never run."""

import ast
import builtins
import symtable
import sys
from dataclasses import dataclass

_BUILTINS = frozenset(dir(builtins))


@dataclass(frozen=True)
class Needs:
    """`program`: names that the program must define; `modules`: standard modules that the tests forgot to import."""

    program: tuple[str, ...]
    modules: tuple[str, ...]


def free_names(source: str) -> set[str]:
    """Global names that a module reads and does not bind itself. Raises SyntaxError."""
    top = symtable.symtable(source, "<tests>", "exec")
    used: set[str] = set()
    bound = {symbol.get_name() for symbol in top.get_symbols() if _binds(symbol)}
    pending = [top]
    while pending:
        table = pending.pop()
        pending.extend(table.get_children())
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (table is top or symbol.is_global()):
                used.add(symbol.get_name())
            if symbol.is_declared_global() and symbol.is_assigned():
                bound.add(symbol.get_name())
    return used - bound


def needs(tests: str, provided: set[str]) -> Needs:
    """What tests need beyond builtins and `provided`.

    A builtin name counts as the program's only where the tests use no other and call it first of all, as in
    `assert sum(10, 15) == 6`: so a program cannot replace the `set` or `sorted` of the tests.
    """
    tree = ast.parse(tests)
    wanted = free_names(tests) - provided
    modules = {name for name in wanted & sys.stdlib_module_names if _is_only_prefix(tree, name)}
    program = wanted - _BUILTINS - modules
    if not program:
        program = {name for name in map(_subject, ast.walk(tree)) if name is not None} & wanted
    return Needs(tuple(sorted(program)), tuple(sorted(modules)))


def _binds(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()


def _is_only_prefix(tree: ast.Module, name: str) -> bool:
    """Whether `name` appears as in `name.attribute` alone: then it is the module, not a function called so."""
    prefixes = [node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return all(node in prefixes for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name)


def _subject(node: ast.AST) -> str | None:
    """The function whose result an assertion is about, where its name is written there."""
    if not isinstance(node, ast.Assert):
        return None
    expression = node.test
    while not isinstance(expression, ast.Call):
        if isinstance(expression, ast.Compare):
            expression = expression.left
        elif isinstance(expression, ast.UnaryOp):
            expression = expression.operand
        else:
            return None
    return expression.func.id if isinstance(expression.func, ast.Name) else None
