"""Houses: one with operations about nothing, one with all that there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin.house import House, house
from tests.admin.things import TABLE


@pytest.fixture
def things(tmp_path: Path) -> Iterator[House]:
    """A house of its own for the test, with the operations of `things.py`."""
    with house(tmp_path / "data", TABLE) as one:
        yield one
