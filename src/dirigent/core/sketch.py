"""A sketch of many durations, small enough to keep for each minute: quantiles are right within one percent.

Durations fall into buckets whose bounds grow by two percent each. Sketches add up without loss, in any order, so those
of minutes, models and nodes can be put together later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil, log

import msgspec

__all__ = ["FINEST", "Sketch"]

FINEST = 0.000_1
"""Seconds; what is shorter counts as this."""
_GROWTH = 1.02
_LOG = log(_GROWTH)
_MOST = 1_500
"""The bucket of the longest: more than twenty years."""
_MIDDLE = 2 / (1 + _GROWTH)
_DECODER = msgspec.json.Decoder(dict[int, int])


class Sketch:
    """How often each duration came, in seconds."""

    __slots__ = ("buckets",)

    def __init__(self, buckets: Mapping[int, int] | None = None) -> None:
        self.buckets: dict[int, int] = dict(buckets) if buckets else {}

    @classmethod
    def of(cls, durations: Iterable[float]) -> Sketch:
        """The sketch of these durations."""
        made = cls()
        for seconds in durations:
            made.add(seconds)
        return made

    @classmethod
    def read(cls, written: str) -> Sketch:
        """The sketch that `str` has written. Raises msgspec.DecodeError."""
        return cls(_DECODER.decode(written)) if written else cls()

    def add(self, seconds: float) -> None:
        """Counts one duration."""
        bucket = min(_MOST, ceil(log(seconds / FINEST) / _LOG)) if seconds > FINEST else 0
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

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
        return msgspec.json.encode(self.buckets).decode() if self.buckets else ""
