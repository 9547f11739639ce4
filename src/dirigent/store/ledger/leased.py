"""The ledger of a worker: reserves in memory from leases that the database has granted, and never waits on the way.

Longer than 400 lines, because it is one state of one worker: what is free, on hold, used up and told changes hands here
alone, and each hand-over must be seen beside the others.

A hold is written to the local log before anybody is asked for money; a settlement is on the disk before what it left
over is free again, and before the database is told. So a worker may die at any instant: whoever comes next reads the
log, books what was settled, and presumes to be spent what was open.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from time import monotonic, time
from typing import NamedTuple

from msgspec.structs import replace

from dirigent.core.allowances import (
    Allowance,
    AllowanceOverrun,
    AllowancePassed,
    Charge,
    Rates,
    amount_of,
    no_price,
    no_rates,
    reduced,
    refusal,
    stop,
)
from dirigent.core.errors import DirigentError, Unavailable
from dirigent.core.ports import Observer, Reservation
from dirigent.store.database import Database, DatabaseGone
from dirigent.store.ledger.books import (
    Account,
    Entry,
    Fenced,
    Posting,
    end_overdue,
    glance,
    holders,
    join,
    leave,
    post,
    prune,
    reclaim,
    window_at,
)
from dirigent.store.ledger.log import PRESUMED, Log, LogFailed, boot_of
from dirigent.store.ledger.purse import Hold, Purse, renewed
from dirigent.store.ledger.replay import replay_all

__all__ = ["LeasedLedger"]

_log = logging.getLogger("dirigent.ledger")
_GROUP = 0.002
"""Seconds for which settlements are collected before they are brought onto the disk together."""
_LOOK_AGAIN = 0.03
"""Seconds between two looks at what others have returned, while somebody waits for it."""
_SCARCE = 2.0
"""Seconds for which nothing is kept for later calls once somebody has wanted it."""
_STALE = 0.1
"""Seconds for which a refusal answers the same question again, where nobody else has anything that could be returned
and nothing was given back here: only what somebody releases by hand is noticed later by so much."""
_SEEN_EVERY = 1.0
"""Seconds between two signs of life of a worker that has something of which others may want a part: well within the
time for which they wait for it."""
_TEND_EVERY = 5.0
"""Seconds between two looks at those that died."""
_HEAR_EVERY = 0.25
"""Seconds between two looks at the logs of those that died, while somebody waits for what others do not use."""
_TIDY_EVERY = 600.0
_LINGERS = 60.0
"""Seconds for which a window is remembered once it is over."""
_LONGEST_PAUSE = 2.0
"""Seconds between two tries to reach a database that is gone."""
_LAST_POSTINGS = 10
"""How often a worker that ends tries to tell all; one posting does where nothing is amiss."""
_IDLE = 20
"""Looks after which nothing is kept of an allowance that nobody has used in the meantime."""
_FIRST_CALLS = 8
"""How many calls of the size of the first one a lease is to last for."""


class _Waiter(NamedTuple):
    """Somebody for whom there was not enough at hand."""

    run: str
    allowances: tuple[Allowance, ...]
    most: Charge
    least: Charge
    asked: int
    """The last posting that was under way when it came: only later ones have asked for it."""
    future: asyncio.Future[Hold]


class LeasedLedger:
    """Budgets and limits that many workers share: what they lease of them is counted as if it were spent.

    `start` before the first call and `close` after the last, in the loop that makes them.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        observer: Observer,
        *,
        node: str = "",
        rates: Rates = no_rates,
        clock: Callable[[], float] = time,
        pace: float = 0.25,
        life: float = 960.0,
        boot: str | None = None,
    ) -> None:
        self._database = database
        self._folder = folder
        self._observer = observer
        self._node = node
        self._rates = rates
        self._clock = clock
        self._pace = pace
        """Seconds between two postings where nobody waits."""
        self._life = life
        """Seconds after which a hold that nobody has settled is presumed to be spent."""
        self._boot = boot_of() if boot is None else boot
        self._holder = f"{node or 'node'}-{token_hex(8)}"
        self._log = Log(folder, self._holder, self._boot)
        self._syncer = ThreadPoolExecutor(1, "ledger-log")
        self._syncing: asyncio.Future[int] | None = None
        self._sync_due = False
        self._purses: dict[str, Purse] = {}
        """The present purse of each allowance."""
        self._by_window: dict[str, Purse] = {}
        self._open: dict[str, Purse] = {}
        """Those of which there is something to keep or to tell."""
        self._indices = 0
        self._holds: dict[int, Hold] = {}
        self._unsynced: deque[tuple[int, Hold, list[int]]] = deque()
        self._flushed = 0
        """The last settlement that is in the purses' counts, and with the next posting in the database."""
        self._told = 0
        """The last settlement that is in the database."""
        self._waiters: list[_Waiter] = []
        self._awake = asyncio.Event()
        self._turn = asyncio.Lock()
        """Held by whoever speaks with the database: one posting follows the other."""
        self._epoch = 0
        """0 until the database knows this holder."""
        self._number = 0
        self._pending: Posting | None = None
        """A posting of whose end nothing was heard."""
        self._holders = 1
        self._gone: DatabaseGone | None = None
        self._pause = 0.0
        self._next_look = self._next_seen = self._next_heard = self._next_tended = self._next_tidy = 0.0
        self._last_post = monotonic()
        self._keeper: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = False
        self.settled_twice = 0
        """How many settlements came for a reservation that was settled, and changed nothing."""

    # --- the port -----------------------------------------------------------------------------------------------------

    def at_once(self, run: str, allowances: tuple[Allowance, ...], charge: Charge) -> Hold | None:
        """Reserves from what this worker has at hand; None where others must be asked first."""
        now = self._clock()
        money = charge.money
        purses: list[Purse] = []
        flat: list[int] = []
        for allowance in allowances:
            purse = self._purses.get(allowance.id)
            if purse is None or purse.allowance is not allowance or now >= purse.until:
                purse = self._present(allowance, now)
                if purse is None:
                    break
            unit = allowance.unit
            amount: int | None
            if unit == "money":
                if money is not None and money.currency == allowance.currency:
                    amount = money.nano
                else:
                    amount = amount_of(allowance, charge, self._rates)
            else:
                amount = charge.tokens if unit == "tokens" else charge.requests
            if amount is None or purse.free < amount:
                break
            purse.free -= amount  # at once, so that an allowance that is named twice pays twice
            purse.taken += amount
            purses.append(purse)
            flat += (purse.index, amount)
        else:
            return self._held(run, charge, purses, flat, now)
        _undo(purses, flat)
        return None

    async def reserve(
        self, run: str, allowances: tuple[Allowance, ...], most: Charge, least: Charge, patience: float
    ) -> Reservation:
        """Reserves `most` of every allowance, or what there is if it is `least` at least, within `patience` seconds.

        Raises BudgetExceeded, LimitExceeded, PriceUnknown, and Unavailable where the database or the log is needed and
        does not answer.
        """
        self._check(allowances, most)
        if (hold := self.at_once(run, allowances, most)) is not None:
            return hold
        self._refuse_again(allowances, least)
        if self._ended:
            raise Unavailable("this node is stopping")
        if self._gone is not None and monotonic() < self._next_look:
            raise self._gone
        waiter = _Waiter(run, allowances, most, least, self._number, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self._awake.set()
        try:
            async with asyncio.timeout(patience):
                return await waiter.future
        except TimeoutError:
            raise self._too_late(waiter) from None
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                self._give_up(waiter.future.result())
            raise
        finally:
            with suppress(ValueError):
                self._waiters.remove(waiter)

    def settle(self, reservation: Reservation, charge: Charge | None) -> None:
        """Books what the call used up in truth, once; None where nobody knows, and all of it is then presumed spent."""
        if not isinstance(reservation, Hold) or self._holds.pop(reservation.number, None) is not reservation:
            self.settled_twice += bool(reservation.number) if isinstance(reservation, Hold) else 1
            return
        actual: list[int] = []
        flat, place = reservation.flat, -1
        money = charge.money if charge is not None else None
        for purse in reservation.purses:
            place += 2
            held, allowance = flat[place], purse.allowance
            unit = allowance.unit
            amount: int | None
            if unit == "calls":
                actual.append(0)
                purse.give_back(held)  # a call that is over is over: no crash makes it another
                continue
            if charge is None:
                amount = None
            elif unit == "money":
                if money is not None and money.currency == allowance.currency:
                    amount = money.nano
                else:
                    amount = amount_of(allowance, charge, self._rates)
            else:
                amount = charge.tokens if unit == "tokens" else charge.requests
            if amount is None:
                amount = held if unit == "requests" else PRESUMED  # that it was made is certain
            elif amount < held:
                purse.owed += held - amount
            actual.append(amount)
        number = self._log.settled(reservation.number, actual)
        self._unsynced.append((number, reservation, actual))
        if not self._sync_due and self._loop is not None:
            self._sync_due = True
            self._loop.call_later(0 if self._waiters else _GROUP, self._sync)
        if self._waiters:
            self._awake.set()

    # --- what others ask ----------------------------------------------------------------------------------------------

    def share(self, allowance: Allowance) -> float:
        """How much of an allowance is used up, as far as this worker knows; 0 where it has nothing to do with it."""
        purse = self._purses.get(allowance.id)
        return 0.0 if purse is None or self._clock() >= purse.ends else purse.share

    def running(self, allowance: str) -> list[str]:
        """The runs that have something on hold of the allowance of this id."""
        return list(dict.fromkeys(hold.run for hold in self._holds.values() if hold.counts_on(allowance)))

    def learn(self, allowances: Iterable[Allowance]) -> None:
        """Takes over rules that have changed, for those too who were let in under the old ones."""
        for allowance in allowances:
            purse = self._purses.get(allowance.id)
            if purse is not None and purse.allowance is not allowance:
                self._renew(purse, allowance)

    def look(self) -> None:
        """Asks the database now what others want, as after a pulse."""
        self._next_look = 0.0
        self._awake.set()

    async def tell(self) -> None:
        """Brings all that is settled into the database now. Raises DatabaseGone and LogFailed."""
        async with self._turn:
            await self._synced()
            await self._post(anyway=True)

    async def start(self) -> None:
        """Begins to keep the books, and those of workers that died; a database that is gone is waited for aside."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._join()
        except DatabaseGone as gone:
            _log.warning("the ledger waits for its database: %s", gone.message)
            self._gone = gone
        self._keeper = self._loop.create_task(self._keep(), name="ledger")

    async def close(self) -> None:
        """Tells the database all, returns what is left, and strikes this holder out; what is open is presumed spent.

        Where the database is gone, the log stays for whoever comes next.
        """
        self._ended = True
        self._fail_all(Unavailable("this node is stopping"))
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        for hold in list(self._holds.values()):
            self.settle(hold, None)
        try:
            await self._synced()
            for _ in range(_LAST_POSTINGS):
                if self._epoch and (self._pending is not None or self._open):
                    await self._post()
            if self._open:
                raise Unavailable("the database has not taken all there was to tell")
            if self._epoch:
                await self._database.writing(partial(leave, holder=self._holder))
        except DirigentError as fault:
            _log.warning("the ledger's log stays for the next start: %s", fault.message)
            await self._stilled()
            self._log.close()
        else:
            await self._stilled()
            self._log.delete()
        finally:
            self._syncer.shutdown()

    # --- holds --------------------------------------------------------------------------------------------------------

    def _held(self, run: str, charge: Charge, purses: list[Purse], flat: list[int], now: float) -> Hold | None:
        if not purses:
            return Hold(run, charge, purses, flat, 0, now)
        try:
            number = self._log.held(flat)
        except LogFailed as fault:
            _log.error("%s", fault.message)
            _undo(purses, flat)
            return None
        hold = self._holds[number] = Hold(run, charge, purses, flat, number, now)
        return hold

    def _give_up(self, hold: Hold) -> None:
        """Settles a reservation that nobody has come to use."""
        money = hold.charge.money
        self.settle(hold, Charge(None if money is None else money - money, 0, 0))

    def _present(self, allowance: Allowance, now: float) -> Purse | None:
        """The purse of the present window; None where nothing may be reserved of it."""
        purse = self._purses.get(allowance.id)
        if purse is not None:
            if purse.allowance is not allowance:
                self._renew(purse, allowance)
            if now < purse.until:
                return purse
            allowance = purse.allowance
        if allowance.stopped:
            return None
        try:
            window = window_at(allowance, now)
        except ValueError as fault:
            _log.error("%s: the windows of %s are those of UTC", fault, allowance.id)
            window = window_at(replace(allowance, zone="UTC"), now)
        purse = self._by_window.get(window.id)
        if purse is None:
            self._indices += 1
            purse = Purse(window, self._indices)
            try:
                self._log.opened(purse.index, window.id)
            except LogFailed as fault:
                _log.error("%s", fault.message)
                return None
            self._by_window[window.id] = purse
        else:
            renewed(purse, allowance)
        self._purses[allowance.id] = purse
        return purse if now < purse.until else None

    def _renew(self, purse: Purse, allowance: Allowance) -> None:
        if renewed(purse, allowance):
            purse.withdraw()
            self._awake.set()

    # --- those who wait -----------------------------------------------------------------------------------------------

    def _check(self, allowances: tuple[Allowance, ...], charge: Charge) -> None:
        for allowance in allowances:
            known = self._purses.get(allowance.id)
            rule = known.allowance if known is not None and known.allowance.version > allowance.version else allowance
            if rule.stopped:
                raise stop(rule)
            if amount_of(rule, charge, self._rates) is None:
                raise no_price(rule, charge)

    def _refuse_again(self, allowances: tuple[Allowance, ...], least: Charge) -> None:
        now, clock = monotonic(), self._clock()
        for allowance in allowances:
            purse = self._purses.get(allowance.id)
            if purse is None or now >= purse.refused_until or purse.owed or clock >= purse.until:
                continue
            need = amount_of(purse.allowance, least, self._rates)
            if need is not None and need >= purse.refused > purse.free:
                raise self._refusal(purse, need, clock)

    def _refusal(self, purse: Purse, need: int, now: float) -> DirigentError:
        ends = purse.window.ends
        return refusal(purse.allowance, min(purse.left, need - 1), need, None if ends is None else ends / 1000, now)

    def _too_late(self, waiter: _Waiter) -> DirigentError:
        """Nobody has said no for certain, but whoever waits will not wait any longer."""
        now = self._clock()
        for purse, need in self._needs(waiter, waiter.least, now).items():
            if purse.free < need and purse.short:
                return self._refusal(purse, need, now)
        return self._gone or Unavailable("the ledger did not answer in time")

    def _needs(self, waiter: _Waiter, charge: Charge, now: float) -> dict[Purse, int]:
        """What a charge is of each purse; of one that is named twice, both together."""
        found: dict[Purse, int] = {}
        for allowance in waiter.allowances:
            purse = self._present(allowance, now)
            if purse is not None:
                found[purse] = found.get(purse, 0) + (amount_of(purse.allowance, charge, self._rates) or 0)
        return found

    def _serve(self) -> None:
        """Gives to those who wait what is there now, in their order, and says no where it is certain."""
        waiting, self._waiters = self._waiters, []
        for waiter in waiting:
            if waiter.future.done():
                continue
            try:
                hold = self._served(waiter)
            except DirigentError as refused:
                waiter.future.set_exception(refused)
                continue
            if hold is None:
                self._waiters.append(waiter)
            else:
                waiter.future.set_result(hold)

    def _served(self, waiter: _Waiter) -> Hold | None:
        """What is given to one that waits; None as long as there may be more to come. Raises what refuses it."""
        self._check(waiter.allowances, waiter.most)
        if (hold := self.at_once(waiter.run, waiter.allowances, waiter.most)) is not None:
            return hold
        now = self._clock()
        charge, least = waiter.most, self._needs(waiter, waiter.least, now)
        for purse, need in self._needs(waiter, waiter.most, now).items():
            if purse.free >= need:
                continue
            enough = least[purse]
            if purse.full <= waiter.asked:
                return None
            if purse.left < enough:
                if purse.leased == purse.lease:  # else what others return in the meantime would be overlooked
                    purse.refused, purse.refused_until = enough, monotonic() + _STALE
                raise self._refusal(purse, enough, now)
            if purse.owed or purse.free < enough:
                return None
            times = sum(each.id == purse.allowance.id for each in waiter.allowances)
            charge = reduced(charge, waiter.least, purse.allowance, purse.free // times, self._rates)
        return None if charge == waiter.most else self.at_once(waiter.run, waiter.allowances, charge)

    def _fail_all(self, error: DirigentError) -> None:
        waiting, self._waiters = self._waiters, []
        for waiter in waiting:
            if not waiter.future.done():
                waiter.future.set_exception(error)

    # --- the log ------------------------------------------------------------------------------------------------------

    def _sync(self) -> None:
        """Begins to bring onto the disk what is written; one at a time."""
        self._sync_due = True
        if self._syncing is None and self._loop is not None:
            self._syncing = self._loop.run_in_executor(self._syncer, self._log.sync)
            self._syncing.add_done_callback(self._has_synced)

    def _has_synced(self, done: asyncio.Future[int]) -> None:
        self._syncing = None
        self._sync_due = False
        if done.cancelled():
            return
        if (fault := done.exception()) is not None:
            _log.error("%s", fault)
        else:
            self._apply(done.result())
        if self._unsynced and self._loop is not None and not self._ended:
            self._sync_due = True
            with suppress(LogFailed):
                self._log.pay()
            self._loop.call_later(_GROUP if fault is None else _LONGEST_PAUSE, self._sync)
        if self._waiters:
            self._awake.set()

    async def _synced(self) -> None:
        """Waits until all that is settled now is on the disk. Raises LogFailed."""
        self._log.pay()
        now = self._log.written
        while self._unsynced and self._unsynced[0][0] <= now:
            if self._syncing is None:
                self._sync()
            if self._syncing is not None:
                with suppress(LogFailed):
                    await asyncio.shield(self._syncing)
            await asyncio.sleep(0)  # where it was done already, nobody had the time to take note of it
            self._log.pay()

    async def _stilled(self) -> None:
        """Returns once nothing is being brought onto the disk any more, nor will be."""
        self._loop = None
        while self._syncing is not None:
            await asyncio.wait([self._syncing])
            await asyncio.sleep(0)

    def _apply(self, synced: int) -> None:
        """What settlements left over is free, now that they are on the disk."""
        unsynced = self._unsynced
        touched: dict[Purse, None] = {}
        while unsynced and unsynced[0][0] <= synced:
            self._flushed, hold, actual = unsynced.popleft()
            flat, place = hold.flat, -1
            for purse, spent in zip(hold.purses, actual, strict=True):
                place += 2
                held = flat[place]
                if purse.allowance.unit == "calls":
                    continue
                touched[purse] = None
                if spent == PRESUMED:
                    purse.presume(held)
                elif not (excess := purse.book(held, spent)):
                    purse.owed -= held - spent
                else:
                    self._open[purse.window.id] = self._by_window[purse.window.id] = purse
                    _log.error(
                        "a provider billed %d more than the bound of a call of run %s on the %s %s",
                        *(excess, hold.run, purse.allowance.level, purse.allowance.subject),
                    )
                    self._observer.observe(AllowanceOverrun(purse.allowance, hold.run, excess))
        for purse in touched:
            self._tell(purse)

    def _tell(self, purse: Purse) -> None:
        allowance = purse.allowance
        percent = purse.share * 100
        if percent < allowance.warn:
            return
        for step in (allowance.warn, allowance.thrift, 100):
            if percent >= step and step not in purse.told:
                purse.told.add(step)
                self._observer.observe(AllowancePassed(allowance, step, percent / 100))

    def _turn_log(self) -> None:
        if self._syncing is not None:
            return
        self._log.forget(self._told)
        if self._log.full:
            unsettled = list(self._holds.values()) + [hold for _, hold, _ in self._unsynced]
            used = {purse.index: purse for hold in unsettled for purse in hold.purses} | {
                purse.index: purse for purse in self._by_window.values()
            }
            with suppress(LogFailed):
                self._log.turn(
                    [(index, purse.window.id) for index, purse in used.items()],
                    [(hold.number, hold.flat) for hold in self._holds.values()],
                )

    # --- the database -------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Tells and asks the database, every now and then and whenever somebody waits."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause or self._beat()):
                    await self._awake.wait()
            self._awake.clear()
            try:
                async with self._turn:
                    await self._exchange()
            except DatabaseGone as gone:
                if self._gone is None:
                    _log.warning("the ledger goes on with what it has at hand: %s", gone.message)
                self._gone = gone
                self._pause = min(_LONGEST_PAUSE, max(self._pace, self._pause * 2))
                self._next_look = monotonic() + self._pause
                self._fail_all(gone)
            except Exception:  # noqa: BLE001  whatever it is, calls within leases go on, and so do the tries to tell
                _log.exception("the ledger could not tell the database what was spent, and will again")
                self._pause = _LONGEST_PAUSE
                self._fail_all(Unavailable("the ledger cannot keep its books"))
            else:
                self._gone, self._pause = None, 0.0

    def _beat(self) -> float:
        """Seconds until the next exchange, where nobody asks for one."""
        if self._waiters and self._wants():
            return _LOOK_AGAIN
        if self._open or self._holds or self._unsynced or self._flushed != self._told:
            return self._pace
        return max(self._pace, _TEND_EVERY)  # there is nothing that anybody could want

    def _wants(self) -> bool:
        """Whether others are asked for what they do not use."""
        return any(purse.wanted for purse in self._open.values())

    async def _exchange(self) -> None:
        now = monotonic()
        if not self._epoch:
            await self._join()
        if self._waiters:
            self._serve()  # what was settled in the meantime may do
        if self._waiters:
            await self._post()
            self._serve()
            if self._waiters and self._unsynced:
                with suppress(LogFailed):
                    await self._synced()  # what they left over is free then
                self._serve()
        if now >= self._next_heard and self._waiters and self._wants():
            await self._hear_the_dead(now)
        if now >= self._next_look:
            self._next_look = now + self._pace
            await self._look()
            if any(purse.answers for purse in self._open.values()):
                with suppress(LogFailed):
                    await self._synced()  # what will be free in a moment is not used either
            await self._post()
            self._serve()
            self._turn_log()
            self._presume_old()
        if self._waiters and not self._wants():
            self._awake.set()  # nobody else has anything: what is settled here will do, or what is left will not
        await self._tend(now)

    async def _tend(self, now: float) -> None:
        """What is due now and then: signs of life, those that died, and what is long over."""
        tends = now >= self._next_tended
        if tends or (now >= self._next_seen and self._open):
            self._next_seen = now + _SEEN_EVERY
            await self._post(anyway=True)
        if tends:
            self._next_tended = now + _TEND_EVERY
            if now >= self._next_heard:
                await self._hear_the_dead(now)
            dead = await self._database.writing(partial(end_overdue, holder=self._holder))
            if dead is not None:
                _log.warning("the holder %s is gone: what it had on hold is presumed to be spent", dead)
            self._holders = max(1, await self._database.reading(holders))
        if now >= self._next_tidy:
            self._next_tidy = now + _TIDY_EVERY
            self._forget_what_is_over()
            await self._database.writing(prune)

    async def _hear_the_dead(self, now: float) -> None:
        """Puts away the logs of workers of this machine that died: what they did not use is there for all."""
        self._next_heard = now + _HEAR_EVERY
        try:
            await self._replay()
        except DatabaseGone:
            raise
        except Exception:  # noqa: BLE001  a log that cannot be read is for the next start: the living go on
            _log.exception("the ledger of a worker that died could not be put away, and is tried again later")
            self._next_heard = now + _TIDY_EVERY

    async def _replay(self) -> None:
        await asyncio.to_thread(replay_all, self._database, self._folder, self._boot)

    async def _join(self) -> None:
        await self._replay()
        await self._database.writing(partial(join, holder=self._holder, node=self._node))
        self._epoch = 1

    async def _look(self) -> None:
        if not self._open:
            return
        now = monotonic()
        for window, seen in (await self._database.reading(partial(glance, holder=self._holder))).items():
            purse = self._by_window.get(window)
            if purse is None:
                continue
            purse.spent, purse.leased = seen.spent, seen.leased
            if seen.wanted:
                purse.answers, purse.scarce_until = seen.wanted, now + _SCARCE
            self._tell(purse)

    async def _post(self, *, anyway: bool = False) -> None:
        """Makes one posting of all there is to tell and to ask; first the one of whose end nothing was heard."""
        while True:
            again = self._pending is not None
            posting = self._pending or self._posting(anyway=anyway)
            if posting is None:
                return
            self._pending = posting
            try:
                accounts = await self._database.writing(partial(post, posting=posting))
            except Fenced:
                await self._reclaim(posting)
                continue
            self._pending = None
            self._told = posting.flushed
            self._posted(posting, accounts)
            if not again:
                return

    async def _reclaim(self, posting: Posting) -> None:
        epoch, number, leases = await self._database.writing(partial(reclaim, holder=self._holder, node=self._node))
        _log.warning("this holder was taken for dead, and has taken back what is still its own")
        self._epoch = posting.epoch = epoch
        if number not in (posting.number, posting.number - 1):
            posting.number = self._number = number + 1
        mentioned = {entry.window.id for entry in posting.entries}
        for window, purse in self._open.items():
            if window not in mentioned:
                purse.free -= purse.lease - leases.get(window, 0)
                purse.lease = leases.get(window, 0)

    def _posting(self, *, anyway: bool) -> Posting | None:
        needs = self._wishes()
        elapsed = max(0.001, monotonic() - self._last_post)
        entries: list[Entry] = []
        now, wall = monotonic(), self._clock()
        for purse in list(self._open.values()):
            entry = self._entry(purse, needs.get(purse.window.id), elapsed, now, wall)
            if entry is not None:
                entries.append(entry)
            elif purse.empty:
                self._closed(purse, wall)
        if not entries and self._flushed == self._told and not anyway:
            return None
        if elapsed >= self._pace:
            self._last_post = now
        self._number += 1
        return Posting(self._holder, self._epoch, self._number, self._flushed, entries, self._holders)

    def _wishes(self) -> dict[str, tuple[int, int]]:
        """Of each window, what all who wait need together, and the least with which one of them can do something."""
        found: dict[str, tuple[int, int]] = {}
        now = self._clock()
        for waiter in self._waiters:
            if waiter.future.done():
                continue
            least = self._needs(waiter, waiter.least, now)
            for purse, need in self._needs(waiter, waiter.most, now).items():
                total, smallest = found.get(purse.window.id, (0, least[purse]))
                found[purse.window.id] = total + need, min(smallest, least[purse])
                self._open[purse.window.id] = purse
        return found

    def _entry(
        self, purse: Purse, wish: tuple[int, int] | None, elapsed: float, now: float, wall: float
    ) -> Entry | None:
        if elapsed >= self._pace:
            purse.idle = 0 if purse.taken else purse.idle + 1
            purse.rate = 0.0 if purse.idle > _IDLE else max(purse.taken / elapsed, purse.rate * 0.25**elapsed)
            purse.taken = 0
        soon = int(purse.rate)
        need = extra = least = 0
        scarce = bool(purse.answers or purse.wanted) or now < purse.scarce_until
        over = self._ended or not wall < purse.until
        if over or scarce or purse.short:
            purse.withdraw()  # and takes what it needs again, if there is enough of it
        elif purse.free > 2 * soon and wish is None and elapsed >= self._pace:
            purse.withdrawn += purse.free - soon
            purse.free = soon
        if wish is not None and not over:
            total, smallest = wish
            least = max(0, smallest - purse.free)
            need = max(0, total - purse.free)
            extra = max(soon, _FIRST_CALLS * total) if need else 0
        elif not over and not scarce and purse.free < soon // 2:
            extra = soon - purse.free
        told = purse.booked or purse.presumed or purse.overrun or purse.consumed or purse.withdrawn
        if wish is None:
            purse.short, purse.wanted = False, 0
        if not (told or need or extra or purse.answers):
            return None
        entry = Entry(
            purse.window,
            purse.known,
            purse.booked,
            purse.presumed,
            purse.overrun,
            purse.consumed,
            purse.withdrawn,
            need,
            least,
            extra,
            purse.wanted,
            purse.answers,
        )
        purse.booked = purse.presumed = purse.overrun = purse.consumed = purse.withdrawn = 0
        purse.answers = 0
        return entry

    def _posted(self, posting: Posting, accounts: dict[str, Account]) -> None:
        for entry in posting.entries:
            purse = self._open[entry.window.id]
            account = accounts.get(entry.window.id)
            if account is None:  # it was over so long ago that it was deleted
                account = Account(0, purse.spent, 0, 0)
            granted = account.lease - (purse.lease - entry.consumed - entry.returned)
            purse.free += granted
            purse.lease = account.lease
            purse.spent, purse.leased, purse.room = account.spent, account.leased, account.room
            purse.known = True
            purse.wanted = account.wanted
            if entry.window.allowance == purse.allowance:
                purse.beyond = account.room < 0
            elif purse.beyond:  # the rule was lowered while the posting was under way, which asked by the old one
                purse.withdraw()
            purse.short = granted < entry.need
            if purse.short and not account.wanted:
                purse.full = posting.number
            self._tell(purse)

    def _closed(self, purse: Purse, wall: float) -> None:
        self._open.pop(purse.window.id, None)
        if purse.ends + _LINGERS <= wall:
            self._forgotten(purse)

    def _forgotten(self, purse: Purse) -> None:
        if self._purses.get(purse.allowance.id) is purse:
            del self._purses[purse.allowance.id]
        self._by_window.pop(purse.window.id, None)

    def _forget_what_is_over(self) -> None:
        """Those too of which nothing was left before their windows had ended."""
        wall = self._clock()
        for window, purse in list(self._by_window.items()):
            if window not in self._open and purse.ends + _LINGERS <= wall:
                self._forgotten(purse)

    def _presume_old(self) -> None:
        until = self._clock() - self._life
        for hold in list(self._holds.values()):
            if hold.since > until:
                return
            _log.error("run %s never settled what it had on hold: it is presumed to be spent", hold.run)
            self.settle(hold, None)


def _undo(purses: list[Purse], flat: list[int]) -> None:
    """Gives back what was taken of some allowances, where another has too little."""
    for purse, amount in zip(purses, flat[1::2], strict=True):
        purse.free += amount
