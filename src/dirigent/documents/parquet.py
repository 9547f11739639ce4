"""A table as a Parquet file, which DuckDB writes: each column with the narrowest type that keeps all of its values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import msgspec

from dirigent.core.documents import Document, Made
from dirigent.core.errors import Invalid
from dirigent.documents.cells import columns_of, dated
from dirigent.documents.names import apart

__all__ = ["made"]

_TYPE = "application/vnd.apache.parquet"
_WIDEST, _WHOLE = 38, 2**63
_WRITER = msgspec.json.Encoder(decimal_format="number")


def made(document: Document) -> Made:
    """The one table of the document. Raises Invalid where there is none, or another one beside it."""
    if len(document.tables) != 1:
        raise Invalid(f"a Parquet file is made of one table, and this document has {len(document.tables)}")
    (grid,) = document.tables.values()
    columns = columns_of(grid)
    types = [_type([row.get(column.field) for row in grid.rows]) for column in columns]
    names = apart([column.title if column.title is not None else column.field for column in columns])
    chosen = ", ".join(
        f'CAST(c{place} AS {type_}) AS "{name.replace(chr(34), chr(34) * 2)}"'
        for place, (type_, name) in enumerate(zip(types, names, strict=True))
    )
    texts = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(columns)))
    with TemporaryDirectory(prefix="dirigent-") as folder:
        source, target = Path(folder) / "rows.json", Path(folder) / "table.parquet"
        most = 1_000_000
        with source.open("wb") as file:
            for row in grid.rows:
                line = {f"c{place}": _text(row.get(column.field)) for place, column in enumerate(columns)}
                most = max(most, file.write(_WRITER.encode(line) + b"\n"))
        database = duckdb.connect(":memory:", config={"memory_limit": "1GB", "threads": 1})
        try:
            database.execute("SET allowed_paths = $paths", {"paths": [str(source), str(target)]})
            database.execute("SET enable_external_access = false")
            settings = f"format = 'newline_delimited', columns = {{{texts}}}, maximum_object_size = {most}"
            rows = f"read_json('{source}', {settings})"
            database.execute(f"COPY (SELECT {chosen} FROM {rows}) TO '{target}' (FORMAT parquet)")  # noqa: S608 -- quoted
        finally:
            database.close()
        return Made(target.read_bytes(), _TYPE, "parquet")


def _type(values: Sequence[Any]) -> str:
    """What the values of a column are; text where they are of several kinds."""
    there = [value for value in values if value is not None]
    if not there:
        return "VARCHAR"
    if all(isinstance(value, bool) for value in there):
        return "BOOLEAN"
    if any(isinstance(value, bool) for value in there):
        return "VARCHAR"
    if all(isinstance(value, int) for value in there):
        return "BIGINT" if all(-_WHOLE <= value < _WHOLE for value in there) else "VARCHAR"
    if all(isinstance(value, int | float | Decimal) for value in there):
        return _number([Decimal(str(value)) for value in there])
    if all(isinstance(value, str) for value in there):
        return _moment([_exact_moment(value) for value in there])
    return "VARCHAR"


def _number(values: Sequence[Decimal]) -> str:
    """A floating point number where each is one to the digit, else a decimal as wide as they are."""
    if all(Decimal(repr(float(value))) == value for value in values):
        return "DOUBLE"
    scale = max(max(0, -int(value.as_tuple().exponent)) for value in values)
    whole = max(max(1, value.adjusted() + 1) for value in values)
    return f"DECIMAL({whole + scale}, {scale})" if whole + scale <= _WIDEST else "VARCHAR"


def _exact_moment(text: str) -> date | None:
    """A day, or a moment to the second; None where it is neither."""
    return dated(text) if len(text) == len("2026-11-30") or len(text) >= len("2026-11-30T12:00:00") else None


def _moment(values: Sequence[date | None]) -> str:
    if any(value is None for value in values):
        return "VARCHAR"
    if not any(isinstance(value, datetime) for value in values):
        return "DATE"
    zones = {value.tzinfo is not None if isinstance(value, datetime) else False for value in values}
    return "VARCHAR" if len(zones) > 1 else "TIMESTAMPTZ" if zones == {True} else "TIMESTAMP"


def _text(value: Any) -> str | None:
    """A value as its column reads it."""
    if value is None or isinstance(value, str):
        return value
    return _WRITER.encode(value).decode()
