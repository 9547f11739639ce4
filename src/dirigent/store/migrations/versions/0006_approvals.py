"""Questions to people that runs wait for, to whom they are put, and what is said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_approvals"
down_revision = "0005_records"


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("tenant", "run", "path", "model", "project")),
        *(sa.Column(name, sa.Text) for name in ("purpose", "submitter")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("own", "eyes")),
        sa.Column("asked", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger) for name in ("due", "ends", "escalated", "looks", "tells")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("version", "seeded")),
        sa.Column("outcome", sa.Text),
        sa.Column("decided", sa.BigInteger),
        sa.Column("decided_by", sa.Text),
        sa.Column("edited", sa.Integer),
        *_sealed(),
    )
    op.create_index("approvals_by_run", "approvals", ["run"])
    op.create_index("approvals_by_key", "approvals", ["key"])
    op.create_index("approvals_by_tenant_decided", "approvals", ["tenant", "decided"])
    _partial("approvals_open", ["tenant", "asked"], "outcome IS NULL")
    _partial("approvals_look", ["looks"], "looks IS NOT NULL")
    _partial("approvals_tell", ["tells"], "tells IS NOT NULL")
    op.create_table(
        "approval_deciders",
        *_of_an_approval(),
        sa.Column("who", sa.Text, primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("manner", sa.Text, nullable=False),
        sa.Column("told", sa.BigInteger),
    )
    op.create_index("approval_deciders_by_who", "approval_deciders", ["who"])
    op.create_table(
        "approval_votes",
        *_of_an_approval(),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        *_sealed(),
    )
    op.create_index("approval_votes_by_key", "approval_votes", ["key"])
    op.create_table(
        "approval_links",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("approval", sa.Text, sa.ForeignKey("approvals.id", ondelete="CASCADE"), nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("used", sa.BigInteger),
    )
    op.create_index("approval_links_by_approval", "approval_links", ["approval"])


def _of_an_approval() -> list[sa.Column[str]]:
    return [sa.Column("approval", sa.Text, sa.ForeignKey("approvals.id", ondelete="CASCADE"), primary_key=True)]


def _sealed() -> list[sa.Column[object]]:
    return [sa.Column("key", sa.Text), sa.Column("sealed", sa.LargeBinary)]


def _partial(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "approvals", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for table in ("approval_links", "approval_votes", "approval_deciders", "approvals"):
        op.drop_table(table)
