"""An answer as it comes in: the head, then pieces, then the end or what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from math import inf

from dirigent.core.errors import BadAnswer, Failed, Unavailable
from dirigent.core.ports import Timeouts
from dirigent.net.line import Line, overdue
from dirigent.net.sweep import Sweep

__all__ = ["Answer"]

_UNREAD = 256 * 1024
_WHOLE = 64 * 1024 * 1024


class Answer:
    """A provider's answer whose head has arrived and whose body is still coming (core.ports.HttpAnswer)."""

    __slots__ = (
        "_complete",
        "_ends",
        "_expires",
        "_failure",
        "_full",
        "_headers",
        "_limit",
        "_line",
        "_news",
        "_paused",
        "_peer",
        "_pieces",
        "_sweep",
        "_timeouts",
        "_unread",
        "bodiless",
        "fields",
        "status",
        "touched",
    )

    def __init__(self, line: Line, peer: str, sweep: Sweep, timeouts: Timeouts, ends: float, *, bodiless: bool) -> None:
        self._line = line
        self._peer = peer
        self._sweep = sweep
        self._timeouts = timeouts
        self._ends = ends
        self._expires = inf
        self._headers: dict[str, str] | None = None
        self._pieces: list[bytes] = []
        self._unread = 0
        self._news: asyncio.Future[None] | None = None
        self._failure: Failed | None = None
        self._complete = self._paused = self._full = False
        self._limit = 0
        self.bodiless = bodiless
        """True where the request asked for the head alone."""
        self.fields: list[tuple[bytes, bytes]] = []
        self.status = 0
        """The HTTP status; 0 until the head has arrived."""
        self.touched = False
        """True once any byte of it has arrived."""
        sweep.add(self)
        self._expires = sweep.ahead + timeouts.first_byte

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; repeated ones joined by a comma."""
        if self._headers is None:
            headers: dict[str, str] = {}
            for raw, value in self.fields:
                name = raw.decode("latin-1").lower()
                text = value.decode("latin-1").rstrip(" \t")  # the parser leaves the white space behind a value in it
                headers[name] = f"{headers[name]}, {text}" if name in headers else text
            self._headers = headers
        return self._headers

    @property
    def ahead(self) -> bool:
        """Whether more of the body has come in than was read, or so much once that it had to wait on the line."""
        return bool(self._pieces) or self._full

    async def begun(self) -> None:
        """Returns when the head has arrived; raises what prevented it. Cancelling cuts the connection."""
        try:
            while not self.status:
                if self._failure is not None:
                    raise self._failure
                await self._more()
        except asyncio.CancelledError:
            self.close()
            raise

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yields the body as it comes. Closing the generator early cuts the connection at once.

        Raises what broke the answer off, after all that had arrived before: Unavailable, TimedOut or BadAnswer.
        """
        try:
            while True:
                if self._pieces:
                    yield self._take()
                elif self._failure is not None:
                    raise self._failure
                elif self._complete:
                    return
                else:
                    await self._more()
        finally:
            self.close()

    async def read(self, limit: int = _WHOLE) -> bytes:
        """Returns the whole body, without waking up for each piece of it.

        Raises BadAnswer where it exceeds `limit` bytes, else what broke the answer off. Cancelling cuts the connection.
        """
        self._limit = limit
        if self._paused:
            self._resume()
        try:
            while self._unread <= limit and not self._complete and self._failure is None:
                await self._more()
        except asyncio.CancelledError:
            self.close()
            raise
        if self._unread > limit:
            self.close()
            raise BadAnswer(f"{self._peer} sent more than the {limit} bytes that are read of one answer")
        if self._failure is not None:
            raise self._failure
        return self._take()

    def close(self) -> None:
        """Ends the exchange: cuts the connection at once, unless the answer has wholly arrived."""
        if not self._complete and self._failure is None:
            self._line.drop()
            self.fail(Unavailable(f"the answer of {self._peer} was closed on this side before its end"))

    # --- called by the connection and the sweep -----------------------------------------------------------------------

    def begin(self, status: int) -> None:
        """Takes the head, whose fields are in `fields`."""
        self._expires = self._sweep.ahead + self._timeouts.idle
        self.status = status
        self._tell()

    def receive(self, piece: bytes) -> None:
        """Takes a piece of the body."""
        self._pieces.append(piece)
        self._unread += len(piece)
        if self._limit:
            self._expires = self._sweep.ahead + self._timeouts.idle
            if self._unread > self._limit:
                self._tell()
        elif self._unread > _UNREAD:
            if not self._paused:
                self._paused = self._full = True
                self._line.pause()
            self._expires = inf  # now the provider waits for us
        else:
            self._expires = self._sweep.ahead + self._timeouts.idle
            self._tell()

    def finish(self) -> None:
        """Takes the end."""
        self._complete = True
        self._sweep.waiting.discard(self)
        self._tell()

    def fail(self, failure: Failed) -> None:
        """Takes what went wrong; nothing more will come."""
        self._failure = failure
        self._sweep.waiting.discard(self)
        self._tell()

    def check(self, now: float) -> None:
        """Gives up when a wait or the whole time is over."""
        if now < self._expires and now < self._ends:
            return
        self._line.drop()
        self.fail(overdue(self._peer, self._timeouts, whole=now >= self._ends, begun=self.status != 0))

    # ------------------------------------------------------------------------------------------------------------------

    def _more(self) -> asyncio.Future[None]:
        self._news = news = self._sweep.loop.create_future()
        return news

    def _tell(self) -> None:
        news = self._news
        if news is not None:
            self._news = None
            if not news.done():
                news.set_result(None)

    def _take(self) -> bytes:
        pieces = self._pieces
        self._pieces = []
        self._unread = 0
        if self._paused:
            self._resume()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _resume(self) -> None:
        self._paused = False
        if not self._complete and self._failure is None:
            self._expires = self._sweep.ahead + self._timeouts.idle
            self._line.resume()
