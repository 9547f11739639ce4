"""What differs between two documents: the place, what stood there, and what stands there now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["Change", "changes"]


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place where two documents differ."""

    path: tuple[str | int, ...]
    before: Any = msgspec.UNSET
    """What stood there; left out where nothing did."""
    after: Any = msgspec.UNSET
    """What stands there; left out where nothing does."""


def changes(before: object, after: object) -> tuple[Change, ...]:
    """Every difference, in the order of the keys. A list that became longer or shorter has changed as a whole."""
    return tuple(_between(before, after, ()))


def _between(before: Any, after: Any, path: tuple[str | int, ...]) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from _between(before.get(key, msgspec.UNSET), after.get(key, msgspec.UNSET), (*path, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _between(old, new, (*path, index))
    elif type(before) is not type(after) or before != after:
        yield Change(path, before, after)
