"""The lowest expected cost first, and what cannot be compared last."""

from __future__ import annotations

from decimal import Decimal

from dirigent.core.usage import Price
from dirigent.models.strategies.cheapest import Cheapest
from tests.models.strategies.world import priced, question

NAMES = ("dear", "unknown", "cheap", "free")


async def test_costs_ascend_and_an_unknown_price_comes_last_and_is_named() -> None:
    prices = {"dear": priced("10"), "cheap": priced("0.2"), "free": priced("0")}

    ranking = await Cheapest().order(question(candidates=NAMES, prices=prices))

    assert ranking.order == ("free", "cheap", "dear", "unknown")
    assert ranking.reason == "free has the lowest expected cost, 0 USD; the price of unknown is unknown"
    assert ranking.details["costs"]["unknown"] is None


async def test_the_length_of_the_answer_counts_as_the_caller_limits_it() -> None:
    prices = {"dear_to_write": Price(Decimal(1), Decimal(10)), "dear_to_read": Price(Decimal(5), Decimal(5))}
    letter = "Please read this letter. " * 40

    brief = await Cheapest().order(question(letter, tuple(prices), prices=prices, max_output=1))
    usual = await Cheapest().order(question(letter, tuple(prices), prices=prices))

    assert brief.order[0] == "dear_to_write"
    assert usual.order[0] == "dear_to_read"


async def test_equal_costs_keep_the_order_of_the_configuration() -> None:
    prices = dict.fromkeys(("z", "a", "m"), priced("1"))

    assert (await Cheapest().order(question(candidates=("z", "a", "m"), prices=prices))).order == ("z", "a", "m")


async def test_without_any_price_the_configuration_decides_and_the_reason_says_so() -> None:
    ranking = await Cheapest().order(question())

    assert ranking.order == ("small", "large")
    assert ranking.reason == "no candidate has a known price, so small comes first as written"


async def test_two_currencies_are_not_compared() -> None:
    prices = {"dear": priced("10"), "cheap": priced("0.1", "EUR"), "free": priced("1")}

    ranking = await Cheapest().order(question(candidates=("dear", "cheap", "free"), prices=prices))

    assert ranking.order == ("free", "dear", "cheap")
    assert ranking.reason.endswith("; cheap asks for another currency")


async def test_only_those_that_cost_the_same_are_as_good_as_the_cheapest() -> None:
    prices = {"a": priced("1"), "b": priced("1"), "c": priced("1.01")}

    ranking = await Cheapest().order(question(candidates=("a", "b", "c", "d"), prices=prices))

    assert ranking.close == ("a", "b")
