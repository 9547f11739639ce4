"""XLSX files."""

from __future__ import annotations

from io import BytesIO

from openpyxl import load_workbook

from dirigent.core.documents import Extract, ReadLimits, Sheet
from dirigent.documents.reading.bounded import Cuts, sheet_of

__all__ = ["read"]

_SHOWN = 200
"""Rows of each table that stand in the text as well."""


def read(data: bytes, limits: ReadLimits) -> Extract:
    """Each sheet as a table; formulas by the values that were computed last."""
    cuts = Cuts(limits)
    book = load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
    sheets: list[Sheet] = []
    try:
        for number, name in enumerate(book.sheetnames):
            if number == limits.pages:
                cuts.note(f"the workbook was cut after {limits.pages} sheets")
                break
            sheet = sheet_of(name, book[name].iter_rows(values_only=True), cuts)
            if sheet is not None:
                sheets.append(sheet)
        told = book.properties
        facts = {"title": told.title, "author": told.creator}
    finally:
        book.close()
    text = "\n\n".join(_written(sheet) for sheet in sheets)
    known = {name: value for name, value in facts.items() if value}
    return Extract("xlsx", cuts.text(text), tables=tuple(sheets), facts=known, cut=tuple(cuts.words))


def _written(sheet: Sheet) -> str:
    lines = [f"# {sheet.name}", "", " | ".join(sheet.columns)]
    lines += [" | ".join("" if value is None else str(value) for value in row.values()) for row in sheet.rows[:_SHOWN]]
    return "\n".join(lines)
