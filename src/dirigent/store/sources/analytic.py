"""Files as tables, asked by DuckDB in memory: it sees the tables of one folder, and nothing else of the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Timer
from typing import Any

import duckdb

from dirigent.core.errors import TimedOut, Unavailable
from dirigent.core.selects import Select
from dirigent.core.tables import Bounds, QueryFailed, Rows
from dirigent.store.sources.plain import bound, gathered

__all__ = ["TABLES", "query_files", "table_name"]

TABLES = {
    ".csv": "read_csv('{}', sample_size = -1)",
    ".tsv": "read_csv('{}', sample_size = -1)",
    ".parquet": "read_parquet('{}')",
    ".json": "read_json_auto('{}')",
    ".jsonl": "read_json_auto('{}')",
    ".ndjson": "read_json_auto('{}')",
}
"""Which files are tables, and how each is read."""
_MEMORY = "512MB"


def table_name(file: Path) -> str:
    """What the table of a file is called: its name in lower case, other signs than letters and digits as `_`."""
    name = re.sub(r"\W+", "_", file.stem.lower()).strip("_")
    return f"t_{name}" if not name or name[0].isdigit() else name


def query_files(
    files: Sequence[Path],
    tables: tuple[str, ...] | None,
    select: Select,
    parameters: Mapping[str, Any],
    bounds: Bounds,
) -> Rows:
    """What a query finds in the tables of these files. Raises QueryFailed, TimedOut, Unavailable."""
    known = {table_name(file): file for file in files}
    if len(known) < len(files):
        raise QueryFailed("two files of this source would be tables of the same name")
    if tables is not None:
        known = {name: file for name, file in known.items() if name in tables}
    sql = select.written(lambda name: f"${name}")
    given = bound(parameters, select.names)
    database = duckdb.connect(":memory:", config={"memory_limit": _MEMORY, "threads": 2})
    timer = Timer(bounds.seconds, database.interrupt)
    timer.daemon = True
    try:
        timer.start()
        _take_in(database, known)
        statements = database.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QueryFailed("a query is one SELECT")
        cursor = database.execute(sql, given)
        columns = [str(column[0]) for column in cursor.description or ()]
        return gathered(columns, iter(cursor.fetchone, None), bounds)
    except duckdb.InterruptException:
        raise TimedOut(f"the query did not end within {bounds.seconds:g} s") from None
    except duckdb.OutOfMemoryException:
        raise QueryFailed(f"the query needs more than {_MEMORY} of memory") from None
    except duckdb.Error as fault:
        raise QueryFailed(f"the query is refused: {str(fault).strip().splitlines()[0]}") from None
    finally:
        timer.cancel()
        database.close()


def _take_in(database: duckdb.DuckDBPyConnection, known: Mapping[str, Path]) -> None:
    """Makes a view of each file, then shuts off all else: no other file, no network, no setting, for good."""
    paths = [str(file) for file in known.values()]
    database.execute("SET allowed_paths = $paths", {"paths": paths})
    database.execute("SET enable_external_access = false")
    for name, file in known.items():
        reader = TABLES.get(file.suffix.lower())
        if reader is None:
            raise Unavailable(f"{file.name} is no table that can be asked")
        escaped = str(file).replace("'", "''")
        database.execute(f'CREATE VIEW "{name}" AS SELECT * FROM {reader.format(escaped)}')  # noqa: S608 -- names of ours
    database.execute("SET lock_configuration = true")
