"""Who did what, in a chain for each tenant, and the signatures on it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from dirigent.store.schema.tables import metadata

__all__ = ["audit_checkpoints", "audit_entries", "audit_heads", "drained"]

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("entry", Text, nullable=False),  # what was hashed, to the letter; the columns before it are for looking up
    Column("hash", Text, nullable=False),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Column("signed", BigInteger, nullable=False),  # up to which entry a checkpoint vouches
    Column("signed_at", BigInteger, nullable=False),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("statement", Text, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("signature", Text, nullable=False),
)

drained = Table(
    "drained",
    metadata,
    Column("file", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
