"""A SQLite file, for reading only: opened so, told so, and watched while it reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote

from dirigent.core.errors import TimedOut, Unavailable
from dirigent.core.selects import Select
from dirigent.core.tables import Bounds, QueryFailed, Rows
from dirigent.store.sources.plain import bound, gathered

__all__ = ["query_lite"]

_TICKS = 5_000
"""Steps of the database's machine between two looks at the clock."""
_READS = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE))


def query_lite(
    file: Path, tables: tuple[str, ...] | None, select: Select, parameters: Mapping[str, Any], bounds: Bounds
) -> Rows:
    """What a query finds in the file. Raises QueryFailed, TimedOut, Unavailable."""
    if not file.is_file():
        raise Unavailable(f"there is no file {file.name!r} among the sources")
    if "[" in (sql := select.written(lambda name: f":{name}")):
        raise QueryFailed("a name with spaces stands in double quotes here, not in brackets")
    given = {name: _storable(value) for name, value in bound(parameters, select.names).items()}
    ends = monotonic() + bounds.seconds
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=bounds.seconds)) as database:
            database.execute("PRAGMA query_only = ON")
            database.execute("PRAGMA trusted_schema = OFF")
            database.set_authorizer(_only_reads(tables))
            database.set_progress_handler(lambda: monotonic() > ends, _TICKS)
            cursor = database.execute(sql, given)
            return gathered([column[0] for column in cursor.description], cursor, bounds)
    except sqlite3.Error as fault:
        if "interrupted" in str(fault):
            raise TimedOut(f"the query did not end within {bounds.seconds:g} s") from None
        raise QueryFailed(f"the database refuses the query: {fault}") from None


def _only_reads(tables: tuple[str, ...] | None) -> Callable[[int, str | None, str | None, str | None, str | None], int]:
    """Who is asked before each action: reads of permitted tables, and functions."""
    permitted = None if tables is None else {name.lower() for name in tables}

    def decide(action: int, first: str | None, second: str | None, _: str | None, within: str | None) -> int:
        if action in _READS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            return sqlite3.SQLITE_DENY if (second or "").lower() == "load_extension" else sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ:
            # what a permitted view reads is read on its behalf
            named = {(first or "").lower(), (within or "").lower()} - {""}
            return sqlite3.SQLITE_OK if permitted is None or named & permitted or not named else sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_DENY

    return decide


def _storable(value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value
