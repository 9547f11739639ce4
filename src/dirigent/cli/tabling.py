"""The table of a bulk run: its rows with the lines on which they stand, and the same table with what came of them."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import uvloop

from dirigent.core.documents import Column, Document, Extract, Grid, Made, ReadLimits
from dirigent.core.errors import Invalid
from dirigent.documents.names import apart
from dirigent.documents.reading.bounded import named
from dirigent.documents.room import Room

__all__ = ["FORMS", "Line", "Table", "read_table", "write_table"]

FORMS = {".csv": "csv", ".xlsx": "xlsx", ".parquet": "parquet"}
"""What is read and written, by the ending of its name."""
_LIMITS = ReadLimits(bytes=200_000_000, unpacked=1_000_000_000, rows=1_000_000, characters=50_000_000)
_ERRORS = frozenset({"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"})
"""What stands in a cell of a workbook whose formula has failed."""
_FACTS = ("status", "error", "words", "cost", "currency", "input_tokens", "output_tokens", "milliseconds", "run")
_WRITER = msgspec.json.Encoder(decimal_format="number")


class Line(msgspec.Struct, frozen=True):
    """One row."""

    number: int
    """The line of the file on which it stands; in a Parquet file the number of the row."""
    cells: Mapping[str, Any]
    wrong: str | None = None
    """What keeps it from being asked, with the field."""


class Table(msgspec.Struct, frozen=True):
    """A table that was read."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    counts: str = "line"
    """What the numbers of its rows count."""
    aside: tuple[str, ...] = ()
    """Further sheets of the workbook, which are left aside."""


def read_table(source: Path) -> Table:
    """The table in a file. Raises Invalid where it is none, or where not all of it can be read, and Unavailable."""
    data = source.read_bytes()
    if source.suffix.lower() == ".csv":
        return _of_text(source, data)
    extract = uvloop.run(_extracted(source, data))
    if not extract.tables:
        raise Invalid(f"{source} has no table")
    if extract.cut:
        raise Invalid(f"{source} cannot be taken whole: {'; '.join(extract.cut)}")
    sheet, *others = [sheet for sheet in extract.tables if sheet.rows] or extract.tables
    columns = tuple(name for name in sheet.columns if not name.startswith("column_") or _holds(sheet.rows, name))
    # A Parquet file has no line of names, which the reader puts before its rows.
    off = 1 if extract.kind == "parquet" else 0
    lines = tuple(
        Line(
            number - off,
            cells := {name: row.get(name) for name in columns},
            _failed(cells) if extract.kind == "xlsx" else None,
        )
        for number, row in zip(sheet.lines, sheet.rows, strict=True)
    )
    counts = "row" if extract.kind == "parquet" else "line"
    return Table(columns, lines, counts, tuple(other.name for other in others))


def write_table(target: Path, table: Table, found: Mapping[int, Mapping[str, Any]]) -> None:
    """Every row as it was, with what came of it: `found` by its place in the table, counted from 1."""
    added = apart(("output", *_FACTS), table.columns)
    if target.suffix.lower() == ".csv":
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([_harmless(name) for name in (*table.columns, *added)])
            for row in _rows(table, found):
                writer.writerow([_harmless(_flat(cell)) for cell in row])
        return
    fields = [f"c{place}" for place in range(len(table.columns) + len(added))]
    columns = tuple(Column(field, title=name) for field, name in zip(fields, (*table.columns, *added), strict=True))
    rows = tuple(dict(zip(fields, map(_flat, row), strict=True)) for row in _rows(table, found))
    document = Document(title="Results", language="en", tables={"results": Grid(rows, columns)})
    target.write_bytes(uvloop.run(_made(document, target.suffix.lower() == ".parquet")).data)


def _of_text(source: Path, data: bytes) -> Table:
    try:
        text = data.decode("utf-8-sig")
        try:
            dialect: Any = csv.Sniffer().sniff(text[:8_192], delimiters=",;\t|")
        except csv.Error:
            dialect = "excel"
        numbered = _numbered(csv.reader(io.StringIO(text, newline=""), dialect))
        _, head = next(numbered, (0, []))
        columns = named(head)
        lines = tuple(_line(number, cells, columns) for number, cells in numbered)
    except (UnicodeDecodeError, csv.Error) as fault:
        raise Invalid(f"{source} cannot be read as a table: {fault}") from None
    return Table(tuple(columns), lines)


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, each with the line on which it begins."""
    begins = 1
    for cells in reader:
        if cells:
            yield begins, cells
        begins = reader.line_num + 1


def _line(number: int, cells: Sequence[str], columns: Sequence[str]) -> Line:
    wrong = None if len(cells) <= len(columns) else f"it has {len(cells)} cells, and the head has {len(columns)}"
    padded = [*cells, *[None] * (len(columns) - len(cells))]
    return Line(number, dict(zip(columns, padded, strict=False)), wrong)


@asynccontextmanager
async def _room() -> AsyncIterator[Room]:
    """A process of its own, where everything is read that others have made, and written what takes their formats."""
    with TemporaryDirectory(prefix="dirigent-") as folder:
        room = Room(Path(folder))
        try:
            yield room
        finally:
            await room.close()


async def _extracted(source: Path, data: bytes) -> Extract:
    async with _room() as room:
        return await room.read(source.name, "", data, _LIMITS)


async def _made(document: Document, parquet: bool) -> Made:
    async with _room() as room:
        return await room.render(document, "parquet" if parquet else "xlsx")


def _holds(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(row.get(name) is not None for row in rows)


def _failed(cells: Mapping[str, Any]) -> str | None:
    """The fields whose formulas have failed."""
    texts = {name: value for name, value in cells.items() if isinstance(value, str)}
    return "; ".join(f"{name}: {value} stands there" for name, value in texts.items() if value in _ERRORS) or None


def _rows(table: Table, found: Mapping[int, Mapping[str, Any]]) -> Iterator[list[Any]]:
    for place, line in enumerate(table.lines, 1):
        result = found.get(place, {})
        facts = {name: result.get(name) for name in _FACTS}
        if facts["cost"] is not None:
            facts["cost"] = Decimal(facts["cost"])
        yield [*(line.cells[name] for name in table.columns), result.get("output"), *facts.values()]


def _flat(value: Any) -> Any:
    """A value as one cell holds it."""
    return _WRITER.encode(value).decode() if isinstance(value, Mapping | list) else value


def _harmless(cell: object) -> object:
    """A text that a table program does not take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
