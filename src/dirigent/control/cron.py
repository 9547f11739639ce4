"""The times that a line of cron names, in a time zone and across its summer time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from zoneinfo import ZoneInfo

from dirigent.core.errors import DirigentError, Invalid

__all__ = ["following", "slots"]


def slots(cron: str, zone: str, after: int) -> Iterator[int]:
    """The times behind `after`, all in milliseconds since 1970, for as long as anybody asks.

    A time that summer time leaves out comes right after it; one that comes twice counts once, unless the line names
    each hour. Raises Invalid where it is no line of cron.
    """
    if find_spec("cronsim") is None:
        raise DirigentError("schedules need the extra `dirigent[office]`, which is not installed")
    cronsim = import_module("cronsim")  # of an extra, and never needed where nothing is scheduled
    begin = datetime.fromtimestamp(after / 1000, ZoneInfo(zone))
    try:
        found = cronsim.CronSim(cron, begin)
    except (cronsim.CronSimError, ValueError) as fault:
        raise Invalid(f"cron: {cron!r} names no times: {fault}", param="cron") from None
    for moment in found:
        yield int(moment.timestamp() * 1000)


def following(cron: str, zone: str, after: int) -> int | None:
    """The first of them; None where there is none within the next decades."""
    return next(slots(cron, zone, after), None)
