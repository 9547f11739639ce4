"""Runs that outlive a process: one row for each, what it wrote down in order, and the files that belong to it.

Facts stand in the open. What people wrote is sealed, all of one run by one key of its subject: who shreds that key
makes the whole run unreadable.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, text

from dirigent.store.schema.tables import metadata

__all__ = ["run_entries", "run_files", "runs"]

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("virtual_key", Text, nullable=False),
    Column("purpose", Text),
    Column("model", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("bulk", Text),
    Column("place", Integer),  # which row of the bulk run it is
    Column("status", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("owner", Text),
    # From when on a worker may take it: since when it is ready, until when it sleeps, how long its owner's claim holds.
    Column("due", BigInteger),
    Column("news", Integer, nullable=False),  # whether something came from outside since it was claimed
    Column("lapses", Integer, nullable=False),  # how many workers in a row were lost over it without a word
    Column("stopped", Text),
    Column("length", Integer, nullable=False),  # how many entries there were when something else of this row changed
    Column("submitted", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("facts", Text, nullable=False),
    Column("key", Text),
    Column("sealed", LargeBinary),
)
_due = text("due IS NOT NULL")
Index("runs_by_due", runs.c.priority, runs.c.due, sqlite_where=_due, postgresql_where=_due)
_ended = text("ended IS NOT NULL")
Index("runs_by_ended", runs.c.ended, sqlite_where=_ended, postgresql_where=_ended)
Index("runs_by_submitted", runs.c.tenant, runs.c.submitted)
Index("runs_by_key", runs.c.key)
_bulk = text("bulk IS NOT NULL")
Index("runs_by_bulk", runs.c.bulk, runs.c.place, sqlite_where=_bulk, postgresql_where=_bulk)

# Rows of their own, and not in the order of the key: a row in an index spills over from a kilobyte on, and then five
# pages are written for each entry where these take three.
run_entries = Table(
    "run_entries",
    metadata,
    Column("run", Text, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("path", Text),
    Column("facts", Text, nullable=False),
    Column("sealed", LargeBinary),
)
_decided = text("kind = 'decided'")
Index(
    "run_entries_one_decision",
    run_entries.c.run,
    run_entries.c.path,
    unique=True,
    sqlite_where=_decided,
    postgresql_where=_decided,
)

run_files = Table(
    "run_files",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("run", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("key", Text, nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),
)
