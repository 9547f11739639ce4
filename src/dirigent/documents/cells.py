"""What stands in the cells of a table of data: each value as its column shows it, sums included."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from dirigent.core.documents import Column, Form, Grid
from dirigent.core.forms import Language, day, figure, moment, money, month, percent

__all__ = ["Cells", "cells_of", "dated", "exact", "shown", "worded"]

_GUESSED = 200
"""Rows that are looked at to find out what a column holds."""
_MOST_COLUMNS = 60
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*")
_MONTH = re.compile(r"\d{4}-\d{2}")
_TOTAL = {"de": "Summe", "en": "Total"}


class Cells(msgspec.Struct, frozen=True):
    """A table as it is read: its columns with their forms found out, its head, its rows, and the line of sums."""

    columns: tuple[Column, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    totals: tuple[str, ...] | None
    right: tuple[bool, ...]
    """Which columns stand to the right."""


def cells_of(grid: Grid, language: Language) -> Cells:
    """The table in that language."""
    columns = columns_of(grid)
    rows = tuple(tuple(shown(row.get(column.field), column, language) for column in columns) for row in grid.rows)
    totals = None
    if any(column.total for column in columns):
        sums = [_sum(grid, column, language) if column.total else "" for column in columns]
        if not sums[0]:
            sums[0] = _TOTAL[language]
        totals = tuple(sums)
    elif grid.last_is_sum and rows:
        *above, totals = rows
        rows = tuple(above)
    right = tuple(column.form in ("integer", "number", "money", "percent") for column in columns)
    return Cells(columns, tuple(_title(column) for column in columns), rows, totals, right)


def columns_of(grid: Grid) -> tuple[Column, ...]:
    """The columns, each with a form: as it was asked for, else found out from the values."""
    named = grid.columns or tuple(Column(field) for field in _fields(grid))
    return tuple(
        column if column.form else msgspec.structs.replace(column, form=_guessed(grid, column.field))
        for column in named
    )


def shown(value: object, column: Column, language: Language) -> str:
    """A value as its column shows it; a value that is none of that form as it is."""
    if value is None:
        return ""
    form, number = column.form, exact(value)
    if number is not None and form in ("integer", "number", "money", "percent"):
        match form:
            case "integer":
                return figure(number, language, 0)
            case "money":
                return money(number, language, column.currency, 2 if column.decimals is None else column.decimals)
            case "percent":
                return percent(number, language, 1 if column.decimals is None else column.decimals)
            case _:
                return figure(number, language, column.decimals)
    if form in ("date", "time", "month") and (moment_of := dated(value)) is not None:
        if form == "month":
            return month(moment_of, language)
        if form == "time" and isinstance(moment_of, datetime):
            return moment(moment_of, language)
        return day(moment_of, language)
    return worded(value, language)


def worded(value: object, language: Language) -> str:
    """A value of which nobody has said what it is."""
    match value:
        case None:
            return ""
        case bool():
            return {"de": ("nein", "ja"), "en": ("no", "yes")}[language][value]
        case int() | float() | Decimal():
            return figure(value, language)
        case str():
            found = dated(value)
            if isinstance(found, datetime):
                return moment(found, language)
            return value if found is None else day(found, language)
        case list() | tuple():
            return ", ".join(worded(item, language) for item in value)
        case _:
            return msgspec.json.encode(value).decode()


def exact(value: object) -> Decimal | None:
    """The number that a value is; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        number = Decimal(value)
    elif isinstance(value, float | str):
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            return None
    else:
        return None
    return number if number.is_finite() else None


def dated(value: object) -> date | None:
    """The date or moment that a value is, as ISO 8601 writes it; None where it is none."""
    if isinstance(value, date):
        return value
    if not isinstance(value, str):
        return None
    try:
        if _DAY.fullmatch(value):
            return date.fromisoformat(value)
        if _MONTH.fullmatch(value):
            return date.fromisoformat(f"{value}-01")
        return datetime.fromisoformat(value) if _TIME.fullmatch(value) else None
    except ValueError:
        return None


def _fields(grid: Grid) -> Sequence[str]:
    fields: dict[str, None] = {}
    for row in grid.rows[:_GUESSED]:
        fields |= dict.fromkeys(row)
    return list(fields)[:_MOST_COLUMNS]


def _guessed(grid: Grid, field: str) -> Form:
    values = [value for row in grid.rows[:_GUESSED] if (value := row.get(field)) not in (None, "")]
    if not values or any(isinstance(value, bool) for value in values):
        return "text"
    if all(isinstance(value, int | float | Decimal) for value in values):
        return "integer" if all(_whole(value) for value in values) else "number"
    if all(isinstance(value, str) for value in values):
        for form, pattern in (("date", _DAY), ("month", _MONTH), ("time", _TIME)):
            if all(pattern.fullmatch(value) and dated(value) for value in values):
                return form  # type: ignore[return-value]  # a form by its name
    return "text"


def _whole(value: Any) -> bool:
    return bool(value == int(value)) if exact(value) is not None else False


def _sum(grid: Grid, column: Column, language: Language) -> str:
    numbers = [number for row in grid.rows if (number := exact(row.get(column.field))) is not None]
    return shown(sum(numbers, Decimal(0)), column, language) if numbers else ""


def _title(column: Column) -> str:
    return column.title if column.title is not None else column.field.replace("_", " ")
