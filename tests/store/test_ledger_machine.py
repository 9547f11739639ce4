"""The laws of budgets hold whatever happens, and the machine that says so sees each fault that is planted."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky, FlakyStrategyDefinition
from hypothesis.stateful import run_state_machine_as_test

from dirigent.core.allowances import Allowance, Charge
from dirigent.core.ports import Reservation
from dirigent.core.usage import Money
from dirigent.store import Database, upgrade
from dirigent.store.ledger import LeasedLedger, books, replay
from dirigent.store.ledger.books import Account, Posting
from dirigent.store.ledger.purse import Hold, Purse
from tests.store.ledger_machine import LedgerMachine

PROGRAMS = int(os.environ.get("LEDGER_PROGRAMS", "0"))
"""How many programs the machine makes up; more of them than in the suite for a proof."""


@pytest.fixture(autouse=True)
def nobody_is_silent_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two steps no worker does anything, which on a busy machine is longer than others wait for its answer."""
    monkeypatch.setattr(books, "_ALIVE", books.LIFE)


def settled_by(count: int, **rest: Any) -> settings:
    return settings(
        max_examples=PROGRAMS or count,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a program that depends on threads does not shrink
        **rest,
    )


@pytest.fixture
def swift(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An embedded database on a disk that waits for nothing, where there is one: a machine makes many steps."""
    fast = Path("/dev/shm")  # noqa: S108
    file = (fast if fast.is_dir() else tmp_path) / f"machine-{os.getpid()}.db"
    database = Database.at(f"sqlite:///{file}")
    upgrade(database)
    yield database
    database.close()
    for each in file.parent.glob(f"{file.name}*"):
        each.unlink()


def run(database: Database, kind: type[LeasedLedger], how: settings) -> None:
    machine = type("Machine", (LedgerMachine,), {"database": database, "kind": kind})
    for _ in range(3):
        # what a program may do next hangs on what the ledger's own tasks have done by then, which Hypothesis notices
        # now and then: that breaks no law, and other programs are made up
        with suppress(FlakyStrategyDefinition):
            run_state_machine_as_test(machine, settings=how)
            return
    run_state_machine_as_test(machine, settings=how)


@pytest.mark.parametrize("programs", [25, pytest.param(400, marks=pytest.mark.prove)])
def test_the_laws_hold_on_the_embedded_database(swift: Database, programs: int) -> None:
    run(swift, LeasedLedger, settled_by(programs))


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_the_laws_hold_on_the_shared_database(database: Database) -> None:
    run(database, LeasedLedger, settled_by(8))


# --- planted faults: each is one that ledgers in the field have had ---------------------------------------------------


class ChecksThenActs(LeasedLedger):
    """Looks whether there is enough, and takes it a moment later."""

    def at_once(self, run: str, allowances: tuple[Allowance, ...], charge: Charge) -> Hold | None:
        hold = super().at_once(run, allowances, charge)
        if hold is not None:
            taken = list(zip(hold.purses, hold.flat[1::2], strict=True))
            for purse, amount in taken:
                purse.free += amount
            asyncio.get_running_loop().call_soon(_take, taken)
        return hold


def _take(taken: list[tuple[Purse, int]]) -> None:
    for purse, amount in taken:
        purse.free -= amount


class CountsInFloats(LeasedLedger):
    """Books money as a number with a point."""

    def settle(self, reservation: Reservation, charge: Charge | None) -> None:
        if charge is not None and charge.money is not None:
            inexact = sum([0.1] * 10) * charge.money.nano
            charge = Charge(Money(int(inexact)), charge.tokens, charge.requests)
        super().settle(reservation, charge)


class ForgetsAnAllowance(LeasedLedger):
    """Asks all levels but the last of many."""

    def at_once(self, run: str, allowances: tuple[Allowance, ...], charge: Charge) -> Hold | None:
        return super().at_once(run, allowances[:3], charge)


class SettlesTwice(LeasedLedger):
    """Books a settlement that comes again once more."""

    def settle(self, reservation: Reservation, charge: Charge | None) -> None:
        assert isinstance(reservation, Hold)
        self._holds.setdefault(reservation.number, reservation)
        super().settle(reservation, charge)


class ReturnsTwice(LeasedLedger):
    """Goes on to use what it has given back."""

    def _posted(self, posting: Posting, accounts: dict[str, Account]) -> None:
        super()._posted(posting, accounts)
        for entry in posting.entries:
            if entry.returned:
                self._by_window[entry.window.id].free += entry.returned


class PostsTwice(LeasedLedger):
    """Gives back the same lease in two postings."""

    def _posting(self, *, anyway: bool) -> Posting | None:
        posting = super()._posting(anyway=anyway)
        for entry in posting.entries if posting is not None else ():
            entry.returned *= 2
        return posting


class LogsTooLate(LeasedLedger):
    """Gives back what a settlement leaves over before the log has it."""

    def settle(self, reservation: Reservation, charge: Charge | None) -> None:
        assert isinstance(reservation, Hold)
        if reservation.number not in self._holds:
            return
        late: list[tuple[Reservation, Charge | None]] = self.__dict__.setdefault("late", [])
        if all(each is not reservation for each, _ in late):
            late.append((reservation, charge))

    async def tell(self) -> None:
        for each in self.__dict__.pop("late", []):
            super().settle(*each)
        await super().tell()

    async def close(self) -> None:
        await self.tell()
        await super().close()


def _without_condition(patch: pytest.MonkeyPatch) -> None:
    """Two workers read what is left, and both take it: the sum of the leases of others is not looked at."""

    class Blind(books._Line):
        def __init__(self, entry: books.Entry, row: Any, now: int = 0, holders: int = 1) -> None:
            alone = {name: getattr(row, name) for name in row._fields} | {"leased": row.amount}
            super().__init__(entry, SimpleNamespace(**alone), now, holders)  # type: ignore[arg-type]
            self.row = row
            self.total = -(10**9)

    patch.setattr(books, "_Line", Blind)


def _forgets_the_flushed_number(patch: pytest.MonkeyPatch) -> None:
    """After a crash all that stands in the log is booked, though the database had some of it."""
    read = replay.read_story
    patch.setattr(replay, "read_story", lambda parts, _: read(parts, 0))


def _forgets_what_was_open(patch: pytest.MonkeyPatch) -> None:
    """After a crash nobody remembers the calls that were under way."""

    def without(parts: list[Path], flushed: int) -> replay.Story:
        story = read(parts, flushed)
        story.opened = {}
        return story

    read = replay.read_story
    patch.setattr(replay, "read_story", without)


def nothing(patch: pytest.MonkeyPatch) -> None:
    """The fault is in the ledger itself."""


@pytest.mark.parametrize(
    ("kind", "plant"),
    [
        pytest.param(ChecksThenActs, nothing, id="check then act"),
        pytest.param(LeasedLedger, _without_condition, id="check then act in the database"),
        pytest.param(CountsInFloats, nothing, id="money in floats"),
        pytest.param(ForgetsAnAllowance, nothing, id="a forgotten allowance"),
        pytest.param(SettlesTwice, nothing, id="settled twice"),
        pytest.param(ReturnsTwice, nothing, id="a lease used after its return"),
        pytest.param(PostsTwice, nothing, id="a lease returned twice"),
        pytest.param(LogsTooLate, nothing, id="released before it is logged"),
        pytest.param(LeasedLedger, _forgets_the_flushed_number, id="booked again after a crash"),
        pytest.param(LeasedLedger, _forgets_what_was_open, id="open calls forgotten after a crash"),
    ],
)
def test_the_machine_sees_a_planted_fault(
    swift: Database,
    kind: type[LeasedLedger],
    plant: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)

    refusals = (AssertionError, ExceptionGroup, Flaky, ValueError)  # the last: a log that contradicts itself is refused
    with pytest.raises(refusals) as seen:
        run(swift, kind, settled_by(400, derandomize=True, database=None, report_multiple_bugs=False))

    assert "ledger_machine" in "".join(traceback.format_exception(seen.value))
