"""What holds for every test: Hypothesis plays the same examples in `make test`, and new ones in `make prove`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.postgres import a_database, a_server

# A deadline would measure the machine; a random failure would belong to whoever pushed last, not to whoever caused it.
settings.register_profile("test", deadline=None, derandomize=True)
settings.register_profile("prove", deadline=None, max_examples=2_000, print_blob=True)


_LONGEST = {"test_ledger_machine.py", "test_fuzz.py", "test_house.py"}
"""Files that come first, since one that takes minutes and comes last is waited for by all who are done."""


def pytest_configure(config: pytest.Config) -> None:
    """Chooses how Hypothesis plays by which tests were asked for."""
    settings.load_profile("prove" if config.getoption("markexpr") == "prove" else "test")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first; the rest keep their order."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.fixture(scope="session")
def postgres(testrun_uid: str) -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as the tests; `a_database` makes room in it."""
    with a_server(testrun_uid) as address:
        yield address


@pytest.fixture
def fresh_postgres(postgres: str) -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    with a_database(postgres) as found:
        yield found
