"""What readers share: text up to its limit, rows up to theirs, and what was left out, in words."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any

from dirigent.core.documents import ReadLimits, Sheet

__all__ = ["Cuts", "decoded", "named", "sheet_of", "tidy"]

_MOST_COLUMNS = 500


class Cuts:
    """Gathers what was left out, each thing once."""

    def __init__(self, limits: ReadLimits) -> None:
        self.limits = limits
        self.words: dict[str, None] = {}

    def note(self, words: str) -> None:
        """Notes it."""
        self.words[words] = None

    def text(self, text: str) -> str:
        """The text up to its limit."""
        if len(text) <= self.limits.characters:
            return text
        self.note(f"the text was cut after {self.limits.characters} characters")
        return text[: self.limits.characters]


def sheet_of(name: str, rows: Iterable[Sequence[Any]], cuts: Cuts) -> Sheet | None:
    """A table whose first row that holds anything is its head; None where there is none."""
    head: list[str] | None = None
    found: list[Mapping[str, Any]] = []
    lines: list[int] = []
    for line, values in enumerate(rows, 1):
        if all(value in (None, "") for value in values):
            continue
        if head is None:
            if len(values) > _MOST_COLUMNS:
                cuts.note(f"a table was cut after {_MOST_COLUMNS} columns")
            head = named(values[:_MOST_COLUMNS])
            continue
        if len(found) == cuts.limits.rows:
            cuts.note(f"the table {name!r} was cut after {cuts.limits.rows} rows")
            break
        padded = [*values, *[None] * (len(head) - len(values))]
        found.append({field: tidy(value) for field, value in zip(head, padded, strict=False)})
        lines.append(line)
    return None if head is None else Sheet(name, tuple(head), tuple(found), tuple(lines))


def tidy(value: object) -> Any:
    """A value as plain data: exact numbers, ISO dates, texts without space around them, other bytes as base64."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return Decimal(repr(value)) if isfinite(value) else None
        case Decimal():
            return value if value.is_finite() else None
        case datetime():
            return value.date().isoformat() if value.time() == time() and value.tzinfo is None else value.isoformat()
        case date() | time():
            return value.isoformat()
        case str():
            return value.strip() or None
        case list() | tuple():
            return [tidy(item) for item in value]
        case Mapping():
            return {str(name): tidy(item) for name, item in value.items()}
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return b64encode(value).decode()
        case _:
            return str(value)


def decoded(data: bytes) -> str:
    """Bytes as text: by their mark, as UTF-8, else as Windows writes Western European."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(name, errors="replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def named(values: Sequence[Any]) -> list[str]:
    """Names of columns, each there once."""
    names: list[str] = []
    for index, value in enumerate(values, 1):
        wanted = str(tidy(value) or f"column_{index}")
        name, number = wanted, 2
        while name in names:
            name, number = f"{wanted}_{number}", number + 1
        names.append(name)
    return names
