"""Schedules: what begins when, on whose account, and which slot comes next. A slot is taken once over all nodes."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, text

from dirigent.core.identity import Priority
from dirigent.core.journal import read, written
from dirigent.store.sealing import Place, Sealed, Sealer, Shredded
from dirigent.store.vault import Vault

__all__ = ["Missed", "Schedule", "Schedules", "run_of"]

Missed = Literal["skip", "once", "all"]
"""What becomes of slots that came while no node was there: nothing, one run for all of them, or one for each."""
_SUBJECT = "*schedules"
_AT_ONCE = 50
_COLUMNS = (
    "tenant, name, model, cron, zone, missed, virtual_key, member, purpose, priority, paused, author, created, updated,"
    " next, last, last_run, fault"
)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When which model is asked what, and on whose account."""

    tenant: str
    name: str
    model: str
    cron: str
    zone: str
    missed: Missed
    virtual_key: str
    """The id of the key that its runs are counted for."""
    member: str | None
    purpose: str | None
    priority: Priority
    paused: bool
    author: str
    created: int
    updated: int
    next: int | None = None
    """The slot that comes next, in milliseconds since 1970."""
    last: int | None = None
    last_run: str | None = None
    fault: str | None = None


class Schedules:
    """The schedules of one database; what they ask is sealed like every text."""

    def __init__(self, vault: Vault) -> None:
        self._sealer = Sealer(vault)

    def keep(self, connection: Connection, schedule: Schedule, asks: object) -> None:
        """Writes a schedule, new or changed."""
        place = Place(schedule.tenant, _SUBJECT, _about(schedule.name), schedule.updated)
        sealed = self._sealer.seal(connection, place, written(asks))
        connection.execute(
            text(f"""
                INSERT INTO schedules ({_COLUMNS}, key, sealed) VALUES (
                    :tenant, :name, :model, :cron, :zone, :missed, :virtual_key, :member, :purpose, :priority, :paused,
                    :author, :created, :updated, :next, :last, :last_run, :fault, :key, :sealed
                ) ON CONFLICT (tenant, name) DO UPDATE SET
                    model = excluded.model, cron = excluded.cron, zone = excluded.zone, missed = excluded.missed,
                    virtual_key = excluded.virtual_key, member = excluded.member, purpose = excluded.purpose,
                    priority = excluded.priority, paused = excluded.paused, author = excluded.author,
                    updated = excluded.updated, next = excluded.next, fault = NULL,
                    key = excluded.key, sealed = excluded.sealed"""),  # noqa: S608 -- no input
            {
                **msgspec.structs.asdict(schedule),
                "paused": int(schedule.paused),
                "key": sealed.key,
                "sealed": sealed.text,
            },
        )

    def asks(self, connection: Connection, schedule: Schedule) -> Any:
        """What it asks. Raises KeyLost where that cannot be read here."""
        row = connection.execute(
            text("SELECT key, sealed FROM schedules WHERE tenant = :tenant AND name = :name"),
            {"tenant": schedule.tenant, "name": schedule.name},
        ).one_or_none()
        if row is None:
            raise Shredded(f"the schedule {schedule.name} is gone")
        return read(self._sealer.open(connection, schedule.tenant, _about(schedule.name), Sealed(row.key, row.sealed)))

    @staticmethod
    def remove(connection: Connection, tenant: str, name: str) -> bool:
        """Forgets a schedule; False where there is none. Runs that it has begun go on."""
        which = {"tenant": tenant, "name": name}
        return (
            connection.execute(text("DELETE FROM schedules WHERE tenant = :tenant AND name = :name"), which).rowcount
            == 1
        )

    @staticmethod
    def named(connection: Connection, tenant: str, name: str) -> Schedule | None:
        """The schedule of this name."""
        row = connection.execute(
            text(f"SELECT {_COLUMNS} FROM schedules WHERE tenant = :tenant AND name = :name"),  # noqa: S608 -- no input
            {"tenant": tenant, "name": name},
        ).one_or_none()
        return None if row is None else _schedule(row)

    @staticmethod
    def all(connection: Connection, tenant: str) -> Sequence[Schedule]:
        """The schedules of a tenant by their names."""
        rows = connection.execute(
            text(f"SELECT {_COLUMNS} FROM schedules WHERE tenant = :tenant ORDER BY name"),  # noqa: S608 -- no input
            {"tenant": tenant},
        )
        return [_schedule(row) for row in rows]

    @staticmethod
    def due(connection: Connection, now: int) -> Sequence[Schedule]:
        """Those whose next slot has come, of all tenants."""
        rows = connection.execute(
            text(f"SELECT {_COLUMNS} FROM schedules WHERE next <= :now ORDER BY next LIMIT {_AT_ONCE}"),  # noqa: S608 -- no input
            {"now": now},
        )
        return [_schedule(row) for row in rows]

    @staticmethod
    def advance(
        connection: Connection, schedule: Schedule, following: int | None, *, run: str | None, fault: str | None = None
    ) -> bool:
        """Moves on to the slot that follows; False where somebody has done so already, or it was changed."""
        return (
            connection.execute(
                text("""
                    UPDATE schedules SET next = :following, last = coalesce(:last, last),
                        last_run = coalesce(:run, last_run), fault = :fault
                    WHERE tenant = :tenant AND name = :name AND next = :seen AND updated = :updated"""),
                {
                    "following": following,
                    "last": None if run is None else schedule.next,
                    "run": run,
                    "fault": fault,
                    "tenant": schedule.tenant,
                    "name": schedule.name,
                    "seen": schedule.next,
                    "updated": schedule.updated,
                },
            ).rowcount
            == 1
        )


def run_of(tenant: str, name: str, slot: int) -> str:
    """The id of the run that belongs to a slot: the same on every node, so that there is one of it."""
    return f"run-{sha256(f'{tenant}|{name}|{slot}'.encode()).hexdigest()[:24]}"


def _about(name: str) -> str:
    return f"schedule|{name}"


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(**{**row._asdict(), "paused": bool(row.paused)})
