"""Runs that outlive a process, what they wrote down, and their files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_runs"
down_revision = "0008_stretches"


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("tenant", "project", "virtual_key")),
        sa.Column("purpose", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("model", "revision")),
        sa.Column("bulk", sa.Text),
        sa.Column("place", sa.Integer),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("due", sa.BigInteger),
        sa.Column("news", sa.Integer, nullable=False),
        sa.Column("lapses", sa.Integer, nullable=False),
        sa.Column("stopped", sa.Text),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("submitted", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.BigInteger),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("sealed", sa.LargeBinary),
    )
    due, ended, bulk = (sa.text(f"{name} IS NOT NULL") for name in ("due", "ended", "bulk"))
    op.create_index("runs_by_due", "runs", ["priority", "due"], sqlite_where=due, postgresql_where=due)
    op.create_index("runs_by_ended", "runs", ["ended"], sqlite_where=ended, postgresql_where=ended)
    op.create_index("runs_by_submitted", "runs", ["tenant", "submitted"])
    op.create_index("runs_by_key", "runs", ["key"])
    op.create_index("runs_by_bulk", "runs", ["bulk", "place"], sqlite_where=bulk, postgresql_where=bulk)
    op.create_table(
        "run_entries",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sqlite_with_rowid=False,
    )
    decided = sa.text("kind = 'decided'")
    op.create_index(
        "run_entries_one_decision",
        "run_entries",
        ["run", "path"],
        unique=True,
        sqlite_where=decided,
        postgresql_where=decided,
    )
    op.create_table(
        "run_files",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("tenant", "run", "name", "content_type")),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("run_files_by_run", "run_files", ["run"])
    op.create_index("run_files_by_key", "run_files", ["key"])


def downgrade() -> None:
    for table in ("run_files", "run_entries", "runs"):
        op.drop_table(table)
