"""How long runs are kept: what people wrote as long as their purpose says, who did what when as long as its records.

What a run gave must be fetched by somebody, so even where a purpose keeps nothing it stays for a day after the end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import time

from sqlalchemy import Connection, bindparam, text

from dirigent.core.purposes import Retention
from dirigent.store.approvals import Approvals
from dirigent.store.database import Database, DatabaseGone
from dirigent.store.people import tenants
from dirigent.store.purposes import purposes
from dirigent.store.usage import DAY

__all__ = ["GRACE", "RunKeeping", "forget_runs"]

_log = logging.getLogger("dirigent.store")
GRACE = DAY
"""Milliseconds after its end for which a run can be read, whatever its purpose keeps."""
_BETWEEN = 3_600.0
_AT_ONCE = 500


def forget_runs(database: Database, now: int) -> tuple[int, int]:
    """Forgets what is too old, a few runs at a time: of how many runs the bodies, and how many runs as a whole."""
    emptied = gone = 0
    for tenant, purpose, retention in database.read(_rules):
        bodies = now - max(GRACE, retention.bodies * DAY)
        while many := database.write(lambda c, t=tenant, p=purpose, b=bodies: _empty(c, t, p, b)):  # type: ignore[misc]
            emptied += many
        records = now - max(GRACE, retention.records * DAY)
        while many := database.write(lambda c, t=tenant, p=purpose, b=records: _remove(c, t, p, b)):  # type: ignore[misc]
            gone += many
    return emptied, gone


def _rules(connection: Connection) -> list[tuple[str, str | None, Retention]]:
    """For each tenant and each purpose its runs name, how long they are kept."""
    rules: list[tuple[str, str | None, Retention]] = []
    for tenant in tenants(connection):
        known = {each.purpose.name: each.purpose.retention for each in purposes(connection, tenant.name)}
        used = connection.execute(
            text("""SELECT DISTINCT purpose FROM runs WHERE tenant = :tenant AND ended IS NOT NULL"""),
            {"tenant": tenant.name},
        ).scalars()
        rules += [(tenant.name, purpose, known.get(purpose or "", Retention())) for purpose in used]
    return rules


def _empty(connection: Connection, tenant: str, purpose: str | None, before: int) -> int:
    runs = _ended(connection, tenant, purpose, before, "key IS NOT NULL")
    if runs:
        Approvals.empty(connection, runs)
        for statement in (
            "UPDATE run_entries SET sealed = NULL WHERE run IN :runs",
            "DELETE FROM run_files WHERE run IN :runs",
            "UPDATE runs SET key = NULL, sealed = NULL WHERE id IN :runs",
        ):
            connection.execute(text(statement).bindparams(bindparam("runs", expanding=True)), {"runs": runs})
    return len(runs)


def _remove(connection: Connection, tenant: str, purpose: str | None, before: int) -> int:
    runs = _ended(connection, tenant, purpose, before, "1 = 1")
    if runs:
        Approvals.forget(connection, runs)
        for statement in (
            "DELETE FROM run_entries WHERE run IN :runs",
            "DELETE FROM run_deliveries WHERE run IN :runs",
            "DELETE FROM run_files WHERE run IN :runs",
            "DELETE FROM runs WHERE id IN :runs",
        ):
            connection.execute(text(statement).bindparams(bindparam("runs", expanding=True)), {"runs": runs})
    return len(runs)


def _ended(connection: Connection, tenant: str, purpose: str | None, before: int, also: str) -> Sequence[str]:
    found = connection.execute(
        text(f"""
            SELECT id FROM runs
            WHERE ended < :before AND tenant = :tenant AND coalesce(purpose, '') = :purpose AND {also}
            ORDER BY ended LIMIT :many"""),  # noqa: S608 -- no input
        {"before": before, "tenant": tenant, "purpose": purpose or "", "many": _AT_ONCE},
    )
    return list(found.scalars())


class RunKeeping:
    """Forgets once an hour, as long as it lives."""

    def __init__(self, database: Database, clock: Callable[[], float] = time) -> None:
        self._database = database
        self._clock = clock
        self._stop = Event()
        self._thread = Thread(target=self._forget_until_stopped, name="runs-kept", daemon=True)

    def start(self) -> None:
        """Begins to forget."""
        self._thread.start()

    def close(self) -> None:
        """Ends."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _forget_until_stopped(self) -> None:
        while not self._stop.wait(_BETWEEN):
            try:
                forget_runs(self._database, int(self._clock() * 1000))
            except DatabaseGone as fault:
                _log.warning("old runs stay for now: %s", fault.message)
            except Exception:  # noqa: BLE001 -- an hour later it may well work
                _log.exception("old runs could not be forgotten")
