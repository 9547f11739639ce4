"""Questions to people that runs wait for: what is known of them in the open, and their texts, sealed."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, Text, text

from dirigent.store.schema.tables import metadata

__all__ = ["approval_deciders", "approval_links", "approval_votes", "approvals"]

approvals = Table(
    "approvals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("run", Text, nullable=False, index=True),
    Column("path", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("purpose", Text),
    # Who submitted the run, and whether the same person may decide.
    Column("submitter", Text),
    Column("own", Integer, nullable=False),
    Column("eyes", Integer, nullable=False),
    Column("asked", BigInteger, nullable=False),
    Column("due", BigInteger),
    # When nobody can answer any more.
    Column("ends", BigInteger),
    Column("escalated", BigInteger),
    # When the clock looks at it next, and when people are to be told of it.
    Column("looks", BigInteger),
    Column("tells", BigInteger),
    # Which wording of the proposal stands: it rises with each edit that others have yet to approve.
    Column("version", Integer, nullable=False),
    Column("seeded", Integer, nullable=False),
    Column("outcome", Text),
    Column("decided", BigInteger),
    Column("decided_by", Text),
    # How much of the proposal was changed, in millionths.
    Column("edited", Integer),
    Column("key", Text, index=True),
    Column("sealed", LargeBinary),
)
_open = text("outcome IS NULL")
Index("approvals_open", approvals.c.tenant, approvals.c.asked, sqlite_where=_open, postgresql_where=_open)
Index("approvals_by_tenant_decided", approvals.c.tenant, approvals.c.decided)
_looked = text("looks IS NOT NULL")
Index("approvals_look", approvals.c.looks, sqlite_where=_looked, postgresql_where=_looked)
_told = text("tells IS NOT NULL")
Index("approvals_tell", approvals.c.tells, sqlite_where=_told, postgresql_where=_told)

approval_deciders = Table(
    "approval_deciders",
    metadata,
    Column("approval", Text, primary_key=True),
    # `anybody`, `role:…`, `member:…`, or `address:…` with a digest where nobody with that address was a member yet.
    Column("who", Text, primary_key=True),
    # From when on: those to whom it is escalated come later.
    Column("since", BigInteger, nullable=False),
    Column("manner", Text, nullable=False),
    # When they were told of it.
    Column("told", BigInteger),
    ForeignKeyConstraint(["approval"], ["approvals.id"], ondelete="CASCADE"),
)
Index("approval_deciders_by_who", approval_deciders.c.who)

approval_votes = Table(
    "approval_votes",
    metadata,
    Column("approval", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("member", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("key", Text, index=True),
    Column("sealed", LargeBinary),
    ForeignKeyConstraint(["approval"], ["approvals.id"], ondelete="CASCADE"),
)

approval_links = Table(
    "approval_links",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("approval", Text, nullable=False, index=True),
    Column("member", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("used", BigInteger),
    ForeignKeyConstraint(["approval"], ["approvals.id"], ondelete="CASCADE"),
)
