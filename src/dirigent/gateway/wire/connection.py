"""One connection of a caller: requests in, one handler at a time, answers out in order, and an end when it is time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from enum import Enum
from math import inf
from typing import Any, cast

from dirigent.gateway.wire.exchange import Exchange, head_of
from dirigent.gateway.wire.limits import Limits
from dirigent.gateway.wire.reading import Head, Known, Reader, Refused

__all__ = ["Common", "Connection", "Failure", "Handler", "Refusal"]

Handler = Callable[[Exchange], Coroutine[Any, Any, None] | None]
"""Takes one request and never raises.

A coroutine that it returns answers in a task of its own, which is cancelled at once when the caller goes away before
the answer is whole. None says that callbacks answer: then `exchange.on_gone` tells that the caller has gone, and
`exchange.over()` that all is said and settled.
"""

Refusal = Callable[[int, str, str], tuple[Iterable[tuple[str, str]], bytes]]
"""Headers and body for a status, code and message of the protocol itself."""

Failure = Callable[[Exchange, Exception], None]
"""Hears of what a handler raised; may answer, if nothing was sent yet."""

_FAULT = "the request could not be answered because of a fault in this server"
_log = logging.getLogger("dirigent.gateway.wire")


class Common:
    """What all connections of one server share."""

    def __init__(
        self, handler: Handler, limits: Limits, refusal: Refusal, on_error: Failure, wake: Callable[[], None]
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.refusal = refusal
        self.on_error = on_error
        self.wake = wake
        """Starts the sweep that keeps `now` and the deadlines."""
        self.now = 0.0
        """The loop's time at the last sweep: a quarter of a second old at most, and free to read."""
        self.staying = ""
        """The end of a head after which the connection goes on, with the date of this second."""
        self.parting = ""
        """The end of a head after which it closes."""
        self.leaving = False
        self.known = Known()
        self.loop: asyncio.AbstractEventLoop
        self.connections: set[Connection] = set()
        self.tails: set[asyncio.Task[None]] = set()
        """Handlers whose connection has gone and that are still cleaning up."""


class _Phase(Enum):
    IDLE = "between two requests"
    HEAD = "the head is coming"
    BODY = "the body is coming"
    RUNNING = "a handler is at work"
    LINGERING = "a refusal was sent, and the caller may read it"


