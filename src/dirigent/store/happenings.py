"""What is told live: rare events in the order in which they became durable, kept for a while so that nobody misses one.

Whatever happens on any node stands here within a quarter of a second; who watches reads from behind what it has seen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import time
from typing import Any, ClassVar

import msgspec
from sqlalchemy import Connection, text

from dirigent.core.allowances import Allowance, AllowanceOverrun, AllowancePassed
from dirigent.core.observations import BreakerClosed, BreakerOpened, BudgetOverrun, BudgetPassed, Happening
from dirigent.core.windows import span_at
from dirigent.store.database import Database, DatabaseGone
from dirigent.store.nodes import ALIVE
from dirigent.store.outbox import Outbox
from dirigent.store.pulse import bump

__all__ = [
    "Happened",
    "Happenings",
    "dropped",
    "happening_of",
    "happenings",
    "latest",
    "prune",
    "resting",
    "tell",
]

_log = logging.getLogger("dirigent.store")
_TOPIC = "told"
_BATCH = 1 << 10
"""Happenings that one number of the pulse has room for."""
_KEPT = 7 * 86_400_000
_MOST = 20_000
"""Happenings of a tenant that are kept, whatever their age."""
_BETWEEN = 3_600.0
_BRIEF = frozenset({"minute", "hour"})
_JSON = msgspec.json.Encoder()


class Happened(msgspec.Struct, frozen=True):
    """A happening as it is kept."""

    seq: int
    """Of two, the one that became durable later has the higher one."""
    event: str
    """It as JSON, with its `kind`."""


class _Row(msgspec.Struct, frozen=True):
    """A happening on its way into the database."""

    tenant: str
    at: int
    kind: str
    mark: str | None
    event: str
    place: tuple[str, str, str] | None = None
    """Of a breaker: its node, worker and deployment."""


# --- writing ----------------------------------------------------------------------------------------------------------


def tell(connection: Connection, *told: Happening) -> None:
    """Tells happenings once this transaction is durable; of those that bear one mark, the first alone."""
    _write(connection, [_row(each) for each in told])


def _row(told: Happening) -> _Row:
    kind = str(type(told).__struct_config__.tag)
    place = (told.node, told.worker, told.deployment) if isinstance(told, BreakerOpened | BreakerClosed) else None
    return _Row(told.tenant, told.at, kind, told.mark, _JSON.encode(told).decode(), place)


def _write(connection: Connection, rows: Sequence[_Row]) -> None:
    first = bump(connection, _TOPIC) * _BATCH  # whoever comes later waits here: what is read up to a number is whole
    connection.execute(
        text("""
            INSERT INTO happenings (seq, tenant, at, kind, mark, event)
            VALUES (:seq, :tenant, :at, :kind, :mark, :event)
            ON CONFLICT (mark) DO NOTHING"""),
        [
            {"seq": first + number, **{name: getattr(row, name) for name in ("tenant", "at", "kind", "mark", "event")}}
            for number, row in enumerate(rows)
        ],
    )
    for row in rows:
        if row.place is not None:
            _note_rest(connection, row, row.place)


def _note_rest(connection: Connection, row: _Row, place: tuple[str, str, str]) -> None:
    node, worker, deployment = place
    which = {"tenant": row.tenant, "node": node, "worker": worker, "deployment": deployment}
    if row.kind == "breaker_closed":
        connection.execute(
            text("""
                DELETE FROM resting
                WHERE tenant = :tenant AND node = :node AND worker = :worker AND deployment = :deployment"""),
            which,
        )
        return
    connection.execute(
        text("""
            INSERT INTO resting (tenant, node, worker, deployment, since)
            VALUES (:tenant, :node, :worker, :deployment, :since)
            ON CONFLICT (tenant, node, worker, deployment) DO UPDATE SET since = excluded.since"""),
        {**which, "since": row.at},
    )


def happening_of(observation: msgspec.Struct, now: float) -> Happening | None:
    """What is to be told live of an observation; None where it is nothing that people wait for."""
    match observation:
        case Happening():
            return observation
        case AllowancePassed(allowance=allowance, percent=percent) if _lasts(allowance):
            since = span_at(allowance.window, allowance.zone, now).starts
            return BudgetPassed(**_about(allowance, now), window=allowance.window, percent=percent, since=since)
        case AllowanceOverrun(allowance=allowance, run=run, amount=amount):
            return BudgetOverrun(**_about(allowance, now), run=run, amount=amount, currency=allowance.currency)
    return None


def _lasts(allowance: Allowance) -> bool:
    """Whether it is news that an allowance is nearly used up: limits of a minute are there to be."""
    return allowance.unit != "calls" and allowance.window not in _BRIEF


def _about(allowance: Allowance, now: float) -> dict[str, Any]:
    return {
        "tenant": allowance.tenant,
        "at": int(now * 1000),
        "allowance": allowance.id,
        "level": allowance.level,
        "subject": allowance.subject,
        "unit": allowance.unit,
    }


class Happenings:
    """An observer that keeps what is to be told live: `observe` takes a microsecond, a thread does the rest."""

    hears: ClassVar[tuple[type, ...]] = (Happening, AllowancePassed, AllowanceOverrun)
    """What else it is told it leaves aside: requests are told out of their records."""

    def __init__(self, database: Database, folder: Path, *, clock: Callable[[], float] = time) -> None:
        self.outbox: Outbox[_Row, _Row] = Outbox(
            "happenings", database, _Row, _write, folder=folder, most=10_000, batch=_BATCH
        )
        self._database = database
        self._clock = clock
        self._stop = Event()
        self._cleaner = Thread(target=self._prune_until_stopped, name="happenings", daemon=True)

    def start(self) -> None:
        """Begins to write, and once an hour to forget."""
        self.outbox.start()
        self._cleaner.start()

    def observe(self, observation: msgspec.Struct) -> None:
        """Keeps what is a happening; anything else is not for here."""
        told = happening_of(observation, self._clock())
        if told is not None:
            self.outbox.put(_row(told))

    def close(self) -> None:
        """Writes what is left, and ends."""
        self._stop.set()
        if self._cleaner.is_alive():
            self._cleaner.join()
        self.outbox.close()

    def _prune_until_stopped(self) -> None:
        while not self._stop.wait(_BETWEEN):
            try:
                self._database.write(partial(prune, now=int(self._clock() * 1000)))
            except DatabaseGone as fault:
                _log.warning("old happenings stay for now: %s", fault)
            except Exception:  # noqa: BLE001 -- an hour later it may well work
                _log.exception("old happenings could not be forgotten")


# --- reading ----------------------------------------------------------------------------------------------------------


def latest(connection: Connection, tenant: str) -> int:
    """The number of the last happening of a tenant; 0 where there was none."""
    found = connection.execute(
        text("""SELECT max(seq) FROM happenings WHERE tenant = :tenant"""), {"tenant": tenant}
    ).scalar()
    return int(found or 0)


def happenings(connection: Connection, tenant: str, after: int, limit: int) -> Sequence[Happened]:
    """The happenings of a tenant behind a number, in their order."""
    rows = connection.execute(
        text("""
            SELECT seq, event FROM happenings
            WHERE tenant = :tenant AND seq > :after ORDER BY seq LIMIT :limit"""),
        {"tenant": tenant, "after": after, "limit": limit},
    )
    return [Happened(row.seq, row.event) for row in rows]


def dropped(connection: Connection, tenant: str, since: int) -> int:
    """How many rows workers have lost since a millisecond, as far as they could tell."""
    events = connection.execute(
        text("""SELECT event FROM happenings WHERE tenant = :tenant AND kind = 'rows_dropped' AND at >= :since"""),
        {"tenant": tenant, "since": since},
    ).scalars()
    return sum(int(msgspec.json.decode(event)["rows"]) for event in events)


def resting(connection: Connection, tenant: str) -> dict[str, int]:
    """The deployments that rest at a worker which is there now, and since when."""
    rows = connection.execute(
        text("""
            SELECT r.deployment, min(r.since) AS since FROM resting r
            JOIN nodes n ON n.tenant = r.tenant AND n.node = r.node AND n.worker = r.worker
            WHERE r.tenant = :tenant
              AND n.seen > (SELECT max(seen) FROM nodes WHERE tenant = :tenant) - :alive
            GROUP BY r.deployment"""),
        {"tenant": tenant, "alive": ALIVE},
    )
    return {row.deployment: int(row.since) for row in rows}


# --- forgetting -------------------------------------------------------------------------------------------------------


def prune(connection: Connection, now: int) -> int:
    """Forgets what is old or too much, and the rests of workers that are gone; how many happenings those were."""
    gone = connection.execute(text("""DELETE FROM happenings WHERE at < :before"""), {"before": now - _KEPT}).rowcount
    for tenant in connection.execute(text("""SELECT DISTINCT tenant FROM happenings""")).scalars().all():
        gone += connection.execute(
            text("""
                DELETE FROM happenings WHERE tenant = :tenant AND seq <= (
                    SELECT seq FROM happenings WHERE tenant = :tenant ORDER BY seq DESC LIMIT 1 OFFSET :most)"""),
            {"tenant": tenant, "most": _MOST},
        ).rowcount
    connection.execute(
        text("""
            DELETE FROM resting WHERE since < :before AND NOT EXISTS (
                SELECT 1 FROM nodes n
                WHERE n.tenant = resting.tenant AND n.node = resting.node AND n.worker = resting.worker)"""),
        {"before": now - 86_400_000},
    )
    return gone
