"""Numbers, money and dates as people write them, in German and in English; no table of the machine is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, NamedTuple

from dirigent.core.expression.functions import number as read_number
from dirigent.core.expression.values import DIGITS

__all__ = ["DATES", "LOCALES", "as_date", "as_money", "as_number", "as_percent", "moment_of", "number_of"]

_THIN: Final = "\N{NO-BREAK SPACE}"
_EXACT: Final = Context(prec=DIGITS * 2, rounding=ROUND_HALF_EVEN, traps=[])


class _Locale(NamedTuple):
    group: str
    point: str
    before: bool
    """Whether a currency's sign stands before the amount."""
    percent: str
    date: str


LOCALES: Final[Mapping[str, _Locale]] = {
    "en": _Locale(",", ".", before=True, percent="%", date="D MMMM YYYY"),
    "en-GB": _Locale(",", ".", before=True, percent="%", date="D MMMM YYYY"),
    "en-US": _Locale(",", ".", before=True, percent="%", date="MMMM D, YYYY"),
    "de": _Locale(".", ",", before=False, percent=f"{_THIN}%", date="D. MMMM YYYY"),
    "de-DE": _Locale(".", ",", before=False, percent=f"{_THIN}%", date="D. MMMM YYYY"),
    "de-AT": _Locale(".", ",", before=False, percent=f"{_THIN}%", date="D. MMMM YYYY"),
    "de-CH": _Locale("’", ".", before=True, percent="%", date="D. MMMM YYYY"),
}
"""The forms that are known."""
DATES: Final[Mapping[str, str]] = {
    **{name: locale.date for name, locale in LOCALES.items()},
    "de-short": "DD.MM.YYYY",
    "en-short": "DD/MM/YYYY",
    "us-short": "MM/DD/YYYY",
    "iso": "YYYY-MM-DD",
}
"""Names of date patterns."""
_SIGNS: Final = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}
_WITHOUT_CENTS: Final = frozenset({"JPY", "KRW", "VND", "CLP", "ISK"})
_MONTHS: Final = {
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
}
_DAYS: Final = {
    "en": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    "de": ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
}
_MARKS: Final = ("YYYY", "MMMM", "dddd", "MMM", "YY", "MM", "DD", "HH", "mm", "ss", "M", "D")


def number_of(value: object) -> int | Decimal | None:
    """The number that a value is, or that its text is in plain digits; None where it is none."""
    found = read_number(value)
    return found if type(found) is int or type(found) is Decimal else None


def as_number(value: int | Decimal, locale: str, digits: int | None) -> str:
    """`1,234.5` or `1.234,5`, with so many digits behind the point, or those that it has."""
    form = LOCALES[locale]
    number = _EXACT.create_decimal(value)
    if digits is not None:
        number = _EXACT.quantize(number, Decimal((0, (1,), -digits)))
    whole, _, rest = f"{abs(number):f}".partition(".")
    start = len(whole) % 3
    groups = [whole[:start]] if start else []
    groups += [whole[place : place + 3] for place in range(start, len(whole), 3)]
    text = form.group.join(groups) + (form.point + rest if rest else "")
    return f"-{text}" if number < 0 else text


def as_money(value: int | Decimal, currency: str, locale: str) -> str:
    """`€1,234.50` or `1.234,50 €`; the code stands where the currency has no sign of its own."""
    amount = as_number(value, locale, 0 if currency in _WITHOUT_CENTS else 2)
    sign = _SIGNS.get(currency)
    if not LOCALES[locale].before:
        return f"{amount}{_THIN}{sign or currency}"
    minus, bare = ("-", amount[1:]) if amount.startswith("-") else ("", amount)
    return f"{minus}{sign}{bare}" if sign is not None and locale != "de-CH" else f"{minus}{currency}{_THIN}{bare}"


def as_percent(value: int | Decimal, locale: str, digits: int | None) -> str:
    """`19%` or `19 %` of 0.19."""
    share = _EXACT.multiply(_EXACT.create_decimal(value), Decimal(100))
    if digits is None:
        share = share.normalize(_EXACT) if share else Decimal(0)
    return f"{as_number(share, locale, digits)}{LOCALES[locale].percent}"


def moment_of(value: object) -> datetime | date | None:
    """The date, or date and time, that a text in ISO 8601 or a number of seconds since 1970 says; else None."""
    try:
        if type(value) is str and 10 <= len(value) <= 40:
            return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        if type(value) in (int, Decimal):
            return datetime.fromtimestamp(int(value), UTC)  # type: ignore[call-overload]
    except (ValueError, OverflowError, OSError):
        return None
    return None


def as_date(moment: datetime | date, pattern: str, language: str) -> str:
    """The moment by a pattern of YYYY YY MMMM MMM MM M DD D dddd HH mm ss; all else stands as it is."""
    time = moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    month = _MONTHS[language][moment.month - 1]
    parts = {
        "YYYY": f"{moment.year:04d}",
        "YY": f"{moment.year % 100:02d}",
        "MMMM": month,
        "MMM": month[:3],
        "MM": f"{moment.month:02d}",
        "M": str(moment.month),
        "DD": f"{moment.day:02d}",
        "D": str(moment.day),
        "dddd": _DAYS[language][moment.weekday()],
        "HH": f"{time.hour:02d}",
        "mm": f"{time.minute:02d}",
        "ss": f"{time.second:02d}",
    }
    text, place = [], 0
    while place < len(pattern):
        mark = next((mark for mark in _MARKS if pattern.startswith(mark, place)), None)
        text.append(parts[mark] if mark is not None else pattern[place])
        place += len(mark) if mark is not None else 1
    return "".join(text)
