"""Smaller records: runs are found by the first bytes of their ids, keys by the times in which they have records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_stretches"
down_revision = "0007_watching"

_EPOCH, _STRETCH = 1_767_225_600_000, 600_000


def upgrade() -> None:
    op.create_table(
        "record_stretches",
        sa.Column("tenant", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("starts", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("purpose", sa.Integer, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    at = f"(id / 256 + {_EPOCH})"
    op.execute(f"""
        INSERT INTO record_stretches (tenant, key, starts, purpose)
        SELECT DISTINCT tenant, key, {at} - {at} % {_STRETCH}, coalesce(purpose, 0)
        FROM records WHERE key IS NOT NULL""")  # noqa: S608  nothing in it comes from outside
    op.drop_index("records_by_key", "records")
    op.drop_index("records_by_run", "records")
    op.create_index("records_by_run", "records", [sa.text("substr(run, 1, 3)")])


def downgrade() -> None:
    op.drop_index("records_by_run", "records")
    op.create_index("records_by_run", "records", ["run"])
    op.create_index("records_by_key", "records", ["tenant", "key", "id"])
    op.drop_table("record_stretches")
