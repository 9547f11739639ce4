"""What every ledger promises, as one suite: the kinds are tested in the rooms where they live."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import datetime
from fractions import Fraction
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec
import pytest

from dirigent.core.allowances import Allowance, AllowanceOverrun, AllowancePassed, Charge, Standing, Unit
from dirigent.core.errors import BudgetExceeded, LimitExceeded, PriceUnknown
from dirigent.core.ports import Ledger, Reservation
from dirigent.core.usage import Money

__all__ = ["Books", "Clock", "LedgerContract", "Told", "budget", "cost", "euro_rates", "limit"]


class Clock:
    """Tells the time that a test says."""

    def __init__(self, text: str = "2026-11-24 12:00", zone: str = "UTC") -> None:
        self.now = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()

    def __call__(self) -> float:
        return self.now


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.of: list[msgspec.Struct] = []

    def observe(self, observation: msgspec.Struct) -> None:
        self.of.append(observation)

    def percents(self) -> list[int]:
        return [each.percent for each in self.of if isinstance(each, AllowancePassed)]

    def overruns(self) -> list[int]:
        return [each.amount for each in self.of if isinstance(each, AllowanceOverrun)]


class Counting(Ledger, Protocol):
    """A ledger, and what others than the data plane ask of it."""

    settled_twice: int

    def share(self, allowance: Allowance) -> float: ...

    def running(self, allowance: str) -> list[str]: ...

    def learn(self, allowances: list[Allowance]) -> None: ...


class Books(ABC):
    """A ledger in a small world."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.told = Told()
        self.ledger: Counting

    @abstractmethod
    async def standing(self, allowance: Allowance) -> Standing:
        """How an allowance stands, once all is told."""

    async def hold(
        self, *allowances: Allowance, nano: int | None = 100, tokens: int = 10, run: str = "r"
    ) -> Reservation:
        charge = Charge(None if nano is None else Money(nano), tokens)
        return await self.ledger.reserve(run, allowances, charge, charge, 30.0)


def budget(most: int, id: str = "b", **rest: Any) -> Allowance:
    return Allowance(
        **{"id": id, "level": "project", "subject": "p", "unit": "money", "most": most, "currency": "USD", **rest}
    )


def limit(unit: Unit, most: int, id: str = "l", **rest: Any) -> Allowance:
    return Allowance(
        **{"id": id, "level": "key", "subject": "k", "unit": unit, "most": most, "window": "minute", **rest}
    )


def cost(nano: int, tokens: int = 0, requests: int = 1) -> Charge:
    return Charge(Money(nano), tokens, requests)


def euro_rates(tenant: str, source: str, target: str) -> Fraction | None:
    return {("USD", "EUR"): Fraction(2, 3)}.get((source, target))


