"""DOCX files."""

from __future__ import annotations

import re
from io import BytesIO

import docx
from docx.table import Table
from docx.text.paragraph import Paragraph

from dirigent.core.documents import Extract, ReadLimits, Sheet
from dirigent.documents.reading.bounded import Cuts, sheet_of

__all__ = ["read"]

_LEVEL = re.compile(r"(?:Heading|Überschrift) (\d)")


def read(data: bytes, limits: ReadLimits) -> Extract:
    """The text in the order of the page, headings as Markdown writes them, tables among it and apart."""
    cuts = Cuts(limits)
    file = docx.Document(BytesIO(data))
    parts: list[str] = []
    tables: list[Sheet] = []
    for block in file.iter_inner_content():
        if isinstance(block, Paragraph):
            parts.append(_written(block))
        else:
            rows = _rows(block)
            parts.append("\n".join(" | ".join(row) for row in rows[: limits.rows]))
            if (sheet := sheet_of(f"table {len(tables) + 1}", rows, cuts)) is not None:
                tables.append(sheet)
    core = file.core_properties
    facts = {
        "title": core.title,
        "author": core.author,
        "subject": core.subject,
        "created": core.created.isoformat() if core.created else "",
        "modified": core.modified.isoformat() if core.modified else "",
    }
    text = "\n\n".join(part for part in parts if part.strip())
    known = {name: value for name, value in facts.items() if value}
    return Extract("docx", cuts.text(text), tables=tuple(tables), facts=known, cut=tuple(cuts.words))


def _written(paragraph: Paragraph) -> str:
    name = (paragraph.style.name or "") if paragraph.style is not None else ""
    if name == "Title":
        return f"# {paragraph.text}"
    if found := _LEVEL.match(name):
        return f"{'#' * int(found[1])} {paragraph.text}"
    return f"- {paragraph.text}" if name.startswith("List") and paragraph.text else paragraph.text


def _rows(table: Table) -> list[list[str]]:
    return [[cell.text.strip() for cell in row.cells] for row in table.rows]
