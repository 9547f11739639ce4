"""Both databases, real ones: SQLite in a folder of its own, and a PostgreSQL from the package index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dirigent.store import Database, upgrade


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, which may have its schema where the test takes it by `database` anyway.

    The test runs once on each kind.
    """
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'dirigent.db'}"
    founded = "database" in request.fixturenames
    address: str = request.getfixturevalue("founded_postgres" if founded else "fresh_postgres")
    return address


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """An empty database with the present schema."""
    found = Database.at(url)
    upgrade(found)
    yield found
    found.close()
