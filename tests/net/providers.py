"""Providers who do on a real socket exactly what a test tells them to."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from dirigent.core.ports import HttpCall, Origin, Timeouts

PATIENT = Timeouts(connect=60, first_byte=60, idle=60, total=120)
"""Longer than any test waits for what is to happen by itself."""
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Visit:
    """One connection of the client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.bodies: list[bytes] = []
        """Of the requests that were read."""
        self.gone = asyncio.Event()
        """Set when the client has closed it."""

    async def request(self) -> tuple[str, bytes]:
        """The head and body of the next request; raises IncompleteReadError when the client has closed."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = next((int(line[16:]) for line in head.split("\r\n") if line.startswith("content-length: ")), 0)
        body = await self.reader.readexactly(length)
        self.bodies.append(body)
        return head, body

    def say(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)

    async def until_gone(self) -> None:
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.gone.set()


Manner = Callable[[Visit], Awaitable[None]]


class Provider:
    """A listening provider, with all the visits it has had."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self.origin = Origin("127.0.0.1", 0, tls=False)

    def call(self, path: str = "/", *, body: bytes = b"", method: str = "POST", **headers: str) -> HttpCall:
        return HttpCall(self.origin, path, tuple(headers.items()), body, method)

    async def asked(self) -> None:
        """Returns once a request has been read whole; fails where none comes."""
        async with asyncio.timeout(30):
            while not any(visit.bodies for visit in self.visits):  # noqa: ASYNC110  a manner of any kind reads it
                await asyncio.sleep(0.005)


@asynccontextmanager
async def provider(
    manner: Manner, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Provider]:
    one = Provider()

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(reader, writer)
        one.visits.append(visit)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await manner(visit)
        writer.transport.abort()

    server = await asyncio.start_server(visited, "127.0.0.1", 0, ssl=tls)
    one.origin = Origin(host, server.sockets[0].getsockname()[1], tls=tls is not None)
    async with server:
        yield one
        for visit in one.visits:
            visit.writer.transport.abort()


def answering(*answers: bytes) -> Manner:
    """Answers the requests of each connection with these, one after the other, then waits for the client to close."""

    async def manner(visit: Visit) -> None:
        for answer in answers:
            await visit.request()
            visit.say(answer)
        await visit.until_gone()

    return manner


def saying_all(answer: bytes) -> Manner:
    """Answers every request with this."""

    async def manner(visit: Visit) -> None:
        while True:
            await visit.request()
            visit.say(answer)

    return manner
