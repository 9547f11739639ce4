"""Nothing costs more than the most that was reserved for it."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.usage import Money, Price, Tariff, Tier, Usage

amounts = some.decimals(min_value=0, max_value=1000, places=4)
perhaps = some.none() | amounts


@some.composite
def prices(draw: some.DrawFn, *, tiers: bool = True) -> Price:
    return Price(
        input=draw(amounts),
        output=draw(amounts),
        cached_input=draw(perhaps),
        cache_write=draw(perhaps),
        audio_input=draw(perhaps),
        audio_output=draw(perhaps),
        tiers=tuple(
            Tier(above, draw(prices(tiers=False)))
            for above in sorted(draw(some.sets(some.integers(1, 10_000), max_size=2)))
        )
        if tiers
        else (),
    )


@some.composite
def usages(draw: some.DrawFn) -> Usage:
    inputs, outputs = draw(some.integers(0, 20_000)), draw(some.integers(0, 20_000))
    cached = draw(some.integers(0, inputs))
    written = draw(some.integers(0, inputs - cached))
    return Usage(
        inputs,
        outputs,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=draw(some.integers(0, outputs)),
        audio_input_tokens=draw(some.integers(0, inputs - cached - written)),
        audio_output_tokens=draw(some.integers(0, outputs)),
    )


@given(prices(), usages(), some.integers(0, 5_000), some.integers(0, 5_000))
def test_no_usage_within_the_bounds_costs_more_than_the_most(
    price: Price, usage: Usage, more: int, longer: int
) -> None:
    most = Tariff(price).most(usage.input_tokens + more, usage.output_tokens + longer)
    cost = price.cost(usage)

    assert most is not None
    assert cost is None or cost <= most


@given(prices(), some.integers(0, 10**12), some.integers(0, 100_000))
def test_what_is_affordable_is_paid_by_the_money_that_there_is(price: Price, nano: int, inputs: int) -> None:
    tariff, money = Tariff(price), Money(nano)
    outputs = tariff.affordable(money, inputs)

    if outputs is None:  # its output is free, and the input alone may be too much
        return
    for tokens in (outputs,) if outputs else ():
        most = tariff.most(inputs, tokens)
        assert most is not None
        assert most <= money


def test_a_price_of_which_a_part_is_unknown_has_no_bound() -> None:
    assert Tariff(Price(input=Decimal(1))).most(1, 1) is None
    assert Tariff(Price(output=Decimal(1))).affordable(Money(10**9), 0) == 0


def test_an_hour_in_the_cache_is_within_the_most_where_only_the_price_for_minutes_is_known() -> None:
    known = Price(input=Decimal(3), output=Decimal(15), cache_write=Decimal("3.75"))
    billed = Price(input=Decimal(3), output=Decimal(15), cache_write=Decimal("3.75"), cache_write_hour=Decimal(6))
    usage = Usage(10_000, 100, cache_write_tokens=10_000, cache_write_hour_tokens=10_000)

    most, cost = Tariff(known).most(10_000, 100), billed.cost(usage)

    assert most is not None
    assert cost is not None
    assert known.cost(usage) is None
    assert cost <= most
