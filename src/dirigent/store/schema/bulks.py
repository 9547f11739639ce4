"""Bulk runs, whose rows lie here sealed until they begin, and what webhooks are to be told of runs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, Text, text

from dirigent.store.schema.tables import metadata

__all__ = ["bulk_rows", "bulks", "run_deliveries"]

bulks = Table(
    "bulks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("model", Text, nullable=False),
    # On which all of its runs are, whatever is published meanwhile.
    Column("revision", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("virtual_key", Text, nullable=False),
    Column("member", Text),
    Column("purpose", Text),
    Column("purposes", Text, nullable=False),
    Column("parallel", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("ended", BigInteger),
    ForeignKeyConstraint(["tenant"], ["tenants.name"]),
)
_running = text("state = 'running'")
Index("bulks_running", bulks.c.created, sqlite_where=_running, postgresql_where=_running)
Index("bulks_by_tenant_created", bulks.c.tenant, bulks.c.created)

bulk_rows = Table(
    "bulk_rows",
    metadata,
    Column("bulk", Text, primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, index=True),
    Column("sealed", LargeBinary),
    ForeignKeyConstraint(["bulk"], ["bulks.id"], ondelete="CASCADE"),
)

run_deliveries = Table(
    "run_deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("run", Text, nullable=False, index=True),
    Column("target", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("made", BigInteger, nullable=False),
    # When it is to be tried next; None once it was given up.
    Column("due", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("fault", Text),
)
_due = text("due IS NOT NULL")
Index("run_deliveries_due", run_deliveries.c.due, sqlite_where=_due, postgresql_where=_due)
