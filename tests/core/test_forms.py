"""Numbers and dates as two languages write them; what is written is read again as the same number."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core import template
from dirigent.core.forms import (
    Language,
    as_money,
    as_number,
    as_percent,
    day,
    figure,
    moment,
    money,
    month,
    percent,
    written_decimal,
)

languages: some.SearchStrategy[Language] = some.sampled_from(["de", "en"])
numbers = some.decimals(-(10**12), 10**12, allow_nan=False, places=4)


@pytest.mark.parametrize(
    ("written", "german", "english"),
    [
        (lambda language: figure(Decimal("1234567.5"), language), "1.234.567,5", "1,234,567.5"),
        (lambda language: figure(Decimal("-0.004"), language, 2), "0,00", "0.00"),
        (lambda language: figure(2.675, language, 2), "2,68", "2.68"),
        (lambda language: figure(1000, language), "1.000", "1,000"),
        (lambda language: money(Decimal("-1234.5"), language), "−1.234,50\u00a0€", "−€1,234.50"),
        (lambda language: money(Decimal(9), language, "CHF"), "9,00\u00a0CHF", "CHF\u00a09.00"),
        (lambda language: percent(Decimal("0.125"), language), "12,5\u00a0%", "12.5%"),
        (lambda language: day(date(2026, 3, 1), language), "01.03.2026", "1\u00a0Mar\u00a02026"),
        (lambda language: day(date(2026, 3, 1), language, long=True), "1.\u00a0März 2026", "1\u00a0March 2026"),
        (lambda language: month(date(2026, 9, 1), language), "Sept.\u00a02026", "Sep\u00a02026"),
        (
            lambda language: moment(datetime(2026, 11, 30, 14, 5, tzinfo=UTC), language),
            "30.11.2026, 14:05",
            "30\u00a0Nov\u00a02026, 14:05",
        ),
    ],
)
def test_each_language_writes_in_its_own_way(written: object, german: str, english: str) -> None:
    assert callable(written)
    assert written("de") == german
    assert written("en") == english


@given(numbers, languages)
def test_a_written_number_is_read_again_as_the_same(number: Decimal, language: Language) -> None:
    assert written_decimal(figure(number, language), language) == number


@given(numbers, languages, some.integers(0, 4))
def test_rounding_is_half_up_and_never_further_than_half_a_unit(
    number: Decimal, language: Language, decimals: int
) -> None:
    back = written_decimal(figure(number, language, decimals), language)

    assert back is not None
    assert abs(back - number) <= Decimal(1).scaleb(-decimals) / 2


@given(numbers, languages)
def test_money_has_two_digits_and_no_minus_at_zero(number: Decimal, language: Language) -> None:
    written = money(number, language)

    back = written_decimal(written, language)
    assert back == number.quantize(Decimal("0.01"), "ROUND_HALF_UP")
    assert ("−" in written) is (back < 0)


@given(some.text(max_size=12), languages)
def test_whatever_a_text_is_it_is_a_number_or_none(text: str, language: Language) -> None:
    found = written_decimal(text, language)

    assert found is None or found.is_finite()


@pytest.mark.parametrize(("text", "language"), [("1.23,4", "de"), ("12,34", "en"), ("1,234,56", "en"), ("", "de")])
def test_groups_have_three_digits(text: str, language: Language) -> None:
    assert written_decimal(text, language) is None


HALVES = [Decimal("0.125"), Decimal("2.675"), Decimal("-1.005"), Decimal("1234.565"), Decimal("0.005"), Decimal(7)]


@pytest.mark.parametrize("amount", HALVES)
@pytest.mark.parametrize("language", ["de", "en"])
def test_the_last_cent_is_the_same_in_templates_and_in_documents(amount: Decimal, language: Language) -> None:
    document = money(amount, language)

    assert as_money(amount, "EUR", language) == document.replace("−", "-")
    assert template.compile(f'{{{{ x | money("EUR", "{language}") }}}}').text({"x": amount}) == document.replace(
        "−", "-"
    )


@given(numbers, languages, some.integers(0, 4))
def test_figures_and_shares_are_rounded_the_same_wherever_they_are_written(
    number: Decimal, language: Language, decimals: int
) -> None:
    assert as_number(number, language, decimals) == figure(number, language, decimals).replace("−", "-")
    assert as_percent(number, language, decimals) == percent(number, language, decimals).replace("−", "-")


def test_half_a_cent_is_rounded_up() -> None:
    assert [money(each, "en") for each in HALVES] == ["€0.13", "€2.68", "−€1.01", "€1,234.57", "€0.01", "€7.00"]
    assert [percent(Decimal(text), "de") for text in ("0.1225", "0.0005")] == ["12,3\u00a0%", "0,1\u00a0%"]
