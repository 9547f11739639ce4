"""What was asked and answered, copied on its way where the purpose of a request says that it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import time
from typing import Final

from dirigent.core.ports import Said
from dirigent.core.run import Run
from dirigent.gateway.wire import Exchanging

__all__ = ["MOST", "Copy", "Copying"]

MOST: Final = 1024 * 1024
"""Bytes that are kept of what was asked, and as many of what was answered; of more than that, the first."""
_TEXTS = ("application/json", "text/", "application/x-ndjson")


class Copy:
    """The copy of one exchange: no more than `MOST` bytes of either side, and of texts alone."""

    __slots__ = ("_pieces", "_room", "_textual", "begun", "days")

    def __init__(self, days: int) -> None:
        self.days = days
        """For how long it is to be kept."""
        self.begun = False
        """Whether anybody was to answer: who only counts or explains has nothing that is kept."""
        self._pieces: list[bytes] = []
        self._room = MOST
        self._textual = True

    def begin(self) -> None:
        """Begins to copy an answer, and forgets what was said by one who is not heard after all."""
        self.begun = True
        self._pieces.clear()
        self._room, self._textual = MOST, True

    def head(self, headers: Iterable[tuple[str, str]]) -> None:
        """Learns whether it is text that follows."""
        kind = next((value for name, value in headers if name == "content-type"), "")
        self._textual = _is_text(kind)

    def add(self, data: bytes) -> None:
        """Takes a piece of the answer."""
        if data and self._room and self._textual:
            piece = data[: self._room]
            self._pieces.append(piece)
            self._room -= len(piece)

    def said(self, run: Run, headers: Mapping[bytes, bytes], body: bytes) -> Said | None:
        """All of it, once it is over; None where there is no text in it."""
        if not self.begun:
            return None
        asked = body[:MOST] if _is_text(headers.get(b"content-type", b"application/json").decode("latin-1")) else b""
        answered = b"".join(self._pieces)
        if not asked and not answered:
            return None
        about = headers.get(b"x-dirigent-subject", b"")
        return Said(run.principal.tenant, run.id, time(), self.days, asked, answered, _words(about))


class Copying:
    """An exchange whose answer is copied as it is written (gateway.wire.Exchanging)."""

    def __init__(self, exchange: Exchanging, copy: Copy) -> None:
        copy.begin()
        self._exchange = exchange
        self._copy = copy
        self.method, self.path, self.query = exchange.method, exchange.path, exchange.query
        self.target, self.headers, self.body = exchange.target, exchange.headers, exchange.body

    @property
    def started(self) -> bool:
        return self._exchange.started

    @property
    def finished(self) -> bool:
        return self._exchange.finished

    @property
    def congested(self) -> bool:
        return self._exchange.congested

    def respond(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        told = tuple(headers)
        self._copy.head(told)
        self._copy.add(body)
        self._exchange.respond(status, told, body)

    def start(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        told = tuple(headers)
        self._copy.head(told)
        self._exchange.start(status, told)

    def write(self, data: bytes) -> None:
        self._copy.add(data)
        self._exchange.write(data)

    def finish(self) -> None:
        self._exchange.finish()

    def cut(self) -> None:
        self._exchange.cut()

    def watch(self, wait: float, on_quiet: Callable[[], None]) -> None:
        self._exchange.watch(wait, on_quiet)

    async def drain(self) -> None:
        await self._exchange.drain()


def _is_text(kind: str) -> bool:
    return kind.lower().startswith(_TEXTS)


def _words(header: bytes) -> str:
    """A name in a header: in UTF-8 as most write it, else as HTTP once had it."""
    try:
        return header.decode()
    except UnicodeDecodeError:
        return header.decode("latin-1")
