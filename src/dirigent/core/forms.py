"""Numbers, money, shares and dates as people write them, in German and in English."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Literal

__all__ = ["Language", "day", "figure", "moment", "money", "month", "percent", "written_decimal"]

Language = Literal["de", "en"]

_MINUS = "−"
_GAP = "\u00a0"
_UNSEEN = re.compile("[\u00a0\u202f ']")
_SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}
_MONTHS = {
    "de": [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    "en": [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
}
_SHORT = {
    "de": ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."],
    "en": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
}
_MOST_DECIMALS = 9


def figure(value: Decimal | float, language: Language, decimals: int | None = None) -> str:
    """A number with grouped thousands, `1.234,5` or `1,234.5`, rounded half up; without `decimals` it keeps its own."""
    number = _exact(value)
    if decimals is None:
        decimals = min(_MOST_DECIMALS, max(0, -_exponent(number.normalize())))
    rounded = number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    text = f"{abs(rounded):,.{decimals}f}"
    if language == "de":
        text = text.translate(str.maketrans(",.", ".,"))
    return f"{_MINUS}{text}" if rounded < 0 else text


def money(value: Decimal | float, language: Language, currency: str = "EUR", decimals: int | None = 2) -> str:
    """An amount: `1.234,50 €` or `€1,234.50`; a currency without a sign of its own by its code."""
    amount = figure(value, language, decimals)
    sign = _SIGNS.get(currency, currency)
    if language == "de":
        return f"{amount}{_GAP}{sign}"
    before = sign if currency in _SIGNS else f"{sign}{_GAP}"
    return f"{_MINUS}{before}{amount[1:]}" if amount.startswith(_MINUS) else f"{before}{amount}"


def percent(value: Decimal | float, language: Language, decimals: int | None = 1) -> str:
    """A share: 0.125 is `12,5 %` or `12.5%`."""
    shown = figure(_exact(value) * 100, language, decimals)
    return f"{shown}{_GAP}%" if language == "de" else f"{shown}%"


def day(value: date, language: Language, *, long: bool = False) -> str:
    """A date: `30.11.2026` or `30 Nov 2026`; long, `30. November 2026` or `30 November 2026`."""
    if long:
        dot = "." if language == "de" else ""
        return f"{value.day}{dot}{_GAP}{_MONTHS[language][value.month - 1]} {value.year}"
    if language == "de":
        return f"{value.day:02}.{value.month:02}.{value.year:04}"
    return f"{value.day}{_GAP}{_SHORT['en'][value.month - 1]}{_GAP}{value.year}"


def moment(value: datetime, language: Language) -> str:
    """A date with its time: `30.11.2026, 14:05` or `30 Nov 2026, 14:05`."""
    return f"{day(value, language)}, {value:%H:%M}"


def month(value: date, language: Language) -> str:
    """A month: `Nov. 2026` or `Nov 2026`."""
    return f"{_SHORT[language][value.month - 1]}{_GAP}{value.year}"


def written_decimal(text: str, language: Language) -> Decimal | None:
    """The number that a text is in that language, with or without grouping and currency; None where it is none."""
    bare = _UNSEEN.sub("", text.strip()).replace(_MINUS, "-")
    for sign in (*_SIGNS.values(), *_SIGNS, "%"):
        bare = bare.replace(sign, "")
    group, point = (".", ",") if language == "de" else (",", ".")
    whole, _, _ = bare.partition(point)
    parts = whole.lstrip("-").split(group)
    if len(parts) > 1 and (len(parts[0]) > 3 or any(len(part) != 3 for part in parts[1:])):
        return None
    try:
        number = Decimal(bare.replace(group, "").replace(point, "."))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _exact(value: Decimal | float) -> Decimal:
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{value} is no number that can be written")
    return number


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0
