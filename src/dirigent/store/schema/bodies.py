"""What was asked and answered, sealed, and the keys that open it, each sealed by another one outside the database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from dirigent.store.schema.tables import metadata

__all__ = ["bodies", "key_epochs", "shredded_subjects", "subject_keys"]

key_epochs = Table(
    "key_epochs",
    metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("proof", LargeBinary, nullable=False),  # tells the right key from another one, and nothing about it
    Column("made", BigInteger, nullable=False),
    Column("destroyed", BigInteger),
)

subject_keys = Table(
    "subject_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("subject", LargeBinary, nullable=False),  # a keyed digest: who it is stands nowhere
    Column("epoch", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("made", BigInteger, nullable=False),
    Index("subject_keys_by_subject", "tenant", "subject"),
)

shredded_subjects = Table(
    "shredded_subjects",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("subject", LargeBinary, primary_key=True),
    Column("at", BigInteger, nullable=False),
)

bodies = Table(
    "bodies",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, nullable=False, index=True),
    Column("dek", LargeBinary, nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False, index=True),
)
