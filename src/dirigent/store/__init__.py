"""The only SQL: one schema on SQLite and PostgreSQL, and the questions that are asked of it."""

from dirigent.store.database import Database, DatabaseGone
from dirigent.store.upgrade import upgrade

__all__ = ["Database", "DatabaseGone", "upgrade"]
