"""Many small writes in one transaction: whoever comes while one is on its way to the disk goes with the next.

So a disk that takes a millisecond to be sure of something carries thousands of writes in a second, and each of them is
durable when its caller goes on.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from queue import Empty, SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any, Generic, Literal, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from dirigent.core.errors import DirigentError
from dirigent.store.aside import Aside
from dirigent.store.brief import Brief, Values
from dirigent.store.database import Database, DatabaseGone, let_go
from dirigent.store.pulse import bump

__all__ = ["Grouped", "How", "Sheet"]

T = TypeVar("T")
How = Literal["freely", "barely", "briefly"]
_log = logging.getLogger("dirigent.store")
_MOST = 512
"""Writes in one transaction at most."""


class Sheet:
    """What one transaction writes: statements straight to the driver, and what is to be done before it ends."""

    __slots__ = ("_driver", "_last", "_shared", "_topics", "connection")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._driver: Any = connection.connection.driver_connection
        self._shared = connection.dialect.name == "postgresql"
        self._topics: set[str] = set()
        self._last: list[Callable[[Connection], None]] = []

    def all(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        """The rows that a statement gives."""
        cursor = self._driver.execute(_spelled(statement) if self._shared else statement, values or {})
        return list(cursor.fetchall())

    def one(self, statement: str, values: Mapping[str, Any]) -> Any:
        """The only row that it gives, or None."""
        cursor = self._driver.execute(_spelled(statement) if self._shared else statement, values)
        return cursor.fetchone()

    def put(self, statement: str, values: Mapping[str, Any]) -> None:
        """Carries out a statement that gives nothing."""
        self._driver.execute(_spelled(statement) if self._shared else statement, values)

    def puts(self, brief: Brief, said: Sequence[Values]) -> bool:
        """Whether a brief statement has put its row for each of these; where not for the first, then for none."""
        return all(brief.put(self._driver, values) for values in said)

    def tell(self, topic: str) -> None:
        """Counts a topic of the pulse on, last of all: nobody waits for its row longer than the end takes."""
        self._topics.add(topic)

    def last(self, work: Callable[[Connection], None]) -> None:
        """Does something else in the same transaction, once no more rows of runs are taken."""
        self._last.append(work)

    def close(self) -> None:
        """Does what comes last."""
        for work in self._last:
            work(self.connection)
        for topic in sorted(self._topics):
            bump(self.connection, topic)


@lru_cache(maxsize=256)
def _spelled(statement: str) -> str:
    """A statement with named parameters as the driver of PostgreSQL wants them."""
    return re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", statement)


class _Job(Generic[T]):
    __slots__ = ("done", "future", "how", "loop", "order", "outcome", "prepare", "work")

    def __init__(
        self,
        work: Callable[..., T],
        prepare: Callable[[], Any] | None,
        order: str,
        loop: asyncio.AbstractEventLoop,
        how: How,
    ) -> None:
        self.done = False
        """Whether it is durable already, whatever becomes of the others."""
        self.how = how
        self.work = work
        self.prepare = prepare
        self.order = order
        self.loop = loop
        self.future: asyncio.Future[T] = loop.create_future()
        self.outcome: tuple[T | None, BaseException | None] = (None, None)

    def tell(self) -> None:
        """On the loop: gives the result to whoever waits."""
        if self.future.done():
            return
        value, fault = self.outcome
        if fault is not None:
            self.future.set_exception(fault)
        else:
            self.future.set_result(value)  # type: ignore[arg-type]


class Grouped:
    """One thread that writes what is waiting, batch by batch; most of it by a statement that is kept ready."""

    def __init__(self, database: Database, name: str, brief: Brief) -> None:
        self._database = database
        self._brief = brief
        self._aside = Aside(database, brief)
        self._queue: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._connection: Connection | None = None
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self.transactions = 0
        """How many were made durable."""
        dbapi = database.engine.dialect.loaded_dbapi
        self._gone: tuple[type[Exception], ...] = (dbapi.OperationalError, dbapi.InterfaceError)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def close(self) -> None:
        """Writes what waits, and ends."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._forget_connection()
        self._aside.close()

    @property
    def quick(self) -> bool:
        """Whether a small write costs least where it is asked for."""
        return self._aside.ready

    def put(self, values: Values) -> bool:
        """Whether the statement that is kept ready has put its row at once, and it is durable; see `quick`."""
        put = self._aside.put(values)
        self.transactions += put
        return put

    async def write(
        self,
        work: Callable[..., T],
        *,
        prepare: Callable[[], Any] | None = None,
        order: str = "",
        how: How = "freely",
    ) -> T:
        """What `work` gives, once what it wrote is durable.

        It gets a `Sheet`, and what `prepare` gave, which is done before the transaction begins. Of those in one
        transaction the ones of one `order` stay in their order, and all take their rows by it. A DirigentError of
        `work` is its caller's alone: it has written nothing. What is done `barely` speaks to the driver alone, which
        costs less. Of what is done `briefly`, `prepare` gives values of the statement that is kept ready; where it puts
        its row for each of them, that was all, and `work` is not done, which is bare otherwise. Raises DatabaseGone
        where nothing could be written.
        """
        job = _Job(work, prepare, order, asyncio.get_running_loop(), how)
        self._queue.put(job)
        return await job.future

    def _run(self) -> None:
        ending = False
        while not ending:
            batch: list[_Job[Any]] = []
            job = self._queue.get()
            with suppress(Empty):
                while job is not None:
                    batch.append(job)
                    if len(batch) == _MOST:
                        break
                    job = self._queue.get_nowait()
            ending = job is None
            if batch:
                self._turn(batch)
                self._aside.open()

    def _turn(self, batch: list[_Job[Any]]) -> None:
        able = [job for job in batch if self._prepared(job)]
        try:
            if able:
                self._write(able)
        except Exception as fault:  # noqa: BLE001  whoever waits must hear of it, whatever it is
            for job in able:
                job.outcome = (None, fault)
        loops: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
        for job in batch:
            loops.setdefault(job.loop, []).append(job)
        for loop, jobs in loops.items():
            with suppress(RuntimeError):  # that loop is closed already, and nobody waits there any more
                loop.call_soon_threadsafe(_tell, jobs)

    @staticmethod
    def _prepared(job: _Job[Any]) -> bool:
        if job.prepare is None:
            return True
        try:
            job.outcome = (job.prepare(), None)
        except Exception as fault:  # noqa: BLE001  its caller hears of it
            job.outcome = (None, fault)
            return False
        return True

    def _write(self, jobs: Sequence[_Job[Any]]) -> None:
        given = {id(job): job.outcome[0] for job in jobs}
        try:
            self._transaction(sorted(jobs, key=lambda job: job.order) if len(jobs) > 1 else jobs)
        except DatabaseGone:
            raise
        except Exception as fault:  # noqa: BLE001  each of them hears of it
            self._forget_connection()
            left = [job for job in jobs if not job.done]
            if len(left) == 1:
                self._alone(left[0], given[id(left[0])], fault)
                return
            for job in left:  # whose fault it was shows when each goes by itself
                job.outcome = (given[id(job)], None)
                try:
                    self._transaction([job])
                except DatabaseGone:
                    raise
                except Exception as own:  # noqa: BLE001
                    self._forget_connection()
                    self._alone(job, given[id(job)], own)

    def _alone(self, job: _Job[Any], given: object, fault: Exception) -> None:
        """A write that failed by itself is tried once more: it may have met another one."""
        job.outcome = (given, None)
        try:
            self._transaction([job])
        except Exception as again:  # noqa: BLE001
            self._forget_connection()
            gone = self._words(again)
            job.outcome = (None, again if gone is None else DatabaseGone(f"the database does not answer: {gone}"))

    def _transaction(self, jobs: Sequence[_Job[Any]]) -> None:
        connection = self._connected()
        if not self._database.lite and all(job.how == "briefly" for job in jobs):
            jobs = self._left(connection, jobs)
            if not jobs:
                return
        bare = all(job.how != "freely" for job in jobs)
        with self._database.turn:
            if not bare:
                with connection.begin():
                    self._work(connection, jobs)
            else:  # the database is told so without a layer in between
                driver: Any = connection.connection.driver_connection
                try:
                    if self._database.lite:  # the other one begins with its first statement
                        driver.execute("BEGIN IMMEDIATE")
                    self._work(connection, jobs)
                except BaseException:
                    driver.rollback()
                    raise
                began = perf_counter()
                driver.commit()
                if self._database.lite:
                    self._aside.took(perf_counter() - began)
        self._database.wrote()
        self.transactions += 1

    def _left(self, connection: Connection, jobs: Sequence[_Job[Any]]) -> Sequence[_Job[Any]]:
        """What cannot be done in brief; all else is durable now. What is wrong shows when the rest is done."""
        said: list[Sequence[Values]] = [job.outcome[0] or () for job in jobs]
        put = self._brief.put_all(connection, [values for each in said for values in each])
        if put is None:
            return jobs
        self.transactions += 1
        left: list[_Job[Any]] = []
        rows = iter(put)
        for job, each in zip(jobs, said, strict=True):
            if all([next(rows) for _ in each]):  # noqa: C419  each of them is taken
                job.outcome, job.done = (None, None), True
            else:
                left.append(job)
        return left

    def _work(self, connection: Connection, jobs: Sequence[_Job[Any]]) -> None:
        sheet = Sheet(connection)
        for job in jobs:
            given = job.outcome[0]
            if job.how == "briefly" and self._database.lite and sheet.puts(self._brief, given or ()):
                job.outcome = (None, None)
                continue
            try:
                value = job.work(sheet) if job.prepare is None else job.work(sheet, given)
                job.outcome = (value, None)
            except DirigentError as fault:
                if isinstance(fault, DatabaseGone):
                    raise
                job.outcome = (None, fault)
        sheet.close()

    def _connected(self) -> Connection:
        if self._connection is None:
            try:
                self._connection = self._database.engine.connect()
            except DBAPIError as fault:
                words = self._words(fault) or type(fault).__name__
                raise DatabaseGone(f"the database does not answer: {words}") from fault
        return self._connection

    def _words(self, fault: Exception) -> str | None:
        """What a database that is gone says; None where the fault is another one."""
        bare = fault.orig if isinstance(fault, DBAPIError) else fault
        if not isinstance(bare, self._gone):
            return None
        lines = str(bare).strip().splitlines()
        return lines[0] if lines else type(bare).__name__

    def _forget_connection(self) -> None:
        if self._connection is not None:
            let_go(self._connection)
            self._connection = None


def _tell(jobs: Sequence[_Job[Any]]) -> None:
    for job in jobs:
        job.tell()
