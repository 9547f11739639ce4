"""Fields that the orders of several operations have, and how what people write in them is read."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from dirigent.core.errors import Invalid
from dirigent.core.usage import Money

__all__ = [
    "Amount",
    "Currency",
    "Duration",
    "Id",
    "Name",
    "Patterns",
    "Title",
    "Zone",
    "milliseconds",
    "money",
    "zoned",
]

_END = r"$(?!\n)"  # a pattern's end alone would let a line break pass
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_MOST = 2**63 - 1

Name = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[a-z0-9][a-z0-9._-]*{_END}",
        max_length=64,
        description="Lower-case letters, digits, points, dashes and underscores.",
    ),
]
Id = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9][A-Za-z0-9._-]*{_END}", max_length=64)]
Title = Annotated[str, msgspec.Meta(pattern=rf"^[^\x00-\x1f\x7f]*{_END}", max_length=200)]
Pattern = Annotated[str, msgspec.Meta(pattern=rf"^[^\x00-\x20\x7f]+{_END}", max_length=200)]
Patterns = Annotated[tuple[Pattern, ...], msgspec.Meta(max_length=1_000)]
Zone = Annotated[str, msgspec.Meta(max_length=64, description="An IANA time zone, such as `Europe/Berlin`.")]
Currency = Annotated[str, msgspec.Meta(pattern=rf"^[A-Z]{{3}}{_END}", description="An ISO 4217 code.")]
Amount = Annotated[
    str,
    msgspec.Meta(pattern=rf"^[0-9]{{1,10}}(\.[0-9]{{1,9}})?{_END}", description="An exact decimal, such as `5.00`."),
]
Duration = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[1-9][0-9]{{0,5}}[smhdw]{_END}", description="Such as `90s`, `15m`, `12h`, `30d` or `4w`."
    ),
]


def milliseconds(duration: str) -> int:
    """How long a duration such as `30d` is."""
    found = re.fullmatch(r"([0-9]+)([smhdw])", duration)
    if found is None:
        raise Invalid(f"{duration!r} is no duration such as 90s, 15m, 12h, 30d or 4w")
    return int(found[1]) * _UNITS[found[2]]


def money(amount: str, currency: str, field: str) -> int:
    """How many nano-units an amount is. Raises Invalid where no budget can be so large."""
    nano = Money.of(Decimal(amount), currency).nano
    if nano > _MOST:
        raise Invalid(f"{field}: {amount} {currency} is more than can be counted: 9 thousand million", param=field)
    return nano


def zoned(zone: str) -> str:
    """The zone, once it is known to exist. Raises Invalid."""
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise Invalid(f"zone: {zone!r} is no IANA time zone, such as Europe/Berlin", param="zone") from None
    return zone
