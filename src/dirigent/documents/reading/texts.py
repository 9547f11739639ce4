"""Plain text, Markdown, and tables in text."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from io import StringIO
from typing import Any

from dirigent.core.documents import Extract, ReadLimits
from dirigent.core.forms import written_decimal
from dirigent.documents.reading.bounded import Cuts, decoded, sheet_of

__all__ = ["read_markdown", "read_table", "read_text"]

_SAMPLE = 64_000
_LONGEST_DIGITS = 30


def read_text(data: bytes, limits: ReadLimits) -> Extract:
    """Text as it is."""
    cuts = Cuts(limits)
    return Extract("text", cuts.text(decoded(data)), cut=tuple(cuts.words))


def read_markdown(data: bytes, limits: ReadLimits) -> Extract:
    """Markdown as it is."""
    cuts = Cuts(limits)
    return Extract("markdown", cuts.text(decoded(data)), cut=tuple(cuts.words))


def read_table(data: bytes, limits: ReadLimits) -> Extract:
    """A table whose cells are parted by commas, semicolons, tabs or bars; numbers as German or English writes them."""
    cuts = Cuts(limits)
    text = decoded(data)
    delimiter = _delimiter(text[:_SAMPLE])
    comma = delimiter != "," and _has_decimal_commas(text[:_SAMPLE], delimiter)

    def rows() -> Iterator[list[Any]]:
        for number, row in enumerate(csv.reader(StringIO(text, newline=""), delimiter=delimiter)):
            yield row if number == 0 else [_value(cell, comma=comma) for cell in row]

    sheet = sheet_of("table", rows(), cuts)
    return Extract("csv", cuts.text(text), tables=() if sheet is None else (sheet,), cut=tuple(cuts.words))


def _delimiter(sample: str) -> str:
    """What parts the cells: of those that stand equally often in most lines, the one that stands there most."""
    lines = [line for line in sample.splitlines()[:50] if line.strip()]
    best, most = ",", 0.0
    for sign in (";", "\t", "|", ","):
        counts = [len(row) - 1 for row in csv.reader(lines, delimiter=sign)]
        usual = max(set(counts), key=counts.count, default=0)
        score = usual * counts.count(usual) / max(1, len(counts)) if usual > 0 else 0.0
        if score > most:
            best, most = sign, score
    return best


def _has_decimal_commas(sample: str, delimiter: str) -> bool:
    cells = [cell.strip() for row in csv.reader(sample.splitlines()[1:200], delimiter=delimiter) for cell in row]
    german = sum("," in cell and written_decimal(cell, "de") is not None for cell in cells)
    english = sum("." in cell and "," not in cell and written_decimal(cell, "en") is not None for cell in cells)
    return german > 0 and german >= english


def _value(cell: str, *, comma: bool) -> Any:
    """A number where the cell is one, else its text. What begins with zeros names something, and is no amount."""
    text = cell.strip()
    if not text or len(text) > _LONGEST_DIGITS or not any(sign.isdigit() for sign in text):
        return text or None
    bare = text.lstrip("+-−")
    if bare[:1] == "0" and bare[1:2].isdigit():
        return text
    if not comma:
        try:
            number = Decimal(text)
        except InvalidOperation:
            return text
        return _plain(number) if number.is_finite() and "_" not in text else text
    if not all(sign.isdigit() or sign in ".,-+−" for sign in text):
        return text
    found = written_decimal(text, "de")
    return text if found is None else _plain(found)


def _plain(number: Decimal) -> int | Decimal:
    return int(number) if number.as_tuple().exponent == 0 else number
