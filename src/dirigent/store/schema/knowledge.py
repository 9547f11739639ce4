"""What was learned of documents: which of them, and their pieces with their vectors."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from dirigent.store.schema.tables import metadata

__all__ = ["knowledge_documents", "knowledge_pieces"]

knowledge_documents = Table(
    "knowledge_documents",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("collection", Text, primary_key=True),
    Column("document", Text, primary_key=True),
    Column("stamp", Text, nullable=False),  # what changes when the file does, or how it is cut
    Column("pieces", Integer, nullable=False),
    Column("fault", Text, nullable=False),  # why nothing was learned of it; empty where something was
    Column("learned", BigInteger, nullable=False),
)

knowledge_pieces = Table(
    "knowledge_pieces",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("collection", Text, primary_key=True),
    Column("document", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("heading", Text, nullable=False),
    Column("page", Integer),
    Column("text", Text, nullable=False),
    Column("vector", LargeBinary),  # numbers of four bytes each; none yet where the encoder has not come to it
)
