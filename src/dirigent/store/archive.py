"""What is said, on its way into the store: sealed on a thread of this process before it goes anywhere else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic, time

from sqlalchemy import Connection

from dirigent.core.errors import DirigentError
from dirigent.core.ports import Said
from dirigent.store.bodies import Bodies, Body, Sealed, Text
from dirigent.store.database import Database, DatabaseGone
from dirigent.store.outbox import Outbox
from dirigent.store.usage import DAY
from dirigent.store.vault import Vault

__all__ = ["Archive"]

_log = logging.getLogger("dirigent.archive")
_MOST = 128 * 1024 * 1024
"""Bytes that wait to be sealed; beyond them texts are lost, and counted."""
_BETWEEN = 3_600.0
"""Seconds between two looks for what is too old."""
_TOLD_EVERY = 60.0


class Archive:
    """Keeps what is said (core.ports.Archive), finds it again for who may read it, and forgets it in time.

    The keys are made when the first text comes: a node that keeps none needs none. Where the keys of the database are
    not in this node's folder, texts are left out, counted, and the log says which file is missing.
    """

    def __init__(self, database: Database, keys: Path, folder: Path, *, clock: Callable[[], float] = time) -> None:
        self.vault = Vault(database, keys, clock=clock)
        self.bodies = Bodies(self.vault)
        self.lost = 0
        """Texts that were left out: too many at once, or no key to seal them with."""
        self.outbox: Outbox[Body, Sealed] = Outbox(
            "bodies", database, Sealed, self.bodies.write_many, folder=folder, before=self._sealed, batch=200
        )
        self._database = database
        self._keys = keys
        self._clock = clock
        self._waiting = 0
        self._open = False
        self._lock = Lock()
        self._told = -_TOLD_EVERY
        self._stop = Event()
        self._cleaner = Thread(target=self._forget_until_stopped, name="bodies", daemon=True)

    def start(self) -> None:
        """Begins to write, and once an hour to forget."""
        if (self._keys / "search").exists():  # texts are kept here: then even a database that goes now holds none up
            try:
                self._opened()
            except DirigentError as error:
                _log.warning("texts cannot be kept yet: %s", error.message)
        self.outbox.start()
        self._cleaner.start()

    def keep(self, said: Said) -> None:
        """Takes what was said in one run, within microseconds."""
        at = int(said.at * 1000)
        expires = at + said.days * DAY
        for kind, text in (("asked", said.asked), ("answered", said.answered)):
            if not text:
                continue
            body = Body(said.tenant, said.run, kind, text, at, expires, said.subject)  # type: ignore[arg-type]
            if self._waiting + len(text) > _MOST or not self.outbox.put(body):
                self.lost += 1
                continue
            with self._lock:
                self._waiting += len(text)

    def read(self, connection: Connection, tenant: str, run: str) -> Sequence[Text]:
        """What is kept of a run. Raises KeyLost where its key was shredded, or is not on this node."""
        return self.bodies.read(connection, tenant, run) if self._ready() else ()

    def erase(self, connection: Connection, tenant: str, subject: str) -> tuple[str, int]:
        """Removes all that is kept about a subject, and the keys to every copy of it.

        What stands for the subject where its name must not stand, and how many texts that were.
        """
        if not self._ready():
            return "", 0
        return self.vault.subject(tenant, subject).hex(), self.bodies.shred(connection, tenant, subject)

    def refresh(self) -> None:
        """Takes over what was shredded or sealed anew elsewhere; to be called whenever the pulse `vault` moves on."""
        if self._open:
            try:
                self.vault.refresh()
            except DirigentError as error:
                _log.error("the keys of texts cannot be taken over: %s", error.message)

    def forget(self) -> int:
        """Removes what is too old; how many texts that were. Raises DatabaseGone."""
        gone = 0
        while found := self._database.write(lambda connection: self.bodies.expire(connection, self._now())):
            gone += found
        return gone

    def close(self) -> None:
        """Writes what is left, and ends."""
        self._stop.set()
        if self._cleaner.is_alive():
            self._cleaner.join()
        self.outbox.close()

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _sealed(self, batch: Sequence[Body]) -> Sequence[Sealed]:
        """The batch, sealed; never raises, for what is not sealed goes nowhere."""
        with self._lock:
            self._waiting -= sum(len(body.text) for body in batch)
        try:
            self._opened()
        except DirigentError as error:
            self._leave_out(len(batch), error)
            return ()
        rows: list[Sealed] = []
        for body in batch:
            try:
                rows += self.bodies.sealed((body,))
            except DirigentError as error:
                self._leave_out(1, error)
            except Exception as fault:  # noqa: BLE001 -- no text may take its neighbours along
                self._leave_out(1, DirigentError(type(fault).__name__))  # its words may tell it
        return rows

    def _leave_out(self, texts: int, error: DirigentError) -> None:
        self.lost += texts
        if monotonic() - self._told >= _TOLD_EVERY:
            self._told = monotonic()
            _log.error("texts are not kept, %d so far: %s", self.lost, error.message)

    def _opened(self) -> None:
        if not self._open:
            self.vault.open()
            self._open = True

    def _ready(self) -> bool:
        """Whether there may be anything: without a key nothing was ever kept. Raises KeyLost. Writes nothing."""
        if not self._open and self.vault.begun():
            self._opened()
        return self._open

    def _forget_until_stopped(self) -> None:
        while not self._stop.wait(_BETWEEN):
            try:
                self.forget()
            except DatabaseGone as fault:
                _log.warning("old texts stay for now: %s", fault.message)
            except Exception:  # noqa: BLE001 -- an hour later it may well work
                _log.exception("old texts could not be forgotten")
