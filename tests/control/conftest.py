"""The office where operations are carried out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """An office that has just opened."""
    office = Office(tmp_path)
    yield office
    office.close()
