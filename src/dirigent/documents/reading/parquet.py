"""Parquet files, which DuckDB reads: it is given this one file, and may open nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from tempfile import NamedTemporaryFile
from typing import Any

import duckdb

from dirigent.core.documents import Extract, ReadLimits
from dirigent.documents.reading.bounded import Cuts, sheet_of

__all__ = ["read"]


def read(data: bytes, limits: ReadLimits) -> Extract:
    """The table."""
    cuts = Cuts(limits)
    with NamedTemporaryFile(suffix=".parquet") as file:
        file.write(data)
        file.flush()
        database = duckdb.connect(":memory:", config={"memory_limit": "1GB", "threads": 1})
        try:
            database.execute("SET allowed_paths = $paths", {"paths": [file.name]})
            database.execute("SET enable_external_access = false")
            found = database.execute("SELECT * FROM read_parquet($file)", {"file": file.name})
            columns = [str(column[0]) for column in found.description or ()]

            def rows() -> Iterator[Sequence[Any]]:
                yield columns
                yield from iter(found.fetchone, None)

            sheet = sheet_of("table", rows(), cuts)
        finally:
            database.close()
    return Extract("parquet", "", tables=() if sheet is None else (sheet,), cut=tuple(cuts.words))