class Connection(asyncio.Protocol):
    """The server's end of one connection."""

    __slots__ = (
        "_answering",
        "_common",
        "_exchange",
        "_lost",
        "_mark",
        "_paused",
        "_peer",
        "_phase",
        "_queue",
        "_reader",
        "_refused",
        "_relief",
        "_stall",
        "_taken",
        "_taking",
        "_task",
        "congested",
        "deadline",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, common: Common) -> None:
        self._common = common
        self._reader = Reader(common.limits, self._arrived, common.known)
        self._queue: deque[Exchange] = deque()
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._answering: Coroutine[Any, Any, None] | None = None
        self._refused: Refused | None = None
        self._relief: asyncio.Future[None] | None = None
        self._phase = _Phase.HEAD
        self._paused = self._lost = self._taking = self._taken = False
        self._mark = 0
        self._stall = inf
        self.congested = False
        self.deadline = inf

    @property
    def resting(self) -> bool:
        """True while no request is being read or answered."""
        return self._exchange is None and not self._reader.begun

    def over(self, exchange: Exchange) -> None:
        """The exchange was answered by callbacks, to its end."""
        if self._taking:
            self._taken = True  # `_begin` goes on: calling it from here would nest as deep as requests wait
        elif not self._lost and self._exchange is exchange:
            self._go_on(exchange)

    def carry(self, exchange: Exchange, answering: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Goes on in a task with an exchange that callbacks had begun to answer."""
        self._task = task = self._common.loop.create_task(self._serve(exchange, answering))
        self._answering = answering
        return task

    def watch(self, wait: float) -> None:
        """Looks after the exchange when nothing was written for `wait` seconds."""
        self.deadline = self._common.now + wait

    def tail(self, *, keep: bool) -> str:
        common = self._common
        return common.staying if keep and not common.leaving else common.parting

    async def relieved(self) -> None:
        while self.congested and not self._lost:
            if self._relief is None:
                self._relief = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._relief)  # several may wait; one of them leaving must not wake the others

    # --- called by the transport --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        common = self._common
        if len(common.connections) >= common.limits.connections or common.leaving:
            self.transport.abort()
            return
        common.connections.add(self)
        common.wake()
        self.deadline = common.now + common.limits.head_wait
        name = transport.get_extra_info("peername")
        self._peer = str(name[0]) if name else ""

    def data_received(self, data: bytes) -> None:
        if self._refused is not None:
            return
        try:
            self._reader.feed(data)
        except Refused as refused:
            self._refused = refused
            if self._exchange is None and not self.transport.is_closing():
                self._refuse(refused)
            return
        if self._exchange is None:
            self._await_more()

    def eof_received(self) -> None:
        # A caller that has closed and one that has only finished sending look the same: docs/decisions/0002.
        if self._exchange is not None and not self._exchange.finished:
            self._abandon()
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._common.connections.discard(self)
        self._abandon()
        self._relieve()

    def pause_writing(self) -> None:
        self.congested = True
        self._stall = self._common.now + self._common.limits.write_wait

    def resume_writing(self) -> None:
        self.congested = False
        self._stall = inf
        self._relieve()
        exchange = self._exchange
        if exchange is not None and exchange.on_room is not None:
            exchange.on_room()

    # --- called by the sweep ------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Ends what has waited for too long."""
        if now >= self._stall:
            self.transport.abort()
        if now < self.deadline:
            return
        self.deadline = inf
        limits, reader = self._common.limits, self._reader
        if self._phase is _Phase.RUNNING:
            if self._exchange is not None:
                self._exchange.rest()
        elif self._phase is _Phase.HEAD and reader.begun:
            self._time_out(f"the head of the request was not complete within {limits.head_wait:g} s")
        elif self._phase is _Phase.BODY:
            if reader.size - self._mark < limits.body_pace * limits.body_wait:
                pace, wait = limits.body_pace, limits.body_wait
                self._time_out(f"the body of the request came slower than {pace} bytes a second for {wait:g} s")
            else:
                self._mark = reader.size
                self.deadline = now + limits.body_wait
        else:
            self.transport.abort()

    # --- requests -----------------------------------------------------------------------------------------------------

    def _arrived(self, head: Head, body: bytes) -> None:
        exchange = Exchange(self, head, body, self._peer)
        if self._exchange is None:
            if not self.transport.is_closing():  # the answer before may have ended the connection meanwhile
                self._begin(exchange)
            return
        queue, bound = self._queue, self._common.limits.pipeline
        queue.append(exchange)
        if len(queue) > 16 * bound:
            raise Refused(400, "invalid_request", f"more than {16 * bound} requests wait behind the first")
        if len(queue) >= bound and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def _begin(self, exchange: Exchange) -> None:
        following: Exchange | None = exchange
        while following is not None:
            self._exchange = exchange = following
            self._phase = _Phase.RUNNING
            self.deadline = inf
            self._taking, self._taken = True, False
            answering = self._common.handler(exchange)
            self._taking = False
            if answering is not None:
                self.carry(exchange, answering)
            following = self._following(exchange) if self._taken else None

    async def _serve(self, exchange: Exchange, answering: Coroutine[Any, Any, None]) -> None:
        """Runs the handler, whose every failure ends here: the task itself never fails."""
        try:
            await answering
            if not exchange.finished and not exchange.gone:
                self._mend(exchange, RuntimeError("the handler came back without having finished the answer"))
        except asyncio.CancelledError:
            pass  # the caller has gone, or the server closes
        except Exception as error:  # noqa: BLE001  whatever it is, the next request has a right to be served
            self._mend(exchange, error)
        self._task = None
        if not self._lost:
            self._go_on(exchange)

    def _mend(self, exchange: Exchange, error: Exception) -> None:
        try:
            self._common.on_error(exchange, error)
            if not exchange.started and not exchange.gone:
                exchange.respond(500, *self._common.refusal(500, "internal_error", _FAULT))
        except Exception:  # noqa: BLE001  the last resort must not raise
            _log.exception("the answer to a failed request failed as well")

    def _go_on(self, exchange: Exchange) -> None:
        following = self._following(exchange)
        if following is not None:
            self._begin(following)

    def _following(self, exchange: Exchange) -> Exchange | None:
        """The request that is next, where one waits; else the connection rests, or ends."""
        self._exchange = None
        if not exchange.finished or not exchange.keep or self._common.leaving:
            self.transport.close()
        elif self._queue:
            following = self._queue.popleft()
            if self._paused and len(self._queue) < self._common.limits.pipeline:
                self._paused = False
                self.transport.resume_reading()
            return following
        elif self._refused is not None:
            self._refuse(self._refused)
        else:
            self._await_more()
        return None

    def _await_more(self) -> None:
        reader, common = self._reader, self._common
        if reader.expecting:
            reader.expecting = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        phase = _Phase.BODY if reader.in_body else _Phase.HEAD if reader.begun else _Phase.IDLE
        if phase is self._phase:
            return
        if phase is _Phase.IDLE:
            wait = common.limits.idle_wait
        else:
            wait = common.limits.body_wait if phase is _Phase.BODY else common.limits.head_wait
        self._phase = phase
        self._mark = reader.size
        self.deadline = common.now + wait

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _time_out(self, message: str) -> None:
        self._refused = Refused(408, "request_timeout", message)
        self._refuse(self._refused)

    def _refuse(self, refused: Refused) -> None:
        """Says why, and cuts the connection once the caller has had time to read: at once would destroy the words."""
        headers, body = self._common.refusal(refused.status, refused.code, refused.message)
        ending = f"content-length: {len(body)}\r\n{self._common.parting}"
        self.transport.write(head_of(refused.status, headers, ending) + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._phase = _Phase.LINGERING
        self.deadline = self._common.now + self._common.limits.linger

    def _abandon(self) -> None:
        """The caller has gone: cancels an unfinished answer, lets the handler of a finished one come to its end."""
        self._queue.clear()
        exchange, task = self._exchange, self._task
        if exchange is None or exchange.gone:
            return
        if task is not None:
            if task in self._common.tails:
                return
            self._common.tails.add(task)
            task.add_done_callback(self._common.tails.discard)
        if exchange.finished:
            return
        exchange.gone = True
        if exchange.on_gone is not None:
            try:
                exchange.on_gone()
            except Exception as error:  # noqa: BLE001  the cancellation below must happen in any case
                self._common.on_error(exchange, error)
        if task is not None:
            task.add_done_callback(self._answered)
            task.cancel()

    def _answered(self, _: asyncio.Task[None]) -> None:
        if self._answering is not None:
            self._answering.close()  # a task that is cancelled at once has not begun with it

    def _relieve(self) -> None:
        if self._relief is not None:
            if not self._relief.done():
                self._relief.set_result(None)
            self._relief = None
