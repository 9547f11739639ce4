"""What is said so often to a database that the library's share counts: its words go to the driver as they are.

For a statement that takes SQLite five microseconds SQLAlchemy takes fifty, and for each of many rows ten. PostgreSQL is
so far away that it makes no difference, so there only the binding of the values is spared.
"""

from __future__ import annotations

import re
import sqlite3
from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

__all__ = ["MARKS", "Statement", "begin", "matching", "put"]

# The driver looks for how to adapt each value that is no number or text, and fails for each None and each of our bytes
# before it takes them as they are, which is dearer than writing them. Told that there is nothing to do, it does not.
sqlite3.register_adapter(type(None), {}.get)  # type: ignore[arg-type]  # which gives None for None, without a frame
sqlite3.register_adapter(bytes, bytes)

_NAME = re.compile(r"(?<!:):([a-z_0-9]+)")
MARKS = {"sqlite": "?", "postgresql": "%s"}
"""What stands for a value, by the name of the database."""
_KEYS_AT_ONCE = 400


class Statement:
    """SQL with named values, for each database; a value named `ids` is a list, and stands where `:ids` stands."""

    def __init__(self, statements: str | Mapping[str, str]) -> None:
        both = dict.fromkeys(MARKS, statements) if isinstance(statements, str) else statements
        self._said = {("sqlite", 0): both["sqlite"], ("postgresql", 0): _marked(both["postgresql"])}
        self._both = both
        self._lists = ":ids" in both["sqlite"]
        self._kind: Any = None
        """What a row is; its fields are the columns."""

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        """What it finds."""
        said, values = self._with_list(connection.dialect.name, values)
        if connection.dialect.name != "sqlite":
            return connection.exec_driver_sql(said, values).all()
        cursor = _asked(connection, said, values)
        found = cursor.fetchall()
        if self._kind is None:
            self._kind = _kind_of([column[0] for column in cursor.description])
        return [self._kind._make(row) for row in found]

    def does(self, connection: Connection, values: Sequence[Mapping[str, Any]]) -> int:
        """Carries it out once for each of these; how many rows it has changed."""
        said = self._said[connection.dialect.name, 0]
        if connection.dialect.name != "sqlite":
            return connection.exec_driver_sql(said, list(values)).rowcount
        return _executed(connection, said, values, many=True).rowcount

    def _with_list(self, dialect: str, values: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        if not self._lists:
            return self._said[dialect, 0], values
        listed = values["ids"]
        many = len(listed)
        said = self._said.get((dialect, many))
        if said is None:
            names = ", ".join(f":ids_{place}" for place in range(many))
            said = self._both[dialect].replace(":ids", f"({names})")
            said = self._said[dialect, many] = said if dialect == "sqlite" else _marked(said)
        named = {name: value for name, value in values.items() if name != "ids"}
        return said, named | {f"ids_{place}": each for place, each in enumerate(listed)}


def put(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], then: str = ""
) -> None:
    """Inserts rows, each a value for each column; `then` says what happens where one is there already.

    All words are ours: what callers say stands in the rows alone.
    """
    if not rows:
        return
    said = _inserting(connection.dialect.name, table, tuple(columns), then)
    if connection.dialect.name == "sqlite":
        _executed(connection, said, rows, many=True)
    else:
        connection.exec_driver_sql(said, list(rows))


def matching(
    connection: Connection,
    table: str,
    key: Sequence[str],
    wanted: Sequence[tuple[Any, ...]],
    columns: Sequence[str],
) -> Iterator[Sequence[Any]]:
    """Of each row with one of these keys that there is, these columns, and then its key.

    All words are ours: what callers say stands in the keys alone.
    """
    dialect = connection.dialect.name
    for start in range(0, len(wanted), _KEYS_AT_ONCE):
        some = wanted[start : start + _KEYS_AT_ONCE]
        said = _selecting(dialect, table, tuple(key), tuple(columns), len(some))
        values = tuple(each for one in some for each in one)
        if dialect == "sqlite":
            yield from _asked(connection, said, values).fetchall()
        else:
            yield from connection.exec_driver_sql(said, values).all()


def begin(connection: Connection, said: str) -> None:
    """Begins a transaction of SQLite in these words."""
    _executed(connection, said, ())


def _asked(connection: Connection, said: str, values: Any) -> sqlite3.Cursor:
    if not connection.in_transaction():
        connection.begin()  # which the library would have done
    return _executed(connection, said, values)


def _executed(connection: Connection, said: str, values: Any, *, many: bool = False) -> sqlite3.Cursor:
    """A cursor of SQLite's that has done it. Raises what the library would have raised."""
    cursor: sqlite3.Cursor = connection.connection.cursor()  # type: ignore[assignment]  # it is SQLite's own
    try:
        return cursor.executemany(said, values) if many else cursor.execute(said, values)
    except sqlite3.Error as fault:
        raise DBAPIError.instance(said, None, fault, sqlite3.Error, hide_parameters=True) from fault


def _kind_of(columns: Sequence[str]) -> Any:
    return namedtuple("Row", columns)  # noqa: PYI024  what it has is told at run time alone


def _marked(statement: str) -> str:
    """The names as PostgreSQL's driver has them; SQLite's takes them as they are."""
    return _NAME.sub(r"%(\1)s", statement.replace("%", "%%"))


@cache
def _inserting(dialect: str, table: str, columns: tuple[str, ...], then: str) -> str:
    marks = ", ".join(MARKS[dialect] for _ in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) {then}"  # noqa: S608  see above


@lru_cache(maxsize=256)  # most lots have few keys, and the same number again and again
def _selecting(dialect: str, table: str, key: tuple[str, ...], columns: tuple[str, ...], many: int) -> str:
    mark = f"({', '.join(MARKS[dialect] for _ in key)})"
    equal = " AND ".join(f"t.{name} = wanted.{name}" for name in key)
    return (
        f"WITH wanted ({', '.join(key)}) AS (VALUES {', '.join([mark] * many)})"  # noqa: S608  see above
        f" SELECT {', '.join(f't.{name}' for name in (*columns, *key))} FROM wanted JOIN {table} t ON {equal}"
    )
