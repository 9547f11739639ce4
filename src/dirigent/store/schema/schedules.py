"""When runs begin by themselves: a slot for each time that a schedule names, and where each schedule stands."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, Text, text

from dirigent.store.schema.tables import metadata

__all__ = ["schedules"]

schedules = Table(
    "schedules",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("cron", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("missed", Text, nullable=False),
    # On whose account and behalf its runs act.
    Column("virtual_key", Text, nullable=False),
    Column("member", Text),
    Column("purpose", Text),
    Column("priority", Text, nullable=False),
    Column("paused", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    # The slot that comes next; none while it is paused.
    Column("next", BigInteger),
    Column("last", BigInteger),
    Column("last_run", Text),
    # What it could not do, in words, since it last could.
    Column("fault", Text),
    Column("key", Text, index=True),
    Column("sealed", LargeBinary),
    ForeignKeyConstraint(["tenant"], ["tenants.name"]),
)
_next = text("next IS NOT NULL")
Index("schedules_by_next", schedules.c.next, sqlite_where=_next, postgresql_where=_next)
