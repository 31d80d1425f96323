"""What reproducing one table or figure comes to, as plain data: page, CSV and results.json are made from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from passatn.experiments.reproduce.context import Context

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Columns and rows; numbers stay numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        return {"caption": self.caption, "columns": list(self.columns), "rows": [list(row) for row in self.rows]}


@dataclass(frozen=True)
class Section:
    """One table or figure, measured.

    Args:
        setting: what was run, in a sentence or two.
        findings: what came out, each a sentence with its numbers.
        tables: for the page and the terminal, ours and the paper's.
        csv: by file name, every number behind the pictures.
        pictures: by file name, a function that draws it at a path.
        numbers: ours, as JSON values.
        sources: files of raw numbers that all of it follows from.
        missing: what of the paper's table or figure is not there.
    """

    setting: str
    findings: Sequence[str]
    tables: Sequence[Table]
    csv: Mapping[str, Table]
    pictures: Mapping[str, Callable[[Path], Any]]
    numbers: Mapping[str, Any]
    sources: Sequence[Path] = ()
    missing: Sequence[str] = field(default_factory=tuple)


def relative(context: "Context", path: Path) -> str:
    """A source as results.json names it."""
    return path.relative_to(context.workspace.output).as_posix()
