"""What happened, on its way into the database: a bounded queue in memory that a thread empties in batches.

The loop puts a row and goes on. While the database is away the rows wait in an fsynced file of the data folder, and are
written once it is back, each exactly once.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from typing import Generic, TypeVar, cast

import msgspec
from sqlalchemy import Connection

from dirigent.store.database import Database, DatabaseGone
from dirigent.store.spool import Spool, drained_up_to, forget_drained, note_drained

__all__ = ["Outbox"]

_log = logging.getLogger("dirigent.outbox")
T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_RETRY = 1.0
"""Seconds between two attempts while the database is away."""
_COMPANY = 0.02
"""Seconds that a row which comes after a while waits for others, so that those of one request are written together."""
_PATIENCE = 5.0
"""Seconds in which an outbox that ends still writes what waits in files; the rest waits there for the next process."""


class Outbox(Generic[T, S]):
    """Takes rows without waiting, and writes them in the order in which they came.

    `write` gets a transaction and a batch; `before` turns what was put into what is written, on the thread, so that
    nothing plain need ever reach a file. A batch that `write` refuses is tried in halves, until the row at fault stands
    alone; that one is left out, counted and logged by its type.
    """

    def __init__(
        self,
        name: str,
        database: Database,
        kind: type[S],
        write: Callable[[Connection, Sequence[S]], object],
        *,
        folder: Path,
        before: Callable[[Sequence[T]], Sequence[S]] | None = None,
        most: int = 100_000,
        batch: int = 1_000,
        every: float = 0.2,
        patience: float = _PATIENCE,
    ) -> None:
        self.name = name
        self.dropped = 0
        """Rows that were lost because the queue or the disk was full; 0 in normal times."""
        self.refused = 0
        """Rows that the database would not take."""
        self._database = database
        self._write = write
        self._before = before
        self._most, self._batch, self._every, self._patience = most, batch, every, patience
        self._queue: deque[T] = deque()
        self._spool: Spool[S] = Spool(folder, name, kind)
        self._some = Event()
        """Set while there may be rows."""
        self._due = Event()
        """Set where they are not to wait for others."""
        self._turns = Lock()
        self._stopping = False
        self._retry_at = 0.0
        self._until = inf
        """When, on the monotonic clock, no more is written of what waits in files."""
        self._thread = Thread(target=self._run, name=f"outbox-{name}", daemon=True)

    def start(self) -> None:
        """Begins to write, first of all what an earlier process left in files."""
        self._spool.adopt()
        self._thread.start()

    def put(self, row: T) -> bool:
        """Takes one row, within a microsecond; False where the queue is full and the row is lost."""
        waiting = len(self._queue)
        if waiting >= self._most:
            self.dropped += 1
            return False
        self._queue.append(row)
        if not self._some.is_set():
            self._some.set()
        if waiting == self._batch:
            self._due.set()
        return True

    @property
    def waiting(self) -> int:
        """Rows in memory that are not written yet."""
        return len(self._queue)

    @property
    def spooled(self) -> int:
        """Bytes that wait in files for the database."""
        return self._spool.waiting

    def flush(self) -> None:
        """Returns when all that was put before is in the database, or in a file where the database is away."""
        with self._turns:
            self._turn()

    def close(self) -> None:
        """Writes what is left, and ends within seconds: what waits in files may go on waiting, for it is durable."""
        self._until = monotonic() + self._patience
        self._stopping = True
        self._due.set()
        self._some.set()
        if self._thread.is_alive():
            self._thread.join()
        self._retry_at = 0.0
        self.flush()
        self._spool.close()

    def _run(self) -> None:
        written = monotonic()
        while not self._stopping:
            self._some.wait(_RETRY if self._spool.waiting else None)
            self._due.wait(max(min(_COMPANY, self._every), written + self._every - monotonic()))
            self._due.clear()
            self._some.clear()  # before any is taken: one that comes meanwhile is taken now or next time
            written = monotonic()
            try:
                self.flush()
            except Exception:  # noqa: BLE001 -- whatever it was, the next rows deserve their attempt
                _log.exception("the outbox %s stumbled", self.name)

    def _turn(self) -> None:
        away = self._spool.waiting > 0 and not self._drain()
        due = len(self._queue)  # what comes meanwhile waits for the next turn: a transaction for a few rows is dear
        while due > 0:
            batch = self._taken(min(self._batch, due))
            due -= len(batch)
            rows = cast("Sequence[S]", batch) if self._before is None else self._prepared(batch)
            if not away:
                try:
                    self._store(rows)
                    continue
                except DatabaseGone as fault:
                    _log.warning("rows of the outbox %s wait in a file: %s", self.name, fault)
                    away, self._retry_at = True, monotonic() + _RETRY
            self._set_aside(rows)
        if len(self._queue) >= self._batch:
            self._due.set()

    def _taken(self, many: int) -> list[T]:
        queue = self._queue
        return [queue.popleft() for _ in range(many)]

    def _prepared(self, batch: Sequence[T]) -> Sequence[S]:
        before = cast("Callable[[Sequence[T]], Sequence[S]]", self._before)
        try:
            return before(batch)
        except Exception as fault:  # noqa: BLE001 -- no row may take its neighbours along
            if len(batch) > 1:
                middle = len(batch) // 2
                return [*self._prepared(batch[:middle]), *self._prepared(batch[middle:])]
            self._leave_out(fault)
            return []

    def _store(self, rows: Sequence[S], also: Callable[[Connection], object] | None = None) -> None:
        """Writes the rows, and what belongs into the same transaction. Raises DatabaseGone."""

        def work(connection: Connection) -> None:
            if rows:
                self._write(connection, rows)
            if also is not None:
                also(connection)

        try:
            self._database.write(work)
        except DatabaseGone:
            raise
        except Exception as fault:
            if not rows:
                raise
            if len(rows) == 1:
                self._leave_out(fault)
                if also is not None:
                    self._database.write(also)
                return
            middle = len(rows) // 2
            self._store(rows[:middle])
            self._store(rows[middle:], also)

    def _leave_out(self, fault: Exception) -> None:
        self.refused += 1
        _log.error("a row of the outbox %s was left out: %s", self.name, type(fault).__name__)  # its words may tell it

    def _set_aside(self, rows: Sequence[S]) -> None:
        try:
            self._spool.add(rows)
        except OSError as fault:
            self.dropped += len(rows)
            _log.error("%d rows of the outbox %s are lost: %s", len(rows), self.name, fault.strerror)

    def _drain(self) -> bool:
        """Writes what waits in files, many of their batches at once; False where some of it has to wait on."""
        if monotonic() < self._retry_at:
            return False
        try:
            for file in self._spool.files():
                done = self._database.read(partial(drained_up_to, file=file.name))
                for rows, end in self._gathered(file, done):
                    if monotonic() >= self._until:
                        return False
                    self._store(rows, partial(note_drained, file=file.name, position=end))
                self._spool.remove(file)
                self._database.write(partial(forget_drained, file=file.name))
        except DatabaseGone:
            self._retry_at = monotonic() + _RETRY
            return False
        return True

    def _gathered(self, file: Path, start: int) -> Iterator[tuple[Sequence[S], int]]:
        """The rows of a file from this place on, about a batch at a time, and where each lot ends.

        What was set aside five times a second for minutes would take a transaction each otherwise.
        """
        rows: list[S] = []
        end = start
        for some, end in self._spool.frames(file, start):
            rows += some
            if len(rows) >= self._batch:
                yield rows, end
                rows = []
        if rows:
            yield rows, end
