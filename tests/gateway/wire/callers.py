"""Callers of the server under test, who speak in raw bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dirigent.gateway.wire import Exchange, Limits, Server
from dirigent.gateway.wire.connection import Handler


class Caller:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def all(self) -> bytes:
        """Everything until the server closes."""
        return await asyncio.wait_for(self.reader.read(), 30)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One answer: status, headers and body, the chunks joined."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        status = int(first.split(" ")[1])
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, await self._chunks()
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def _chunks(self) -> bytes:
        pieces: list[bytes] = []
        while size := int((await self.reader.readuntil(b"\r\n"))[:-2], 16):
            pieces.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readexactly(2)
        return b"".join(pieces)

    def leave(self) -> None:
        self.writer.transport.abort()


class Stage:
    """A running server and those who call it."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port
        self.callers: list[Caller] = []

    async def caller(self) -> Caller:
        caller = Caller(*await asyncio.open_connection("127.0.0.1", self.port))
        self.callers.append(caller)
        return caller

    async def say(self, data: bytes) -> bytes:
        """All that the server answers to `data` before it closes."""
        caller = await self.caller()
        caller.send(data)
        return await caller.all()


@asynccontextmanager
async def stage(handler: Handler, limits: Limits | None = None) -> AsyncIterator[Stage]:
    server = Server(handler, limits)
    running = Stage(server, await server.start())
    try:
        yield running
    finally:
        await server.close()
        for caller in running.callers:
            caller.leave()


async def echo(exchange: Exchange) -> None:
    """Answers with all that it was asked."""
    words = f"{exchange.method} {exchange.path} {exchange.query} ".encode()
    fields = b" ".join(b"%b=%b" % field for field in sorted(exchange.headers.items()))
    exchange.respond(200, (), words + fields + b" " + exchange.body)


async def until(truth: object, seconds: float = 30) -> None:
    """Waits until `truth()` holds; fails after `seconds`."""
    assert callable(truth)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not truth():
        assert loop.time() < end, f"did not come about within {seconds} s"
        await asyncio.sleep(0.002)
