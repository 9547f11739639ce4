"""Transactions: what is written happens as a whole, what is read is one picture, and who cannot be reached is said."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from dirigent.store import Database, DatabaseGone, upgrade
from dirigent.store.pulse import bump, sequence_of


def count(connection: Connection) -> int:
    return sequence_of(connection, "rights")


def count_on(connection: Connection) -> int:
    return bump(connection, "rights")


def test_what_fails_half_way_has_not_happened(database: Database) -> None:
    def half(connection: Connection) -> None:
        bump(connection, "rights")
        raise RuntimeError("and now for something completely different")

    with pytest.raises(RuntimeError, match="completely different"):
        database.write(half)

    assert database.read(count) == 0


def test_a_reader_sees_one_picture_however_long_it_looks(database: Database) -> None:
    looked, written = Event(), Event()

    def twice(connection: Connection) -> tuple[int, int]:
        first = count(connection)
        looked.set()
        assert written.wait(60)
        return first, count(connection)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(database.read, twice)
        assert looked.wait(60)
        database.write(count_on)
        written.set()

        assert reading.result() == (0, 0)
    assert database.read(count) == 1


def test_a_reader_of_a_shared_database_cannot_write(database: Database) -> None:
    if database.lite:
        return  # there a reader that wrote would only fail where another one writes

    with pytest.raises(DBAPIError, match="read-only"):
        database.read(count_on)


def test_many_writers_each_get_their_turn(database: Database, url: str) -> None:
    elsewhere = Database.at(url)

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda each: each.write(count_on), [database, elsewhere] * 50))
    elsewhere.close()

    assert sorted(numbers) == list(range(1, 101))


async def test_the_loop_goes_on_while_a_writer_waits(database: Database) -> None:
    held, free = Event(), Event()

    def hold(connection: Connection) -> int:
        number = count_on(connection)
        held.set()
        assert free.wait(60)
        return number

    first = asyncio.create_task(database.writing(hold))
    await asyncio.to_thread(held.wait, 60)
    second = asyncio.create_task(database.writing(count_on))
    turns = 0
    for _ in range(20):
        await asyncio.sleep(0.001)
        turns += 1
    free.set()

    assert (turns, await first, await second) == (20, 1, 2)


async def test_what_was_begun_is_finished_even_where_nobody_waits_any_more(database: Database) -> None:
    begun, free = Event(), Event()

    def slowly(connection: Connection) -> int:
        begun.set()
        assert free.wait(60)
        return count_on(connection)

    writing = asyncio.create_task(database.writing(slowly))
    await asyncio.to_thread(begun.wait, 60)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    free.set()

    for _ in range(6_000):
        if await database.reading(count) == 1:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the transaction did not come to its end")


def test_a_server_that_is_not_there_is_said_without_its_password() -> None:
    database = Database.at("postgresql://dirigent:hunter2@127.0.0.1:1/nothing")

    for work in (database.read, database.write):
        with pytest.raises(DatabaseGone, match="does not answer") as gone:
            work(count)
        assert "hunter2" not in str(gone.value)
    database.close()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "postgresql://dirigent:hunter2@host:port/db", "mysql://dirigent:hunter2@host/db"]
)
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="is no") as refused:
        Database.at(url)

    assert "hunter2" not in str(refused.value)


def test_the_embedded_database_is_its_owners_alone_whatever_its_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "100% of ? data#"
    database = Database.within(folder)
    upgrade(database)
    database.write(count_on)

    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    database.close()

    assert modes["dirigent.db"] == 0o600
    assert set(modes.values()) == {0o600}


def test_what_is_deleted_from_the_embedded_database_is_gone_from_its_file(tmp_path: Path) -> None:
    database = Database.within(tmp_path)
    upgrade(database)
    database.write(lambda found: found.execute(text("INSERT INTO pulse VALUES ('CANARY-IN-THE-MINE', 1)")))
    database.write(lambda found: found.execute(text("DELETE FROM pulse")))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT", reads=True) as connection:
        connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()

    assert b"CANARY-IN-THE-MINE" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


async def test_what_fails_once_nobody_waits_for_it_makes_no_noise(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = Event(), Event()

    def work(_: object) -> None:
        begun.set()
        go_on.wait(60)
        raise RuntimeError("nobody hears this")

    waiting = asyncio.create_task(database.writing(work))
    await asyncio.to_thread(begun.wait, 60)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await asyncio.to_thread(database.write, lambda _: None)
    await asyncio.sleep(0)
    gc.collect()

    assert caplog.text == ""
