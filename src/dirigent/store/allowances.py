"""Budgets and limits, and the rates of exchange between what budgets and prices are written in."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, text

from dirigent.core.allowances import Allowance, Level, Unit
from dirigent.store.rights import allowance_of

__all__ = ["Rate", "allowance_named", "allowances", "keep_allowance", "keep_rate", "rates", "remove_allowance"]


class Rate(msgspec.Struct, frozen=True):
    """What one unit of a currency is worth in another, from a moment on."""

    tenant: str
    source: str
    target: str
    rate: str
    """An exact decimal."""
    since: int


def allowance_named(connection: Connection, tenant: str, id_: str) -> Allowance | None:
    """The allowance of this id in a tenant, unless it was removed."""
    rows = connection.execute(
        text("SELECT * FROM allowances WHERE tenant = :tenant AND id = :id AND removed IS NULL"),
        {"tenant": tenant, "id": id_},
    )
    return next((allowance_of(row) for row in rows), None)


def allowances(
    connection: Connection,
    tenant: str,
    *,
    level: Level | None = None,
    subject: str | None = None,
    units: Sequence[Unit] = ("money", "requests", "tokens", "calls"),
) -> Sequence[Allowance]:
    """The allowances of a tenant, of one level or of one subject, in these units, the oldest first."""
    rows = connection.execute(
        text("""
            SELECT * FROM allowances
            WHERE tenant = :tenant AND removed IS NULL
              AND (CAST(:level AS text) IS NULL OR level = :level)
              AND (CAST(:subject AS text) IS NULL OR subject = :subject)
            ORDER BY created, id"""),
        {"tenant": tenant, "level": level, "subject": subject},
    )
    return [allowance for row in rows if (allowance := allowance_of(row)).unit in units]


def keep_allowance(connection: Connection, allowance: Allowance, now: int, changed: int) -> None:
    """Writes an allowance, new or changed, under the number of the change.

    What it counts, where and in which window never changes: what has been counted would then mean something else.
    """
    row = msgspec.structs.asdict(allowance) | {
        "span": allowance.window,
        "stopped": now if allowance.stopped else None,
        "now": now,
        "changed": changed,
    }
    connection.execute(
        text("""
            INSERT INTO allowances (id, tenant, level, subject, unit, most, span, zone, currency, warn, thrift, stopped,
                                    created, changed)
            VALUES (:id, :tenant, :level, :subject, :unit, :most, :span, :zone, :currency, :warn, :thrift, :stopped,
                    :now, :changed)
            ON CONFLICT (id) DO UPDATE SET
                most = excluded.most, warn = excluded.warn, thrift = excluded.thrift, stopped = excluded.stopped,
                changed = excluded.changed"""),
        row,
    )


def remove_allowance(connection: Connection, tenant: str, id_: str, now: int, changed: int) -> None:
    """Lets an allowance count no longer, under the number of the change; what it has counted is kept."""
    connection.execute(
        text("UPDATE allowances SET removed = :now, changed = :changed WHERE tenant = :tenant AND id = :id"),
        {"tenant": tenant, "id": id_, "now": now, "changed": changed},
    )


def rates(connection: Connection, tenant: str) -> Sequence[Rate]:
    """All rates that a tenant has set, the last one of each pair first."""
    rows = connection.execute(
        text("""
            SELECT tenant, source, target, rate, since FROM rates WHERE tenant = :tenant
            ORDER BY source, target, since DESC"""),
        {"tenant": tenant},
    )
    return [Rate(*row) for row in rows]


def keep_rate(connection: Connection, rate: Rate, changed: int) -> None:
    """Writes a rate from its moment on, under the number of the change; earlier ones stay what they were."""
    connection.execute(
        text("""
            INSERT INTO rates (tenant, source, target, rate, since, changed)
            VALUES (:tenant, :source, :target, :rate, :since, :changed)
            ON CONFLICT (tenant, source, target, since) DO UPDATE SET
                rate = excluded.rate, changed = excluded.changed"""),
        msgspec.structs.asdict(rate) | {"changed": changed},
    )
