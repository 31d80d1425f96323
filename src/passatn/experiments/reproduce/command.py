"""`passatn reproduce NAME`: run the stages of one table or figure and write its files and its section of the page.

passatn reproduce fig11 --output reproduction
passatn reproduce table1 --scale paper --dry-run
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import rich.table
from rich.console import Console
from rich.markup import escape

from passatn.evaluate.atomic import write_atomically
from passatn.experiments.config import ConfigError
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.reproduce.catalogue import find
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.paper import paper_side
from passatn.experiments.reproduce.section import Section, relative
from passatn.experiments.reproduce.workspace import digest_of
from passatn.experiments.run_directory import environment
from passatn.report.reproduce import csv_text, shown, write_page

SCHEMA_VERSION = 1


def dry_run(context: Context) -> list[str]:
    """What would run, with estimates and commands, a line each; nothing is written or loaded."""
    entry = find(context.name)
    lines = importlib.import_module(entry.module).plan(context).lines()
    return [f"{entry.name}: {entry.title}, scale {context.scale}", *lines]


def reproduce(context: Context) -> dict[str, Any]:
    """Run what is missing, write the files, and return the record of results.json.

    A finished table or figure with the same recipe is read, not run; one with another recipe is done again, which is
    said, with the stages that the change does not touch used again.

    Raises:
        ConfigError: the output folder holds something else, or something is missing; one line.
    """
    entry = find(context.name)
    module = importlib.import_module(entry.module)
    # First, as it refuses what cannot run.
    recipe = json.loads(json.dumps(module.recipe(context)))
    context.workspace.open({"scale": context.scale, "quick": context.quick})
    before = _stored(context.folder / "results.json")
    if before is not None and before["recipe"] == recipe:
        context.say(f"{context.name} is finished already: {context.folder}")
        return before
    if before is not None:
        context.say(f"{context.name}: its recipe has changed ({_changed(before['recipe'], recipe)}): done again")
    began = time.monotonic()
    with quiet_libraries():
        section: Section = module.section(context)
    record = _record(context, entry.title, recipe, section, time.monotonic() - began)
    _write(context, section, record)
    return record


def stored_sections(output: Path) -> list[dict[str, Any]]:
    """The records of all finished tables and figures in the folder, in the paper's order."""
    from passatn.experiments.reproduce.catalogue import NAMES

    found = [_stored(output / name / "results.json") for name in NAMES]
    return [record for record in found if record is not None]


def show(record: dict[str, Any]) -> None:
    """Findings and tables, ours and then the paper's, on stdout."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(f"{record['name']}: {record['title']} (scale {record['scale']})", markup=False)
    for finding in record["findings"]:
        console.print(f"• {finding}", markup=False)
    paper = record["paper"] if record["paper"] and "rows" in record["paper"] else None
    theirs = [] if paper is None else [paper | {"caption": f"{paper['source']}, percent. {paper['setting']}."}]
    for found in [*record["tables"], *theirs]:
        table = rich.table.Table(*map(escape, found["columns"]), title=escape(found["caption"]), title_justify="left")
        for row in found["rows"]:
            table.add_row(*(escape(shown(cell)) for cell in row))
        console.print(table)
    for line in record["missing"]:
        console.print(f"missing: {line}", markup=False)


def _record(context: Context, title: str, recipe: Any, section: Section, seconds: float) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "reproduction",
        "name": context.name,
        "title": title,
        "scale": context.scale,
        "quick": context.quick,
        "recipe": recipe,
        "recipe_digest": digest_of(recipe),
        "seconds": round(seconds, 1),
        "environment": environment(),
        "setting": section.setting,
        "findings": list(section.findings),
        "missing": list(section.missing),
        "tables": [table.to_dict() for table in section.tables],
        "pictures": list(section.pictures),
        "paper": paper_side(context.name),
        "ours": dict(section.numbers),
        "sources": [relative(context, path) for path in section.sources],
    }


def _write(context: Context, section: Section, record: dict[str, Any]) -> None:
    """CSV and PNG first, results.json last: it is what marks the folder as finished."""
    (context.folder / "results.json").unlink(missing_ok=True)
    for name, table in section.csv.items():
        write_atomically(context.folder / name, csv_text(table.to_dict()).encode())
    for name, draw in section.pictures.items():
        draw(context.folder / name)
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(context.folder / "results.json", (text + "\n").encode())
    write_page(context.workspace.output, stored_sections(context.workspace.output))


def _stored(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}): delete it, and it is made again") from None
    return record if isinstance(record, dict) else None


def _changed(before: Any, now: Any) -> str:
    keys = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    return ", ".join(keys)
