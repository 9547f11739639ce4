"""A sketch of many durations, small enough to keep for each minute: quantiles are right within one percent.

Durations fall into buckets whose bounds grow by two percent each. Sketches add up without loss, in any order, so those
of minutes, models and nodes can be put together later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil, log
from operator import add

import msgspec

__all__ = ["FINEST", "Sketch"]

FINEST = 0.000_1
"""Seconds; what is shorter counts as this."""
_GROWTH = 1.02
_LOG = log(_GROWTH)
_MOST = 1_500
"""The bucket of the longest: more than twenty years."""
_MIDDLE = 2 / (1 + _GROWTH)
_CLOSE = 4
"""An empty bucket that is written takes two letters, the name of one that is not takes six more than its count."""
_SPARSE = msgspec.json.Decoder(dict[int, int])
_DENSE = msgspec.json.Decoder(list[int])


class Sketch:
    """How often each duration came, in seconds."""

    __slots__ = ("buckets",)

    def __init__(self, buckets: Mapping[int, int] | None = None) -> None:
        self.buckets: dict[int, int] = dict(buckets) if buckets else {}

    @classmethod
    def of(cls, durations: Iterable[float]) -> Sketch:
        """The sketch of these durations."""
        made = cls()
        made.extend(durations)
        return made

    @classmethod
    def read(cls, written: str) -> Sketch:
        """The sketch that `str` has written. Raises msgspec.DecodeError."""
        if not written:
            return cls()
        if written[0] == "{":
            return cls(_SPARSE.decode(written))
        first, *counts = _DENSE.decode(written)
        return cls({bucket: count for bucket, count in enumerate(counts, first) if count})

    @classmethod
    def together(cls, written: Iterable[str]) -> Sketch:
        """What all these have counted, as `str` has written them: many times faster than one after the other."""
        whole = [0] * (_MOST + 1)
        for each in written:
            if each.startswith("["):
                first, *counts = _DENSE.decode(each)
                whole[first : first + len(counts)] = map(add, whole[first : first + len(counts)], counts)
            elif each:
                for bucket, count in _SPARSE.decode(each).items():
                    whole[bucket] += count
        return cls({bucket: count for bucket, count in enumerate(whole) if count})

    def add(self, seconds: float) -> None:
        """Counts one duration."""
        self.extend((seconds,))

    def extend(self, durations: Iterable[float]) -> None:
        """Counts several."""
        buckets = self.buckets
        for seconds in durations:
            bucket = min(_MOST, ceil(log(seconds / FINEST) / _LOG)) if seconds > FINEST else 0
            buckets[bucket] = buckets.get(bucket, 0) + 1

    def take(self, other: Sketch) -> None:
        """Adds all that another one has counted."""
        buckets = self.buckets
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self.buckets.values())

    def quantile(self, share: float) -> float | None:
        """The duration that this share of all does not exceed, in seconds; None where nothing was counted."""
        left = share * self.count
        found = None
        for bucket, count in sorted(self.buckets.items()):
            left -= count
            found = FINEST * _GROWTH**bucket * (_MIDDLE if bucket else 1.0)
            if left <= 0:
                break
        return found

    def __str__(self) -> str:
        """In little room: each bucket with its count, or where they lie close together the first and all counts."""
        buckets = self.buckets
        if not buckets:
            return ""
        first, last = min(buckets), max(buckets)
        if last - first < _CLOSE * len(buckets):
            return msgspec.json.encode([first, *[buckets.get(each, 0) for each in range(first, last + 1)]]).decode()
        return msgspec.json.encode(buckets).decode()
