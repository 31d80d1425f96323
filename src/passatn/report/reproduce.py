"""One page for all reproduced tables and figures: ours beside the paper's, from the stored records alone."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from passatn.report.html import HtmlReport

TITLE = "Reproduction of arXiv 2502.07154"


def write_page(output: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """report.html of a reproduction's folder: one section per record, pictures from its own folder."""
    page = HtmlReport(TITLE)
    page.add_paragraph(_introduction(records))
    for record in records:
        _add_section(page, record, output / record["name"])
    return page.save(output / "report.html")


def csv_text(table: Mapping[str, Any]) -> str:
    """A table as CSV, numbers unrounded; None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table["columns"])
    writer.writerows(table["rows"])
    return buffer.getvalue()


def shown(cell: Any) -> str:
    """A cell as page and terminal have it."""
    if cell is None:
        return "–"
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)


def _introduction(records: Sequence[Mapping[str, Any]]) -> str:
    scales = sorted({str(record["scale"]) for record in records})
    small = any(record["scale"] != "paper" for record in records)
    text = f"Scale: {', '.join(scales)}. Every number of ours follows from the raw files named in results.json."
    if small:
        text += (
            " At a scale below the paper's, models and data are others than the paper's: what can be compared is the "
            "direction of an effect, not its size."
        )
    if any(record["quick"] for record in records):
        text += " QUICK: sizes that only show that it runs; the numbers mean nothing."
    return text


def _add_section(page: HtmlReport, record: Mapping[str, Any], folder: Path) -> None:
    page.add_heading(f"{record['name']}: {record['title']}")
    page.add_paragraph(record["setting"])
    if record["findings"]:
        page.add_heading("What was measured", level=3)
        page.add_list(record["findings"])
    for name in record["pictures"]:
        page.add_image(folder / name, f"Ours: {name}", alt=record["title"])
    for table in record["tables"]:
        rows = [[shown(cell) for cell in row] for row in table["rows"]]
        page.add_table(table["columns"], rows, f"Ours. {table['caption']}")
    _add_paper(page, record["paper"])
    if record["missing"]:
        page.add_heading("Missing here", level=3)
        page.add_list(record["missing"])


def _add_paper(page: HtmlReport, paper: Mapping[str, Any] | None) -> None:
    if paper is None:
        return
    if "shows" in paper:
        page.add_paragraph(f"The paper ({paper['source']}): {paper['shows']}")
        return
    rows = [[shown(cell) for cell in row] for row in paper["rows"]]
    caption = f"The paper's numbers, in percent. {paper['source']}: {paper['setting']}. {paper['note']}".strip()
    page.add_table(paper["columns"], rows, caption)
