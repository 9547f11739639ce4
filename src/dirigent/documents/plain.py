"""A document as Markdown that stands alone: tables are written out, and a chart is the table of its numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dirigent.core.documents import Column, Document, Grid, Made
from dirigent.documents.cells import cells_of, worded
from dirigent.documents.looks import WORDS

__all__ = ["made"]

_PLACED = re.compile(r"^!\[([^\]\n]*)\]\((chart|table|image):([^)\s]+)\)[ \t]*$", re.MULTILINE)


def made(document: Document) -> Made:
    """The document as Markdown."""
    notes: list[str] = []

    def placed(found: re.Match[str]) -> str:
        caption, what, name = found[1], found[2], found[3]
        if what == "table" and name in document.tables:
            return _grid(document.tables[name], document, caption)
        if what == "chart" and name in document.charts:
            chart = document.charts[name]
            columns = [
                Column(chart.x),
                *(_column(chart.names.get(field, field), field, document, name) for field in chart.y),
            ]
            return _grid(Grid(chart.rows, tuple(columns)), document, caption or chart.title)
        notes.append(f"there is no {what} called {name!r} that Markdown could hold")
        return f"*{WORDS[document.language]['missing'].format(name)}*"

    parts = [f"# {document.title}" if document.title else "", f"*{document.subtitle}*" if document.subtitle else ""]
    parts += ["\n".join(f"{line}  " for line in document.to)]
    parts += ["\n".join(f"- {name}: {worded(value, document.language)}" for name, value in document.facts.items())]
    parts += [_PLACED.sub(placed, document.markdown).strip()]
    text = "\n\n".join(part for part in parts if part) + "\n"
    return Made(text.encode(), "text/markdown; charset=utf-8", "md", None, tuple(notes))


def _column(title: str, field: str, document: Document, name: str) -> Column:
    chart = document.charts[name]
    return Column(field, title, chart.form, chart.decimals, chart.currency)


def _grid(grid: Grid, document: Document, caption: str) -> str:
    cells = cells_of(grid, document.language)
    lines = [_line(cells.head), _line(["---:" if right else "---" for right in cells.right])]
    lines += [_line(row) for row in cells.rows]
    if cells.totals:
        lines.append(_line([f"**{text}**" if text else "" for text in cells.totals]))
    title = caption or grid.title
    return "\n".join([*([f"**{title}**", ""] if title else []), *lines])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in cells)} |"
