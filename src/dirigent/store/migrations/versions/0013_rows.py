"""What runs write down stands in rows of a size for it: the embedded database writes half as much for each entry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013_rows"
down_revision = "0012_groups"


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _built_anew(with_rowid=True)


def downgrade() -> None:
    op.execute("UPDATE runs SET length = (SELECT coalesce(max(seq), 0) FROM run_entries WHERE run = runs.id)")
    if op.get_context().dialect.name == "sqlite":
        _built_anew(with_rowid=False)


def _built_anew(*, with_rowid: bool) -> None:
    op.drop_index("run_entries_one_decision", "run_entries")
    op.rename_table("run_entries", "run_entries_before")
    op.create_table(
        "run_entries",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sqlite_with_rowid=with_rowid,
    )
    op.execute("""
        INSERT INTO run_entries (run, seq, at, kind, path, facts, sealed)
        SELECT run, seq, at, kind, path, facts, sealed FROM run_entries_before ORDER BY run, seq""")
    op.drop_table("run_entries_before")
    op.create_index(
        "run_entries_one_decision",
        "run_entries",
        ["run", "path"],
        unique=True,
        sqlite_where=sa.text("kind = 'decided'"),
    )
