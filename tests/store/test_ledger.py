"""The ledger of many workers: what every ledger promises, and what holds when workers die and databases go away."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Timer
from typing import TypeVar

import pytest
from sqlalchemy import Connection, text

from dirigent.core.allowances import Allowance, Standing
from dirigent.core.errors import BudgetExceeded
from dirigent.store import Database, DatabaseGone
from dirigent.store.ledger import LeasedLedger, release, replay, standings
from dirigent.store.ledger.books import Fenced, end_overdue, post, prune
from dirigent.store.ledger.log import Log, locked
from tests.ledgers import Books, LedgerContract, budget, cost, euro_rates, limit
from tests.store.ledger_machine import crashed

T = TypeVar("T")


class LeasedBooks(Books):
    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__()
        self.database = database
        self.folder = folder
        self.ledger: LeasedLedger = self.another()

    def another(self, *, pace: float = 0.02) -> LeasedLedger:
        return LeasedLedger(
            self.database,
            self.folder,
            self.told,
            rates=euro_rates,
            clock=self.clock,
            boot="this start",
            pace=pace,
        )

    async def standing(self, allowance: Allowance) -> Standing:
        await self.ledger.tell()
        return self.now(allowance)

    def now(self, allowance: Allowance) -> Standing:
        found = self.database.read(partial(standings, allowances=[allowance], now=self.clock()))
        return found[allowance.id]


@pytest.fixture
async def books(database: Database, tmp_path: Path) -> AsyncIterator[LeasedBooks]:
    found = LeasedBooks(database, tmp_path / "ledger")
    await found.ledger.start()
    yield found
    await found.ledger.close()


class TestLeasedLedger(LedgerContract):
    """All of it, on both databases."""


async def test_workers_share_a_budget_to_the_last_nano(books: LeasedBooks) -> None:
    others = [books.another() for _ in range(2)]
    for other in others:
        await other.start()
    allowance, spent = budget(1000), 0

    async def call(ledger: LeasedLedger) -> None:
        nonlocal spent
        try:
            reservation = await ledger.reserve("r", (allowance,), cost(7), cost(7), 30.0)
        except BudgetExceeded:
            return
        await asyncio.sleep(0.001)
        ledger.settle(reservation, cost(5))
        spent += 5

    for _ in range(5):
        await asyncio.gather(*(call(ledger) for ledger in (books.ledger, *others) for _ in range(20)))

    for other in others:
        await other.close()
    assert spent == 995
    assert (await books.standing(allowance)).booked == 995


async def test_what_another_worker_does_not_use_is_returned_before_anybody_is_refused(books: LeasedBooks) -> None:
    other = books.another()
    await other.start()
    allowance = budget(100)
    held = await books.hold(allowance, nano=1)  # leases more than that for the calls of the next moments
    books.ledger.settle(held, cost(1))

    reservation = await other.reserve("r", (allowance,), cost(99), cost(99), 30.0)

    assert books.now(allowance).reserved + books.now(allowance).booked <= 100
    with pytest.raises(BudgetExceeded):
        await books.hold(allowance, nano=1)
    other.settle(reservation, cost(0))
    await books.hold(allowance, nano=99)
    await other.close()


async def test_idle_leases_are_returned(books: LeasedBooks) -> None:
    allowance = budget(10**9)
    books.ledger.settle(await books.hold(allowance, nano=1000), cost(1000))

    await until(lambda: not books.now(allowance).reserved)

    assert books.now(allowance).booked == 1000


def test_a_worker_begins_though_another_one_looks_at_its_lock_in_that_moment(tmp_path: Path) -> None:
    looking = locked(tmp_path / "holder.lock")
    assert looking is not None
    done = Timer(0.1, os.close, (looking,))
    done.start()

    log = Log(tmp_path, "holder")

    done.join()
    log.delete()


async def until(claim: Callable[[], bool]) -> None:
    """Waits until it is so."""
    async with asyncio.timeout(30):
        while not claim():  # noqa: ASYNC110  what happens in another thread sets no event
            await asyncio.sleep(0.01)


async def test_after_a_crash_what_was_settled_is_booked_what_was_open_presumed_and_the_rest_returned(
    books: LeasedBooks,
) -> None:
    allowance, calls, tokens = budget(1000), limit("calls", 5), limit("tokens", 10_000, "t", window="day")
    victim = books.another()
    await victim.start()
    await victim.reserve("open", (allowance, calls, tokens), cost(300, 70), cost(300, 70), 30.0)
    settled = await victim.reserve("done", (allowance, calls, tokens), cost(200, 60), cost(200, 60), 30.0)
    victim.settle(settled, cost(150, 50))
    await crashed(victim)

    heir = books.another()
    await heir.start()

    standing = books.now(allowance)
    assert (standing.booked, standing.presumed, standing.reserved) == (150, 300, 0)
    assert books.now(calls) == Standing(0, 0, 0, 0, 5, None)
    assert (books.now(tokens).booked, books.now(tokens).presumed) == (50, 70)
    assert len(list(books.folder.glob("*.lock"))) == 2
    await heir.close()


async def test_what_was_told_before_a_crash_is_booked_once(books: LeasedBooks) -> None:
    allowance = budget(1000)
    victim = books.another()
    await victim.start()
    for told in (True, False):
        victim.settle(await victim.reserve("r", (allowance,), cost(100), cost(100), 30.0), cost(100))
        if told:
            await victim.tell()
    await crashed(victim)

    heir = books.another()
    await heir.start()
    await heir.close()

    standing = books.now(allowance)
    assert (standing.booked, standing.presumed, standing.reserved) == (200, 0, 0)


async def test_a_torn_last_line_is_as_if_it_had_not_been_written(books: LeasedBooks) -> None:
    allowance = budget(1000)
    victim = books.another()
    await victim.start()
    victim.settle(await victim.reserve("r", (allowance,), cost(100), cost(100), 30.0), cost(40))
    await crashed(victim)
    (log,) = [path for path in books.folder.glob("*.log") if path.name.startswith(victim._holder)]
    log.write_bytes(log.read_bytes()[:-3])

    heir = books.another()
    await heir.start()
    await heir.close()

    standing = books.now(allowance)
    assert (standing.booked, standing.presumed, standing.reserved) == (0, 100, 0)


async def test_after_a_power_cut_all_that_was_leased_is_presumed_since_the_log_may_lack_its_end(
    books: LeasedBooks,
) -> None:
    allowance = budget(1000)
    victim = books.another(pace=60.0)
    await victim.start()
    victim.settle(await victim.reserve("r", (allowance,), cost(100), cost(100), 30.0), cost(40))
    await victim.tell()
    leased = books.now(allowance).reserved
    await crashed(victim)

    heir = LeasedLedger(books.database, books.folder, books.told, boot="another start")
    await heir.start()
    await heir.close()

    standing = books.now(allowance)
    assert leased > 0
    assert (standing.booked, standing.presumed, standing.reserved) == (40, leased, 0)


async def test_presumed_money_is_free_again_once_somebody_releases_it(books: LeasedBooks) -> None:
    allowance = budget(100)
    books.ledger.settle(await books.hold(allowance, nano=100), None)
    await books.ledger.tell()
    with pytest.raises(BudgetExceeded):
        await books.hold(allowance, nano=1)

    released = books.database.write(partial(release, allowance="b"))

    assert released == 100
    await asyncio.sleep(0.11)  # for so long a refusal may answer the same question again
    await books.hold(allowance, nano=100)


async def test_what_a_killed_worker_did_not_use_is_there_for_its_sisters_at_once(
    books: LeasedBooks,
) -> None:
    victim, allowance = books.another(), budget(1000)
    await victim.start()
    await victim.reserve("r", (allowance,), cost(100), cost(100), 30.0)  # leases more than that
    leased = books.now(allowance).reserved
    await crashed(victim)

    await books.hold(allowance, nano=900)

    assert leased > 100
    assert books.now(allowance) == Standing(0, 900, 100, 0, 1000, None)


async def test_a_posting_that_is_committed_after_its_worker_was_killed_is_not_booked_again_from_the_log(
    books: LeasedBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, allowance = books.another(pace=3600.0), budget(1000)
    await victim.start()
    reservation = await victim.reserve("r", (allowance,), cost(100), cost(100), 30.0)
    await victim.tell()
    victim.settle(reservation, cost(60))
    await victim._synced()
    under_way = [victim._posting(anyway=True)]
    read = replay.read_story

    def committed_meanwhile(parts: list[Path], flushed: int) -> replay.Story:
        while under_way:
            posting = under_way.pop()
            assert posting is not None
            with suppress(Fenced):
                books.database.write(partial(post, posting=posting))
        return read(parts, flushed)

    monkeypatch.setattr(replay, "read_story", committed_meanwhile)
    await crashed(victim)

    await books.hold(allowance, nano=940)

    assert books.now(allowance) == Standing(60, 940, 0, 0, 1000, None)


async def test_a_log_that_nobody_can_read_hinders_no_call(books: LeasedBooks, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, allowance = books.another(), budget(1000)
    await victim.start()
    await victim.reserve("r", (allowance,), cost(100), cost(100), 30.0)

    def unreadable(parts: list[Path], _: int) -> replay.Story:
        raise ValueError(parts)

    monkeypatch.setattr(replay, "read_story", unreadable)
    await crashed(victim)

    with pytest.raises(BudgetExceeded):
        await books.hold(allowance, nano=1000)
    books.ledger.settle(await books.hold(allowance, nano=10), cost(10))


def age(database: Database, holder: str) -> None:
    """As if nobody had seen the holder for more than its life."""
    database.write(
        lambda connection: connection.execute(
            text("UPDATE ledger_holders SET seen = seen - 61000 WHERE id = :holder"), {"holder": holder}
        )
    )


async def test_a_worker_that_nobody_has_seen_for_its_life_is_presumed_to_have_spent_all_and_takes_it_back(
    books: LeasedBooks,
) -> None:
    allowance, calls = budget(1000), limit("calls", 4)
    sleeper = books.another(pace=3600.0)
    await sleeper.start()
    reservation = await sleeper.reserve("r", (allowance, calls), cost(100), cost(100), 30.0)
    await sleeper.tell()
    leased = books.now(allowance).reserved
    age(books.database, sleeper._holder)
    dead = books.database.write(partial(end_overdue, holder=books.ledger._holder))
    gone = books.now(allowance)

    sleeper.settle(reservation, cost(60))
    await sleeper.tell()

    back = books.now(allowance)
    assert dead in (sleeper._holder, None)  # the other worker looks by itself, too, and may have been first
    assert (gone.booked, gone.presumed, gone.reserved) == (0, leased, 0)
    assert (back.booked, back.presumed, back.overrun) == (60, 0, 0)
    assert back.reserved <= leased - 60
    await sleeper.close()
    assert books.now(allowance) == Standing(60, 0, 0, 0, 1000, None)
    assert books.now(calls) == Standing(0, 0, 0, 0, 4, None)


async def test_what_comes_to_be_known_of_money_that_was_released_is_overrun(books: LeasedBooks) -> None:
    allowance = budget(1000)
    sleeper = books.another(pace=3600.0)
    await sleeper.start()
    reservation = await sleeper.reserve("r", (allowance,), cost(100), cost(100), 30.0)
    await sleeper.tell()  # what it does after it has reserved is over
    age(books.database, sleeper._holder)
    books.database.write(partial(end_overdue, holder=books.ledger._holder))
    books.database.write(partial(release, allowance="b"))
    async with asyncio.timeout(30):
        everything = None
        while everything is None:  # what was being read while it was released does not show it yet
            with suppress(BudgetExceeded):
                everything = await books.hold(allowance, nano=1000)

    sleeper.settle(reservation, cost(60))
    await sleeper.close()

    books.ledger.settle(everything, cost(1000))
    standing = await books.standing(allowance)
    assert (standing.booked, standing.overrun, standing.presumed, standing.reserved) == (1000, 60, 0, 0)


async def test_a_hold_that_nobody_settles_is_presumed_when_its_life_is_over(books: LeasedBooks) -> None:
    allowance = budget(1000)
    await books.hold(allowance, nano=100)

    books.clock.now += 961
    await until(lambda: books.now(allowance).presumed > 0)

    assert books.now(allowance).presumed == 100
    assert books.ledger.running("b") == []


async def test_minutes_that_are_long_over_are_forgotten_and_days_are_not(books: LeasedBooks) -> None:
    minute, day = limit("requests", 5), budget(100, window="day")
    books.clock.now -= 400 * 86_400  # a year ago, as the database's clock has it
    books.ledger.settle(await books.hold(minute, day, nano=10), cost(10))
    await books.ledger.tell()
    then = books.clock.now
    books.clock.now += 600 * 86_400
    await until(lambda: not books.ledger._open)

    books.database.write(prune)

    rows = books.database.read(lambda connection: connection.execute(text("SELECT unit FROM ledger_windows")).all())
    assert [row.unit for row in rows] == ["money"]
    books.clock.now = then
    assert books.now(day).booked == 10


async def test_a_worker_forgets_the_minutes_that_are_over(books: LeasedBooks) -> None:
    minute = limit("requests", 5)
    for _ in range(3):
        books.ledger.settle(await books.hold(minute), cost(1))
        await until(lambda: not books.ledger._open)  # nothing is left of it before it is over
        books.clock.now += 180

    books.ledger._next_tidy = 0.0
    books.ledger.look()

    await until(lambda: not books.ledger._by_window)


async def test_a_log_begins_another_part_with_what_is_open_and_forgets_what_the_database_has(
    books: LeasedBooks,
) -> None:
    allowance = budget(10**9)
    victim = books.another()
    victim._log._most = 2000
    await victim.start()
    await victim.reserve("open", (allowance,), cost(77), cost(77), 30.0)
    first, calls = books.folder / f"{victim._holder}.000001.log", 0
    async with asyncio.timeout(30):
        while first.exists():
            victim.settle(await victim.reserve("r", (allowance,), cost(3), cost(3), 30.0), cost(2))
            calls += 1
            await asyncio.sleep(0.001)
    parts = sorted(books.folder.glob(f"{victim._holder}.*.log"))
    victim.settle(await victim.reserve("r", (allowance,), cost(3), cost(3), 30.0), cost(2))
    await crashed(victim)

    heir = books.another()
    await heir.start()
    await heir.close()

    standing = books.now(allowance)
    assert parts
    assert not any(part.exists() for part in parts)
    assert (standing.booked, standing.presumed, standing.reserved) == (2 * (calls + 1), 77, 0)


class Flickering(Database):
    """A database that can be out of reach, or be lost sight of just after it has done what it was told."""

    gone = False
    deaf = 0

    async def writing(self, work: Callable[[Connection], T]) -> T:
        if self.gone:
            raise DatabaseGone("the database does not answer: connection refused")
        done = await super().writing(work)
        if self.deaf:
            self.deaf -= 1
            raise DatabaseGone("the database does not answer: connection reset")
        return done

    async def reading(self, work: Callable[[Connection], T]) -> T:
        if self.gone:
            raise DatabaseGone("the database does not answer: connection refused")
        return await super().reading(work)


@pytest.fixture
async def flickering(database: Database, tmp_path: Path) -> AsyncIterator[LeasedBooks]:
    found = LeasedBooks(Flickering(database.engine), tmp_path / "ledger")
    found.ledger._pace = 0.25
    await found.ledger.start()
    yield found
    await found.ledger.close()


async def test_while_the_database_is_gone_leases_go_on_and_nothing_settled_is_lost(flickering: LeasedBooks) -> None:
    ledger, database = flickering.ledger, flickering.database
    assert isinstance(database, Flickering)
    allowance = budget(10**6)
    ledger.settle(await flickering.hold(allowance, nano=1000), cost(1000))
    await ledger.tell()
    database.gone = True

    within = 0
    while (hold := ledger.at_once("r", (allowance,), cost(1000))) is not None:
        ledger.settle(hold, cost(1000))
        within += 1
    with pytest.raises(DatabaseGone):
        await flickering.hold(allowance, nano=1000)
    await asyncio.sleep(0.1)
    database.gone = False
    await until(lambda: flickering.now(allowance).booked >= 1000 + within * 1000 and ledger._gone is None)

    assert within > 0
    assert flickering.now(allowance).booked == 1000 + within * 1000
    await flickering.hold(allowance, nano=1000)


async def test_a_posting_of_whose_end_nothing_was_heard_is_booked_once(flickering: LeasedBooks) -> None:
    ledger, database = flickering.ledger, flickering.database
    assert isinstance(database, Flickering)
    allowance = budget(10**6)
    for _ in range(10):
        ledger.settle(await flickering.hold(allowance, nano=100), cost(100))
        database.deaf = 1
        with suppress(DatabaseGone):
            await ledger.tell()
        await until(lambda: database.deaf == 0 and ledger._gone is None)

    standing = await flickering.standing(allowance)

    assert standing.booked == 1000


async def test_a_node_starts_without_its_database_and_joins_it_later(database: Database, tmp_path: Path) -> None:
    flickering = Flickering(database.engine)
    flickering.gone = True
    books = LeasedBooks(flickering, tmp_path / "ledger")
    await books.ledger.start()
    with pytest.raises(DatabaseGone):
        await books.hold(budget(100), nano=10)

    flickering.gone = False
    await until(lambda: books.ledger._epoch > 0 and books.ledger._gone is None)

    await books.hold(budget(100), nano=10)
    await books.ledger.close()


async def test_no_money_is_reserved_that_the_log_cannot_remember(books: LeasedBooks) -> None:
    allowance = budget(10**6)
    reservation = await books.hold(allowance, nano=100)
    log, descriptor = books.ledger._log, books.ledger._log._descriptor
    log._descriptor = os.open("/dev/full", os.O_WRONLY)

    refused = books.ledger.at_once("r", (allowance,), cost(1))
    books.ledger.settle(reservation, cost(60))
    owed = books.now(allowance).booked
    os.close(log._descriptor)
    log._descriptor = descriptor
    await books.ledger.tell()

    assert refused is None
    assert owed == 0
    assert books.now(allowance).booked == 60