class LedgerContract:
    """The promises. `books` is a fixture of the kind that is tested; its ledger knows `euro_rates`."""

    async def test_what_is_settled_is_booked_and_the_rest_is_free_again(self, books: Books) -> None:
        allowance = budget(100)
        reservation = await books.hold(allowance, nano=100)

        books.ledger.settle(reservation, cost(40))
        again = await books.hold(allowance, nano=60)

        assert again.charge == Charge(Money(60), 10)
        standing = await books.standing(allowance)
        assert (standing.booked, standing.presumed, standing.overrun) == (40, 0, 0)

    async def test_what_would_go_beyond_a_budget_is_refused_with_its_level_and_its_end(self, books: Books) -> None:
        allowance = budget(100, window="day", zone="Europe/Berlin")
        await books.hold(allowance, nano=60)

        with pytest.raises(
            BudgetExceeded, match=r"the project p has 0\.00000004 USD left of 0\.0000001 USD"
        ) as refused:
            await books.hold(allowance, nano=41)

        assert (refused.value.level, refused.value.subject) == ("project", "p")
        assert refused.value.resets == Clock("2026-11-25 00:00", "Europe/Berlin").now

    async def test_the_last_nano_of_a_budget_can_be_spent(self, books: Books) -> None:
        allowance = budget(100)

        for _ in range(100):
            books.ledger.settle(await books.hold(allowance, nano=1), cost(1))

        assert (await books.standing(allowance)).booked == 100
        with pytest.raises(BudgetExceeded):
            await books.hold(allowance, nano=1)

    async def test_all_levels_are_held_or_none(self, books: Books) -> None:
        wide, narrow = budget(1000, "wide"), budget(10, "narrow", level="key", subject="k")

        with pytest.raises(BudgetExceeded, match="the key k"):
            await books.hold(wide, narrow, nano=11)

        reservation = await books.hold(wide, nano=1000)
        books.ledger.settle(reservation, cost(0))

    async def test_a_reservation_is_settled_once(self, books: Books) -> None:
        allowance = budget(1000)
        reservation = await books.hold(allowance, nano=100)

        for _ in range(3):
            books.ledger.settle(reservation, cost(70))

        standing = await books.standing(allowance)
        assert (standing.booked, books.ledger.settled_twice) == (70, 2)

    async def test_what_nobody_knows_is_presumed_spent(self, books: Books) -> None:
        money, tokens, requests = budget(100), limit("tokens", 50), limit("requests", 5, "r")
        unknown = await books.hold(money, tokens, requests, nano=90, tokens=40)

        books.ledger.settle(unknown, None)

        assert (await books.standing(money)).presumed == 90
        assert (await books.standing(tokens)).presumed == 40
        assert (await books.standing(requests)).booked == 1
        with pytest.raises(BudgetExceeded):
            await books.hold(money, nano=11)

    async def test_a_cost_that_nobody_knows_presumes_the_money_alone(self, books: Books) -> None:
        money, tokens = budget(100), limit("tokens", 50)
        reservation = await books.hold(money, tokens, nano=90, tokens=40)

        books.ledger.settle(reservation, Charge(None, 7))

        assert (await books.standing(money)).presumed == 90
        assert (await books.standing(tokens)).booked == 7

    async def test_what_is_billed_beyond_the_bound_is_told_and_taken_from_what_is_left(self, books: Books) -> None:
        allowance = budget(100)
        reservation = await books.hold(allowance, nano=50)

        books.ledger.settle(reservation, cost(70))

        standing = await books.standing(allowance)
        assert (standing.booked, standing.overrun) == (50, 20)
        assert books.told.overruns() == [20]
        with pytest.raises(BudgetExceeded):
            await books.hold(allowance, nano=31)
        await books.hold(allowance, nano=30)

    async def test_calls_are_counted_while_they_last(self, books: Books) -> None:
        allowance = limit("calls", 2)
        first = await books.hold(allowance)
        await books.hold(allowance)
        with pytest.raises(LimitExceeded, match="2 calls in progress at once") as refused:
            await books.hold(allowance)

        books.ledger.settle(first, None)

        assert refused.value.retryable
        assert refused.value.retry_after == 1.0
        await books.hold(allowance)

    async def test_requests_are_counted_in_their_window_and_the_next_one_begins_with_none(self, books: Books) -> None:
        allowance = limit("requests", 2)
        for _ in range(2):
            books.ledger.settle(await books.hold(allowance), cost(0))
        books.clock.now += 15
        with pytest.raises(LimitExceeded, match="has 0 of 2 requests left, until 2026-11-24 12:01 UTC") as refused:
            await books.hold(allowance)

        books.clock.now += 45

        assert refused.value.retry_after == 45
        await books.hold(allowance)

    async def test_tokens_are_held_by_their_bound_and_booked_as_they_were(self, books: Books) -> None:
        allowance = limit("tokens", 100)

        books.ledger.settle(await books.hold(allowance, nano=None, tokens=90), Charge(None, 20))
        books.ledger.settle(await books.hold(allowance, nano=None, tokens=80), Charge(None, 80))

        assert (await books.standing(allowance)).booked == 100

    async def test_a_reservation_belongs_to_the_window_in_which_it_was_let_in(self, books: Books) -> None:
        allowance = budget(100, window="day")
        books.clock.now = Clock("2026-11-24 23:59").now
        yesterday = await books.hold(allowance, nano=80)
        books.clock.now += 120
        today = await books.hold(allowance, nano=100)

        books.ledger.settle(yesterday, cost(80))
        books.ledger.settle(today, cost(10))

        standing = await books.standing(allowance)
        assert (standing.booked, standing.overrun) == (10, 0)
        await books.hold(allowance, nano=90)

    async def test_money_without_a_known_price_is_refused_where_a_budget_stands(self, books: Books) -> None:
        with pytest.raises(PriceUnknown, match="nobody knows what this deployment costs"):
            await books.hold(budget(100), nano=None)

        await books.hold(limit("tokens", 100), nano=None)

    async def test_money_of_another_currency_is_converted_exactly_and_rounded_up(self, books: Books) -> None:
        allowance = budget(100, currency="EUR")

        reservation = await books.hold(allowance, nano=100)
        books.ledger.settle(reservation, cost(50))

        assert (await books.standing(allowance)).booked == 34
        with pytest.raises(BudgetExceeded):
            await books.hold(allowance, nano=100)
        with pytest.raises(PriceUnknown, match="no rate of exchange from USD is known"):
            await books.hold(budget(100, "yen", currency="JPY"))

    async def test_as_much_is_given_as_there_is_if_it_is_enough(self, books: Books) -> None:
        money, tokens = budget(100), limit("tokens", 500)

        given = await books.ledger.reserve("r", (money, tokens), cost(300, 600), cost(50, 100), 30.0)

        assert given.charge == cost(100, 500)
        books.ledger.settle(given, cost(60, 400))
        with pytest.raises(BudgetExceeded):
            await books.ledger.reserve("r", (money, tokens), cost(300, 600), cost(50, 100), 30.0)
        with pytest.raises(LimitExceeded):
            await books.ledger.reserve("r", (money, tokens), cost(300, 600), cost(40, 101), 30.0)

    async def test_what_is_given_of_another_currency_can_be_paid(self, books: Books) -> None:
        allowance = budget(100, currency="EUR")

        given = await books.ledger.reserve("r", (allowance,), cost(400), cost(10), 30.0)

        assert given.charge == cost(150)

    async def test_an_allowance_that_is_named_twice_pays_twice(self, books: Books) -> None:
        allowance = budget(100)

        with pytest.raises(BudgetExceeded):
            await books.hold(allowance, allowance, nano=51)
        books.ledger.settle(await books.hold(allowance, allowance, nano=50), cost(50))

        assert (await books.standing(allowance)).booked == 100

    async def test_what_is_stopped_by_hand_admits_nothing_not_even_what_is_free_of_charge(self, books: Books) -> None:
        allowance = budget(100, version=1)
        await books.hold(allowance, nano=10, run="one")
        await books.hold(allowance, nano=10, run="two")

        books.ledger.learn([msgspec.structs.replace(allowance, stopped=True, version=2)])

        assert books.ledger.at_once("r", (allowance,), cost(0)) is None
        with pytest.raises(BudgetExceeded, match="was stopped by hand"):
            await books.hold(allowance, nano=0)
        assert books.ledger.running("b") == ["one", "two"]
        await books.hold(msgspec.structs.replace(allowance, version=3), nano=80)

    async def test_lowering_a_budget_below_what_is_used_takes_nothing_away_and_admits_nothing(
        self, books: Books
    ) -> None:
        allowance = budget(1000, version=1)
        held = await books.hold(allowance, nano=600)
        lower = msgspec.structs.replace(allowance, most=500, version=2)

        with pytest.raises(BudgetExceeded):
            await books.hold(lower, nano=1)
        with pytest.raises(BudgetExceeded):
            await books.hold(allowance, nano=1)  # whoever still goes by the old rule
        books.ledger.settle(held, cost(600))

        standing = await books.standing(lower)
        assert (standing.booked, standing.overrun, standing.most) == (600, 0, 500)

    async def test_a_budget_that_is_raised_admits_more(self, books: Books) -> None:
        allowance = budget(100, version=1)
        await books.hold(allowance, nano=100)
        with pytest.raises(BudgetExceeded):
            await books.hold(allowance, nano=1)

        await books.hold(msgspec.structs.replace(allowance, most=101, version=2), nano=1)

    async def test_each_threshold_is_told_once(self, books: Books) -> None:
        allowance = budget(100)

        for _ in range(20):
            books.ledger.settle(await books.hold(allowance, nano=5), cost(5))
            await books.standing(allowance)

        assert books.told.percents() == [80, 90, 100]
        assert books.ledger.share(allowance) == 1.0

    async def test_nobody_waits_where_nothing_is_counted(self, books: Books) -> None:
        reservation = books.ledger.at_once("r", (), Charge())

        assert reservation is not None
        books.ledger.settle(reservation, None)
        assert books.ledger.settled_twice == 0

    async def test_many_at_once_never_go_beyond(self, books: Books) -> None:
        allowance, calls = budget(1000), limit("calls", 50)

        async def call() -> int:
            try:
                reservation = await books.hold(allowance, calls, nano=30)
            except (BudgetExceeded, LimitExceeded):
                return 0
            await asyncio.sleep(0)
            books.ledger.settle(reservation, cost(20))
            return 20

        spent = sum(await asyncio.gather(*(call() for _ in range(200))))

        standing = await books.standing(allowance)
        assert standing.booked == spent <= 1000
        assert standing.overrun == standing.presumed == 0
