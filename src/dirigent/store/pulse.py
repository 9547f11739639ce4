"""The pulse: how a node learns within moments that something in the database has changed.

Whoever changes what nodes keep in memory counts its topic on in the same transaction. A watcher tells which topics have
moved on; what has changed in them is then asked for by the number that was known before.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from threading import Event, Thread
from time import monotonic
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, text

from dirigent.store.database import Database

__all__ = ["Pulse", "bump", "sequence_of"]

Told = Callable[[frozenset[str]], None]

_log = logging.getLogger("dirigent.store")
_LOOK_EVERY = 0.05
"""Seconds between two looks at the embedded database; each asks for one number that is in memory already."""
_QUIET = 0.24
"""The same once nothing has changed for a while; what this process writes itself is looked at in any case."""
_WHILE = 5.0
_CHANNEL = "dirigent"
_NET = 2.0
"""Seconds after which a shared database is asked even though it has told nothing."""
_ASIDE = 0.25
"""Seconds after which a watcher that waits for word looks up, to see whether it shall end."""
_LONGEST = 2.0
"""Seconds between two tries to reach a database that is gone."""


def bump(connection: Connection, topic: str) -> int:
    """Counts the topic on; nodes hear of it once this transaction is durable. What it changed bears the number given.

    Until its end no other transaction gets a number of this topic, so numbers become visible in their order. A
    transaction that counts several topics takes them in alphabetical order, so that no two wait for each other.
    """
    row = connection.execute(
        text("""
            INSERT INTO pulse (topic, sequence) VALUES (:topic, 1)
            ON CONFLICT (topic) DO UPDATE SET sequence = pulse.sequence + 1
            RETURNING sequence"""),
        {"topic": topic},
    ).one()
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_notify(:channel, :topic)"), {"channel": _CHANNEL, "topic": topic})
    return int(row.sequence)


def sequence_of(connection: Connection, topic: str) -> int:
    """How often the topic was counted on."""
    found = connection.execute(text("SELECT sequence FROM pulse WHERE topic = :topic"), {"topic": topic}).scalar()
    return 0 if found is None else int(found)


class Pulse:
    """Tells which topics have moved on, within 250 ms, as long as it lives and whatever becomes of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, int] = {}
        self._ending = Event()
        self._wrote = Event()
        """Set when this process has written something."""
        self._thread: Thread | None = None

    def start(self, told: Told) -> None:
        """Calls `told` on a thread of its own: at once with every topic that there is, then with those that changed."""
        if self._database.lite:
            self._database.wrote = self._wrote.set
        watch = self._watch_file if self._database.lite else self._watch_server
        self._thread = Thread(target=self._keep_watching, args=(watch, told), name="pulse", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tells nothing more once it returns."""
        self._ending.set()
        self._wrote.set()
        if self._thread is not None:
            self._thread.join()

    def _keep_watching(self, watch: Callable[[Told], None], told: Told) -> None:
        pause, gone = _ASIDE, False
        while not self._ending.is_set():
            begun = monotonic()
            try:
                watch(told)
            except Exception as fault:  # noqa: BLE001  whatever a driver raises: the watch goes on, and says so once
                if monotonic() - begun > _LONGEST:
                    pause, gone = _ASIDE, False
                if not gone:
                    _log.warning("the database tells of no changes for now (%s); trying on", type(fault).__name__)
                gone = True
                self._ending.wait(pause)
                pause = min(2 * pause, _LONGEST)

    def _watch_file(self, told: Told) -> None:
        file = quote(self._database.engine.url.database or "")
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None)) as connection:
            version, busy = -1, 0.0
            while not self._ending.is_set():
                looked = monotonic()
                # moves on with each transaction of anybody else, and costs no lock
                if (present := connection.execute("PRAGMA data_version").fetchone()[0]) != version:
                    if self._compare(dict(connection.execute("SELECT topic, sequence FROM pulse").fetchall()), told):
                        busy = looked + _WHILE
                    version = present
                self._wrote.wait(_LOOK_EVERY if looked < busy else _QUIET)
                if (rest := looked + _LOOK_EVERY - monotonic()) > 0:
                    self._ending.wait(rest)
                self._wrote.clear()

    def _watch_server(self, told: Told) -> None:
        connection = self._listening()
        try:
            connection.execute(f"LISTEN {_CHANNEL}")
            overdue = 0.0
            while not self._ending.is_set():
                heard = monotonic() >= overdue
                if not heard:
                    heard = any([True for _ in connection.notifies(timeout=_ASIDE, stop_after=1)])  # noqa: C419  all of them: the rest would be heard late
                if heard:
                    self._compare(dict(connection.execute("SELECT topic, sequence FROM pulse").fetchall()), told)
                    overdue = monotonic() + _NET
        finally:
            with suppress(Exception):
                connection.close()

    def _listening(self) -> Any:
        """A connection beside the pool; the driver is the one that the engine has loaded."""
        dialect = self._database.engine.dialect
        places, names = dialect.create_connect_args(self._database.engine.url)
        # a server that has silently gone is noticed within seconds, not within the hours of the system's own patience
        alive = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
        return dialect.connect(*places, **{"connect_timeout": 5, **alive, **names, "autocommit": True})

    def _compare(self, present: Mapping[str, int], told: Told) -> bool:
        """Tells what has changed; whether anything has."""
        changed = frozenset(topic for topic, sequence in present.items() if self._known.get(topic) != sequence)
        self._known = dict(present)
        if changed:
            try:
                told(changed)
            except Exception:  # noqa: BLE001  the watch goes on for everybody else
                _log.exception("what was to be done about changes of %s failed", ", ".join(sorted(changed)))
        return bool(changed)
