"""One request of a caller and the answer to it."""

from __future__ import annotations

from asyncio import Task, WriteTransport
from collections.abc import Callable, Coroutine, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from dirigent.gateway.wire.reading import Head

__all__ = ["Exchange", "Exchanging", "Line", "head_of"]

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_BODILESS = frozenset({204, 304})
_JOINED = 64 * 1024  # above this size, copying a body behind its head costs more than a second buffer in the same write


class Line(Protocol):
    """What an exchange needs of the connection that carries it."""

    @property
    def transport(self) -> WriteTransport:
        """Where the answer goes."""
        ...

    @property
    def congested(self) -> bool:
        """True while the caller reads slower than we write."""
        ...

    def tail(self, *, keep: bool) -> str:
        """The end of a head: its date, and whether another request may follow."""
        ...

    async def relieved(self) -> None:
        """Returns when the caller has read enough for more to be written, or has gone."""
        ...

    def over(self, exchange: Exchange) -> None:
        """Takes the end of an exchange that was answered by callbacks."""
        ...

    def carry(self, exchange: Exchange, answering: Coroutine[Any, Any, None]) -> Task[None]:
        """Runs what answers the exchange from here on."""
        ...

    def watch(self, wait: float) -> None:
        """Calls `rest` of the exchange after so many seconds, kept to within a quarter of one."""
        ...


