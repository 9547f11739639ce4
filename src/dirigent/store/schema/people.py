"""Who there is and what they may: tenants, projects, members, keys, purposes, allowances, and the pulse of changes.

`changed` is the number of the pulse `rights` at which a row was last written: a node asks for what is newer than what
it knows. For that reason no row of the rules is ever deleted; it says instead since when it no longer counts.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Integer, LargeBinary, Table, Text, UniqueConstraint

from dirigent.store.schema.tables import metadata

__all__ = [
    "allowances",
    "downgrades",
    "members",
    "projects",
    "pulse",
    "purposes",
    "rates",
    "sessions",
    "sign_in_failures",
    "tenants",
    "virtual_keys",
]


tenants = Table(
    "tenants",
    metadata,
    Column("name", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("models", Text, nullable=False),
    Column("denied", Text, nullable=False),
    Column("blocked", BigInteger),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False, index=True),
)

projects = Table(
    "projects",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("models", Text, nullable=False),
    Column("denied", Text, nullable=False),
    Column("blocked", BigInteger),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False, index=True),
    ForeignKeyConstraint(["tenant"], ["tenants.name"]),
)

members = Table(
    "members",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("role", Text, nullable=False),
    Column("password", Text),
    Column("external", Text),
    Column("blocked", BigInteger),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False, index=True),
    UniqueConstraint("tenant", "email"),
    UniqueConstraint("tenant", "external"),
    ForeignKeyConstraint(["tenant"], ["tenants.name"]),
)

virtual_keys = Table(
    "virtual_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("member", Text),
    Column("title", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("purposes", Text, nullable=False),
    Column("models", Text, nullable=False),
    Column("denied", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("replaces", Text),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("blocked", BigInteger),
    Column("changed", BigInteger, nullable=False, index=True),
    ForeignKeyConstraint(["tenant", "project"], ["projects.tenant", "projects.name"]),
    ForeignKeyConstraint(["tenant", "member"], ["members.tenant", "members.id"]),
)

purposes = Table(
    "purposes",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("retired", BigInteger),
    Column("since", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False, index=True),
    ForeignKeyConstraint(["tenant"], ["tenants.name"]),
)

allowances = Table(
    "allowances",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False, index=True),
    Column("level", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("most", BigInteger, nullable=False),
    Column("span", Text, nullable=False),  # its window; that word is SQL's own
    Column("zone", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("warn", Integer, nullable=False),
    Column("thrift", Integer, nullable=False),
    Column("stopped", BigInteger),
    Column("removed", BigInteger),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False, index=True),
    ForeignKeyConstraint(["tenant"], ["tenants.name"]),
)

rates = Table(
    "rates",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("since", BigInteger, primary_key=True, autoincrement=False),
    Column("rate", Text, nullable=False),
    Column("changed", BigInteger, nullable=False, index=True),
    ForeignKeyConstraint(["tenant"], ["tenants.name"]),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("member", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False, index=True),
    ForeignKeyConstraint(["tenant", "member"], ["members.tenant", "members.id"]),
)

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("who", LargeBinary, primary_key=True),
    Column("times", Integer, nullable=False),
    Column("last", BigInteger, nullable=False, index=True),
)

pulse = Table(
    "pulse",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
)

downgrades = Table(
    "downgrades",
    metadata,
    Column("revision", Text, primary_key=True),
    Column("before", Text),
    Column("statements", Text, nullable=False),
)
