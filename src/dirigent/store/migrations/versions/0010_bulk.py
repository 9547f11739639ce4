"""Bulk runs with the rows that have not begun, schedules, and what webhooks are to be told of runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_bulk"
down_revision = "0009_runs"


def upgrade() -> None:
    op.create_table(
        "bulks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.name"), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("model", "revision", "project", "virtual_key")),
        *(sa.Column(name, sa.Text) for name in ("member", "purpose")),
        sa.Column("purposes", sa.Text, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("parallel", "total")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("state", "author")),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.BigInteger),
    )
    running = sa.text("state = 'running'")
    op.create_index("bulks_running", "bulks", ["created"], sqlite_where=running, postgresql_where=running)
    op.create_index("bulks_by_tenant_created", "bulks", ["tenant", "created"])
    op.create_table(
        "bulk_rows",
        sa.Column("bulk", sa.Text, sa.ForeignKey("bulks.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        *_sealed(),
    )
    op.create_index("bulk_rows_by_key", "bulk_rows", ["key"])
    op.create_table(
        "schedules",
        sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.name"), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("model", "cron", "zone", "missed", "virtual_key")),
        *(sa.Column(name, sa.Text) for name in ("member", "purpose")),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("paused", sa.Integer, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("created", "updated")),
        *(sa.Column(name, sa.BigInteger) for name in ("next", "last")),
        *(sa.Column(name, sa.Text) for name in ("last_run", "fault")),
        *_sealed(),
    )
    op.create_index("schedules_by_key", "schedules", ["key"])
    coming = sa.text("next IS NOT NULL")
    op.create_index("schedules_by_next", "schedules", ["next"], sqlite_where=coming, postgresql_where=coming)
    op.create_table(
        "run_deliveries",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("tenant", "run", "target", "body")),
        sa.Column("made", sa.BigInteger, nullable=False),
        sa.Column("due", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("fault", sa.Text),
    )
    op.create_index("run_deliveries_by_run", "run_deliveries", ["run"])
    due = sa.text("due IS NOT NULL")
    op.create_index("run_deliveries_due", "run_deliveries", ["due"], sqlite_where=due, postgresql_where=due)


def _sealed() -> list[sa.Column[object]]:
    return [sa.Column("key", sa.Text), sa.Column("sealed", sa.LargeBinary)]


def downgrade() -> None:
    for table in ("run_deliveries", "schedules", "bulk_rows", "bulks"):
        op.drop_table(table)
