"""An answer that is told as it comes, by callbacks of the loop: nobody waits for it in a task."""

from __future__ import annotations

from math import inf

from dirigent.core.errors import Failed
from dirigent.core.ports import HttpTaker, Timeouts
from dirigent.net.line import Line, overdue
from dirigent.net.sweep import Sweep

__all__ = ["Flow"]


class Flow:
    """One exchange whose answer is told to a taker (core.ports.HttpFlow)."""

    __slots__ = (
        "_ends",
        "_expires",
        "_idle",
        "_line",
        "_peer",
        "_sweep",
        "_taker",
        "_timeouts",
        "bodiless",
        "fields",
        "status",
        "touched",
    )

    def __init__(  # noqa: PLR0917  made once per request, and names cost time there
        self, line: Line, peer: str, sweep: Sweep, timeouts: Timeouts, ends: float, taker: HttpTaker
    ) -> None:
        self._line = line
        self._peer = peer
        self._sweep = sweep
        self._timeouts = timeouts
        self._taker: HttpTaker | None = taker
        self._ends = ends
        self._idle = timeouts.idle
        self.bodiless = False
        self.fields: list[tuple[bytes, bytes]] = []
        self.status = 0
        """The HTTP status; 0 until the head has arrived."""
        self.touched = False
        """True once any byte of it has arrived."""
        self._expires = inf
        sweep.add(self)  # which may look at it at once
        self._expires = sweep.ahead + timeouts.first_byte

    def pause(self) -> None:
        """Reads no more for now; the provider waits for us, so its time does not run."""
        self._expires = inf
        self._line.pause()

    def resume(self) -> None:
        """Reads on."""
        if self._taker is not None:
            self._expires = self._sweep.ahead + self._idle
            self._line.resume()

    def close(self) -> None:
        """Ends the exchange and cuts the connection, unless the answer has wholly arrived."""
        if self._taker is not None:
            self._taker = None
            self._sweep.waiting.discard(self)
            self._line.drop()

    # --- called by the connection and the sweep -----------------------------------------------------------------------

    def begin(self, status: int) -> None:
        """Takes the head, whose fields are in `fields`."""
        self._expires = self._sweep.ahead + self._idle
        self.status = status
        if self._taker is not None:
            self._taker.head(status, self.fields)

    def receive(self, piece: bytes) -> None:
        """Takes a piece of the body."""
        self._expires = self._sweep.ahead + self._idle
        if self._taker is not None:
            self._taker.piece(piece)

    def finish(self) -> None:
        """Takes the end, once the connection is free for the next exchange."""
        self._sweep.waiting.discard(self)
        taker, self._taker = self._taker, None
        if taker is not None:
            taker.end()

    def fail(self, failure: Failed) -> None:
        """Takes what went wrong; nothing more will come."""
        self._sweep.waiting.discard(self)
        taker, self._taker = self._taker, None
        if taker is not None:
            taker.failed(failure, touched=self.touched)

    def check(self, now: float) -> None:
        """Gives up when a wait or the whole time is over."""
        if now < self._expires and now < self._ends:
            return
        self.touched = True  # it was given all its time: asking again is not this client's decision
        self._line.drop()
        self.fail(overdue(self._peer, self._timeouts, whole=now >= self._ends, begun=self.status != 0))
