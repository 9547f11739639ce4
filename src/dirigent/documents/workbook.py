"""Tables as a workbook: numbers stay numbers, sums and products are formulas, and the head stays in sight."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import Cell, MergedCell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from dirigent.core.documents import Column, Document, Grid, Made
from dirigent.core.errors import Invalid
from dirigent.core.forms import Language
from dirigent.documents.cells import cells_of, columns_of, dated, exact
from dirigent.documents.looks import BORDER, INK, MUTED, SUNKEN

__all__ = ["made"]

_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_MOST_ROWS = 1_000_000
_LONGEST = 32_767
"""Characters of a cell."""
_FORBIDDEN = re.compile(r"[\[\]:*?/\\]")
_FIELD = re.compile(r"\{([^{}]+)\}")
_FORMULA = re.compile(r"[-+*/()., 0-9A-Z%;:<>=\"]*")
"""What a formula may be made of once its fields are cells."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_SIGNS = {"EUR": "€", "USD": "$", "GBP": "£"}


def made(document: Document) -> Made:
    """The tables of the document, a sheet each. Raises Invalid where there is none."""
    if not document.tables:
        raise Invalid("a workbook is made of tables, and this document has none")
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, grid in document.tables.items():
        _sheet(book.create_sheet(_sheet_name(grid.title or name, book.sheetnames)), grid, document)
    book.properties.title = document.title or None
    book.properties.creator = document.style.company or "Dirigent"
    sink = BytesIO()
    book.save(sink)
    return Made(sink.getvalue(), _TYPE, "xlsx")


def _sheet(sheet: Worksheet, grid: Grid, document: Document) -> None:
    if len(grid.rows) > _MOST_ROWS:
        raise Invalid(f"a sheet has {_MOST_ROWS} rows at most")
    columns = columns_of(grid)
    letters = {column.field: get_column_letter(index) for index, column in enumerate(columns, 1)}
    language = document.language
    shown = cells_of(_first(grid, 500), language)
    _head(sheet, shown.head, columns, document.style.colour)
    for number, row in enumerate(grid.rows, 2):
        for index, column in enumerate(columns, 1):
            cell = sheet.cell(number, index)
            if column.formula:
                cell.value = _formula(column.formula, letters, number)
            else:
                _fill(cell, row.get(column.field), column)
            _look(cell, column, language)
    last = len(grid.rows) + 1
    if any(column.total for column in columns) and grid.rows:
        _totals(sheet, columns, last, language)
    elif grid.last_is_sum and grid.rows:
        for index in range(1, len(columns) + 1):
            _stand_out(sheet.cell(last, index))
    for index, column in enumerate(columns):
        texts = [shown.head[index], *(row[index] for row in shown.rows)]
        width = max((max(map(len, text.split("\n"))) for text in texts if text), default=8)
        sheet.column_dimensions[letters[column.field]].width = min(60.0, max(9.0, width * 1.1 + 3))
    sheet.freeze_panes = "A2"
    if grid.rows:
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{last}"
    sheet.sheet_view.showGridLines = False
    sheet.page_setup.orientation = "landscape" if len(columns) > 6 else "portrait"
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.print_title_rows = "1:1"


def _first(grid: Grid, most: int) -> Grid:
    """The first rows of a table, to measure by."""
    return Grid(grid.rows[:most], columns_of(grid), grid.title)


def _head(sheet: Worksheet, head: Sequence[str], columns: Sequence[Column], colour: str) -> None:
    for index, (title, column) in enumerate(zip(head, columns, strict=True), 1):
        cell = sheet.cell(1, index)
        cell.value, cell.data_type = title, "s"
        cell.font = Font(name="Calibri", size=11, bold=True, color=_hex(MUTED))
        cell.fill = PatternFill("solid", fgColor=_hex(SUNKEN))
        cell.border = Border(bottom=Side("medium", color=_hex(colour)))
        cell.alignment = Alignment(
            horizontal="right" if _numeric(column) else "left", vertical="center", wrap_text=True, indent=1
        )
    sheet.row_dimensions[1].height = 22


