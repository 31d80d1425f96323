"""One self-contained HTML page: text, tables, pictures and interactive figures in a single file that opens offline.

The page asks for nothing from anywhere: plotly.js, styles and pictures are inside, and its content security policy
forbids the browser to fetch anything else.
"""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from passatn.evaluate import write_atomically
from passatn.report.theme import FONT_FAMILY, GRID, INK, MUTED, PAPER

CONTENT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)

PLOT_CONFIG = '{"displayModeBar": false, "responsive": true}'

STYLE = f"""
:root {{ color-scheme: light; }}
body {{ font: 16px/1.55 {FONT_FAMILY}; color: {INK}; background: {PAPER}; margin: 0; }}
main {{ max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }}
p, ul {{ max-width: 44rem; }}
h1 {{ font-size: 1.8rem; line-height: 1.25; margin: 0 0 1rem; }}
h2 {{ font-size: 1.3rem; margin: 2.5rem 0 0.75rem; padding-top: 1rem; border-top: 1px solid {GRID}; }}
h3 {{ font-size: 1.05rem; margin: 1.75rem 0 0.5rem; }}
figure {{ margin: 1.25rem 0; }}
.title {{ font-weight: 600; }}
figcaption, caption {{ color: {MUTED}; font-size: 0.875rem; text-align: left; padding: 0.4rem 0; }}
figure img {{ max-width: 100%; height: auto; }}
.scroll {{ overflow-x: auto; margin: 1.25rem 0; }}
table {{ border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }}
caption {{ caption-side: top; }}
th, td {{ padding: 0.35rem 0.8rem; border-bottom: 1px solid {GRID}; text-align: right; white-space: nowrap; }}
th {{ color: {MUTED}; font-weight: 600; border-bottom: 2px solid {GRID}; }}
th:first-child, td:first-child {{ text-align: left; padding-left: 0; }}
td.text, th.text {{ text-align: left; white-space: normal; }}
td.text div {{ width: max-content; max-width: 16rem; }}
th:first-child, td:first-child {{ position: sticky; left: 0; background: {PAPER}; }}
.row {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 0 1.5rem; }}
pre {{ font-size: 0.85rem; line-height: 1.4; margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }}
@media print {{
  main {{ max-width: none; padding: 0; }}
  h2, h3 {{ break-after: avoid; }}
  figure, table {{ break-inside: avoid; }}
}}
"""


class HtmlReport:
    """Builds the page from top to bottom; every text is escaped."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = [f"<h1>{escape(title)}</h1>"]
        self._scripts: list[str] = []

    def add_heading(self, text: str, level: int = 2) -> None:
        """A heading of level 2 or 3; level 1 is the page's title."""
        if level not in (2, 3):
            raise ValueError(f"heading level must be 2 or 3, got {level}")
        self._parts.append(f"<h{level}>{escape(text)}</h{level}>")

    def add_paragraph(self, text: str) -> None:
        """A paragraph of plain text."""
        self._parts.append(f"<p>{escape(text)}</p>")

    def add_list(self, items: Sequence[str]) -> None:
        """A bulleted list of plain texts."""
        self._parts.append("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>")

    def add_table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> None:
        """A table; cells are shown with str(). The first column and columns of words are set left, the others right."""
        for index, row in enumerate(rows):
            if len(row) != len(columns):
                raise ValueError(f"table row {index} has {len(row)} cells for {len(columns)} columns")
        texts = [[str(cell) for cell in row] for row in rows]
        classes = [_column_class([row[i] for row in texts]) for i in range(len(columns))]
        self._parts.append(
            '<div class="scroll"><table>'
            + (f"<caption>{escape(caption)}</caption>" if caption else "")
            + f"<thead>{_table_row('th', columns, classes)}</thead>"
            + f"<tbody>{''.join(_table_row('td', row, classes) for row in texts)}</tbody></table></div>"
        )

    def add_figure(self, figure: go.Figure, caption: str = "", title: str = "") -> None:
        """An interactive figure that takes the width of the page, its title above and its caption below."""
        self._parts.append(self._figure_html(figure, caption, title))

    def add_figure_row(self, figures: Mapping[str, go.Figure]) -> None:
        """Figures by title, side by side where the page is wide enough."""
        cells = [self._figure_html(figure, "", title) for title, figure in figures.items()]
        self._parts.append(f'<div class="row">{"".join(cells)}</div>')

    def _figure_html(self, figure: go.Figure, caption: str, title: str) -> str:
        name = f"figure-{len(self._scripts) + 1}"
        self._scripts.append(
            f"<script>(function () {{ const plot = {figure.to_json(validate=True)};"
            f' Plotly.newPlot("{name}", plot.data, plot.layout, {PLOT_CONFIG}); }})();</script>'
        )
        height = figure.layout.height or 450
        heading = f'<div class="title">{escape(title)}</div>' if title else ""
        return (
            f'<figure>{heading}<div id="{name}" class="plot" style="height:{height}px"></div>'
            f"{_caption(caption)}</figure>"
        )

    def add_image(self, path: str | Path, caption: str = "", alt: str = "") -> None:
        """A PNG, embedded."""
        data = Path(path).read_bytes()
        if not data.startswith(b"\x89PNG"):
            raise ValueError(f"{path}: not a PNG")
        source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        text = escape(alt or caption or Path(path).stem, quote=True)
        self._parts.append(f'<figure><img src="{source}" alt="{text}">{_caption(caption)}</figure>')

    def add_html(self, html: str) -> None:
        """A part that was made elsewhere, with every text in it escaped there."""
        self._parts.append(html)

    def to_html(self) -> str:
        """The whole page; plotly.js is in it once, if there is any figure."""
        script = f"<script>{get_plotlyjs()}</script>" if self._scripts else ""
        # Figures are drawn when the whole page is laid out: drawn earlier, those of a row would take its full width.
        body, drawing = "\n".join(self._parts), "\n".join(self._scripts)
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<link rel="icon" href="data:,">\n<title>{escape(self.title)}</title>\n'
            f"<style>{STYLE}</style>\n{script}\n</head>\n<body>\n<main>\n{body}\n</main>\n{drawing}\n</body>\n</html>\n"
        )

    def save(self, path: str | Path) -> Path:
        """Write the page atomically."""
        return write_atomically(path, self.to_html().encode())


def _caption(text: str) -> str:
    return f"<figcaption>{escape(text)}</figcaption>" if text else ""


def _column_class(cells: Sequence[str]) -> str:
    """The attribute of a column of words; empty for one in which every cell has a digit or is a dash."""
    words = [cell for cell in cells if cell not in ("", "–") and not any(c.isdigit() for c in cell)]
    return ' class="text"' if words else ""


def _table_row(tag: str, cells: Sequence[str], classes: Sequence[str]) -> str:
    pairs = zip(cells, classes, strict=True)
    return "<tr>" + "".join(f"<{tag}{kind}><div>{escape(cell)}</div></{tag}>" for cell, kind in pairs) + "</tr>"
