"""Whiles, as people write them: `90s`, `15m`, `36h`, `3d`, `2w`, or plain seconds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from dirigent.core.errors import Finding, Invalid

__all__ = ["fixed", "seconds_of", "span_faults"]

_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw]?)\s*")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_LONGEST = 31_536_000.0
"""Seconds that people have at most: a year."""


def seconds_of(span: str | float) -> float:
    """How many seconds a while is. Raises Invalid where it is none."""
    if isinstance(span, float | int):
        return float(span)
    found = _SPAN.fullmatch(span)
    if found is None:
        raise Invalid(f"{span!r} is no while such as 90s, 15m, 36h, 3d or 2w")
    return float(Decimal(found[1]) * _UNITS[found[2]])


def fixed(span: str | float | None) -> float | None:
    """Seconds of a while that is the same in every run; None where a template gives it, or it is none."""
    if span is None or (isinstance(span, str) and "{{" in span):
        return None
    try:
        return seconds_of(span)
    except Invalid:
        return None


def span_faults(span: str | float | None, field: tuple[str, ...]) -> Iterable[Finding]:
    """What is wrong with a while that somebody has, as far as it can be told before there is a run."""
    if span is None or (isinstance(span, str) and "{{" in span):
        return
    try:
        seconds = seconds_of(span)
    except Invalid as error:
        yield Finding(field, error.message)
        return
    if not 0 < seconds <= _LONGEST:
        yield Finding(field, "longer than nothing, and a year at most")
