"""The port `Tables`: finds the tables of a source and asks whoever can read them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from dirigent.core.errors import Invalid, Unavailable
from dirigent.core.selects import read_select
from dirigent.core.tables import Bounds, Rows, TableSource
from dirigent.store.sources.lite import query_lite

__all__ = ["Sources", "below"]

_AT_ONCE = 4
"""Queries that one worker runs at the same time; more wait."""
_MOST_FILES = 200


class Sources:
    """Tables below a folder, and those of databases elsewhere."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(_AT_ONCE, "source")

    async def query(self, source: TableSource, sql: str, parameters: Mapping[str, Any], bounds: Bounds) -> Rows:
        """What one SELECT finds. Raises Invalid, QueryFailed, TimedOut, Unavailable."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._query, source, sql, dict(parameters), bounds)

    def close(self) -> None:
        """Lets what has begun end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _query(self, source: TableSource, sql: str, parameters: Mapping[str, Any], bounds: Bounds) -> Rows:
        select = read_select(sql)
        if source.kind == "sqlite":
            return query_lite(below(self._folder, source.address), source.tables, select, parameters, bounds)
        if source.kind == "postgresql":
            shared = _extra("shared", "postgres")
            return _rows(shared.query_shared(source.address, source.tables, select, parameters, bounds))
        analytic = _extra("analytic", "office")
        files = self._files(below(self._folder, source.address), analytic.TABLES)
        return _rows(analytic.query_files(files, source.tables, select, parameters, bounds))

    def _files(self, folder: Path, kinds: Mapping[str, str]) -> list[Path]:
        """The files that are tables: that one file, or those that lie in the folder."""
        if folder.is_file():
            return [folder]
        if not folder.is_dir():
            raise Unavailable(f"there is no folder {folder.name!r} among the sources")
        found = sorted(file for file in folder.iterdir() if file.suffix.lower() in kinds and file.is_file())
        if len(found) > _MOST_FILES:
            raise Unavailable(f"the folder {folder.name!r} holds more than {_MOST_FILES} tables")
        return found


def below(folder: Path, path: str) -> Path:
    """Where a path of a source leads. Raises Invalid where that is not below the folder of sources."""
    written = PurePosixPath(path)
    if written.is_absolute() or ".." in written.parts or "\0" in path:
        raise Invalid(f"{path!r} does not lead below the folder of sources")
    return folder / written


def _extra(name: str, extra: str) -> Any:
    """The module that speaks to a driver which an installation may lack; loaded when it is first needed."""
    try:
        return import_module(f"dirigent.store.sources.{name}")
    except ModuleNotFoundError as missing:
        raise Unavailable(f"this takes the extra `dirigent[{extra}]`, which lacks {missing.name} here") from None


def _rows(found: Any) -> Rows:
    if not isinstance(found, Rows):
        raise TypeError("a driver gives rows")
    return found
