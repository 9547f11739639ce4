"""Bulk runs: each row becomes one run, so many at a time, whoever feeds them and whatever is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dirigent.control.desk import Taken, Unknown
from dirigent.core.errors import Invalid
from dirigent.store import Database
from tests.store.room import MODELS, Room

ID = f"bulk-{7:024x}"


@pytest.fixture
def room(database: Database, tmp_path: Path) -> Iterator[Room]:
    room = Room(database, tmp_path)
    yield room
    room.close()


def filled(room: Room, rows: int, *, parallel: int = 8) -> None:
    room.does("bulk.begin", model="quote", id=ID, parallel=parallel)
    table = [{"row": number, "input": {"n": number}, "subject": f"s-{number}"} for number in range(1, rows + 1)]
    room.does("bulk.add", id=ID, rows=table)
    room.does("bulk.start", id=ID)


async def test_so_many_rows_are_on_their_way_at_once_as_it_says_each_of_them_once(room: Room) -> None:
    filled(room, 20, parallel=6)
    most, seen = 0, []

    for _ in range(20):
        await asyncio.gather(*(room.attending.rows() for _ in range(4)))
        most = max(most, room.does("bulk.show", id=ID).live)
        claims = await room.claim()
        seen += [claimed.submission.row or 0 for claimed in claims]
        for claimed in claims:
            await room.journal.rest(claimed.submission.run, claimed.fence, room.now)
        await room.end_all()
        if room.does("bulk.show", id=ID).state == "done":
            break

    told = room.does("bulk.show", id=ID)
    assert most == 6
    assert sorted(seen) == list(range(1, 21))
    assert (told.state, told.total, told.waiting, told.live, told.done) == ("done", 20, 0, 0, 20)


async def test_what_came_of_each_row_is_given_with_its_error_and_its_cost(room: Room) -> None:
    filled(room, 3)
    await room.attending.rows()
    await room.end_all(fails=1)

    first = room.does("bulk.results", id=ID, limit=2)
    rest = room.does("bulk.results", id=ID, after=first.after)

    rows = [*first.rows, *rest.rows]
    assert ([row.row for row in rows], rest.after) == ([1, 2, 3], None)
    assert sorted(row.status for row in rows) == ["done", "done", "failed"]
    (bad,) = [row for row in rows if row.status == "failed"]
    good = next(row for row in rows if row.status == "done")
    assert (bad.error, bad.words, bad.output, bad.cost) == ("timeout", "too slow", None, None)
    assert (good.output, good.cost, good.currency) == (f'answer to {{"n":{good.row}}}', "0.0015", "USD")


async def test_one_that_is_stopped_begins_nothing_more_until_it_is_started_again(room: Room) -> None:
    filled(room, 5, parallel=2)
    await room.attending.rows()
    room.does("bulk.stop", id=ID)

    await room.end_all()
    await room.attending.rows()
    stopped = room.does("bulk.show", id=ID)
    room.does("bulk.start", id=ID)
    await room.attending.rows()

    assert (stopped.state, stopped.done, stopped.waiting, stopped.live) == ("stopped", 2, 3, 0)
    assert room.does("bulk.show", id=ID).live == 2
    with pytest.raises(Taken, match="takes no rows any more"):
        room.does("bulk.add", id=ID, rows=[{"row": 6, "input": "x"}])


async def test_beginning_and_adding_again_goes_on_with_what_is_there(room: Room) -> None:
    room.does("bulk.begin", model="quote", id=ID)
    room.does("bulk.add", id=ID, rows=[{"row": 1, "input": "a"}, {"row": 2, "input": "b"}])
    again = room.does("bulk.begin", model="quote", id=ID)
    added = room.does("bulk.add", id=ID, rows=[{"row": 2, "input": "another"}, {"row": 3, "input": "c"}])
    room.does("bulk.start", id=ID)
    await room.attending.rows()

    asked = sorted(claimed.submission.body for claimed in await room.claim())
    assert (again.state, again.waiting, added.added) == ("filling", 2, 1)
    assert asked == [b'"a"', b'"b"', b'"c"']
    with pytest.raises(Taken, match="asks quote, not writer"):
        room.does("bulk.begin", model="writer", id=ID)


async def test_all_rows_stay_on_the_revision_with_which_it_began(room: Room) -> None:
    filled(room, 2, parallel=1)
    await room.attending.rows()
    await room.end_all()
    room.publish({"models": {**MODELS["models"], "more": {"type": "echo"}}})
    await room.attending.rows()

    told = room.does("bulk.show", id=ID)
    (claimed,) = await room.claim()
    assert claimed.submission.revision == told.revision
    assert (claimed.submission.priority, claimed.submission.bulk, claimed.submission.row) == ("bulk", ID, 2)


def test_one_without_rows_cannot_be_started(room: Room) -> None:
    room.does("bulk.begin", model="quote", id=ID)

    with pytest.raises(Invalid, match="has no rows"):
        room.does("bulk.start", id=ID)
    with pytest.raises(Unknown):
        room.does("bulk.begin", model="nothing")
