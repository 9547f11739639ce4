"""What happens in a tenant is told to those who watch it: soon, once, from where they were, and to nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dirigent.control.live import LiveEvents
from dirigent.core.allowances import Allowance, AllowanceOverrun, AllowancePassed
from dirigent.core.errors import LimitExceeded
from dirigent.core.observations import BreakerOpened, Happening, Served
from dirigent.core.usage import Money
from dirigent.store import Database, upgrade
from dirigent.store.happenings import Happenings, tell
from dirigent.store.records import write

BUDGET = Allowance("a-1", "project", "sales", "money", 1_000, "month", currency="EUR", tenant="acme")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database.within(tmp_path / "data")
    upgrade(found)
    yield found
    found.close()


class RunPaused(Happening, frozen=True, kw_only=True):
    """What another part of the house may tell."""

    run: str


def served(run: str, tenant: str = "acme", **more: Any) -> Served:
    fields = {"at": time.time(), "run": run, "request": run, "tenant": tenant, "project": "sales", "key": "k-1"}
    return Served(**{**fields, "path": "/v1/chat/completions", "status": 200, **more})


class Watcher:
    """Reads a stream of events."""

    def __init__(self, stream: AsyncGenerator[bytes, None]) -> None:
        self.stream = stream
        self.last = ""

    async def begin(self) -> None:
        while not self.last:
            await self._frame()

    async def next(self) -> dict[str, Any]:
        while True:
            if (event := await self._frame()) is not None:
                return event

    async def _frame(self) -> dict[str, Any] | None:
        frame = await asyncio.wait_for(anext(self.stream), 30)
        fields = dict(line.split(b": ", 1) for line in frame.strip().split(b"\n") if not line.startswith(b":"))
        if b"id" in fields:
            self.last = fields[b"id"].decode()
        return msgspec.json.decode(fields[b"data"]) if b"data" in fields else None


async def test_a_request_and_a_happening_are_told(database: Database) -> None:
    async with aclosing(LiveEvents(database).events("acme")) as stream:
        watcher = Watcher(stream)
        await watcher.begin()
        database.write(lambda connection: write(connection, [served("run-1", cost=Money(5, "EUR"))]))
        database.write(lambda connection: tell(connection, RunPaused(tenant="acme", run="run-2")))

        told = [await watcher.next(), await watcher.next()]

    assert [event["kind"] for event in told] == ["request", "run_paused"]
    assert told[0]["run"] == "run-1"
    assert told[0]["cost"] == "0.000000005"


async def test_nothing_crosses_a_tenant(database: Database) -> None:
    async with aclosing(LiveEvents(database).events("acme")) as stream:
        watcher = Watcher(stream)
        await watcher.begin()
        database.write(lambda connection: write(connection, [served("run-other", "globex"), served("run-own")]))
        database.write(lambda connection: tell(connection, RunPaused(tenant="globex", run="run-other")))
        database.write(lambda connection: tell(connection, RunPaused(tenant="acme", run="run-own")))

        told = [await watcher.next(), await watcher.next()]

    assert [event["run"] for event in told] == ["run-own", "run-own"]


async def test_who_comes_again_goes_on_where_it_was(database: Database) -> None:
    live = LiveEvents(database)
    async with aclosing(live.events("acme")) as stream:
        watcher = Watcher(stream)
        await watcher.begin()
        database.write(lambda connection: write(connection, [served("run-1")]))
        await watcher.next()
    database.write(lambda connection: write(connection, [served("run-2")]))
    database.write(lambda connection: tell(connection, RunPaused(tenant="acme", run="run-3")))

    # on another worker, which knows nothing of the first
    async with aclosing(LiveEvents(database).events("acme", watcher.last)) as stream:
        again = Watcher(stream)
        told = [await again.next(), await again.next()]

    assert [event["run"] for event in told] == ["run-2", "run-3"]


async def test_a_record_that_comes_late_is_told_all_the_same_and_only_once(database: Database) -> None:
    async with aclosing(LiveEvents(database).events("acme")) as stream:
        watcher = Watcher(stream)
        await watcher.begin()
        database.write(lambda connection: write(connection, [served("run-new")]))
        first = await watcher.next()
        database.write(lambda connection: write(connection, [served("run-late", at=time.time() - 5)]))
        second = await watcher.next()
        database.write(lambda connection: write(connection, [served("run-last")]))
        third = await watcher.next()

    assert [event["run"] for event in (first, second, third)] == ["run-new", "run-late", "run-last"]


async def test_so_many_at_once_that_nobody_could_read_them_are_cut_short_and_say_so(database: Database) -> None:
    many = [served(f"run-{number:024x}") for number in range(700)]
    async with aclosing(LiveEvents(database).events("acme")) as stream:
        watcher = Watcher(stream)
        await watcher.begin()
        database.write(lambda connection: write(connection, many))

        told = [await watcher.next() for _ in range(501)]

    assert told[0]["kind"] == "skipped"
    assert {event["kind"] for event in told[1:]} == {"request"}
    assert told[-1]["run"] == many[-1].run


async def test_a_budget_is_told_once_whichever_workers_notice_it(database: Database, tmp_path: Path) -> None:
    workers = [Happenings(database, tmp_path / "spool") for _ in range(2)]
    async with aclosing(LiveEvents(database).events("acme")) as stream:
        watcher = Watcher(stream)
        await watcher.begin()

        for worker in workers:
            worker.observe(AllowancePassed(BUDGET, 80, 0.8))
            worker.observe(served("run-1"))  # which is none of its business
            worker.outbox.flush()
        workers[0].observe(AllowanceOverrun(BUDGET, "run-9", 7))
        workers[0].outbox.flush()
        told = [await watcher.next(), await watcher.next()]

    assert [event["kind"] for event in told] == ["budget_passed", "budget_overrun"]
    assert (told[0]["percent"], told[0]["subject"]) == (80, "sales")
    assert (told[1]["run"], told[1]["amount"], told[1]["currency"]) == ("run-9", 7, "EUR")


async def test_limits_of_a_minute_are_no_news(database: Database, tmp_path: Path) -> None:
    happenings = Happenings(database, tmp_path / "spool")
    minute = msgspec.structs.replace(BUDGET, unit="requests", window="minute", currency="")

    happenings.observe(AllowancePassed(minute, 80, 0.8))

    assert happenings.outbox.waiting == 0


async def test_what_is_still_queued_at_the_end_is_written(database: Database, tmp_path: Path) -> None:
    happenings = Happenings(database, tmp_path / "spool")
    opened = BreakerOpened(tenant="acme", node="n", worker="1", deployment="premium", failures=3, rests=10.0)

    happenings.observe(opened)
    happenings.close()

    assert database.read(lambda connection: connection.exec_driver_sql("SELECT kind FROM happenings").scalar()) == (
        "breaker_opened"
    )


async def test_too_many_watchers_are_refused(database: Database) -> None:
    live = LiveEvents(database)
    watchers = [live.events("acme") for _ in range(64)]
    for watcher in watchers:
        await anext(watcher)

    with pytest.raises(LimitExceeded):
        live.events("acme")

    for watcher in watchers:
        await watcher.aclose()
    await live.events("acme").aclose()


def test_every_happening_is_told_under_the_name_of_its_class() -> None:
    told = msgspec.json.decode(msgspec.json.encode(RunPaused(tenant="acme", at=1, run="run-1")))

    assert told == {"kind": "run_paused", "tenant": "acme", "at": 1, "run": "run-1"}
