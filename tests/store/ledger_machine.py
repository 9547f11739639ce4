"""A machine that does to ledgers all that happens to them, and holds them against a model that is obviously right.

Several workers on one database reserve, settle to 0-150 %, settle again, are killed, lose their power, sleep over their
life, and rules and clocks change in between. After each step the books must cover what was truly spent and reserved and
stay within the allowances; nothing may be refused for which there was room; and at the end all sums must be exact.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
import tempfile
import zlib
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar, TypeVar

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule
from sqlalchemy import text

from dirigent.core.allowances import Allowance, Charge, amount_of
from dirigent.core.errors import BudgetExceeded, LimitExceeded, Unavailable
from dirigent.core.ports import Reservation
from dirigent.core.usage import Money
from dirigent.store import Database
from dirigent.store.ledger import LeasedLedger, release
from dirigent.store.ledger.books import end_overdue, window_at
from dirigent.store.ledger.log import lines
from tests.ledgers import Clock, Told, budget, euro_rates, limit

__all__ = ["LedgerMachine", "crashed"]

T = TypeVar("T")
_REFUSED = (BudgetExceeded, LimitExceeded)

RULES = (
    budget(1500, "total", version=1),
    budget(700, "day", level="key", subject="k", window="day", zone="Europe/Berlin", version=1),
    budget(900, "month", level="tenant", subject="t", window="month", zone="Europe/Berlin", currency="EUR", version=1),
    limit("tokens", 600, "tokens", window="hour", version=1),
    limit("requests", 12, "requests", window="hour", version=1),
    limit("calls", 4, "calls", version=1),
)


class Window(msgspec.Struct):
    """What a window has in truth."""

    unit: str
    peak: int
    booked: int = 0
    presumed: int = 0
    overrun: int = 0
    held: int = 0

    @property
    def used(self) -> int:
        return self.booked + self.presumed + self.overrun + self.held


class Held(msgspec.Struct):
    """A reservation in the model."""

    worker: int
    reservation: Reservation
    parts: list[tuple[str, int, Allowance]]
    open: bool = True


async def crashed(ledger: LeasedLedger) -> None:
    """What is in memory is gone; what was written stays, and the lock falls."""
    if ledger._keeper is not None:
        ledger._keeper.cancel()
        with suppress(asyncio.CancelledError):
            await ledger._keeper
    await ledger._stilled()
    ledger._syncer.shutdown()
    ledger._log.close()


def without_power(ledger: LeasedLedger) -> None:
    """Of the log is left what was on the disk for certain."""
    for path in ledger._folder.glob(f"{ledger._holder}.*.log"):
        kept = b""
        for kind, number, rest in lines(path.read_bytes()):
            if number <= ledger._log.synced:
                payload = struct.pack("<BQ", kind, number) + rest
                kept += struct.pack("<IH", zlib.crc32(payload), len(payload)) + payload
        path.write_bytes(kept)


class LedgerMachine(RuleBasedStateMachine):
    """Set `database` and, for a mutant, `kind` in a subclass."""

    database: ClassVar[Database]
    kind: ClassVar[type[LeasedLedger]] = LeasedLedger
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.threads = ThreadPoolExecutor(4)
        self.loop.set_default_executor(self.threads)
        fast = Path("/dev/shm")  # noqa: S108  a disk that waits for nothing makes ten times as many steps
        self.folder = Path(tempfile.mkdtemp(dir=fast if fast.is_dir() else None))
        # the clocks change the next night, then the month; far ahead, since what is long over is forgotten
        self.clock = Clock("2031-03-29 20:00", "Europe/Berlin")
        self.told = Told()
        self.boot = 0
        self.workers: list[LeasedLedger | None] = []
        self.allowances = {each.id: each for each in RULES}
        self.windows: dict[str, Window] = {}
        self.open: list[Held] = []
        self.unheard: set[LeasedLedger] = set()
        """Who was declared dead and has not been heard since: what they do not use looks as if it were spent."""
        self.database.write(_clear)

    def does(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    # --- what happens -------------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.start()

    @precondition(lambda self: len(self.alive()) < 3)
    @rule()
    def start(self) -> None:
        """Another worker starts, and puts away the logs of the dead."""

        async def started() -> LeasedLedger:
            ledger = self.kind(
                self.database,
                self.folder,
                self.told,
                rates=euro_rates,
                clock=self.clock,
                pace=0.004,
                life=10**9,
                boot=f"start {self.boot}",
            )
            await ledger.start()
            return ledger

        self.workers.append(self.does(started()))
        self.unheard.intersection_update(self.alive())

    @rule(
        target=holds,
        worker=st.integers(0, 2),
        names=st.sets(st.sampled_from(sorted(each.id for each in RULES)), min_size=1),
        nano=st.integers(0, 400),
        tokens=st.integers(0, 200),
        share=st.sampled_from([1, 1, 3]),
        several=st.sampled_from([1, 1, 1, 5]),
    )
    def reserve(  # noqa: PLR0917  drawn by the machine
        self, worker: int, names: set[str], nano: int, tokens: int, share: int, several: int
    ) -> Any:
        """One call, or several in the same moment, by different workers."""
        allowances = tuple(self.allowances[name] for name in sorted(names))
        most = Charge(Money(nano), tokens)
        least = Charge(Money(nano // share), tokens // share)
        alive = self.alive()
        order = [alive[(worker + each) % len(alive)] for each in range(several)]

        async def ask(ledger: LeasedLedger) -> Reservation | Exception:
            try:
                return await ledger.reserve("run", allowances, most, least, 60.0)
            except _REFUSED as refused:
                return refused
            except Unavailable as gone:
                raise AssertionError("a call was refused though everything is there") from gone

        async def all_of_them() -> list[Reservation | Exception]:
            return await asyncio.gather(*(ask(ledger) for ledger in order))

        got = self.does(all_of_them())
        made: list[Held] = []
        for ledger, each in zip(order, got, strict=True):
            if isinstance(each, Exception):
                continue
            parts = self.parts(allowances, each.charge)
            for window, amount, allowance in parts:
                self.windows[window].held += amount
                fits = amount == 0 or self.windows[window].used <= allowance.most  # what costs nothing is let in
                assert fits, "more was let in than an allowance has"
                assert not allowance.stopped
            held = Held(self.workers.index(ledger), each, parts)
            self.open.append(held)
            made.append(held)
        if len(made) < len(got):
            needed = self.parts(allowances, least)
            assert self.unheard or any(
                self.windows[window].used + amount > allowance.most or allowance.stopped
                for window, amount, allowance in needed
            ), f"refused though there was room: {[each for each in got if isinstance(each, Exception)]}"
        return multiple(*made)

    @rule(
        held=holds,
        percent=st.sampled_from([0, 1, 29, 33, 57, 99, 100, 100, 110, 150, None]),
        times=st.sampled_from([1, 1, 1, 2]),
    )
    def settle(self, held: Held, percent: int | None, times: int) -> None:
        """A call ends; where that is told again, at once or later, nothing changes."""
        ledger = self.workers[held.worker]
        if ledger is None:
            return
        charge = None
        if percent is not None:
            bound = held.reservation.charge
            assert bound.money is not None
            charge = Charge(Money(bound.money.nano * percent // 100), bound.tokens * percent // 100)

        async def settled() -> None:
            for _ in range(times):
                ledger.settle(held.reservation, charge)

        self.does(settled())
        if held.open:
            self.closed(held, charge)

    @rule(worker=st.integers(0, 2))
    def tell(self, worker: int) -> None:
        """A worker tells the database all it knows."""
        alive = self.alive()
        self.told_by(alive[worker % len(alive)])

    @rule()
    def pause(self) -> None:
        """Some time goes by."""
        self.does(asyncio.sleep(0.01))

    @rule(worker=st.integers(0, 2))
    def kill(self, worker: int) -> None:
        """A worker is killed in the middle of what it does; sooner or later another one starts."""
        ledger = self.alive()[worker % len(self.alive())]
        place = self.workers.index(ledger)
        self.does(crashed(ledger))
        self.workers[place] = None
        for held in [each for each in self.open if each.worker == place]:
            self.closed(held, None, killed=True)
        if not self.alive():
            self.start()

    @rule()
    def cut_power(self) -> None:
        """All workers of the machine end at once, and of their logs only what was on the disk is left."""
        for one in self.alive():
            self.does(crashed(one))
        self.end_threads()  # they would go on without power
        for place, ledger in enumerate(self.workers):
            if ledger is not None:
                without_power(ledger)
                self.workers[place] = None
        for held in list(self.open):
            self.closed(held, None, killed=True)
        self.boot += 1
        self.start()
        for row in self.books():
            window = self.windows.get(row.id)
            if window is None:
                continue
            assert row.booked + row.presumed >= window.booked + window.presumed, "what was spent is not in the books"
            assert row.booked <= window.booked
            window.booked, window.presumed, window.overrun = row.booked, row.presumed, row.overrun

    @rule(worker=st.integers(0, 2))
    def sleep_over_its_life(self, worker: int) -> None:
        """Nobody has seen a worker for too long, though it lives; calls are taken to have ended, so it has none."""
        ledger = self.alive()[worker % len(self.alive())]
        if any(purse.allowance.unit == "calls" and purse.lease for purse in ledger._open.values()):
            return
        self.database.write(
            lambda connection: connection.execute(
                text("UPDATE ledger_holders SET seen = seen - 61000 WHERE id = :id"), {"id": ledger._holder}
            )
        )
        self.database.write(partial(end_overdue, holder=""))
        self.unheard.add(ledger)

    @rule(name=st.sampled_from(sorted(each.id for each in RULES)), most=st.integers(1, 2000), stopped=st.booleans())
    def change_a_rule(self, name: str, most: int, stopped: bool) -> None:  # noqa: FBT001  drawn by the machine
        """Somebody raises, lowers, stops or resumes an allowance, and all workers learn of it."""
        before = self.allowances[name]
        most = most if before.unit in {"money", "tokens"} else most % 15
        changed = msgspec.structs.replace(
            before, most=most, stopped=stopped and most % 3 == 0, version=before.version + 1
        )
        self.allowances[name] = changed
        for place, window in self.windows.items():
            if place.startswith(f"{name}/"):
                window.peak = max(window.peak, most)

        async def learned() -> None:
            for ledger in self.alive():
                ledger.learn([changed])

        self.does(learned())

    @rule(name=st.sampled_from(sorted(each.id for each in RULES)))
    def release_what_is_presumed(self, name: str) -> None:
        """Somebody gives up for lost what was only presumed."""
        self.put_away()
        self.database.write(partial(release, allowance=name))
        refused = [purse.refused_until for ledger in self.alive() for purse in ledger._by_window.values()]
        self.does(asyncio.sleep(max([0.0, *refused]) - monotonic()))  # what was refused just now may be refused again
        for place, window in self.windows.items():
            if place.startswith(f"{name}/"):
                window.presumed = 0

    @rule(hours=st.sampled_from([0.4, 3, 26]))
    def wait(self, hours: float) -> None:
        """The clock goes on, over the change of clocks and the end of the month."""
        self.clock.now += hours * 3600

    @rule()
    def compare(self) -> None:
        """All is told, and all sums are exact."""
        self.put_away()
        for row in self.books():
            window = self.windows.get(row.id, Window(row.unit, 0))
            found = (row.booked, row.presumed, row.overrun)
            assert found == (window.booked, window.presumed, window.overrun), f"the sums of {row.id} are wrong"

    # --- what must hold after each of these ---------------------------------------------------------------------------

    @invariant()
    def the_books_cover_what_is_spent_and_stay_within_what_may_be(self) -> None:
        for row in self.books():
            window = self.windows.get(row.id)
            if window is None:
                continue
            counted = row.booked + row.presumed + row.leased
            assert counted <= window.peak, f"more is counted on {row.id} than it may have"
            truth = window.booked + window.presumed + window.held
            assert counted + row.overrun >= truth, f"what was spent on {row.id} is not in the books"

    def teardown(self) -> None:
        try:
            if self.workers:
                self.compare()
                for held in list(self.open):
                    self.closed(held, None)
                for ledger in self.alive():
                    self.does(ledger.close())
                self.workers = [None]
                for row in self.books():
                    window = self.windows.get(row.id, Window(row.unit, 0))
                    found = (row.booked, row.presumed, row.overrun, row.leased)
                    assert found == (window.booked, window.presumed, window.overrun, 0)
                assert list(self.folder.iterdir()) == []
        finally:
            for ledger in self.alive():
                self.does(crashed(ledger))
            self.threads.shutdown()
            self.loop.close()
            shutil.rmtree(self.folder)

    # --- the model ----------------------------------------------------------------------------------------------------

    def alive(self) -> list[LeasedLedger]:
        return [each for each in self.workers if each is not None]

    def books(self) -> list[Any]:
        return list(
            self.database.read(lambda connection: connection.execute(text("SELECT * FROM ledger_windows")).all())
        )

    def put_away(self) -> None:
        """The dead are heard, and the living have told all."""
        if len(self.alive()) == 3:
            self.told_by(self.alive()[0])
        self.start()
        for ledger in self.alive():
            self.told_by(ledger)
        last = self.workers.pop()
        assert last is not None
        self.does(last.close())

    def end_threads(self) -> None:
        self.threads.shutdown()
        self.threads = ThreadPoolExecutor(4)
        self.loop.set_default_executor(self.threads)

    def told_by(self, ledger: LeasedLedger) -> None:
        self.does(ledger.tell())
        self.unheard.discard(ledger)

    def parts(self, allowances: tuple[Allowance, ...], charge: Charge) -> list[tuple[str, int, Allowance]]:
        found = []
        for allowance in allowances:
            place = window_at(allowance, self.clock()).id
            amount = amount_of(allowance, charge, euro_rates)
            assert amount is not None
            window = self.windows.setdefault(place, Window(allowance.unit, allowance.most))
            window.peak = max(window.peak, allowance.most)
            found.append((place, amount, allowance))
        return found

    def closed(self, held: Held, charge: Charge | None, *, killed: bool = False) -> None:
        held.open = False
        self.open.remove(held)
        for place, amount, allowance in held.parts:
            window = self.windows[place]
            window.held -= amount
            if allowance.unit == "calls":
                continue
            actual = None if charge is None else amount_of(allowance, charge, euro_rates)
            if actual is None and allowance.unit == "requests" and not killed:
                actual = amount
            if actual is None:
                window.presumed += amount
            else:
                window.booked += min(actual, amount)
                window.overrun += max(0, actual - amount)


def _clear(connection: Any) -> None:
    for table in ("ledger_leases", "ledger_holders", "ledger_windows"):
        connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608  the names stand above
