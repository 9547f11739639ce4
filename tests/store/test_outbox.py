"""What is put into an outbox reaches the database once and in order, also when database or process goes away."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import msgspec
import pytest
from sqlalchemy import Connection, text

from dirigent.store import Database
from dirigent.store.outbox import Outbox
from tests.store.absence import away


class Mark(msgspec.Struct, frozen=True):
    number: int
    words: str = ""


class Refused(Exception):
    pass


def write(connection: Connection, rows: Sequence[Mark]) -> None:
    if any(row.words == "poison" for row in rows):
        raise Refused
    connection.execute(
        text("INSERT INTO mark (number, words) VALUES (:number, :words)"),
        [msgspec.structs.asdict(row) for row in rows],
    )


@pytest.fixture
def marks(database: Database) -> Database:
    column = "INTEGER PRIMARY KEY" if database.lite else "BIGSERIAL PRIMARY KEY"
    statement = "CREATE TABLE mark (place KIND, number INTEGER, words TEXT)".replace("KIND", column)
    database.write(lambda connection: connection.execute(text(statement)))
    return database


def outbox(database: Database, folder: Path, **more: int) -> Outbox[Mark, Mark]:
    return Outbox("marks", database, Mark, write, folder=folder / "spool", every=0.02, **more)  # type: ignore[arg-type]


def numbers(database: Database) -> list[int]:
    query = text("SELECT number FROM mark ORDER BY place")
    return list(database.read(lambda connection: connection.execute(query).scalars().all()))


def test_everything_that_was_put_is_written_in_order(marks: Database, tmp_path: Path) -> None:
    box = outbox(marks, tmp_path, batch=7)
    box.start()

    for number in range(100):
        assert box.put(Mark(number))
    box.close()

    assert numbers(marks) == list(range(100))
    assert (box.dropped, box.refused, box.waiting) == (0, 0, 0)


def test_what_comes_while_rows_are_written_waits_for_the_next_turn(marks: Database, tmp_path: Path) -> None:
    lots: list[int] = []

    def meanwhile(connection: Connection, rows: Sequence[Mark]) -> None:
        write(connection, rows)
        lots.append(len(rows))
        box.put(Mark(100 + len(lots)))  # a lot of its own for each few would cost more than all the others

    box: Outbox[Mark, Mark] = Outbox("marks", marks, Mark, meanwhile, folder=tmp_path / "spool", batch=3)
    for number in range(7):
        box.put(Mark(number))

    box.flush()

    assert lots == [3, 3, 1]
    assert box.waiting == 3


def test_a_full_outbox_drops_and_counts(marks: Database, tmp_path: Path) -> None:
    box = outbox(marks, tmp_path, most=10)

    taken = [box.put(Mark(number)) for number in range(13)]
    box.close()

    assert taken == [True] * 10 + [False] * 3
    assert box.dropped == 3
    assert numbers(marks) == list(range(10))


def test_a_row_that_the_database_refuses_takes_no_other_along(marks: Database, tmp_path: Path) -> None:
    box = outbox(marks, tmp_path)

    for number in range(20):
        box.put(Mark(number, "poison" if number == 13 else ""))
    box.close()

    assert numbers(marks) == [number for number in range(20) if number != 13]
    assert box.refused == 1


def test_rows_wait_in_a_file_while_the_database_is_away_and_are_written_when_it_is_back(
    marks: Database, tmp_path: Path
) -> None:
    box = outbox(marks, tmp_path, batch=10)
    box.start()
    box.put(Mark(0))
    box.flush()
    with away(marks):
        for number in range(1, 31):
            box.put(Mark(number))
        box.flush()
        assert box.spooled > 0
        assert box.waiting == 0
    box.put(Mark(31))

    _until(lambda: len(numbers(marks)) == 32)
    box.close()

    assert numbers(marks) == list(range(32))
    assert (box.dropped, box.spooled) == (0, 0)
    assert list((tmp_path / "spool").iterdir()) == []


def test_what_a_process_left_in_files_is_written_by_the_next_one(marks: Database, tmp_path: Path) -> None:
    first = outbox(marks, tmp_path)
    with away(marks):
        for number in range(5):
            first.put(Mark(number))
        first.close()  # it ends while the database is still away

    second = outbox(marks, tmp_path)
    second.start()
    second.close()

    assert numbers(marks) == list(range(5))


def test_a_torn_end_of_a_file_is_left_aside(marks: Database, tmp_path: Path) -> None:
    first = outbox(marks, tmp_path, batch=1)
    with away(marks):
        for number in range(3):
            first.put(Mark(number))
        first.close()
    file = next((tmp_path / "spool").iterdir())
    with file.open("r+b") as out:
        out.truncate(file.stat().st_size - 2)

    second = outbox(marks, tmp_path)
    second.start()
    second.close()

    assert numbers(marks) == [0, 1]


def test_a_drain_that_is_cut_short_writes_nothing_twice(marks: Database, tmp_path: Path) -> None:
    first = outbox(marks, tmp_path, batch=1)
    with away(marks):
        for number in range(4):
            first.put(Mark(number))
        first.close()
    file = next((tmp_path / "spool").iterdir())
    copy = file.read_bytes()
    second = outbox(marks, tmp_path)
    second.start()
    second.close()
    middle = len(copy) // 2
    file.write_bytes(copy)  # as if the power had gone after two of the four batches, before the file was removed
    marks.write(
        lambda connection: connection.execute(
            text("INSERT INTO drained (file, position) VALUES (:file, :position)"),
            {"file": file.name, "position": middle},
        )
    )
    marks.write(lambda connection: connection.execute(text("DELETE FROM mark WHERE number >= 2")))

    third = outbox(marks, tmp_path)
    third.start()
    third.close()

    assert numbers(marks) == [0, 1, 2, 3]


def test_what_was_set_aside_in_small_portions_is_written_in_large_ones(marks: Database, tmp_path: Path) -> None:
    portions: list[int] = []

    def counting(connection: Connection, rows: Sequence[Mark]) -> None:
        portions.append(len(rows))
        write(connection, rows)

    box: Outbox[Mark, Mark] = Outbox("marks", marks, Mark, counting, folder=tmp_path / "spool", batch=10)
    with away(marks):
        for number in range(25):
            box.put(Mark(number))
            box.flush()  # a batch of one in the file
    portions.clear()

    box.close()

    assert portions == [10, 10, 5]
    assert numbers(marks) == list(range(25))


def test_an_outbox_that_ends_leaves_to_the_next_process_what_takes_too_long(marks: Database, tmp_path: Path) -> None:
    box: Outbox[Mark, Mark] = Outbox("marks", marks, Mark, write, folder=tmp_path / "spool", patience=0)
    with away(marks):
        for number in range(3):
            box.put(Mark(number))
        box.flush()
    box.put(Mark(3))

    box.close()
    left = numbers(marks)
    second = outbox(marks, tmp_path)
    second.start()
    second.close()

    assert left == []
    assert numbers(marks) == [0, 1, 2, 3]
    assert box.dropped == 0


def test_a_file_of_a_living_process_is_left_to_it(marks: Database, tmp_path: Path) -> None:
    alive = outbox(marks, tmp_path)
    with away(marks):
        alive.put(Mark(1))
        alive.flush()
        other = outbox(marks, tmp_path)
        other.start()
        assert other.spooled == 0
        other.close()
    alive.close()

    assert numbers(marks) == [1]


def test_what_is_put_is_prepared_before_it_reaches_a_file(marks: Database, tmp_path: Path) -> None:
    def hidden(rows: Sequence[Mark]) -> Sequence[Mark]:
        return [Mark(row.number, "sealed") for row in rows]

    box = Outbox[Mark, Mark]("marks", marks, Mark, write, folder=tmp_path / "spool", before=hidden)
    with away(marks):
        box.put(Mark(1, "a secret text"))
        box.flush()
        files = [file.read_bytes() for file in (tmp_path / "spool").iterdir()]
    box.close()

    assert len(files) == 1
    assert b"secret" not in files[0]
    assert numbers(marks) == [1]


def test_many_threads_may_put(marks: Database, tmp_path: Path) -> None:
    box = outbox(marks, tmp_path, batch=50)
    box.start()
    threads = [
        Thread(target=lambda start=start: [box.put(Mark(start + each)) for each in range(200)])
        for start in (0, 1000, 2000)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    box.close()

    assert sorted(numbers(marks)) == [start + each for start in (0, 1000, 2000) for each in range(200)]


def _until(true: object) -> None:
    assert callable(true)
    for _ in range(3_000):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come about within a minute")
