"""One timer for all waits of a client: a deadline is a number that the next sweep looks at, not a timer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

__all__ = ["Sweep", "Waiting"]

_BRISK = 0.05
_CALM = 1.0


class Waiting(Protocol):
    """What has a deadline."""

    def check(self, now: float) -> None:
        """Gives up if its time has come."""
        ...

    def close(self) -> None:
        """Gives up now."""
        ...


class Sweep:
    """Looks at everything that waits, each 50 ms; once a second, and calls `tidy`, while nothing does."""

    __slots__ = ("_brisk", "_handle", "_tidied", "_tidy", "ahead", "loop", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, tidy: Callable[[float], bool]) -> None:
        self.loop = loop
        self._tidy = tidy
        """Clears away what is too old; True while there is more to clear away later."""
        self._handle: asyncio.TimerHandle | None = None
        self._brisk = False
        self._tidied = 0.0
        self.ahead = 0.0
        """The loop's time at the next sweep: while anything waits, free to read and never behind the clock."""
        self.waiting: set[Waiting] = set()

    def add(self, one: Waiting) -> None:
        """Looks at `one` until it is discarded from `waiting`."""
        self.waiting.add(one)
        if not self._brisk:
            self._tick()

    def stop(self) -> None:
        """Looks at nothing any more, until something is added again."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        self._brisk = False

    def _tick(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        now = self.loop.time()
        self.ahead = now + _BRISK
        for one in tuple(self.waiting):
            one.check(now)
        more = True
        if now - self._tidied >= _CALM:
            self._tidied = now
            more = self._tidy(now)
        self._brisk = bool(self.waiting)
        self._handle = (
            self.loop.call_later(_BRISK if self._brisk else _CALM, self._tick) if self._brisk or more else None
        )
