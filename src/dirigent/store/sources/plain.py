"""Values of databases as plain data: exact decimals, ISO dates, nothing else that JSON does not know."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from dirigent.core.errors import Invalid
from dirigent.core.tables import Bounds, QueryFailed, Rows

__all__ = ["bound", "gathered", "plain"]


def plain(value: object) -> Any:
    """A value as plain data. A number that is none is nothing; bytes are base64."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return Decimal(repr(value)) if isfinite(value) else None
        case Decimal():
            return value if value.is_finite() else None
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return Decimal(value.days * 86_400 + value.seconds) + Decimal(value.microseconds) / 1_000_000
        case bytes() | bytearray() | memoryview():
            return b64encode(bytes(value)).decode()
        case UUID():
            return str(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return str(value)


def gathered(columns: Sequence[str], found: Iterable[Sequence[object]], bounds: Bounds) -> Rows:
    """Rows within their bounds. Raises QueryFailed where two columns have one name, or there are too many bytes."""
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise QueryFailed(f"two columns are called {twice!r}: give one of them another name with AS")
    rows: list[Mapping[str, Any]] = []
    size = 0
    for values in found:
        if len(rows) == bounds.rows:
            return Rows(tuple(columns), tuple(rows), more=True)
        row = {name: plain(value) for name, value in zip(columns, values, strict=True)}
        size += sum(_size(value) for value in row.values())
        if size > bounds.bytes:
            raise QueryFailed(f"the query finds more than {bounds.bytes} bytes: ask for fewer columns or rows")
        rows.append(row)
    return Rows(tuple(columns), tuple(rows), more=False)


def bound(parameters: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """The parameters of a query. Raises Invalid where one is missing, or is no single value."""
    if missing := sorted(names - set(parameters)):
        raise Invalid(f"the query takes the parameter {missing[0]!r}, and nobody gives it")
    for name in names:
        if not isinstance(parameters[name], str | int | float | Decimal | None):
            raise Invalid(f"the parameter {name!r} is no text, number, truth value or nothing")
    return {name: parameters[name] for name in names}


def _size(value: object) -> int:
    return len(value) if isinstance(value, str) else len(str(value))
