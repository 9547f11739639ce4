"""One answer while it comes, for all who ask for the same.

A task of its own asks for it, so that whoever asked first may leave while others listen. When the last listener leaves,
the task is cancelled and closes its upstream at once. What the answer costs is told once: to the run that asked first,
or to the next listener where that one has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from copy import copy

from dirigent.core.errors import Unavailable
from dirigent.core.events import Answer, Event
from dirigent.core.messages import Request
from dirigent.core.run import Answering, Record, Run

__all__ = ["Flight"]

_AHEAD = 1024
"""Events that the answer may be ahead of its fastest listener."""

Landed = Callable[[tuple[Event, ...], Record], Awaitable[None]]


class Flight:
    """An answer under way."""

    def __init__(self, inner: Answering, request: Request, run: Run, landed: Landed, over: Callable[[], None]) -> None:
        """Asks on behalf of `run`, who must listen. `landed` is called with a whole answer, `over` at every end."""
        self._payer = run
        self._own = copy(run)
        self._own.record = Record(run.record.tries)
        self._own.record.failed_first, run.record.failed_first = run.record.failed_first, None
        self._listeners: list[Run] = []
        self._events: list[Event] = []
        self._heard = 0
        self._failure: Exception | None = None
        self._ended = False
        self._news = asyncio.Event()
        self._over = over
        self._work = asyncio.ensure_future(self._ask(inner.answer(request, self._own), landed))

    async def told_to(self, run: Run) -> Answer:
        """The events for one listener, from the beginning and as they come. Raises what the answer raises."""
        self._listeners.append(run)
        at = 0
        try:
            while True:
                while at < len(self._events):
                    if at == 0:
                        self._introduce(run)
                    event = self._events[at]
                    at += 1
                    if at > self._heard:
                        self._heard = at
                        if at % _AHEAD == 0:
                            self._tell()
                    yield event
                if self._ended:
                    break
                await self._news.wait()
            if self._failure is not None:
                raise self._failure
        finally:
            await self._leave(run)

    async def _ask(self, answer: Answer, landed: Landed) -> None:
        try:
            async with aclosing(answer) as events:
                async for event in events:
                    self._events.append(event)
                    self._tell()
                    while len(self._events) - self._heard >= 2 * _AHEAD:
                        await self._news.wait()
            await landed(tuple(self._events), self._own.record)
        except asyncio.CancelledError:
            self._failure = Unavailable("the answer was given up before its end")
            raise
        except Exception as error:  # noqa: BLE001  whoever listens raises it, be it ours or a fault of the code
            self._failure = error
        finally:
            self._over()
            self._settle()
            self._ended = True
            self._tell()

    def _introduce(self, run: Run) -> None:
        """Tells a listener's record who answers."""
        record, own = run.record, self._own.record
        record.voice = own.voice
        if run is self._payer:
            record.decisions.extend(own.decisions)
            own.decisions = []
        else:
            record.reused = self._own.id

    def _settle(self) -> None:
        """Tells the record of who pays what happened."""
        record, own = self._payer.record, self._own.record
        record.reused = None
        record.decisions.extend(own.decisions)
        record.attempts.extend(own.attempts)
        record.tries = min(record.tries, own.tries)
        if own.usage is not None or own.cost is not None or own.unpriced:
            record.settle(own.usage, own.known_cost)

    async def _leave(self, run: Run) -> None:
        self._listeners.remove(run)
        if self._ended:
            return
        if self._listeners:
            if run is self._payer:
                self._payer = self._listeners[0]
            return
        self._over()  # nobody may join what is about to end
        self._payer = run
        self._work.cancel()
        await asyncio.wait({self._work})

    def _tell(self) -> None:
        """Wakes everybody who waits for news; who waits after that waits for the next."""
        self._news.set()
        self._news = asyncio.Event()
