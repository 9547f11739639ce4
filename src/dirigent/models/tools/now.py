"""What time it is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dirigent.core.errors import Finding
from dirigent.core.journal import Effect
from dirigent.core.run import Run
from dirigent.models.tools.tool import Tool

__all__ = ["Now"]


class Now(Tool, frozen=True):
    """Tell the present date and time."""

    effect: ClassVar[Effect] = "idempotent"

    zone: str = "UTC"
    """An IANA time zone, such as `Europe/Berlin`."""

    async def call(self, arguments: Any, run: Run) -> Any:
        """Date, time, both in ISO 8601, the day of the week in English, and seconds since 1970."""
        moment = datetime.now(ZoneInfo(self.zone))
        return {
            "date": moment.date().isoformat(),
            "time": moment.strftime("%H:%M:%S"),
            "iso": moment.isoformat(timespec="seconds"),
            "weekday": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[moment.weekday()],
            "seconds": int(moment.timestamp()),
        }

    def faults(self) -> Iterable[Finding]:
        """A time zone that nobody knows."""
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            yield Finding(("zone",), f"there is no time zone {self.zone!r}; one is called such as 'Europe/Berlin'")
