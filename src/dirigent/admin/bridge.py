"""From our own HTTP server to an ASGI application: so the control plane is served on the same port."""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

__all__ = ["Application", "Bridge", "Caller"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_OF_THE_LINE = frozenset({b"content-length", b"transfer-encoding", b"connection", b"date"})
"""Header fields that the connection writes itself."""


class Caller(Protocol):
    """A request that was read whole, and the way to answer it, as the HTTP server has it."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def headers(self) -> Mapping[bytes, bytes]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def peer(self) -> str: ...
    @property
    def started(self) -> bool: ...
    @property
    def finished(self) -> bool: ...
    def respond(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None: ...
    def start(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> None: ...
    def write(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def cut(self) -> None: ...
    async def drain(self) -> None: ...


class Bridge:
    """Answers exchanges by an ASGI application.

    An answer that comes in one piece goes out in one write; one that comes in several is streamed at the pace of the
    caller. One who goes away cancels what answers.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def answer(self, exchange: Caller) -> None:
        """Answers one exchange to its end; what the application raises before it has answered goes on up."""
        answer = _Answer(exchange)
        try:
            await self._application(_scope(exchange), answer.receive, answer.send)
        except BaseException:
            if exchange.started and not exchange.finished:
                exchange.cut()  # half an answer must not look like a whole one
            raise
        if not exchange.started:
            raise RuntimeError("the application came to its end without an answer")
        if not exchange.finished:
            exchange.cut()


class _Answer:
    """One answer on its way: the first piece is held back until it is clear whether another one follows."""

    def __init__(self, exchange: Caller) -> None:
        self._exchange = exchange
        self._asked = False
        self._status = 0
        self._headers: list[tuple[str, str]] = []

    async def receive(self) -> Message:
        """The body, and after it nothing: that the caller has gone is told by cancelling."""
        if self._asked:
            await get_running_loop().create_future()
        self._asked = True
        return {"type": "http.request", "body": self._exchange.body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in message.get("headers", ())
                if name.lower() not in _OF_THE_LINE
            ]
            return
        exchange, body, more = self._exchange, message.get("body", b""), message.get("more_body", False)
        if not exchange.started:
            if not more:
                exchange.respond(self._status, self._headers, body)
                return
            exchange.start(self._status, self._headers)
        exchange.write(body)
        if more:
            await exchange.drain()
        else:
            exchange.finish()


def _scope(exchange: Caller) -> MutableMapping[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": exchange.method,
        "scheme": "http",
        "path": unquote_to_bytes(exchange.path).decode("utf-8", "replace"),
        "raw_path": exchange.path.encode("latin-1", "replace"),
        "query_string": exchange.query.encode("latin-1", "replace"),
        "root_path": "",
        "headers": [*exchange.headers.items(), (b"content-length", b"%d" % len(exchange.body))],
        "client": (exchange.peer, 0),
        "server": None,
    }
