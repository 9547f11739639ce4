"""What holds for every test: Hypothesis plays a few examples, always the same, in `make test`; many in `make prove`."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import settings

from dirigent.store import Database, upgrade
from tests.postgres import a_database, a_server

# A deadline would measure the machine; a random failure would belong to whoever pushed last, not to whoever caused it.
settings.register_profile("test", deadline=None, derandomize=True, max_examples=30)
settings.register_profile("more", deadline=None, max_examples=200, print_blob=True)
settings.register_profile("prove", deadline=None, max_examples=2_000, print_blob=True)
_PROFILES = {"prove": "prove", "hypothesis and not prove": "more"}
"""How Hypothesis plays, by which tests were asked for: `make prove` asks for the proofs, then for the others."""


_LONGEST = (
    "test_ledger_machine.py",
    "test_fuzz.py",
    "test_speech.py",
    "test_every_engine.py",
    "test_journal_machine.py",
    "test_audit_tampering.py",
    "test_development_plans.py",
    "test_records.py",
    "test_bulk_tables.py",
    "test_supervisor.py",
    "test_quotes.py",
    "test_sales_report.py",
    "test_house.py",
    "test_several_workers.py",
    "test_governed_traffic.py",
    "test_storm.py",
    "test_weights.py",
    "test_every_dialect.py",
    "test_formats.py",
    "test_customer_service.py",
    "test_failover.py",
)
"""Files that come first, the longest of them in front: one that comes last is waited for by all who are done.

`make test` tells at its end which files take longest.
"""
_PLACES = {name: place for place, name in enumerate(_LONGEST)}


def pytest_configure(config: pytest.Config) -> None:
    """Chooses how Hypothesis plays; what is imported and collected from here on stays, so nobody looks through it."""
    gc.disable()
    settings.load_profile(_PROFILES.get(config.getoption("markexpr"), "test"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first; the rest keep their order."""
    items.sort(key=lambda item: _PLACES.get(item.path.name, len(_PLACES)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """From here on garbage is collected again, and only among what the tests make themselves."""
    gc.freeze()
    gc.enable()


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


@pytest.fixture(scope="session")
def _pattern(postgres: str) -> Iterator[str]:
    """The name of a PostgreSQL database with the present schema, which is copied and never used."""
    with a_database(postgres) as address:
        found = Database.at(address)
        upgrade(found)
        name = found.engine.url.database
        found.close()
        yield str(name)


@pytest.fixture
def founded_postgres(postgres: str, _pattern: str) -> Iterator[str]:
    """The address of a PostgreSQL database with the present schema and nothing in it: copied, which is less work."""
    with a_database(postgres, _pattern) as found:
        yield found
