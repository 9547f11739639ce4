"""The database of a node: SQLite in its data folder, or the PostgreSQL that many nodes share.

Everything here happens on threads: the loop that answers requests never waits for a database, and never asks one
before it answers.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from dirigent import __version__
from dirigent.core.errors import Unavailable
from dirigent.store.rows import begin

__all__ = ["Connection", "Database", "DatabaseGone", "let_go", "once_durable"]

T = TypeVar("T")
Work = Callable[[Connection], T]

_PATIENCE = 10
"""Seconds that a writer waits for another one."""
_READERS = 4
_AFTER = "once_durable"


class DatabaseGone(Unavailable):
    """The database cannot be reached or does not answer; nothing was changed."""

    code = "database_unavailable"


class Database:
    """Reads and writes in transactions: a function of a connection either happens as a whole or not at all.

    `read` and `write` are for threads and for cold code; `reading` and `writing` are the same for the loop.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.lite = engine.dialect.name == "sqlite"
        """Whether it is the embedded one, where one writer at a time writes."""
        self._picture: dict[str, Any] = (
            {"reads": True} if self.lite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        self._writer = Lock()
        self.wrote: Callable[[], object] = bool
        """Told, on whatever thread, when something was written here; takes no time."""
        self._readers = ThreadPoolExecutor(_READERS, "database-reader")
        self._writers = ThreadPoolExecutor(1 if self.lite else _READERS, "database-writer")

    @classmethod
    def at(cls, url: str) -> Database:
        """The database at an address such as `sqlite:///PATH` or `postgresql://USER@HOST/NAME`.

        Raises ValueError where it is no such address, and DatabaseGone where its driver is not installed.
        """
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError) as fault:
            shown = re.sub(r"//[^/]*@", "//…@", url)  # what stands before the host may be a password
            raise ValueError(f"{shown!r} is no address of a database: {type(fault).__name__}") from None
        if parsed.get_backend_name() == "sqlite":
            return cls(_lite(parsed))
        if parsed.get_backend_name() != "postgresql":
            raise ValueError(f"{parsed.get_backend_name()!r} is no database that Dirigent knows: sqlite or postgresql")
        try:
            return cls(_shared(parsed.set(drivername="postgresql+psycopg")))
        except ModuleNotFoundError:
            raise DatabaseGone("PostgreSQL needs the extra `dirigent[postgres]`, which is not installed") from None

    @classmethod
    def within(cls, folder: Path) -> Database:
        """The embedded database of a data folder, readable by its owner only."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "dirigent.db"
        file.touch(mode=0o600)
        return cls(_lite(URL.create("sqlite", database=str(file))))  # no part of the path is read as anything else

    def read(self, work: Work[T]) -> T:
        """What `work` finds in one consistent picture. Raises DatabaseGone."""
        try:
            with self._engine.connect().execution_options(**self._picture) as connection:
                return work(connection)
        except (OperationalError, InterfaceError) as fault:
            raise _gone(fault) from fault

    def write(self, work: Work[T]) -> T:
        """What `work` gives, once what it wrote is durable. Raises DatabaseGone, and then nothing was written."""
        try:
            if not self.lite:
                with self._engine.begin() as connection:
                    outcome, after = _worked(connection, work)
            else:
                with self._writer, self._engine.begin() as connection:  # within a process nobody spins for the file
                    outcome, after = _worked(connection, work)
        except (OperationalError, InterfaceError) as fault:
            raise _gone(fault) from fault
        for each in after:
            each()
        self.wrote()
        return outcome

    async def reading(self, work: Work[T]) -> T:
        """`read`, without holding up the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read, work)

    async def writing(self, work: Work[T]) -> T:
        """`write`, without holding up the loop. Once begun it comes to its end, even where nobody waits any more."""
        writing = asyncio.get_running_loop().run_in_executor(self._writers, self.write, work)
        writing.add_done_callback(_looked_at)
        return await asyncio.shield(writing)

    def close(self) -> None:
        """Lets what has begun end, and closes all connections."""
        self._readers.shutdown()
        self._writers.shutdown()
        self._engine.dispose()

    @property
    def turn(self) -> AbstractContextManager[object]:
        """A writer's turn: of the embedded database one writes at a time, and the others of this process wait here."""
        return self._writer if self.lite else nullcontext()

    def turn_at_once(self) -> Lock | None:
        """A writer's turn of the embedded database, taken, where nobody else of this process has it; to be released."""
        return self._writer if self.lite and self._writer.acquire(blocking=False) else None

    @property
    def engine(self) -> Engine:
        """What lies below, for migrations."""
        return self._engine


def let_go(connection: Connection) -> None:
    """Ends a connection that serves nobody else, in whatever state it is."""
    with suppress(Exception):
        connection.invalidate()
    with suppress(Exception):
        connection.close()


def once_durable(connection: Connection, work: Callable[[], None]) -> None:
    """Has something done once what a `write` writes over this connection is durable, and never if it is not.

    It is done on whatever thread has written, does not raise and takes no time.
    """
    connection.info.setdefault(_AFTER, []).append(work)


def _worked(connection: Connection, work: Work[T]) -> tuple[T, list[Callable[[], None]]]:
    """What `work` gives, and what is to be done once that is durable; nothing of it stays at the connection."""
    try:
        return work(connection), connection.info.get(_AFTER, [])
    finally:
        connection.info.pop(_AFTER, None)


def _looked_at(writing: asyncio.Future[Any]) -> None:
    """Looks at how it ended: where nobody waits any more, a fault is nobody's, and no line in the log either."""
    if not writing.cancelled():
        writing.exception()


def _lite(url: URL) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,  # what was to be written does not belong in an error, and so not in a log
        connect_args={"timeout": _PATIENCE, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver's own notion of a transaction begins too late
        cursor = connection.cursor()
        _begin(cursor)
        for pragma in (
            "synchronous = FULL",  # a key that was revoked stays revoked, whatever happens to the power
            "foreign_keys = ON",
            "secure_delete = ON",  # what is deleted is gone from the file, not only from its index
            f"busy_timeout = {_PATIENCE * 1000}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        # the lock is taken at once: a reader that becomes a writer half-way could only fail
        begin(connection, "BEGIN" if connection.get_execution_options().get("reads") else "BEGIN IMMEDIATE")

    return engine


def _begin(cursor: sqlite3.Cursor) -> None:
    """Makes a new file what it shall be; of several that begin at once one does it, and the others wait for it.

    SQLite does not wait by itself where the journal is changed.
    """
    patience = monotonic() + _PATIENCE
    while True:
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                return
            cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that what is forgotten makes the file smaller
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if monotonic() > patience:
                raise
            sleep(0.01)
        else:
            return


def _shared(url: URL) -> Engine:
    return create_engine(
        url,
        hide_parameters=True,
        pool_size=_READERS,
        max_overflow=_READERS,
        pool_timeout=_PATIENCE,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": _PATIENCE,
            "application_name": f"dirigent {__version__}",  # by which a version sees that another one is at work
            "options": "-c timezone=UTC -c statement_timeout=60000",
        },
    )


def _gone(fault: DBAPIError) -> DatabaseGone:
    """In words without the statement, which may hold what nobody should read in a log."""
    words = str(fault.orig).strip().splitlines()
    return DatabaseGone(f"the database does not answer: {words[0] if words else type(fault.orig).__name__}")
