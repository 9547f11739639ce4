"""What runs did: one small row for each, and their sums by minute, hour and day.

A record holds numbers alone: names stand once in `record_words`, and those that many records have in common stand
together in `record_groups`, so that one small number names a dozen of them. Both parts of its key sort a tenant's
records by when they ended, so that a list of the latest reads nothing else. Each further index would be a quarter of a
record: so runs are found by the first bytes of their ids, a key's records by the stretches of time in which it has
some, and only failures, which are few, have an index of their own.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint, text

from dirigent.store.schema.tables import metadata

__all__ = ["record_groups", "record_stretches", "record_words", "records", "usage_people", "usage_rollups"]

record_words = Table(
    "record_words",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("word", Text, nullable=False, unique=True),
)

_IN_COMMON = (
    *("tenant", "project", "purpose", "key", "member", "path", "model", "deployment", "revision"),
    *("code", "currency", "status"),
)

record_groups = Table(
    "record_groups",
    metadata,
    Column("id", Integer, primary_key=True),
    # Numbers of words, 0 for none; the status is itself.
    *(Column(name, Integer, nullable=False) for name in _IN_COMMON),
    # When the day began, in UTC, of the latest record: who has none any more is forgotten.
    Column("latest", BigInteger, nullable=False),
    UniqueConstraint(*_IN_COMMON),
)

records = Table(
    "records",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    # When it ended, and 256 places in each millisecond: see store/records.py.
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("run", LargeBinary, nullable=False),
    Column("group_id", Integer, nullable=False),
    # See store/recording.py.
    Column("flags", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("cost", BigInteger),
    Column("duration", BigInteger, nullable=False),
    Column("first_token", BigInteger),
    Column("transaction_id", Text),
    Column("request", Text),
    Column("route", Text),
    sqlite_with_rowid=False,
)
Index("records_by_run", text("substr(run, 1, 3)"), _table=records)
_named = text("transaction_id IS NOT NULL")
Index(
    "records_by_transaction",
    records.c.tenant,
    records.c.transaction_id,
    sqlite_where=_named,
    postgresql_where=_named,
)
_failed = text("flags >= 4")
Index("records_failed", records.c.tenant, records.c.id, sqlite_where=_failed, postgresql_where=_failed)

record_stretches = Table(
    "record_stretches",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    Column("key", Integer, primary_key=True, autoincrement=False),
    Column("starts", BigInteger, primary_key=True, autoincrement=False),
    # 0 for none; it is here so that what a purpose forgets early is forgotten here as well.
    Column("purpose", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

usage_rollups = Table(
    "usage_rollups",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    # How long the time is that it sums up, in milliseconds: a minute, an hour or a day.
    Column("grain", Integer, primary_key=True, autoincrement=False),
    Column("starts", BigInteger, primary_key=True, autoincrement=False),
    Column("project", Integer, primary_key=True, autoincrement=False),
    Column("purpose", Integer, primary_key=True, autoincrement=False),
    Column("model", Integer, primary_key=True, autoincrement=False),
    Column("deployment", Integer, primary_key=True, autoincrement=False),
    Column("code", Integer, primary_key=True, autoincrement=False),
    Column("currency", Integer, primary_key=True, autoincrement=False),
    Column("requests", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
    Column("latency", Text, nullable=False),
    Column("first_token", Text, nullable=False),
    sqlite_with_rowid=False,
)

usage_people = Table(
    "usage_people",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    Column("starts", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Integer, primary_key=True, autoincrement=False),
    Column("member", Integer, primary_key=True, autoincrement=False),
    Column("project", Integer, primary_key=True, autoincrement=False),
    Column("purpose", Integer, primary_key=True, autoincrement=False),
    Column("model", Integer, primary_key=True, autoincrement=False),
    Column("deployment", Integer, primary_key=True, autoincrement=False),
    Column("code", Integer, primary_key=True, autoincrement=False),
    Column("currency", Integer, primary_key=True, autoincrement=False),
    Column("requests", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
