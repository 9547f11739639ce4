"""Answers kept in this process, to be given again: bounded in bytes, the oldest make room."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from dirigent.core.ports import Replay

__all__ = ["MemoryReplays"]

_BESIDE = 1024
"""Bytes that an answer takes beside its body, roughly."""


class MemoryReplays:
    """The port `Replays` for a node of one worker: each worker knows its own answers only."""

    def __init__(self, most: int = 64 * 1024 * 1024, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._kept: dict[str, tuple[float, int, Replay]] = {}
        self._size = 0

    async def find(self, key: str) -> Replay | None:
        """The answer kept under `key`, unless its time is over."""
        until, _, replay = self._kept.get(key, (0.0, 0, None))
        if replay is not None and self._clock() >= until:
            self._forget(key)
            return None
        return replay

    async def keep(self, key: str, replay: Replay, seconds: float) -> None:
        """Keeps an answer, unless it is larger than a quarter of all that is kept here."""
        size = _BESIDE + sum(map(len, replay.pieces))
        self._forget(key)
        if size > self._most // 4:
            return
        while self._size + size > self._most:
            self._forget(next(iter(self._kept)))
        self._kept[key] = (self._clock() + seconds, size, replay)
        self._size += size

    def _forget(self, key: str) -> None:
        _, size, _ = self._kept.pop(key, (0.0, 0, None))
        self._size -= size
