"""Schedules: one run for each time, whatever number of nodes looks, across summer time and through outages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dirigent.control.cron import slots
from dirigent.control.desk import Unknown
from dirigent.core.errors import Invalid
from dirigent.store import Database
from tests.store.room import START, Room

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600.0


@pytest.fixture
def room(database: Database, tmp_path: Path) -> Iterator[Room]:
    room = Room(database, tmp_path)
    yield room
    room.close()


def local(line: str, after: datetime, many: int) -> list[str]:
    found = islice(slots(line, "Europe/Berlin", int(after.timestamp() * 1000)), many)
    return [datetime.fromtimestamp(slot / 1000, BERLIN).strftime("%d.%m. %H:%M %z") for slot in found]


def test_a_time_that_summer_time_leaves_out_comes_right_after_it_and_one_that_comes_twice_counts_once() -> None:
    spring = local("30 2 * * *", datetime(2027, 3, 27, tzinfo=BERLIN), 3)
    autumn = local("30 2 * * *", datetime(2027, 10, 30, tzinfo=BERLIN), 3)
    hourly = local("0 * * * *", datetime(2027, 10, 31, 0, 30, tzinfo=BERLIN), 4)

    assert spring == ["27.03. 02:30 +0100", "28.03. 03:00 +0200", "29.03. 02:30 +0200"]
    assert autumn == ["30.10. 02:30 +0200", "31.10. 02:30 +0200", "01.11. 02:30 +0100"]
    assert hourly == ["31.10. 01:00 +0200", "31.10. 02:00 +0200", "31.10. 02:00 +0100", "31.10. 03:00 +0100"]


def test_a_schedule_tells_the_times_that_come(room: Room) -> None:
    told = room.does("schedules.set", name="report", model="quote", cron="0 7 * * 1", zone="Europe/Berlin", input="now")

    coming = [datetime.fromtimestamp(moment / 1000, BERLIN) for moment in told.next]

    assert len(coming) == 5
    assert {(moment.weekday(), moment.hour, moment.minute) for moment in coming} == {(0, 7, 0)}
    assert (told.key, told.fault, told.last) == ("first", None, None)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"cron": "every day"}, "cron: .* names no times"),
        ({"cron": "0 7 * *"}, "names no times"),
        ({"cron": "0 7 * * *", "zone": "Europe/Atlantis"}, "no IANA time zone"),
        ({"cron": "0 7 * * *", "input": None}, "say what is asked"),
        ({"cron": "0 7 * * *", "model": "nothing"}, "no model"),
        ({"cron": "0 7 * * *", "key": "k-9"}, "no key"),
    ],
)
def test_what_could_never_begin_is_refused_when_it_is_set(room: Room, order: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        room.does("schedules.set", **{"name": "report", "model": "quote", "input": "now"} | order)


async def test_of_many_nodes_that_look_at_once_each_time_gets_one_run(room: Room) -> None:
    room.does("schedules.set", name="report", model="quote", cron="0 * * * *", zone="UTC", input="now")

    for _ in range(3):
        room.now += HOUR
        await asyncio.gather(*(room.attending.slots() for _ in range(6)))
    await room.attending.slots()

    claims = await room.claim()
    assert [claimed.submission.body for claimed in claims] == [b'"now"'] * 3
    assert len({claimed.submission.run for claimed in claims}) == 3


@pytest.mark.parametrize(("missed", "many"), [("once", 1), ("all", 5), ("skip", 0)])
async def test_times_at_which_no_node_was_there_are_made_up_for_as_the_schedule_says(
    room: Room, missed: str, many: int
) -> None:
    room.does("schedules.set", name="report", model="quote", cron="0 * * * *", zone="UTC", input="now", missed=missed)

    room.now += 5 * HOUR + 600  # five times have passed, the last of them ten minutes ago
    await room.attending.slots()
    made_up = await room.end_all()
    room.now += HOUR - 600
    await room.attending.slots()

    assert made_up == many
    assert len(await room.claim()) == 1
    (row,) = room.does("schedules.list").schedules
    assert row.next[0] == (START + 7 * HOUR) * 1000


async def test_what_cannot_begin_is_told_and_the_next_time_comes_all_the_same(room: Room) -> None:
    key = room.does("keys.issue", project="default")
    room.does("schedules.set", name="report", model="quote", cron="0 * * * *", zone="UTC", input="now", key=key.id)
    room.does("keys.revoke", id=key.id)

    room.now += HOUR
    await room.attending.slots()
    (row,) = room.does("schedules.list").schedules

    assert await room.claim() == ()
    assert (row.fault, row.next[0]) == (f"key: {key.id} is revoked", (START + 2 * HOUR) * 1000)


async def test_one_that_is_paused_or_removed_begins_nothing_and_one_can_be_run_by_hand(room: Room) -> None:
    room.does("schedules.set", name="report", model="quote", cron="0 * * * *", zone="UTC", input="now", paused=True)
    room.does("schedules.set", name="other", model="quote", cron="0 * * * *", zone="UTC", input="now")
    room.does("schedules.remove", name="other")

    room.now += HOUR
    await room.attending.slots()
    before = await room.claim()
    begun = room.does("schedules.run", name="report", by="dora")

    assert before == ()
    assert [claimed.submission.run for claimed in await room.claim()] == [begun.run]
    with pytest.raises(Unknown):
        room.does("schedules.remove", name="other")


async def test_it_acts_on_behalf_of_whoever_set_it_and_what_it_asks_lies_sealed(room: Room) -> None:
    room.does(
        "schedules.set", by="dora", name="report", model="quote", cron="0 * * * *", zone="UTC", input="Köhler's offers",
        priority="bulk",
    )  # fmt: skip
    rows = room.database.read(lambda found: str(found.exec_driver_sql("SELECT * FROM schedules").all()))

    room.now += HOUR
    await room.attending.slots()
    (claimed,) = await room.claim()

    assert "hler" not in rows
    assert claimed.submission.principal.member in {"dora", "operator"}
    assert claimed.submission.priority == "bulk"
