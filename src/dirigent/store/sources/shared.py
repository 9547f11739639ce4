"""A PostgreSQL, for reading only: one statement in a transaction that can write nothing, with an end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

from dirigent.core.errors import TimedOut, Unavailable
from dirigent.core.selects import Select
from dirigent.core.tables import Bounds, QueryFailed, Rows
from dirigent.store.sources.plain import bound, gathered

__all__ = ["query_shared"]

_CONNECTS = 10
_BATCH = 500


def query_shared(
    url: str, tables: tuple[str, ...] | None, select: Select, parameters: Mapping[str, Any], bounds: Bounds
) -> Rows:
    """What a query finds there. Raises QueryFailed, TimedOut, Unavailable."""
    sql = select.written(lambda name: f"%({name})s", lambda text: text.replace("%", "%%"))
    given = bound(parameters, select.names)
    milliseconds = max(1, int(bounds.seconds * 1000))
    options = (
        f"-c statement_timeout={milliseconds} -c default_transaction_read_only=on -c timezone=UTC"
        " -c standard_conforming_strings=on -c lock_timeout=2000 -c idle_in_transaction_session_timeout=60000"
    )
    try:
        with psycopg.connect(
            url, connect_timeout=_CONNECTS, options=options, application_name="dirigent reads"
        ) as link:
            link.read_only = True  # once it has read, no statement of the transaction can take that back
            if tables is not None:
                _only(link, sql, given, tables)
            with link.cursor(name="dirigent") as cursor:  # named, so that rows come in batches and not all at once
                cursor.itersize = _BATCH
                cursor.execute(sql, given)
                columns = [column.name for column in cursor.description or ()]
                found = gathered(columns, _each(cursor), bounds)
            link.rollback()
            return found
    except psycopg.errors.QueryCanceled:
        raise TimedOut(f"the query did not end within {bounds.seconds:g} s") from None
    except (psycopg.errors.ConnectionTimeout, psycopg.errors.ConnectionException, psycopg.InterfaceError):
        raise Unavailable("the database of this source does not answer") from None
    except psycopg.OperationalError as fault:
        if fault.sqlstate is None:
            raise Unavailable("the database of this source does not answer") from None
        raise QueryFailed(_words(fault)) from None
    except psycopg.Error as fault:
        raise QueryFailed(_words(fault)) from None


def _only(link: psycopg.Connection[Any], sql: str, given: Mapping[str, Any], tables: tuple[str, ...]) -> None:
    """Makes sure that the query reads permitted tables alone: those that its plan scans, views taken apart."""
    row = link.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {sql}", given).fetchone()
    permitted = {name.lower() for name in tables}
    for schema, table in _scanned(row[0] if row else []):
        if table.lower() not in permitted and f"{schema}.{table}".lower() not in permitted:
            raise QueryFailed(f"the table {schema}.{table} is none of those that this source lets be read")


def _scanned(plan: object) -> Iterator[tuple[str, str]]:
    if isinstance(plan, Mapping):
        if "Relation Name" in plan:
            yield str(plan.get("Schema", "public")), str(plan["Relation Name"])
        for inner in plan.values():
            yield from _scanned(inner)
    elif isinstance(plan, list):
        for inner in plan:
            yield from _scanned(inner)


def _each(cursor: psycopg.ServerCursor[Any]) -> Iterator[tuple[Any, ...]]:
    yield from cursor


def _words(fault: psycopg.Error) -> str:
    return f"the database refuses the query: {str(fault).strip().splitlines()[0]}"
