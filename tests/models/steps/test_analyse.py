"""Figures are computed, exact where they can be, and each of them can be checked by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.errors import Invalid
from dirigent.models.analysis import compared, grouped, outliers, periods, profiled, trend
from tests.models.steps.world import work

ROWS: list[dict[str, Any]] = [
    {"day": f"2026-{month:02}-15", "region": "Nord" if month % 2 else "Süd", "sales": Decimal(100 + 10 * month)}
    for month in range(1, 13)
]
numbers = some.lists(some.decimals(-(10**6), 10**6, places=2), min_size=1, max_size=30)


async def test_it_tells_columns_outliers_trend_comparison_and_groups() -> None:
    rows = [*ROWS, {"day": "2026-12-20", "region": None, "sales": Decimal(5000)}]

    found = await work(
        {"type": "analyse", "rows": "{{ orders.rows }}", "measures": ["sales"], "time": "day", "by": ["region"]},
        {"orders": {"rows": rows}},
    )

    kinds = {column["field"]: column["type"] for column in found["columns"]}
    assert kinds == {"day": "date", "region": "text", "sales": "number"}
    sales = found["measures"]["sales"]
    assert [(each["row"], each["value"], each["above"]) for each in sales["outliers"]] == [(12, 5000, True)]
    assert sales["periods"][0] == {"period": "2026-01", "sum": 110, "rows": 1}
    assert sales["compared"]["before"] == {
        "period": "2026-11",
        "sum": 210,
        "change": 5010,
        "share": Decimal("23.857143"),
    }
    assert [group["region"] for group in sales["groups"]["region"]] == ["", "Süd", "Nord"]


def test_a_line_is_found_where_there_is_one() -> None:
    found = trend(periods(ROWS, "day", "sales", "month"))

    assert found == {
        "slope": Decimal(10),
        "robust_slope": Decimal(10),
        "explained": Decimal(1),
        "direction": "rising",
        "relative": Decimal("0.060606"),
    }


def test_a_period_without_a_row_is_there_with_nothing() -> None:
    rows = [{"at": "2026-01-01", "n": 1}, {"at": "2026-03-31", "n": 2}]

    assert [each["sum"] for each in periods(rows, "at", "n", "month")] == [1, 0, 2]
    assert [each["period"] for each in periods(rows, "at", "n", "quarter")] == ["2026-Q1"]
    assert periods(rows, "at", "n", "week")[0]["period"] == "2026-W01"


def test_the_last_period_is_held_against_the_same_a_year_ago() -> None:
    rows = [{"at": f"{2025 + month // 12}-{month % 12 + 1:02}-01", "n": month + 1} for month in range(13)]

    found = compared(periods(rows, "at", "n", "month"), "month")

    assert found is not None
    assert found["year_ago"] == {"period": "2025-01", "sum": 1, "change": 12, "share": Decimal(12)}


@given(numbers)
def test_sums_are_exact_and_the_middle_lies_within(values: list[Decimal]) -> None:
    (column,) = profiled([{"v": value} for value in values])

    assert column["sum"] == sum(values)
    assert column["min"] <= column["median"] <= column["max"]


@given(numbers)
def test_shares_add_up_to_the_whole(values: list[Decimal]) -> None:
    rows = [{"g": index % 3, "v": value} for index, value in enumerate(values)]

    found = grouped(rows, "g", "v")

    assert sum(each["sum"] for each in found) == sum(values)
    assert sum(each["rows"] for each in found) == len(values)


@given(some.lists(some.none() | some.integers() | some.text(max_size=5) | some.booleans(), max_size=20))
def test_whatever_stands_in_a_column_it_has_figures(values: list[Any]) -> None:
    rows = [{"v": value} for value in values]

    profiled(rows)
    outliers(rows, "v")
    trend(periods(rows, "v", "v", "day"))


async def test_rows_that_are_none_are_refused() -> None:
    with pytest.raises(Invalid):
        await work({"type": "analyse", "rows": "{{ orders }}"}, {"orders": 5})
