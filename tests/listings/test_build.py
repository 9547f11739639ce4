"""How the table is made: what is read out of each source, what is left out, and what stops the making."""

from __future__ import annotations

import hashlib
import json
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirigent.core.usage import Price
from dirigent.listings import Entry
from tools.listings import cross_check, primary
from tools.listings.build import Difference, Table
from tools.listings.compare import table
from tools.listings.figures import known, per_million
from tools.listings.primary import Key
from tools.listings.sources import Source, Unverified, fetch, member

DAY = date(2026, 11, 23)


def read(**rows: dict[str, Any]) -> dict[Key, Entry]:
    """The entries of a primary source with these rows: chat deployments of `acme` where they do not say otherwise."""
    filled = {name: {"litellm_provider": "acme", "mode": "chat", **row} for name, row in rows.items()}
    return primary.read(json.dumps(filled), "litellm")


def opine(models: str) -> cross_check.Opinions:
    """The opinions of a cross-check in which groq has these models."""
    return cross_check.read(f"providers: list[Provider] = [Provider(id='groq', models=[{models}])]", DAY)


@given(st.integers(min_value=1, max_value=10**12))
def test_the_noise_of_floating_point_is_gone_and_the_figure_stays(nano: int) -> None:
    exact = Decimal(nano).scaleb(-9)
    noisy = Decimal(repr(float(exact.scaleb(-6))))

    assert per_million(noisy) == exact


def test_noise_that_a_source_really_has_is_gone() -> None:
    assert str(per_million(Decimal("2.0000000000000002E-7"))) == "0.2"
    assert str(per_million(Decimal("0.00001"))) == "10"


def test_zero_and_nothing_are_unknown_and_less_is_refused() -> None:
    assert per_million(Decimal("0.0")) is None
    assert per_million(None) is None
    assert known(Decimal(0)) is None
    with pytest.raises(ValueError, match="no price"):
        per_million(Decimal("-1e-6"))


def test_rows_that_name_no_deployment_are_left_out() -> None:
    entries = read(
        sample_spec={},
        fallback_generalizations={},
        **{"together-ai-4.1b-8b": {}, "us/*/1-month-commitment/m": {}, "nameless": {"mode": None}, "acme/real": {}},
    )

    assert list(entries) == [("acme", "real")]


def test_two_rows_of_one_deployment_complete_each_other() -> None:
    entries = read(m={"input_cost_per_token": 0.0, "max_input_tokens": 8}, **{"acme/m": {"input_cost_per_token": 1e-6}})

    assert entries["acme", "m"].price == Price(input=Decimal(1))
    assert entries["acme", "m"].context_window == 8


def test_two_rows_that_state_different_prices_stop_the_making() -> None:
    with pytest.raises(ValueError, match="input_cost_per_token"):
        read(m={"input_cost_per_token": 2e-6}, **{"acme/m": {"input_cost_per_token": 1e-6}})


def test_ranges_become_a_price_and_tiers() -> None:
    steps = [
        {"range": [0, 32000.0], "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
        {"range": [32000.0, 128000.0], "input_cost_per_token": 3e-6, "output_cost_per_token": 4e-6},
    ]

    entry = read(m={"tiered_pricing": steps})["acme", "m"]

    assert entry.price is not None
    assert (entry.price.input, entry.price.output) == (Decimal(1), Decimal(2))
    assert entry.price.at(32000) is entry.price
    assert entry.price.at(32001) == Price(input=Decimal(3), output=Decimal(4))


def test_a_tier_without_a_cached_price_does_not_inherit_the_cheaper_one() -> None:
    costs = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "cache_read_input_token_cost": 1e-7}

    entry = read(m={**costs, "input_cost_per_token_above_200k_tokens": 3e-6})["acme", "m"]

    assert entry.price is not None
    assert entry.price.at(200_001) == Price(input=Decimal(3), output=Decimal(2))


def test_reasoning_that_costs_more_than_other_output_sets_the_output_price() -> None:
    costs = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "output_cost_per_reasoning_token": 5e-6}

    entry = read(m=costs)["acme", "m"]

    assert entry.price == Price(input=Decimal(1), output=Decimal(5))
    assert entry.rates == {"reasoning": Decimal(5)}


