"""The run waits for a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from time import time
from typing import Any, ClassVar

import msgspec

from dirigent.core.errors import Finding, Invalid
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.models.filling import template_faults
from dirigent.models.spans import seconds_of
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Wait"]


class Wait(Step, frozen=True, kw_only=True):
    """Wait until a time, or for a while. A waiting run is nothing but a row; it goes on after any restart.

    The result is the time at which it went on, in ISO 8601.
    """

    effect: ClassVar[Effect] = "pure"

    until: str | None = None
    """A template: a date or time in ISO 8601, such as `2026-11-30T08:00:00+01:00`; without a zone it is UTC."""
    span: str | float | None = msgspec.field(default=None, name="for")
    """Seconds, or a template such as `90s`, `15m`, `36h`, `3d`, `2w`."""

    async def work(self, place: Place) -> Any:
        """The time at which the run goes on."""
        if self.until is not None:
            until = _moment(place.text(self.until))
        else:
            until = time() + seconds_of(
                self.span if isinstance(self.span, float | int) else place.text(self.span or "")
            )
        await place.sleep(until)
        return datetime.fromtimestamp(max(until, 0.0), UTC).isoformat(timespec="seconds")

    def waits(self) -> bool:
        """It does nothing else."""
        return True

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its templates, and that there is one time."""
        yield from template_faults(self.until, names, ("until",))
        yield from template_faults(self.span, names, ("for",))
        if (self.until is None) == (self.span is None):
            yield Finding((), "either `until` a time or `for` a while")
        for field, text, read in (("until", self.until, _moment), ("for", self.span, seconds_of)):
            if isinstance(text, str) and "{{" not in text:
                try:
                    read(text)
                except Invalid as error:
                    yield Finding((field,), error.message)


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Invalid(f"{text!r} is no date or time in ISO 8601") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
