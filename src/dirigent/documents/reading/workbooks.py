"""XLSX files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any
from zipfile import ZipFile

from openpyxl import load_workbook
from openpyxl.utils import get_column_letter

from dirigent.core.documents import Extract, ReadLimits, Sheet
from dirigent.documents.reading.bounded import Cuts, sheet_of

__all__ = ["read"]

_SHOWN = 200
"""Rows of each table that stand in the text as well."""


def read(data: bytes, limits: ReadLimits) -> Extract:
    """Each sheet as a table; formulas by the values that were computed last, with a word where that has never been."""
    cuts = Cuts(limits)
    book = load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
    told_by = load_workbook(BytesIO(data), read_only=True, keep_links=False) if _computes(data) else None
    sheets: list[Sheet] = []
    try:
        for number, name in enumerate(book.sheetnames):
            if number == limits.pages:
                cuts.note(f"the workbook was cut after {limits.pages} sheets")
                break
            rows: Iterator[Sequence[Any]] = book[name].iter_rows(values_only=True)
            if told_by is not None:
                rows = _looked_at(name, rows, told_by[name].iter_rows(values_only=True), cuts)
            sheet = sheet_of(name, rows, cuts)
            if sheet is not None:
                sheets.append(sheet)
        told = book.properties
        facts = {"title": told.title, "author": told.creator}
    finally:
        book.close()
        if told_by is not None:
            told_by.close()
    text = "\n\n".join(_written(sheet) for sheet in sheets)
    known = {name: value for name, value in facts.items() if value}
    return Extract("xlsx", cuts.text(text), tables=tuple(sheets), facts=known, cut=tuple(cuts.words))


def _computes(data: bytes) -> bool:
    """Whether there is a formula in it."""
    with ZipFile(BytesIO(data)) as packed:
        sheets = [entry for entry in packed.namelist() if entry.startswith("xl/worksheets/")]
        return any(b"<f>" in xml or b"<f " in xml for xml in map(packed.read, sheets))


def _looked_at(
    name: str, rows: Iterator[Sequence[Any]], formulas: Iterator[Sequence[Any]], cuts: Cuts
) -> Iterator[Sequence[Any]]:
    """The rows; noted where a sheet has formulas, and not one of them was ever computed."""
    first, computed = "", False
    for line, (values, written) in enumerate(zip(rows, formulas, strict=False), 1):
        for column, (value, formula) in enumerate(zip(values, written, strict=False), 1):
            if value != formula:
                computed = computed or value is not None
                first = first or f"{get_column_letter(column)}{line}"
        yield values
    if first and not computed:
        cuts.note(f"the formulas of {name!r} have no values, the first in {first}: no table program has computed them")


def _written(sheet: Sheet) -> str:
    lines = [f"# {sheet.name}", "", " | ".join(sheet.columns)]
    lines += [" | ".join("" if value is None else str(value) for value in row.values()) for row in sheet.rows[:_SHOWN]]
    return "\n".join(lines)