def test_what_a_source_denies_is_told_from_what_it_leaves_open() -> None:
    entry = read(m={"supports_vision": False, "supports_function_calling": True})["acme", "m"]

    assert entry.capabilities == {"tools"}
    assert entry.lacks == {"images"}


def test_the_price_of_the_cross_check_is_the_one_that_has_begun() -> None:
    opinions = opine("""ModelInfo(id='m', match=ClauseEquals(equals='m'), prices=[
        ConditionalPrice(prices=ModelPrice(input_mtok=Decimal('9'))),
        ConditionalPrice(constraint=StartDateConstraint(start_date=datetime.date(2026, 11, 23)),
            prices=ModelPrice(input_mtok=TieredPrices(base=Decimal('1'), tiers=[Tier(start=100, price=Decimal('2'))]))),
        ConditionalPrice(constraint=StartDateConstraint(start_date=datetime.date(2027, 1, 1)),
            prices=ModelPrice(input_mtok=Decimal('7')))])""")

    opinion = opinions.of(("groq", "m"))

    assert opinion is not None
    entry = opinion.entry("genai-prices")
    assert entry.price is not None
    assert entry.price.at(100).input == Decimal(1)
    assert entry.price.at(101) == Price(input=Decimal(2))


def test_a_pattern_may_confirm_a_price_but_never_lists_a_name() -> None:
    opinions = opine("""ModelInfo(id='m', prices=ModelPrice(input_mtok=Decimal('1')),
        match=ClauseOr(or_=[ClauseEquals(equals='m'), ClauseStartsWith(starts_with='m-')]))""")

    assert opinions.of(("groq", "m-2026")) is not None
    assert opinions.of(("groq", "n")) is None
    assert [key for key, _ in opinions.listed()] == [("groq", "m")]


def test_a_pattern_knows_no_regional_price() -> None:
    opinions = opine(
        "ModelInfo(id='m', match=ClauseContains(contains='m'), prices=ModelPrice(input_mtok=Decimal('1')))"
    )

    assert opinions.of(("groq", "m")) is not None
    assert opinions.of(("groq", "eu-west-1/m")) is None
    assert opinions.of(("groq", "us-gov.m")) is None


def test_a_rule_that_nobody_knows_stops_the_making() -> None:
    opinions = opine("ModelInfo(id='m', match=ClauseOfTomorrow(tomorrow='m'))")

    with pytest.raises(ValueError, match="ClauseOfTomorrow"):
        opinions.of(("groq", "m"))


def test_the_cross_check_is_read_and_never_run() -> None:
    with pytest.raises(ValueError, match="malformed"):
        cross_check.read("providers: list[Provider] = [1 + exit()]", DAY)


def test_differences_are_shown_widest_first() -> None:
    near = Difference(("acme", "near"), "input", Decimal("1.00"), Decimal("1.02"))
    far = Difference(("acme", "far"), "output", Decimal(2), Decimal(1))

    lines = table([near, far]).splitlines()

    assert lines[0].split() == ["vendor", "name", "figure", "litellm", "genai-prices", "apart"]
    assert [line.split()[1] for line in lines[1:]] == ["far", "near"]
    assert lines[1].endswith("50.0 %")


def test_the_same_entries_are_the_same_bytes() -> None:
    listed = {("b", "x"): Entry(features=frozenset("yxz")), ("a", "y"): Entry(), ("a-b", "z"): Entry()}
    turned = dict(reversed(listed.items()))

    first, second = Table(listed, 0, [], 0).text(), Table(turned, 0, [], 0).text()

    assert first == second
    assert [line.partition(b"\t")[0] for line in first.splitlines()] == [b"#", b"a-b/z", b"a/y", b"b/x"]


def test_a_wheel_that_lies_there_is_read_only_with_the_pinned_sha256(tmp_path: Path) -> None:
    wheel = tmp_path / "acme_prices-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("prices.json", "{}")
    pinned = Source("acme-prices", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest(), "prices.json", "MIT")

    assert member(pinned, fetch(pinned, tmp_path)) == "{}"


def test_a_wheel_that_cannot_be_had_as_pinned_stops_the_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    other = tmp_path / "acme_prices-1.0-py3-none-any.whl"
    other.write_bytes(b"not the wheel that was pinned")

    with pytest.raises(Unverified, match=r"acme-prices 1\.0"):
        fetch(Source("acme-prices", "1.0", "0" * 64, "prices.json", "MIT"), tmp_path)
