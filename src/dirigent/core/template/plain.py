"""Values of expressions as plain data and as text, within bounds: what is too large is refused before it is built."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from dirigent.core.errors import Invalid
from dirigent.core.expression import ABSENT
from dirigent.core.expression.values import admit

__all__ = ["LONGEST", "bounded", "plain", "shown", "too_long"]

LONGEST: Final = 1_000_000
"""Characters that a template may become, and that any filter in it may make."""
_DEEPEST: Final = 64
_ENTRY: Final = 2
"""Characters that an element takes at least, beside what it says."""
_WRITER: Final = msgspec.json.Encoder(decimal_format="number")


def plain(value: object) -> Any:
    """The value as plain data of its own; what is absent, or no data, is null. Raises Invalid beyond its bounds."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or kind is Decimal or value is None:
        return value
    if value is ABSENT:
        return None
    return _Copy().of(value, 0)


def shown(value: object) -> str:
    """The value as a text: numbers as they are, nothing for what is absent or null, lists and objects as JSON."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return f"{value:f}"
    return "" if value is ABSENT else _WRITER.encode(plain(value)).decode()


def bounded(text: str) -> str:
    """The text itself. Raises Invalid where it is too long."""
    if len(text) > LONGEST:
        raise too_long()
    return text


def too_long() -> Invalid:
    """What is said of a text that grows beyond the bound."""
    return Invalid(f"a template would become longer than {LONGEST:,} characters, which is the limit")


class _Copy:
    """Copies data, and counts what it would take to write it down."""

    def __init__(self) -> None:
        self.size = 0

    def of(self, value: object, depth: int) -> Any:
        self.size += _ENTRY
        if self.size > LONGEST:
            raise too_long()
        kind = type(value)
        if kind is str:
            self.size += len(value)  # type: ignore[arg-type]
            return value
        if kind is list or kind is tuple:
            self._deeper(depth)
            return [self.of(each, depth + 1) for each in value]  # type: ignore[attr-defined]
        if kind is dict:
            self._deeper(depth)
            return {key: self._entry(key, each, depth) for key, each in value.items() if type(key) is str}  # type: ignore[attr-defined]
        if isinstance(value, msgspec.Struct):
            self._deeper(depth)
            return {key: self._entry(key, getattr(value, key), depth) for key in value.__struct_fields__}
        known = admit(value)
        return None if known is ABSENT else self.of(known, depth) if type(known) is str else known

    def _entry(self, key: str, value: object, depth: int) -> Any:
        self.size += len(key)
        return self.of(value, depth + 1)

    @staticmethod
    def _deeper(depth: int) -> None:
        if depth >= _DEEPEST:
            raise Invalid(f"the data in a template lies deeper than {_DEEPEST} levels, which is the limit")
