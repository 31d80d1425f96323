"""Theorems to prove as problems: the statement in the form that Lean's side of the package takes, and its context.

    load_problems("minif2f_lean4_test.jsonl", preset="minif2f")
    load_problems("theorems.jsonl", preset="theorems")

One theorem a row: `formal_statement` (or statement), with or without attributes, comments and a proof, and where there
are such columns `name` (or full_name, id), `header` (Lean text before it: imports, `open`, definitions) and
`informal_prefix` (or informal, nl_statement, informal_stmt). The metadata holds `statement` (`theorem NAME … : …`, no
`:=`), `header`, `informal` and what else the row has; the prompt is the statement. No text is accepted as an answer:
Lean judges.
"""

from typing import Any

from passatn.tasks.columns import Row, given, required_text
from passatn.tasks.lean_text import split_theorem
from passatn.tasks.problem import ProblemError

_STATEMENT = ("formal_statement", "statement")
_NAME = ("name", "full_name", "id")
_INFORMAL = ("informal_prefix", "informal", "nl_statement", "informal_stmt")
_KNOWN = frozenset({*_STATEMENT, *_NAME, *_INFORMAL, "header", "metadata"})


def theorem_record(row: Row) -> dict[str, Any]:
    """One row as one problem to prove."""
    try:
        statement, _ = split_theorem(required_text(row, *_STATEMENT))
    except ValueError as error:
        raise ProblemError(str(error)) from None
    metadata = {key: value for key, value in row.items() if key not in _KNOWN} | (row.get("metadata") or {})
    metadata["statement"] = statement
    if header := given(row, "header"):
        metadata["header"] = header
    if informal := given(row, *_INFORMAL):
        metadata["informal"] = str(informal).strip().removeprefix("/--").removesuffix("-/").strip()
    return {"id": given(row, *_NAME), "prompt": statement, "metadata": metadata}
