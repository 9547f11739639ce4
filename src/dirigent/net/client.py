"""The HTTP client: HTTP/1.1 over pooled connections, each answer given the moment that its head is there."""

from __future__ import annotations

import asyncio
import ssl
from functools import lru_cache
from pathlib import Path

from dirigent.core.errors import Failed, Misconfigured, Unavailable
from dirigent.core.ports import HttpCall, HttpTaker, Origin, Timeouts
from dirigent.net.answer import Answer
from dirigent.net.connection import Connection
from dirigent.net.dialling import dial, peer_of, trust
from dirigent.net.flow import Flow
from dirigent.net.pool import Pool, Stack
from dirigent.net.proxies import Proxies, Proxy
from dirigent.net.sweep import Sweep

__all__ = ["HttpClient"]


_BODILESS = frozenset(("GET", "HEAD", "DELETE"))
_LINES = 1024
"""Heads that are kept ready; a node has a handful of deployments, each with the same head for all its requests."""


class _Line:
    """A head that is ready to be sent, and where connections wait for it."""

    __slots__ = ("head", "headers", "origin", "stack")

    def __init__(self, headers: tuple[tuple[str, str], ...], origin: Origin, head: bytes, stack: Stack) -> None:
        self.headers = headers
        self.origin = origin
        self.head = head
        self.stack = stack


class HttpClient:
    """The HTTP client (core.ports.Http) of one event loop.

    Certificates are always verified, against the system's authorities and those in the PEM file `authorities`. At most
    `idle` connections per origin wait for their next request, for `age` seconds at most. Time-outs are kept to within
    a tenth of a second and never end early.
    """

    def __init__(
        self, *, authorities: Path | None = None, proxies: Proxies | None = None, idle: int = 256, age: float = 50.0
    ) -> None:
        self._authorities = authorities
        self._proxies = proxies or Proxies()
        self._pool = Pool(idle, age)
        self._lines: dict[tuple[int, str], _Line] = {}
        self._sweep: Sweep | None = None
        self._tls: ssl.SSLContext | None = None

    async def open(self, call: HttpCall, timeouts: Timeouts) -> Answer:
        """Sends `call` and returns when the answer's head has arrived, whatever its status.

        A pooled connection that turns out to be dead before any byte of an answer is replaced by a fresh one, once.
        Raises Unavailable where no connection comes about or it breaks, TimedOut where a wait runs out, BadAnswer where
        the peer does not speak HTTP, Misconfigured where a header cannot be sent. Cancelling cuts the connection.
        """
        origin = call.origin
        proxy = self._proxies.between(origin)
        head = _head(call.origin, call.method, call.path, call.headers, proxy)
        if call.body or call.method not in _BODILESS:
            head += b"content-length: %d\r\n\r\n" % len(call.body)
        else:
            head += b"\r\n"
        sweep = self._sweep
        if sweep is None:
            sweep = self._sweep = Sweep(asyncio.get_running_loop(), self._pool.tidy)
        ends = sweep.loop.time() + timeouts.total
        bodiless = call.method == "HEAD"
        connection = self._pool.stack(origin).take()
        if connection is not None:
            answer = connection.ask(head, call.body, timeouts, ends, bodiless=bodiless)
            try:
                await answer.begun()
                return answer
            except Unavailable:
                if answer.touched:
                    raise
        connection = await self._connect(sweep, origin, proxy, min(timeouts.connect, timeouts.total))
        answer = connection.ask(head, call.body, timeouts, ends, bodiless=bodiless)
        await answer.begun()
        return answer

    def push(self, call: HttpCall, timeouts: Timeouts, taker: HttpTaker) -> Flow | None:
        """Sends `call` over a connection that waits for it, and tells `taker`; None where no connection waits."""
        origin = call.origin
        line = self._lines.get((id(call.headers), call.path))
        if line is None or line.headers is not call.headers or line.origin is not origin:
            line = self._line(call)
        connection, sweep = line.stack.take(), self._sweep
        if connection is None or sweep is None:
            return None
        head = b"%bcontent-length: %d\r\n\r\n" % (line.head, len(call.body))
        return connection.push(head, call.body, timeouts, sweep.loop.time() + timeouts.total, taker)

    def _line(self, call: HttpCall) -> _Line:
        """Where calls with these very headers go, and what stands before each."""
        if len(self._lines) >= _LINES:
            self._lines.clear()
        origin = call.origin
        head = _head(origin, call.method, call.path, call.headers, self._proxies.between(origin))
        line = _Line(call.headers, origin, head, self._pool.stack(origin))
        self._lines[id(call.headers), call.path] = line
        return line

    @property
    def resting(self) -> int:
        """How many connections wait for their next request."""
        return len(self._pool)

    @property
    def working(self) -> int:
        """How many answers have not wholly arrived."""
        return len(self._sweep.waiting) if self._sweep else 0

    def close(self) -> None:
        """Closes all connections; answers that are still coming break off with Unavailable."""
        self._pool.clear()
        if self._sweep is not None:
            for answer in tuple(self._sweep.waiting):
                answer.close()
            self._sweep.stop()

    async def _connect(self, sweep: Sweep, origin: Origin, proxy: Proxy | None, patience: float) -> Connection:
        stack = self._pool.stack(origin)

        def fresh() -> Connection:
            return Connection(
                peer_of(origin),
                sweep,
                stack.put,
                stack.forget,
                stack.known,
            )

        try:
            return await dial(origin, proxy, self._context, fresh, patience)
        except Failed as error:
            error.unasked = True
            raise

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:  # reading the system's authorities takes tens of milliseconds, and many need none
            self._tls = trust(self._authorities)
        return self._tls


@lru_cache(maxsize=1024)  # a deployment's head is the same for each request, and making it is dearer than sending it
def _head(origin: Origin, method: str, path: str, headers: tuple[tuple[str, str], ...], proxy: Proxy | None) -> bytes:
    """The bytes of a request's head, but for its length and the blank line."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    if origin.port != (443 if origin.tls else 80):
        host = f"{host}:{origin.port}"
    if proxy is not None and not origin.tls:
        path = f"http://{host}{path}"
    lines = [f"{method} {path} HTTP/1.1\r\nhost: {host}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    if proxy is not None and proxy.credentials and not origin.tls:
        lines.append(f"proxy-authorization: {proxy.credentials}\r\n")
    text = "".join(lines)
    breaks = len(lines) + 1  # the first of them has two
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text or not path.isascii() or " " in path:
        raise Misconfigured(_fault(origin, headers))
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise Misconfigured(_fault(origin, headers)) from None


def _fault(origin: Origin, headers: tuple[tuple[str, str], ...]) -> str:
    for name, value in headers:
        if not f"{name}{value}".isprintable() or not value.isascii():
            return f"the header {name!r} for {peer_of(origin)} holds a line break or a sign that cannot be sent"
    return f"the path for {peer_of(origin)} holds a space or a sign that cannot be sent"
