"""A door to a PostgreSQL that can be shut: nodes find nobody behind it, and what they were saying is cut off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from urllib.parse import parse_qs, quote, urlsplit

__all__ = ["Door", "door"]

_SOCKET = ".s.PGSQL.5432"


class Door:
    """Passes bytes on between a socket in its own folder and the server's."""

    def __init__(self, url: str, folder: Path) -> None:
        [host] = parse_qs(urlsplit(url).query)["host"]
        self.url = url.replace(quote(host, safe="/"), str(folder)).replace(host, str(folder))
        """Where nodes find the database, as long as the door is open."""
        self._inside = f"{host}/{_SOCKET}"
        self._outside = f"{folder}/{_SOCKET}"
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = Thread(target=self._loop.run_forever, name="door", daemon=True)
        self._thread.start()

    def open(self) -> None:
        """Lets everybody in."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)

    def shut(self) -> None:
        """Lets nobody in, and cuts off who is talking."""
        Path(self._outside).unlink(missing_ok=True)
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)

    def close(self) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _open(self) -> None:
        self._server = await asyncio.start_unix_server(self._visited, self._outside)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inside, to_inside = await asyncio.open_unix_connection(self._inside)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, to_inside}
        self._writers |= both
        try:
            await asyncio.gather(_passed(reader, to_inside), _passed(inside, writer))
        finally:
            self._writers -= both


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@contextmanager
def door(url: str) -> Iterator[Door]:
    """An open door to the database at an address."""
    with TemporaryDirectory(prefix="door-") as folder:
        one = Door(url, Path(folder))
        one.open()
        try:
            yield one
        finally:
            one.close()
