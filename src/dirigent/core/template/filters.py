"""The filters of templates.

Each is total: what it can make nothing of it leaves as it is, and it builds nothing that is longer than a template may
become.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from dirigent.core.expression import ABSENT
from dirigent.core.expression.functions import number as read_number
from dirigent.core.forms import DATES, LOCALES, as_date, as_money, as_number, as_percent, moment_of
from dirigent.core.template.plain import LONGEST, bounded, plain, shown, too_long

__all__ = ["FILTERS", "Filter"]


class Filter(NamedTuple):
    """One filter: what it does, how many values it may be given, and which texts each of these may be."""

    apply: Callable[..., object]
    fewest: int = 0
    most: int = 0
    choices: Mapping[int, frozenset[str]] = MappingProxyType({})
    """By place; what is not written out is not known before, and one that is none of them counts as the first."""


_JSON: Final = msgspec.json.Encoder(decimal_format="number")
_MOST_DIGITS: Final = 20
_LANGUAGES: Final = frozenset(LOCALES)
_WAYS_TO_DATE: Final = re.compile("Y|M|D|d|H|m")
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"})
_NOT_IN_SLUG: Final = re.compile(r"[^a-z0-9]+")
_LONGEST_SLUG: Final = 80


def _json(value: object, indent: object = 0) -> object:
    spaces = indent if type(indent) is int and 0 < indent <= 8 else 0
    data = _JSON.encode(plain(value))
    return bounded((msgspec.json.format(data, indent=spaces) if spaces else data).decode())


def _upper(value: object) -> object:
    return bounded(shown(value).upper())


def _lower(value: object) -> object:
    return bounded(shown(value).lower())


def _trim(value: object) -> object:
    return shown(value).strip()


def _truncate(value: object, length: object, end: object = "…") -> object:
    text, mark = shown(value), shown(end)
    if type(length) is not int or length < 0 or len(text) <= length:
        return text
    kept = text[: max(0, length - len(mark))]
    if text[len(kept) : len(kept) + 1].isalnum() and " " in kept:
        kept = kept[: kept.rindex(" ")]  # no half words
    return f"{kept.rstrip()}{mark}"[: max(length, 0)]


def _default(value: object, other: object) -> object:
    return other if value is ABSENT or value is None or value == "" else value


def _join(value: object, between: object = ", ") -> object:
    return _joined(_items(value), shown(between))


def _split(value: object, at: object = ",") -> object:
    mark = shown(at)
    return tuple(part.strip() for part in shown(value).split(mark)) if mark else value


def _bullets(value: object) -> object:
    return _joined([f"- {_indented(item, '  ')}" for item in _items(value)], "\n")


def _numbered(value: object) -> object:
    return _joined([f"{place}. {_indented(item, '   ')}" for place, item in enumerate(_items(value), 1)], "\n")


def _lines(value: object) -> object:
    return _joined(_items(value), "\n") if type(value) in (list, tuple) else tuple(shown(value).splitlines())


def _first(value: object) -> object:
    return (value[0] if value else ABSENT) if type(value) in (list, tuple) else value  # type: ignore[index]


def _last(value: object) -> object:
    return (value[-1] if value else ABSENT) if type(value) in (list, tuple) else value  # type: ignore[index]


def _csv(value: object, columns: object = ABSENT, between: object = ",") -> object:
    mark = shown(between)[:1] or ","
    rows = _rows(value, columns, columns)
    return (
        value if rows is None else _joined([mark.join(_cell_of_csv(cell, mark) for cell in row) for row in rows], "\n")
    )


def _table(value: object, columns: object = ABSENT, heads: object = ABSENT) -> object:
    rows = _rows(value, columns, heads)
    if rows is None:
        return value
    lines = ["| " + " | ".join(_cell_of_table(cell) for cell in row) + " |" for row in rows]
    return _joined([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]], "\n")


def _number(value: object, locale: object = "en", digits: object = ABSENT) -> object:
    found = _number_of(value)
    return value if found is None else as_number(found, _locale(locale), _digits(digits))


def _money(value: object, currency: object = "EUR", locale: object = "en") -> object:
    found = _number_of(value)
    return value if found is None else as_money(found, shown(currency)[:8] or "EUR", _locale(locale))


def _percent(value: object, locale: object = "en", digits: object = ABSENT) -> object:
    found = _number_of(value)
    return value if found is None else as_percent(found, _locale(locale), _digits(digits))


def _date(value: object, form: object = "en", language: object = ABSENT) -> object:
    moment, name = moment_of(value), shown(form)[:80]
    if moment is None:
        return value
    pattern = DATES.get(name, name if _WAYS_TO_DATE.search(name) else DATES["en"])
    tongue = (shown(language) if language is not ABSENT else name)[:2]
    return as_date(moment, pattern, tongue if tongue in ("de", "en") else "en")


def _number_of(value: object) -> int | Decimal | None:
    """The number that a value is, or that its text is in plain digits; None where it is none."""
    found = read_number(value)
    return found if type(found) is int or type(found) is Decimal else None


def _slug(value: object) -> object:
    bare = unicodedata.normalize("NFKD", shown(value)[:1_000].translate(_UMLAUTS)).encode("ascii", "ignore").decode()
    return _NOT_IN_SLUG.sub("-", bare.lower()).strip("-")[:_LONGEST_SLUG].rstrip("-")


def _replace(value: object, old: object, new: object = "") -> object:
    text, sought, put = shown(value), shown(old), shown(new)
    if not sought:
        return text
    if len(text) + text.count(sought) * (len(put) - len(sought)) > LONGEST:
        raise too_long()
    return text.replace(sought, put)


def _indent(value: object, spaces: object = 2) -> object:
    text = shown(value)
    blank = " " * (spaces if type(spaces) is int and 0 <= spaces <= 40 else 2)
    if len(text) + (text.count("\n") + 1) * len(blank) > LONGEST:
        raise too_long()
    return "\n".join(f"{blank}{line}" if line else line for line in text.split("\n"))


def _quote(value: object) -> object:
    text = shown(value)
    if len(text) + 2 * (text.count("\n") + 1) > LONGEST:
        raise too_long()
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _escape(value: object) -> object:
    text = shown(value)
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = bounded(text.replace(sign, written))
    return text


def _keys(value: object) -> object:
    return tuple(value) if type(value) is dict else value


def _values(value: object) -> object:
    return tuple(value.values()) if type(value) is dict else value


_LOCALE_FIRST: Final = MappingProxyType({0: _LANGUAGES})
FILTERS: Final[Mapping[str, Filter]] = MappingProxyType(
    {
        "bullets": Filter(_bullets),
        "csv": Filter(_csv, 0, 2),
        "date": Filter(_date, 0, 2, MappingProxyType({1: frozenset({"de", "en"})})),
        "default": Filter(_default, 1, 1),
        "escape": Filter(_escape),
        "first": Filter(_first),
        "indent": Filter(_indent, 0, 1),
        "join": Filter(_join, 0, 1),
        "json": Filter(_json, 0, 1),
        "keys": Filter(_keys),
        "last": Filter(_last),
        "lines": Filter(_lines),
        "lower": Filter(_lower),
        "money": Filter(_money, 0, 2, MappingProxyType({1: _LANGUAGES})),
        "number": Filter(_number, 0, 2, _LOCALE_FIRST),
        "numbered": Filter(_numbered),
        "percent": Filter(_percent, 0, 2, _LOCALE_FIRST),
        "quote": Filter(_quote),
        "replace": Filter(_replace, 1, 2),
        "slug": Filter(_slug),
        "split": Filter(_split, 0, 1),
        "table": Filter(_table, 0, 2),
        "trim": Filter(_trim),
        "truncate": Filter(_truncate, 1, 2),
        "upper": Filter(_upper),
        "values": Filter(_values),
    }
)
"""Every filter by its name."""


def _items(value: object) -> Sequence[str]:
    """The elements of a list as texts; one of its own where it is none, and none where it is not there."""
    if value is ABSENT or value is None:
        return ()
    if type(value) not in (list, tuple):
        return (shown(value),)
    size, items = 0, []
    for each in value:  # type: ignore[attr-defined]
        items.append(text := shown(plain(each)))
        size += len(text) + 1
        if size > LONGEST:
            raise too_long()
    return items


def _joined(items: Sequence[str], between: str) -> str:
    if sum(map(len, items)) + len(between) * max(0, len(items) - 1) > LONGEST:
        raise too_long()
    return between.join(items)


def _indented(item: str, blank: str) -> str:
    return item.replace("\n", f"\n{blank}")


def _rows(value: object, columns: object, heads: object) -> list[list[str]] | None:
    """A list of objects, or of lists, as rows under their heads; None where it is none."""
    if type(value) not in (list, tuple):
        return None
    data = plain(value)
    if not data or not all(isinstance(row, dict | list) for row in data):
        return None
    if isinstance(data[0], list):
        body = [[shown(cell) for cell in row] if isinstance(row, list) else [shown(row)] for row in data]
        first = _names(heads)
        return [list(first), *body] if first else body
    names = _names(columns) or tuple(dict.fromkeys(name for row in data if isinstance(row, dict) for name in row))
    if not names or len(names) * len(data) > LONGEST:
        return None
    shown_heads = _names(heads)
    first = shown_heads if len(shown_heads) == len(names) else names
    return [list(first), *([_field(row, name) for name in names] for row in data)]


def _field(row: Any, name: str) -> str:
    return shown(row.get(name)) if isinstance(row, dict) else ""


def _names(value: object) -> tuple[str, ...]:
    if type(value) is str:
        return tuple(part.strip() for part in value.split(","))
    return tuple(shown(each) for each in value) if isinstance(value, list | tuple) else ()


def _cell_of_csv(cell: str, mark: str) -> str:
    special = mark in cell or '"' in cell or "\n" in cell or "\r" in cell
    return '"' + cell.replace('"', '""') + '"' if special else cell


def _cell_of_table(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")


def _locale(value: object) -> str:
    return value if type(value) is str and value in LOCALES else "en"


def _digits(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_DIGITS else None


def known(names: Iterable[str]) -> str:
    """Names in order, for words about what there is."""
    return ", ".join(sorted(names))
