"""The times that a line of cron names, in a time zone and across its summer time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from dirigent.core.errors import DirigentError, Invalid

try:
    from cronsim import CronSim, CronSimError
except ModuleNotFoundError:  # the extra `office` is not installed
    CronSim = None  # type: ignore[assignment, misc]

    class CronSimError(Exception):  # type: ignore[no-redef]
        """Stands for what cannot be raised."""


__all__ = ["following", "slots"]


def slots(cron: str, zone: str, after: int) -> Iterator[int]:
    """The times behind `after`, all in milliseconds since 1970, for as long as anybody asks.

    A time that summer time leaves out comes right after it; one that comes twice counts once, unless the line names
    each hour. Raises Invalid where it is no line of cron.
    """
    if CronSim is None:
        raise DirigentError("schedules need the extra `dirigent[office]`, which is not installed")
    begin = datetime.fromtimestamp(after / 1000, ZoneInfo(zone))
    try:
        found = CronSim(cron, begin)
    except (CronSimError, ValueError) as fault:
        raise Invalid(f"cron: {cron!r} names no times: {fault}", param="cron") from None
    for moment in found:
        yield int(moment.timestamp() * 1000)


def following(cron: str, zone: str, after: int) -> int | None:
    """The first of them; None where there is none within the next decades."""
    return next(slots(cron, zone, after), None)