class Exchanging(Protocol):
    """A request that was read whole, and the way to answer it: an exchange, or whoever records the answer to one.

    What each of these means is said where an exchange has it.
    """

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def headers(self) -> Mapping[bytes, bytes]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def started(self) -> bool: ...
    @property
    def finished(self) -> bool: ...
    @property
    def congested(self) -> bool: ...
    def respond(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None: ...
    def start(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> None: ...
    def write(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def cut(self) -> None: ...
    def watch(self, wait: float, on_quiet: Callable[[], None]) -> None: ...
    async def drain(self) -> None: ...


class Exchange:
    """A request that was read whole, and the way to answer it: `respond` once, or `start`, `write` …, `finish`.

    Writing to a caller who has gone does nothing. The header lines `content-length`, `transfer-encoding`, `connection`
    and `date` are the exchange's business.
    """

    __slots__ = (
        "_chunked",
        "_keep",
        "_line",
        "_modern",
        "_quiet",
        "_wrote",
        "body",
        "finished",
        "gone",
        "head",
        "headers",
        "method",
        "on_gone",
        "on_quiet",
        "on_room",
        "path",
        "peer",
        "query",
        "started",
    )

    def __init__(self, line: Line, head: Head, body: bytes, peer: str) -> None:
        self._line = line
        self.head = head
        """The head, which the next request with the same bytes brings again."""
        self._modern = head.modern
        self._keep = head.keep
        self._chunked = False
        self.method = head.method
        """Upper case."""
        self.path = head.path
        """As it was sent: not decoded, without the query."""
        self.query = head.query
        """What stands behind the first `?`, not decoded; empty where nothing does."""
        self.headers: Mapping[bytes, bytes] = head.headers
        """Names in lower case, without `content-length`; repeated values are joined by a comma, cookies by `;`."""
        self.body = body
        self.peer = peer
        """The address of the other end of the connection."""
        self.started = False
        """True once the status is sent: from then on no other one can be."""
        self.finished = False
        """True once the whole answer is handed to the connection."""
        self.gone = False
        """True once the caller has closed the connection before the answer was finished."""
        self.on_gone: Callable[[], None] | None = None
        """Called once when the caller goes away before the answer is finished, just before the handler is cancelled."""
        self.on_room: Callable[[], None] | None = None
        """Called when the exchange is congested no longer."""
        self.on_quiet: Callable[[], None] | None = None
        self._quiet = 0.0
        self._wrote = False

    @property
    def target(self) -> str:
        """Path and query, as they were sent."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def keep(self) -> bool:
        """True where another request may follow on the connection."""
        return self._keep

    def respond(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        """Answers at once, in one write.

        Raises ValueError where a header holds a line break, RuntimeError where the request has been answered already.
        """
        if self.started:
            raise RuntimeError("this request has been answered already")
        framing = "" if status in _BODILESS else f"content-length: {len(body)}\r\n"
        head = head_of(status, headers, framing + self._line.tail(keep=self._keep))
        self.started = self.finished = True
        if self.gone:
            return
        if not body or self.method == "HEAD" or status in _BODILESS:
            self._line.transport.write(head)
        elif len(body) < _JOINED:
            self._line.transport.write(head + body)
        else:
            self._line.transport.writelines((head, body))

    def start(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Sends the head of an answer whose body follows piece by piece. Raises as `respond` does."""
        if self.started:
            raise RuntimeError("this request has been answered already")
        chunked = self._modern and status not in _BODILESS  # HTTP/1.0 knows the end by the end of the connection
        framing = "transfer-encoding: chunked\r\n" if chunked else ""
        head = head_of(status, headers, framing + self._line.tail(keep=self._keep))
        self._chunked = chunked and self.method != "HEAD"
        self.started = True
        if not self.gone:
            self._line.transport.write(head)

    def write(self, data: bytes) -> None:
        """Sends a piece of the body now, in one write; an empty piece and the body of a HEAD request send nothing."""
        if not self.started or self.finished:
            raise RuntimeError("a piece of the body belongs between start and finish")
        if self.gone or not data:
            return
        self._wrote = True
        if self._chunked:
            if len(data) < _JOINED:
                self._line.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
            else:
                self._line.transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
        elif not self._modern and self.method != "HEAD":
            self._line.transport.write(data)

    def finish(self) -> None:
        """Ends the body; nothing may be written after it."""
        if not self.started or self.finished:
            raise RuntimeError("only an answer that has started and not finished can be finished")
        self.finished = True
        if self._chunked and not self.gone:
            self._line.transport.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Ends an answer that cannot become whole, and the connection with it: so the caller sees that it broke off."""
        if not self.started or self.finished:
            raise RuntimeError("only an answer that has started and not finished can be cut")
        self.finished, self._keep = True, False

    def start_as(self, head: bytes) -> None:
        """Sends the head of an answer whose body follows, as `respond_as` has it. Raises as `respond` does."""
        if self.started:
            raise RuntimeError("this request has been answered already")
        self._chunked = self._modern and self.method != "HEAD"
        self.started = True
        if not self.gone:
            framing = b"transfer-encoding: chunked\r\n" if self._modern else b""
            self._line.transport.write(b"%b%b%b" % (head, framing, self._line.tail(keep=self._keep).encode()))

    def respond_as(self, head: bytes, body: bytes) -> None:
        """Answers at once with a head that `head_of` would have made, but for its end. Raises as `respond` does."""
        if self.started:
            raise RuntimeError("this request has been answered already")
        self.started = self.finished = True
        if self.gone:
            return
        ending = b"content-length: %d\r\n%b" % (len(body), self._line.tail(keep=self._keep).encode())
        if self.method == "HEAD":
            body = b""
        if len(body) < _JOINED:
            self._line.transport.write(b"%b%b%b" % (head, ending, body))
        else:
            self._line.transport.writelines((head + ending, body))

    def over(self) -> None:
        """Says that all is said and settled, where callbacks answer and no handler comes to its end."""
        self.on_gone = self.on_room = self.on_quiet = None
        self._line.over(self)

    def carry(self, answering: Coroutine[Any, Any, None]) -> Task[None]:
        """Goes on in a task, where callbacks cannot."""
        self.on_gone = self.on_room = None
        return self._line.carry(self, answering)

    def watch(self, wait: float, on_quiet: Callable[[], None]) -> None:
        """Calls `on_quiet` whenever nothing was written for `wait` seconds, until the exchange is finished."""
        self._quiet, self.on_quiet = wait, on_quiet
        self._line.watch(wait)

    def rest(self) -> None:
        """Called by the connection when the wait is over."""
        if self.on_quiet is None or self.finished or self.gone:
            return
        if not self._wrote:
            self.on_quiet()
        self._wrote = False
        self._line.watch(self._quiet)

    @property
    def congested(self) -> bool:
        """True while the caller reads slower than we write: time to `drain`."""
        return self._line.congested

    async def drain(self) -> None:
        """Returns when more may be written: at once, unless the exchange is congested."""
        if self._line.congested and not self.gone:
            await self._line.relieved()


def head_of(status: int, headers: Iterable[tuple[str, str]], ending: str) -> bytes:
    """The bytes of a head; a character that HTTP cannot carry becomes `?`. Raises ValueError on a line break."""
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    expected = len(lines)
    text = "".join(lines)
    if text.count("\n") != expected or text.count("\r") != expected or "\0" in text:
        raise ValueError("a header of the answer holds a line break or a NUL")
    return (text + ending).encode("latin-1", "replace")
