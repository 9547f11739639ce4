"""Whether a small write may be done where it is asked for, and a connection on which it waits for nobody.

To hand a write to a thread and to hear of it takes as long as the write itself, where the storage makes it durable at
once: memory, or a disk whose cache outlives the power. There a run goes on in half the time where the loop does it, and
the loop is busy for 0.02 ms longer than with handing it on. Whether the storage is like that nobody says, so it is seen
from how long the last writes took.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from time import perf_counter
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from dirigent.store.brief import Brief, Values
from dirigent.store.database import Database, let_go

__all__ = ["AT_MOST", "Aside"]

AT_MOST = 16_384
"""Bytes of a write that is done where it is asked for."""
_QUICK = 0.000_15
"""Seconds that a quick one takes at most."""
_SLOW = 0.001
"""Seconds from which on one was no accident of the moment."""
_IN_A_ROW = 8
"""So many quick ones in a row let the next one be done at once."""
_AFTER_A_SLOW_ONE = 24
"""So many writes are handed on after a slow one."""
_TOGETHER = 200
"""So many are done at once before one is handed on, so that its thread clears up the log of the embedded database."""


class Aside:
    """A second connection to the embedded database, for writes of one statement on the loop.

    It waits for no other writer and clears nothing up: where it could not write at once it writes nothing.
    """

    def __init__(self, database: Database, brief: Brief) -> None:
        self._database = database
        self._brief = brief
        self._connection: Connection | None = None
        self._driver: Any = None
        self._quick = 0
        self._done = 0

    @property
    def ready(self) -> bool:
        """Whether the next small write may be done at once."""
        return self._driver is not None and self._quick >= _IN_A_ROW

    def took(self, seconds: float) -> None:
        """Takes note of how long it took until a write was durable. On the thread of writes it opens the connection."""
        if seconds < _QUICK:
            self._quick = min(self._quick + 1, _IN_A_ROW)
        else:
            self._quick = -_AFTER_A_SLOW_ONE if seconds > _SLOW else 0

    def open(self) -> None:
        """Opens the connection once it would be used. Not for the loop."""
        if self._driver is None and self._quick >= _IN_A_ROW:
            with suppress(DBAPIError):
                connection = self._database.engine.connect()
                driver: Any = connection.connection.driver_connection
                driver.execute("PRAGMA busy_timeout = 0")
                driver.execute("PRAGMA wal_autocheckpoint = 0")
                self._connection, self._driver = connection, driver

    def put(self, values: Values) -> bool:
        """Whether the row is there, and durable; where it is not, nothing was written."""
        self._done = (self._done + 1) % _TOGETHER
        turn = self._database.turn_at_once() if self._done else None
        if turn is None:
            return False
        began = perf_counter()
        try:
            return self._brief.put(self._driver, values)
        except sqlite3.Error:
            return False  # another process writes, or something is wrong: whoever waits for it will tell
        finally:
            turn.release()
            self.took(perf_counter() - began)

    def close(self) -> None:
        """Ends; what is set on the connection serves nobody else."""
        self._driver = None
        if self._connection is not None:
            let_go(self._connection)
            self._connection = None
