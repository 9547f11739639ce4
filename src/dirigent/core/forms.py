"""Numbers, money, shares and dates as people write them, in German and in English; no table of the machine is asked.

Whoever writes a figure does it here, and rounds it half up, as people do with money: templates, which keep to the signs
of a keyboard and know the forms of several countries, and documents, which are typeset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Final, Literal, NamedTuple

__all__ = [
    "DATES",
    "LOCALES",
    "Language",
    "as_date",
    "as_money",
    "as_number",
    "as_percent",
    "day",
    "figure",
    "moment",
    "moment_of",
    "money",
    "month",
    "percent",
    "written_decimal",
]

Language = Literal["de", "en"]

_MINUS: Final = "−"
_GAP: Final = "\N{NO-BREAK SPACE}"
_EXACT: Final = Context(prec=120, rounding=ROUND_HALF_UP, traps=[])
"""Digits enough for any number that an expression has, and for its share in hundredths."""
_MOST_DECIMALS: Final = 9
_UNSEEN: Final = re.compile("[\u00a0\u202f ']")


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
    "de": _Locale(".", ",", before=False, percent=f"{_GAP}%", date="D. MMMM YYYY"),
    "de-DE": _Locale(".", ",", before=False, percent=f"{_GAP}%", date="D. MMMM YYYY"),
    "de-AT": _Locale(".", ",", before=False, percent=f"{_GAP}%", date="D. MMMM YYYY"),
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
_SHORT: Final = {
    "de": ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."],
    "en": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
}
_DAYS: Final = {
    "en": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    "de": ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
}
_MARKS: Final = ("YYYY", "MMMM", "dddd", "MMM", "YY", "MM", "DD", "HH", "mm", "ss", "M", "D")


# --- with the signs of a keyboard, in the forms of a country ----------------------------------------------------------


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
    return _priced(value, currency, locale, 0 if currency in _WITHOUT_CENTS else 2)


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


def as_date(when: datetime | date, pattern: str, language: str) -> str:
    """The moment by a pattern of YYYY YY MMMM MMM MM M DD D dddd HH mm ss; all else stands as it is."""
    time = when if isinstance(when, datetime) else datetime(when.year, when.month, when.day, tzinfo=UTC)
    name = _MONTHS[language][when.month - 1]
    parts = {
        "YYYY": f"{when.year:04d}",
        "YY": f"{when.year % 100:02d}",
        "MMMM": name,
        "MMM": name[:3],
        "MM": f"{when.month:02d}",
        "M": str(when.month),
        "DD": f"{when.day:02d}",
        "D": str(when.day),
        "dddd": _DAYS[language][when.weekday()],
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


def _priced(value: int | Decimal, currency: str, locale: str, digits: int | None) -> str:
    amount = as_number(value, locale, digits)
    sign = _SIGNS.get(currency)
    if not LOCALES[locale].before:
        return f"{amount}{_GAP}{sign or currency}"
    minus, bare = ("-", amount[1:]) if amount.startswith("-") else ("", amount)
    return f"{minus}{sign}{bare}" if sign is not None and locale != "de-CH" else f"{minus}{currency}{_GAP}{bare}"


# --- typeset ----------------------------------------------------------------------------------------------------------


def figure(value: Decimal | float, language: Language, decimals: int | None = None) -> str:
    """A number with grouped thousands, `1.234,5` or `1,234.5`; without `decimals` it keeps its own, nine at most."""
    number = _exact(value)
    return _typeset(as_number(number, language, _own(number) if decimals is None else decimals))


def money(value: Decimal | float, language: Language, currency: str = "EUR", decimals: int | None = 2) -> str:
    """An amount: `1.234,50 €` or `€1,234.50`; a currency without a sign of its own by its code."""
    number = _exact(value)
    return _typeset(_priced(number, currency, language, _own(number) if decimals is None else decimals))


def percent(value: Decimal | float, language: Language, decimals: int | None = 1) -> str:
    """A share: 0.125 is `12,5 %` or `12.5%`."""
    number = _exact(value)
    return _typeset(as_percent(number, language, max(0, _own(number, 2) - 2) if decimals is None else decimals))


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


def _own(number: Decimal, more: int = 0) -> int:
    """How many digits it has behind the point, the zeros at its end aside."""
    exponent = number.normalize(_EXACT).as_tuple().exponent
    return min(_MOST_DECIMALS + more, max(0, -exponent)) if isinstance(exponent, int) else 0


def _typeset(text: str) -> str:
    return text.replace("-", _MINUS, 1)
