"""The office where operations are carried out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dirigent.store import Database
from tests.control.office import Office


@pytest.fixture
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    """An office that has just opened, on the embedded database where a file does not ask for both."""
    if getattr(request, "param", "sqlite") == "sqlite":
        database = Database.within(tmp_path)
    else:
        database = Database.at(request.getfixturevalue("founded_postgres"))
    office = Office(database)
    yield office
    office.close()
