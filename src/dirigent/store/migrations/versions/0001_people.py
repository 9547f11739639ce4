"""Tenants, projects, members, keys, purposes, allowances, and the pulse that tells of changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001_people"
down_revision = None

_TABLES = (
    "downgrades",
    "pulse",
    "sign_in_failures",
    "sessions",
    "rates",
    "allowances",
    "purposes",
    "virtual_keys",
    "members",
    "projects",
    "tenants",
)


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("models", sa.Text, nullable=False),
        sa.Column("denied", sa.Text, nullable=False),
        sa.Column("blocked", sa.BigInteger),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "projects",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("models", sa.Text, nullable=False),
        sa.Column("denied", sa.Text, nullable=False),
        sa.Column("blocked", sa.BigInteger),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False, index=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"]),
    )
    op.create_table(
        "members",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("password", sa.Text),
        sa.Column("external", sa.Text),
        sa.Column("blocked", sa.BigInteger),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False, index=True),
        sa.UniqueConstraint("tenant", "email"),
        sa.UniqueConstraint("tenant", "external"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"]),
    )
    op.create_table(
        "virtual_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("member", sa.Text),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("purposes", sa.Text, nullable=False),
        sa.Column("models", sa.Text, nullable=False),
        sa.Column("denied", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("replaces", sa.Text),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger),
        sa.Column("revoked", sa.BigInteger),
        sa.Column("blocked", sa.BigInteger),
        sa.Column("changed", sa.BigInteger, nullable=False, index=True),
        sa.ForeignKeyConstraint(["tenant", "project"], ["projects.tenant", "projects.name"]),
        sa.ForeignKeyConstraint(["tenant", "member"], ["members.tenant", "members.id"]),
    )
    op.create_table(
        "purposes",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("retired", sa.BigInteger),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False, index=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"]),
    )
    _create_allowances()
    _create_sign_in()
    op.create_table(
        "pulse",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "downgrades",
        sa.Column("revision", sa.Text, primary_key=True),
        sa.Column("before", sa.Text),
        sa.Column("statements", sa.Text, nullable=False),
    )


def _create_allowances() -> None:
    op.create_table(
        "allowances",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False, index=True),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("most", sa.BigInteger, nullable=False),
        sa.Column("span", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("warn", sa.Integer, nullable=False),
        sa.Column("thrift", sa.Integer, nullable=False),
        sa.Column("stopped", sa.BigInteger),
        sa.Column("removed", sa.BigInteger),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False, index=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"]),
    )
    op.create_table(
        "rates",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("since", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("rate", sa.Text, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False, index=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"]),
    )


def _create_sign_in() -> None:
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False, index=True),
        sa.ForeignKeyConstraint(["tenant", "member"], ["members.tenant", "members.id"]),
    )
    op.create_table(
        "sign_in_failures",
        sa.Column("who", sa.LargeBinary, primary_key=True),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False, index=True),
    )


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)
