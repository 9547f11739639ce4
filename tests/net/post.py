"""A mail server of the tests: it speaks SMTP on a real socket, with STARTTLS, TLS from the first byte, or neither."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message

__all__ = ["Office", "office"]


@dataclass
class Office:
    """What the server takes, and what it was told."""

    encryption: ssl.SSLContext | None = None
    """What STARTTLS leads to; None where it is not offered."""
    user: tuple[str, str] | None = None
    """Who may send, by which password; None for everybody."""
    refuses: str = ""
    """What is answered to every address, such as `550 nobody here`."""
    port: int = 0
    messages: list[tuple[str, Message]] = field(default_factory=list)
    """To whom, and what."""
    encrypted: list[bool] = field(default_factory=list)
    """Of each message, whether it came over an encrypted connection."""
    clear: bytearray = field(default_factory=bytearray)
    """All that was said before anything was encrypted."""

    async def visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await self._conversation(reader, writer)
        writer.close()

    async def _conversation(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        encrypted = writer.get_extra_info("sslcontext") is not None
        known, to = self.user is None, ""
        writer.write(b"220 post.example ESMTP\r\n")
        while True:
            line = await reader.readuntil(b"\r\n")
            if not encrypted:
                self.clear += line
            word, _, rest = line.decode().strip().partition(" ")
            match word.upper():
                case "EHLO":
                    offers = [b"STARTTLS"] if self.encryption is not None and not encrypted else []
                    offers += [b"AUTH PLAIN"] if self.user is not None else []
                    said = [b"post.example", *offers]
                    writer.write(b"".join(b"250-%b\r\n" % each for each in said[:-1]) + b"250 %b\r\n" % said[-1])
                case "STARTTLS" if self.encryption is not None:
                    writer.write(b"220 go on\r\n")
                    await writer.start_tls(self.encryption)
                    encrypted = True
                case "AUTH":
                    given = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")[1:]
                    known = tuple(given) == self.user
                    writer.write(b"235 welcome\r\n" if known else b"535 no\r\n")
                case "MAIL":
                    writer.write(b"250 ok\r\n" if known else b"530 who are you\r\n")
                case "RCPT":
                    to = rest.partition(":")[2].strip("<>")
                    writer.write(self.refuses.encode() + b"\r\n" if self.refuses else b"250 ok\r\n")
                case "DATA":
                    writer.write(b"354 go on\r\n")
                    data = (await reader.readuntil(b"\r\n.\r\n")).removesuffix(b".\r\n")
                    self.messages.append((to, message_from_bytes(data)))
                    self.encrypted.append(encrypted)
                    writer.write(b"250 taken\r\n")
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    return
                case _:
                    writer.write(b"250 ok\r\n")


@asynccontextmanager
async def office(tls: ssl.SSLContext | None = None, **manners: object) -> AsyncIterator[Office]:
    """A mail server in this process; with `tls` it is encrypted from the first byte on."""
    one = Office(**manners)  # type: ignore[arg-type]  # its own fields
    server = await asyncio.start_server(one.visited, "127.0.0.1", 0, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