def _fill(cell: Cell | MergedCell, value: Any, column: Column) -> None:
    number, moment = exact(value), dated(value)
    if value is None or value == "":
        return
    if isinstance(value, bool):
        cell.value = value
    elif number is not None and (_numeric(column) or not isinstance(value, str)):
        cell.value = number
    elif moment is not None and column.form in ("date", "time", "month"):
        cell.value = moment.replace(tzinfo=None) if isinstance(moment, datetime) else moment
    else:
        text = value if isinstance(value, str) else str(value)
        cell.value = _CONTROL.sub("", text)[:_LONGEST]
        cell.data_type = "s"  # what begins with an equals sign is text too: no stranger writes formulas here
        cell.quotePrefix = text[:1] in ("=", "+", "-", "@")


def _look(cell: Cell | MergedCell, column: Column, language: Language) -> None:
    cell.font = Font(name="Calibri", size=11, color=_hex(INK))
    cell.border = Border(bottom=Side("thin", color=_hex(BORDER)))
    cell.alignment = Alignment(
        horizontal="right" if _numeric(column) else "left", vertical="top", wrap_text=column.form == "text", indent=1
    )
    cell.number_format = _format(column, language)


def _stand_out(cell: Cell | MergedCell) -> None:
    cell.font = Font(name="Calibri", size=11, bold=True, color=_hex(INK))
    cell.fill = PatternFill("solid", fgColor=_hex(SUNKEN))


def _totals(sheet: Worksheet, columns: Sequence[Column], last: int, language: Language) -> None:
    for index, column in enumerate(columns, 1):
        cell, letter = sheet.cell(last + 1, index), get_column_letter(index)
        if column.total:
            cell.value = f"=SUM({letter}2:{letter}{last})"
        elif index == 1:
            cell.value = {"de": "Summe", "en": "Total"}[language]
        _look(cell, column, language)
        _stand_out(cell)


def _formula(formula: str, letters: Mapping[str, str], row: int) -> str:
    """The formula of a row. Raises Invalid where a field is none, or it is more than arithmetic and plain functions."""

    def cell(found: re.Match[str]) -> str:
        if found[1] not in letters:
            raise Invalid(f"the formula {formula!r} names {found[1]!r}, which is no column")
        return f"{letters[found[1]]}{row}"

    written = _FIELD.sub(cell, formula.lstrip("="))
    if not _FORMULA.fullmatch(written):
        raise Invalid(f"the formula {formula!r} is more than arithmetic and functions of cells")
    return f"={written}"


def _format(column: Column, language: Language) -> str:
    """In the words of a workbook, whose reader has signs of their own for points and groups."""
    match column.form:
        case "integer":
            return "#,##0"
        case "money":
            sign = _SIGNS.get(column.currency, column.currency)
            digits = _digits(2 if column.decimals is None else column.decimals)
            return f'#,##0{digits}\\ "{sign}"' if language == "de" else f'"{sign}"#,##0{digits}'
        case "percent":
            return f"0{_digits(1 if column.decimals is None else column.decimals)}%"
        case "number":
            return "#,##0.########" if column.decimals is None else f"#,##0{_digits(column.decimals)}"
        case "date":
            return "dd.mm.yyyy" if language == "de" else "d mmm yyyy"
        case "time":
            return "dd.mm.yyyy hh:mm" if language == "de" else "d mmm yyyy hh:mm"
        case "month":
            return "mmm yyyy"
        case _:
            return "General"


def _digits(count: int) -> str:
    return f".{'0' * count}" if count else ""


def _numeric(column: Column) -> bool:
    return column.form in ("integer", "number", "money", "percent")


def _sheet_name(title: str, taken: Sequence[str]) -> str:
    name = _FORBIDDEN.sub(" ", title).strip(" '")[:28] or "Tabelle"
    found, number = name, 2
    while found.lower() in {each.lower() for each in taken}:
        found, number = f"{name} {number}", number + 1
    return found


def _hex(colour: str) -> str:
    return f"FF{colour[1:].upper()}"
