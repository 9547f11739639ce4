"""Calendar windows in a time zone: when the present minute, hour, day, week or month began, and when it ends.

Every instant lies in exactly one window, whatever the clocks of the zone do: a day of 23 or 25 hours is one day, and a
day that a zone left out has none.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["Span", "Window", "span_at", "zone_of"]

Window = Literal["minute", "hour", "day", "week", "month", "total", "run"]
"""Each run counts for itself under `run`, from its beginning to its end."""
_SECONDS = {"minute": 60, "hour": 3600}


class Span(NamedTuple):
    """From when to when a window lasts, in milliseconds since 1970; what never ends began at 0."""

    starts: int
    ends: int | None


def zone_of(name: str) -> ZoneInfo:
    """The time zone of this IANA name. Raises ValueError where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone, such as Europe/Berlin or UTC") from None


def span_at(window: Window, zone: str, now: float) -> Span:
    """The window that the instant `now`, in seconds since 1970, lies in. Raises ValueError where the zone is none."""
    if window in {"total", "run"}:
        return Span(0, None)
    place = zone_of(zone)
    if window in _SECONDS:
        return _round_hour(_SECONDS[window], place, now)
    present = datetime.fromtimestamp(now, place).date()
    first = _first_day(window, present)
    starts, ends = _midnight(place, first), _midnight(place, _next_first(window, first))
    while now < starts:  # clocks that go back over midnight show tomorrow's date for a while, and then today's again
        first = _first_day(window, first - timedelta(days=1))
        starts, ends = _midnight(place, first), starts
    while now >= ends:
        first = _next_first(window, first)
        starts, ends = ends, _midnight(place, _next_first(window, first))
    return Span(starts * 1000, ends * 1000)


def _round_hour(length: int, place: ZoneInfo, now: float) -> Span:
    """Minutes and hours as a clock on the wall shows them: zones differ by quarters of an hour."""
    second = int(now // 1)
    offset = _offset(place, second)
    starts = (second + offset) // length * length - offset
    return Span(starts * 1000, (starts + length) * 1000)


def _first_day(window: Window, day: date) -> date:
    if window == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if window == "week" else day


def _next_first(window: Window, first: date) -> date:
    if window == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if window == "week" else 1)


@lru_cache(4096)
def _midnight(place: ZoneInfo, day: date) -> int:
    """The first second of a day in a zone, since 1970."""
    before, after = (
        int(datetime(day.year, day.month, day.day, tzinfo=place, fold=fold).timestamp()) for fold in (0, 1)
    )
    if before <= after:
        return before  # where midnight comes twice, the day begins with the first
    low, high = after, before  # there is no such midnight: the day begins when the clocks have been put forward
    settled = _offset(place, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(place, middle) == settled else (middle, high)
    return high


def _offset(place: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, UTC).astimezone(place).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0
