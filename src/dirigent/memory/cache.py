"""Answers to be given again, in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from operator import mul
from time import monotonic

import msgspec

from dirigent.core.ports import Kept

__all__ = ["MemoryCache"]

_MOST = 64 * 1024 * 1024
_BESIDE = 1024
"""Bytes that an answer takes beside what was said, roughly."""
_PER_EVENT = 96
_PER_NUMBER = 8
_COMPARED = 4096
"""Questions of one family that are compared at most; the oldest are found by their exact words alone."""

Place = tuple[str, bytes]


class _Entry(msgspec.Struct):
    until: float
    size: int
    kept: Kept
    family: Place | None
    vector: Sequence[float] | None


class MemoryCache:
    """The cache of this process (core.ports.Cache): bounded in bytes, the least lately used make room."""

    def __init__(self, most: int = _MOST, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._entries: OrderedDict[Place, _Entry] = OrderedDict()
        self._families: dict[Place, OrderedDict[Place, None]] = {}
        self._size = 0

    async def find(self, partition: str, key: bytes) -> Kept | None:
        """The answer kept under exactly this partition and key, unless its time is over."""
        return self._used((partition, key))

    async def near(self, partition: str, family: bytes, vector: Sequence[float], least: float) -> Sequence[Kept]:
        """Compares with every question of the family; vectors have unit length."""
        alike: list[tuple[float, Place]] = []
        for place in self._families.get((partition, family), ()):
            entry = self._entries[place]
            if entry.vector is not None and (score := sum(map(mul, vector, entry.vector))) >= least:
                alike.append((score, place))
        alike.sort(reverse=True)
        return [kept for _, place in alike if (kept := self._used(place)) is not None]

    async def keep(
        self,
        partition: str,
        key: bytes,
        kept: Kept,
        seconds: float,
        *,
        family: bytes = b"",
        vector: Sequence[float] | None = None,
    ) -> None:
        """Keeps an answer, unless it is larger than a quarter of all that is kept here."""
        place = (partition, key)
        self._forget(place)
        said = sum(_PER_EVENT + _octets(event) for event in kept.events)
        size = _BESIDE + said + len(kept.question) + (len(vector) * _PER_NUMBER if vector is not None else 0)
        if size > self._most // 4:
            return
        while self._size + size > self._most:
            self._forget(next(iter(self._entries)))
        home = (partition, family) if vector is not None else None
        self._entries[place] = _Entry(self._clock() + seconds, size, kept, home, vector)
        self._size += size
        if home is not None:
            siblings = self._families.setdefault(home, OrderedDict())
            siblings[place] = None
            if len(siblings) > _COMPARED:
                siblings.popitem(last=False)

    async def forget(self, tenant: str, run: str | None = None) -> int:
        """Walks over all that is kept: erasing is rare."""
        places = [
            place
            for place, entry in self._entries.items()
            if entry.kept.tenant == tenant and run in (None, entry.kept.run)
        ]
        for place in places:
            self._forget(place)
        return len(places)

    def _used(self, place: Place) -> Kept | None:
        entry = self._entries.get(place)
        if entry is None:
            return None
        if self._clock() >= entry.until:
            self._forget(place)
            return None
        self._entries.move_to_end(place)
        return entry.kept

    def _forget(self, place: Place) -> None:
        entry = self._entries.pop(place, None)
        if entry is None:
            return
        self._size -= entry.size
        if entry.family is not None:
            siblings = self._families[entry.family]
            siblings.pop(place, None)
            if not siblings:
                del self._families[entry.family]


def _octets(event: msgspec.Struct) -> int:
    """What an event says, in bytes or nearly so."""
    total = 0
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, str | bytes):
            total += len(value)
        elif isinstance(value, tuple):
            total += _PER_NUMBER * len(value)
        elif isinstance(value, msgspec.Raw):
            total += len(bytes(value))
        elif isinstance(value, msgspec.Struct):
            total += _octets(value)
    return total
