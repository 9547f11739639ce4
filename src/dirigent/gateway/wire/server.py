"""The server: it listens, keeps the time for its connections, and leaves without breaking an answer."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from email.utils import formatdate

from dirigent.gateway.wire.connection import Common, Connection, Failure, Handler, Refusal
from dirigent.gateway.wire.exchange import Exchange
from dirigent.gateway.wire.limits import Limits

__all__ = ["Server"]

_TICK = 0.25
_BACKLOG = 2048
_log = logging.getLogger("dirigent.gateway.wire")


def plain_refusal(_status: int, _code: str, message: str) -> tuple[Iterable[tuple[str, str]], bytes]:
    """The message as a line of text."""
    return (("content-type", "text/plain; charset=utf-8"),), f"{message}\n".encode()


def logged(exchange: Exchange, error: Exception) -> None:
    """Writes what a handler raised into the log."""
    _log.error("%s %s failed", exchange.method, exchange.path, exc_info=error)


class Server:
    """A strict HTTP/1.1 server that runs `handler` for each request, in a task that ends with the caller's patience.

    `refusal` words what the protocol itself refuses (malformed, too large, too slow) and the answer to a handler's
    failure; `on_error` hears of each such failure first and may answer it.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        *,
        refusal: Refusal = plain_refusal,
        on_error: Failure = logged,
    ) -> None:
        self._common = Common(handler, limits or Limits(), refusal, on_error, self._wake)
        self._listeners: list[asyncio.Server] = []
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """How many callers are connected now."""
        return len(self._common.connections)

    async def start(
        self, host: str = "127.0.0.1", port: int = 0, *, reuse_port: bool = False, sock: socket.socket | None = None
    ) -> int:
        """Listens on `host` and `port` (0: any free one), or on `sock`; returns the port.

        Raises OSError where that is not possible. May be called again for a further address.
        """
        self._common.loop = loop = asyncio.get_running_loop()
        if sock is not None:
            listener = await loop.create_server(self._connection, sock=sock, backlog=_BACKLOG)
        else:
            listener = await loop.create_server(
                self._connection, host, port, backlog=_BACKLOG, reuse_port=reuse_port or None
            )
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    async def drain(self, seconds: float) -> bool:
        """Takes no further request, lets running answers finish, then closes; False where time ran out on some."""
        self._common.leaving = True
        for listener in self._listeners:
            listener.close()
        for connection in tuple(self._common.connections):
            if connection.resting:
                connection.transport.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._busy() and loop.time() < end:  # noqa: ASYNC110  an event would cost each request; this is once
            await asyncio.sleep(0.02)
        done = not self._busy()
        await self.close()
        return done

    async def close(self) -> None:
        """Cuts all connections, cancels their handlers and returns when each of these has cleaned up."""
        self._common.leaving = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for connection in tuple(self._common.connections):
            connection.transport.abort()
        while self._busy():
            await asyncio.sleep(0)
            for task in tuple(self._common.tails):
                task.cancel()
            if self._common.tails:
                await asyncio.wait(self._common.tails)
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _connection(self) -> Connection:
        return Connection(self._common)

    def _busy(self) -> bool:
        return bool(self._common.connections or self._common.tails)

    def _wake(self) -> None:
        if self._sweep is None:
            self._tick()

    def _tick(self) -> None:
        common = self._common
        if not common.connections:
            self._sweep = None
            return
        common.now = now = common.loop.time()
        date = f"date: {formatdate(usegmt=True)}\r\n"
        common.staying, common.parting = f"{date}\r\n", f"{date}connection: close\r\n\r\n"
        for connection in tuple(common.connections):
            if now >= connection.deadline or connection.congested:
                connection.check(now)
        self._sweep = common.loop.call_later(_TICK, self._tick)
