"""Money is exact, rounded up once, and an unknown price is never zero."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.usage import Money, Price, Tariff, Tier, Usage

amounts = some.builds(Money, some.integers(-(10**30), 10**30))
tokens = some.integers(0, 2**63)
prices = some.decimals(0, 10**6, places=12) | some.decimals(0, 1, places=30)
plain = some.builds(Usage, tokens, tokens)
usages = some.builds(
    lambda rest, cached, written, hour, heard, said, spoken: Usage(
        rest + cached + written + hour + heard,
        said + spoken,
        cached,
        written + hour,
        0,
        heard,
        spoken,
        cache_write_hour_tokens=hour,
    ),
    *(some.integers(0, 10**9) for _ in range(7)),
)
full = some.builds(Price, *(some.none() | prices for _ in range(7)), currency=some.sampled_from(["USD", "EUR"]))


@given(amounts, amounts, amounts)
def test_sums_are_associative_and_exact(one: Money, two: Money, three: Money) -> None:
    assert (one + two) + three == one + (two + three)
    assert (one + two) - two == one
    assert (one < two, one <= two) == (one.nano < two.nano, one.nano <= two.nano)
    assert (one > two, one >= two) == (one.nano > two.nano, one.nano >= two.nano)


@given(usages, usages, usages)
def test_usage_adds_up_in_any_order(one: Usage, two: Usage, three: Usage) -> None:
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one


@given(plain, prices, prices)
def test_a_cost_is_exact_and_rounded_up_once(usage: Usage, given_price: Decimal, made_price: Decimal) -> None:
    cost = Price(given_price, made_price).cost(usage)

    exactly = (Fraction(given_price) * usage.input_tokens + Fraction(made_price) * usage.output_tokens) * 1000
    assert cost == Money(ceil(exactly))


@given(usages, full)
def test_a_cost_is_the_sum_of_its_parts_or_unknown_as_soon_as_one_is(usage: Usage, price: Price) -> None:
    rest = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens - usage.audio_input_tokens
    parts = [
        (rest, price.input),
        (usage.cached_input_tokens, price.input if price.cached_input is None else price.cached_input),
        (
            usage.cache_write_tokens - usage.cache_write_hour_tokens,
            price.input if price.cache_write is None else price.cache_write,
        ),
        (
            usage.cache_write_hour_tokens,
            price.input if price.cache_write is price.cache_write_hour is None else price.cache_write_hour,
        ),
        (usage.audio_input_tokens, price.audio_input),
        (usage.output_tokens - usage.audio_output_tokens, price.output),
        (usage.audio_output_tokens, price.audio_output),
    ]

    cost = price.cost(usage)

    if any(count and each is None for count, each in parts):
        assert cost is None
    else:
        exactly = sum((Fraction(each) * count * 1000 for count, each in parts if each is not None), Fraction())
        assert cost == Money(ceil(exactly), price.currency)


@given(plain | usages, full | some.builds(Price, prices, prices))
def test_a_price_made_ready_for_many_answers_says_the_same(usage: Usage, price: Price) -> None:
    assert Tariff(price).cost(usage) == price.cost(usage)


def test_nothing_used_costs_nothing_where_the_price_is_unknown_too() -> None:
    assert Price().cost(Usage()) == Money(0)
    assert Price().cost(Usage(1)) is None
    assert Price(input=Decimal(1)).cost(Usage(1, 1)) is None


def test_what_the_provider_says_it_cached_is_charged_even_where_it_exceeds_the_input() -> None:
    assert Price(Decimal(2), Decimal(1), cached_input=Decimal(1)).cost(Usage(5, 0, cached_input_tokens=9)) == Money(
        9000
    )


@pytest.mark.parametrize(("used", "nano"), [(200_000, 200_000_000), (200_001, 400_002_000)])
def test_a_long_input_has_the_price_of_its_tier_for_all_of_its_tokens(used: int, nano: int) -> None:
    price = Price(Decimal(1), Decimal(1), tiers=(Tier(200_000, Price(Decimal(2), Decimal(3))),))

    assert price.cost(Usage(used)) == Money(nano)


@given(amounts)
def test_an_amount_is_written_exactly(money: Money) -> None:
    text, _, currency = str(money).rpartition(" ")

    assert (Decimal(text), currency) == (money.decimal(), "USD")
    assert "E" not in text
    assert Money.of(text) == money


@pytest.mark.parametrize(
    ("amount", "nano"),
    [
        ("0.05", 50_000_000),
        ("0.0000000001", 1),
        ("-0.0000000001", 0),
        (3, 3_000_000_000),
        ("123456789012345678901.1", None),
    ],
)
def test_digits_beyond_the_ninth_are_rounded_up(amount: str | int, nano: int | None) -> None:
    assert Money.of(amount).nano == (123_456_789_012_345_678_901_100_000_000 if nano is None else nano)


@pytest.mark.parametrize("amount", ["", "free", "NaN", "inf", "-Infinity", "1e999999"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="is no amount of money"):
        Money.of(amount)


def test_two_currencies_neither_add_up_nor_compare() -> None:
    dollars, euros = Money(1), Money(1, "EUR")

    for attempt in (
        lambda: dollars + euros,
        lambda: dollars - euros,
        lambda: dollars < euros,
        lambda: dollars <= euros,
        lambda: dollars > euros,
        lambda: dollars >= euros,
    ):
        with pytest.raises(ValueError, match="are of different currencies"):
            attempt()
    assert dollars != euros


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"input": Decimal(-1)}, "the price 'input' is -1"),
        ({"output": Decimal("NaN")}, "the price 'output' is NaN"),
        ({"cached_input": Decimal("Infinity")}, "not negative"),
        ({"input": Decimal("1e-50")}, "too many digits"),
        ({"currency": "usd"}, "'usd' is no ISO 4217 code"),
        ({"currency": "€"}, "no ISO 4217 code"),
        ({"tiers": (Tier(9, Price()), Tier(3, Price()))}, "rising"),
        ({"tiers": (Tier(9, Price(currency="EUR")),)}, "its currency"),
    ],
)
def test_a_price_that_is_none_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Price(**settings)  # type: ignore[arg-type]  # what a file may hold


def test_only_a_price_that_says_so_is_free() -> None:
    assert Price(Decimal(0), Decimal(0)).free
    assert not Price().free
    assert not Price(Decimal(0)).free


def test_sums_that_are_kept_as_whole_numbers_grow_by_the_same_amount() -> None:
    money = Money.of("0.000000003")

    assert money.added_to(4) == (money + Money(4)).nano == 7
