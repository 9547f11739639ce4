"""A database that goes away in earnest, and comes back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

from dirigent.store import Database


@contextmanager
def away(database: Database) -> Iterator[None]:
    """Makes the database unreachable in earnest."""
    if database.lite:
        database.engine.dispose()
        file = Path(database.engine.url.database or "")
        shutil.move(file, file.with_name("moved"))
        file.mkdir()
        yield
        file.rmdir()
        shutil.move(file.with_name("moved"), file)
        return
    name = database.engine.url.database
    admin = create_engine(database.engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
        )
        yield
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    admin.dispose()
