"""Windows of minutes to months, in zones whose clocks jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirigent.core.windows import Span, Window, span_at, zone_of

ZONES = sorted(available_timezones() - {"localtime"})
KINDS: list[Any] = ["minute", "hour", "day", "week", "month"]


def instant(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def spoken(span: Span, zone: str = "UTC") -> tuple[str, str]:
    assert span.ends is not None
    starts, ends = (datetime.fromtimestamp(each / 1000, ZoneInfo(zone)) for each in (span.starts, span.ends))
    return f"{starts:%Y-%m-%d %H:%M}", f"{ends:%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("window", "starts", "ends"),
    [
        ("minute", "2026-11-24 13:45", "2026-11-24 13:46"),
        ("hour", "2026-11-24 13:00", "2026-11-24 14:00"),
        ("day", "2026-11-24 00:00", "2026-11-25 00:00"),
        ("week", "2026-11-23 00:00", "2026-11-30 00:00"),
        ("month", "2026-11-01 00:00", "2026-12-01 00:00"),
    ],
)
def test_a_window_is_that_of_the_clock_and_calendar_of_its_zone(window: Window, starts: str, ends: str) -> None:
    now = instant("2026-11-24 13:45:59.999", "Europe/Berlin")

    assert spoken(span_at(window, "Europe/Berlin", now), "Europe/Berlin") == (starts, ends)


def test_a_total_never_ends() -> None:
    assert span_at("total", "Asia/Tokyo", 1e9) == Span(0, None)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29 12:00", 23), ("2026-10-25 12:00", 25), ("2026-10-26 00:00", 24)]
)
def test_a_day_on_which_the_clocks_change_is_one_day(day: str, hours: int) -> None:
    span = span_at("day", "Europe/Berlin", instant(day, "Europe/Berlin"))

    assert span.ends is not None
    assert span.ends - span.starts == hours * 3_600_000


def test_a_day_that_has_no_midnight_begins_when_the_clocks_are_put_forward() -> None:
    # in Cairo, the clocks went from 24:00 to 01:00 in the night to the 26th of April 2024
    span = span_at("day", "Africa/Cairo", instant("2024-04-26 13:00", "Africa/Cairo"))

    assert spoken(span, "Africa/Cairo") == ("2024-04-26 01:00", "2024-04-27 00:00")


def test_a_day_that_a_zone_left_out_has_no_window() -> None:
    # Samoa went from Thursday the 29th of December 2011 to Saturday the 31st
    before = span_at("day", "Pacific/Apia", instant("2011-12-29 23:59", "Pacific/Apia"))
    after = span_at("day", "Pacific/Apia", instant("2011-12-31 00:00", "Pacific/Apia"))

    assert before.ends == after.starts
    assert spoken(after, "Pacific/Apia")[0] == "2011-12-31 00:00"


def test_a_month_ends_where_the_next_begins() -> None:
    february = span_at("month", "America/New_York", instant("2028-02-29 23:59:59", "America/New_York"))

    assert spoken(february, "America/New_York") == ("2028-02-01 00:00", "2028-03-01 00:00")


def test_a_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="'Europe/Nowhere' is no time zone"):
        zone_of("Europe/Nowhere")
    with pytest.raises(ValueError, match="is no time zone"):
        zone_of("../../etc/passwd")


@given(
    window=st.sampled_from(KINDS),
    zone=st.sampled_from(ZONES),
    now=st.floats(instant("1971-01-01 00:00"), instant("2037-01-01 00:00")),
)
def test_every_instant_lies_in_its_window_and_the_next_begins_where_it_ends(
    window: Window, zone: str, now: float
) -> None:
    span = span_at(window, zone, now)

    assert span.ends is not None
    assert span.starts <= now * 1000 < span.ends
    assert span_at(window, zone, span.ends / 1000 - 0.001).ends == span.ends
    if window not in {"minute", "hour"}:
        assert span_at(window, zone, span.starts / 1000) == span
        assert span_at(window, zone, span.ends / 1000).starts == span.ends


@given(zone=st.sampled_from(ZONES), day=st.datetimes(datetime(1972, 1, 1), datetime(2036, 1, 1)))  # noqa: DTZ001
def test_a_day_begins_with_the_first_second_that_bears_its_date(zone: str, day: datetime) -> None:
    place = ZoneInfo(zone)
    span = span_at("day", zone, day.replace(tzinfo=place).timestamp())

    first = datetime.fromtimestamp(span.starts / 1000, UTC)
    hours = [(first + timedelta(hours=each)).astimezone(place) for each in (-25, 25)]
    before = (first - timedelta(seconds=1)).astimezone(place)
    begun = first.astimezone(place)

    assert begun.date() > before.date()
    assert (begun.hour, begun.minute) == (0, 0) or hours[0].utcoffset() != hours[1].utcoffset()
