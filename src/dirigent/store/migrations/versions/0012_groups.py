"""Smaller records: what many have in common stands once, and failures have an index of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_groups"
down_revision = "0011_knowledge"

_EPOCH, _DAY = 1_767_225_600_000, 86_400_000
_NAMED = ("project", "purpose", "key", "member", "path", "model", "deployment", "revision", "code", "currency")
_ALONE = (
    *("attempts", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost", "duration"),
    *("first_token", "transaction_id", "request", "route"),
)


def upgrade() -> None:
    op.create_table(
        "record_groups",
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("tenant", *_NAMED, "status")),
        sa.Column("latest", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant", *_NAMED, "status"),
    )
    at = f"(max(id) / 256 + {_EPOCH})"
    named = ", ".join(f"coalesce({name}, 0)" for name in _NAMED)
    op.execute(f"""
        INSERT INTO record_groups (tenant, {", ".join(_NAMED)}, status, latest)
        SELECT tenant, {named}, status, {at} - {at} % {_DAY} FROM records
        GROUP BY tenant, {named}, status""")  # noqa: S608  nothing in it comes from outside
    _put_aside()
    _create(sa.Column("group_id", sa.Integer, nullable=False))
    alike = " AND ".join(f"g.{name} = coalesce(r.{name}, 0)" for name in _NAMED)
    op.execute(f"""
        INSERT INTO records (tenant, id, run, group_id, flags, {", ".join(_ALONE)})
        SELECT r.tenant, r.id, r.run, g.id, r.flags + CASE WHEN r.code IS NULL THEN 0 ELSE 4 END,
               {", ".join(f"r.{name}" for name in _ALONE)}
        FROM records_before r JOIN record_groups g
          ON g.tenant = r.tenant AND {alike} AND g.status = r.status
        ORDER BY r.tenant, r.id""")  # noqa: S608
    op.drop_table("records_before")
    failed = sa.text("flags >= 4")
    op.create_index("records_failed", "records", ["tenant", "id"], sqlite_where=failed, postgresql_where=failed)
    _index()


def downgrade() -> None:
    op.drop_index("records_failed", "records")
    _put_aside()
    _create(
        *(sa.Column(name, sa.Integer) for name in _NAMED),
        sa.Column("status", sa.Integer, nullable=False),
    )
    named = ", ".join(f"nullif(g.{name}, 0)" for name in _NAMED)
    op.execute(f"""
        INSERT INTO records (tenant, id, run, {", ".join(_NAMED)}, status, flags, {", ".join(_ALONE)})
        SELECT r.tenant, r.id, r.run, {named}, g.status, r.flags % 4, {", ".join(f"r.{name}" for name in _ALONE)}
        FROM records_before r JOIN record_groups g ON g.id = r.group_id
        ORDER BY r.tenant, r.id""")  # noqa: S608
    op.drop_table("records_before")
    _index()
    op.drop_table("record_groups")


def _put_aside() -> None:
    op.drop_index("records_by_run", "records")
    op.drop_index("records_by_transaction", "records")
    op.rename_table("records", "records_before")
    if op.get_context().dialect.name == "postgresql":  # where names of keys are those of indexes, and stay behind
        op.execute("ALTER TABLE records_before RENAME CONSTRAINT records_key TO records_before_key")


def _create(*words: sa.Column[int]) -> None:
    op.create_table(
        "records",
        sa.Column("tenant", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("run", sa.LargeBinary, nullable=False),
        *words,
        sa.Column("flags", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        *(sa.Column(name, sa.BigInteger) for name in ("input_tokens", "output_tokens")),
        *(sa.Column(name, sa.BigInteger) for name in ("cached_tokens", "reasoning_tokens", "cost")),
        sa.Column("duration", sa.BigInteger, nullable=False),
        sa.Column("first_token", sa.BigInteger),
        *(sa.Column(name, sa.Text) for name in ("transaction_id", "request", "route")),
        sqlite_with_rowid=False,
    )


def _index() -> None:
    op.create_index("records_by_run", "records", [sa.text("substr(run, 1, 3)")])
    named = sa.text("transaction_id IS NOT NULL")
    op.create_index(
        "records_by_transaction", "records", ["tenant", "transaction_id"], sqlite_where=named, postgresql_where=named
    )
