"""Tables of others, for reading only (core.ports.Tables): SQLite files, a PostgreSQL, and folders of files.

Each query runs on a thread, on a connection of its own that is closed after it: what it may have set goes with it.
"""

from __future__ import annotations

from dirigent.store.sources.sources import Sources

__all__ = ["Sources"]
