"""What was published: documents under their digests, the history of publications, and what points at them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, LargeBinary, Table, Text

from dirigent.store.schema.tables import metadata

__all__ = ["aliases", "documents", "nodes", "publication_heads", "publications", "taken_files"]

documents = Table(
    "documents",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("revision", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),  # JSON, compressed
)

publications = Table(
    "publications",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", Text, nullable=False),
    Column("parent", Text),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("changes", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    ForeignKeyConstraint(["tenant", "revision"], ["documents.tenant", "documents.revision"]),
)

publication_heads = Table(
    "publication_heads",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

taken_files = Table(
    "taken_files",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("revision", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

aliases = Table(
    "aliases",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("shares", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("worker", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("revision", Text, nullable=False),
    Column("seen", BigInteger, nullable=False),
)
