"""What runs did, and their sums by minute, hour and day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_records"
down_revision = "0004_audit"

_ROLLUP = ("grain", "starts", "project", "purpose", "model", "deployment", "code", "currency")
_PEOPLE = ("starts", "key", "member", "project", "purpose", "model", "deployment", "code", "currency")
_SUMS = ("requests", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost", "unpriced")


def upgrade() -> None:
    op.create_table(
        "record_words",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("word", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "records",
        _part("tenant"),
        _part("id"),
        sa.Column("run", sa.LargeBinary, nullable=False),
        *(sa.Column(name, sa.Integer) for name in ("project", "purpose", "key", "member", "path")),
        *(sa.Column(name, sa.Integer) for name in ("model", "deployment", "revision")),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("code", sa.Integer),
        sa.Column("flags", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        *(sa.Column(name, sa.BigInteger) for name in ("input_tokens", "output_tokens")),
        *(sa.Column(name, sa.BigInteger) for name in ("cached_tokens", "reasoning_tokens", "cost")),
        sa.Column("currency", sa.Integer),
        sa.Column("duration", sa.BigInteger, nullable=False),
        sa.Column("first_token", sa.BigInteger),
        *(sa.Column(name, sa.Text) for name in ("transaction_id", "request", "route")),
        sqlite_with_rowid=False,
    )
    op.create_index("records_by_run", "records", ["run"])
    op.create_index("records_by_key", "records", ["tenant", "key", "id"])
    named = sa.text("transaction_id IS NOT NULL")
    op.create_index(
        "records_by_transaction", "records", ["tenant", "transaction_id"], sqlite_where=named, postgresql_where=named
    )
    op.create_table(
        "usage_rollups",
        _part("tenant"),
        *(_part(name) for name in _ROLLUP),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _SUMS),
        sa.Column("latency", sa.Text, nullable=False),
        sa.Column("first_token", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_people",
        _part("tenant"),
        *(_part(name) for name in _PEOPLE),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _SUMS),
        sqlite_with_rowid=False,
    )


def _part(name: str) -> sa.Column[int]:
    """A part of a primary key that nobody counts up."""
    kind = sa.BigInteger if name in ("id", "starts") else sa.Integer
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def downgrade() -> None:
    for table in ("usage_people", "usage_rollups", "records", "record_words"):
        op.drop_table(table)
