"""What stands at addresses that callers name, fetched under guard: each step is checked, bounded and forgotten."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, urljoin

from dirigent.core.errors import DirigentError, Failed, Invalid
from dirigent.core.ports import Fetched, Origin, Timeouts
from dirigent.net.address import Guarded, Permit, Resolver, guard, public
from dirigent.net.answer import Answer
from dirigent.net.connection import Connection
from dirigent.net.dialling import dial, peer_of, trust
from dirigent.net.proxies import Proxies
from dirigent.net.sweep import Sweep

__all__ = ["Fetcher"]

_REDIRECTS = 3
_MOVED = frozenset((301, 302, 303, 307, 308))
_TRIED = 3
"""Addresses of one host that are tried, one after the other."""
_AT_ONCE = 32
"""What one worker fetches at the same time, for all its callers, so that its memory is bounded."""
_LOOKUPS = 8
"""Names that are resolved at the same time."""
_TAKEN = re.compile(r"(?:image|text|audio)/[a-z0-9!#$&^_.+-]{1,100}|application/pdf")
_UNTOLD = frozenset(("", "application/octet-stream", "binary/octet-stream"))
"""What stores say of files of which nobody told them the type."""
_SIGNS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"RIFF....WAVE", re.DOTALL), "audio/wav"),
    (re.compile(rb"%PDF-"), "application/pdf"),
)
_CHARSET = re.compile(
    r"charset=\"?(iso-8859-\d{1,2}|windows-125\d|us-ascii|utf-16(?:le|be)?|shift_jis|euc-jp|euc-kr|gbk|gb2312|gb18030"
    r"|big5|koi8-[ru])\"?\s*(?:;|$)",
    re.IGNORECASE,
)
"""Spellings of text that are put into UTF-8; of the others that Python knows some take very long."""


class Fetcher:
    """Fetches under guard (core.ports.Fetch), on one event loop.

    A name is resolved once for each step, and the connection goes to one of the very addresses that `permits` allowed,
    with the certificate verified for the name. No cookie, credential or header of a caller goes along, and nothing
    stays open. All of it ends within `patience` seconds.
    """

    def __init__(
        self,
        *,
        permits: Permit = public,
        resolve: Resolver | None = None,
        authorities: Path | None = None,
        proxies: Proxies | None = None,
        patience: float = 10.0,
    ) -> None:
        self._permits = permits
        self._resolve = resolve or self._resolved
        # threads of its own: whoever names hosts whose name servers never answer must not keep providers unresolved
        self._lookups = ThreadPoolExecutor(_LOOKUPS, "lookup")
        self._authorities = authorities
        self._proxies = proxies or Proxies()
        self._patience = patience
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, url: str, most: int) -> Fetched:
        """The picture, document, text or sound at `url`, of `most` bytes at most.

        Raises Invalid, which says of a host outside the internet no more than that nothing came of it.
        """
        try:
            async with asyncio.timeout(self._patience), self._places:
                return await self._followed(url, most)
        except TimeoutError:
            raise Invalid(f"nothing could be fetched within {self._patience:g} s") from None

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Hands `body` to whoever takes it at `url`, under the same guard; where it leads on to is not followed.

        Raises Invalid where it was not taken, with the words that `fetch` would have. The names and values of `headers`
        are for the caller to have made harmless.
        """
        try:
            async with asyncio.timeout(self._patience), self._places:
                target = await guard(url, self._resolve, self._permits)
                fault = _Fault(target, "nothing could be handed to")
                connection = await self._connected(target, fault)
                waits = Timeouts(self._patience, self._patience, self._patience, self._patience)
                head = _posted(target, headers, len(body))
                ends = self._sweep.loop.time() + self._patience
                answer = connection.ask(head, body, waits, ends, bodiless=False)
                try:
                    await answer.begun()
                except Failed:
                    raise fault.because("its answer broke off or is no HTTP") from None
                finally:
                    answer.close()
                if not 200 <= answer.status < 300:
                    raise fault.because(f"it answers with the status {answer.status}")
        except TimeoutError:
            raise Invalid(f"nothing could be handed over within {self._patience:g} s") from None

    @property
    def working(self) -> int:
        """How many answers have not wholly arrived."""
        return len(self._sweep.waiting)

    def close(self) -> None:
        """Breaks off all that is still coming."""
        for answer in tuple(self._sweep.waiting):
            answer.close()
        self._sweep.stop()
        self._lookups.shutdown(wait=False, cancel_futures=True)

    async def _followed(self, url: str, most: int) -> Fetched:
        target = await guard(url, self._resolve, self._permits)
        fault = _Fault(target)
        found = await self._asked(target, most, fault)
        for _ in range(_REDIRECTS):
            if isinstance(found, Fetched):
                return found
            here = target.origin
            try:
                target = await guard(_joined(target, found), self._resolve, self._permits)
            except Invalid:  # where to is the host's secret, and whether anybody is there is ours
                raise fault.because("it leads on to where nothing is fetched from") from None
            if here.tls and not target.origin.tls:
                raise fault.because("it leads on to where nothing is encrypted")
            fault.passes(target)
            found = await self._asked(target, most, fault)
        if isinstance(found, Fetched):
            return found
        raise fault.because(f"it leads on more than {_REDIRECTS} times")

    async def _asked(self, target: Guarded, most: int, fault: _Fault) -> Fetched | str:
        """What stands there, or where it stands instead."""
        connection = await self._connected(target, fault)
        ends = self._sweep.loop.time() + self._patience
        waits = Timeouts(self._patience, self._patience, self._patience, self._patience)
        answer = connection.ask(_head(target), b"", waits, ends, bodiless=False)
        try:
            await answer.begun()
            if answer.status in _MOVED and (location := answer.headers.get("location")):
                return location
            return await _read(answer, most, fault)
        except Failed:
            raise fault.because("its answer broke off or is no HTTP") from None
        finally:
            answer.close()

    async def _connected(self, target: Guarded, fault: _Fault) -> Connection:
        origin = target.origin
        proxy = self._proxies.between(origin)

        def fresh() -> Connection:
            return Connection(peer_of(origin), self._sweep, Connection.drop, Connection.drop)

        for address in target.addresses[:_TRIED]:
            try:
                return await dial(origin, proxy, self._context, fresh, self._patience / _TRIED, at=address)
            except DirigentError:
                continue
        raise fault.because("no connection comes about")

    async def _resolved(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._lookups, _looked_up, host, port)
        return [str(entry[4][0]) for entry in found]

    def _context(self) -> ssl.SSLContext:
        return self._tls

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return trust(self._authorities)

    @cached_property
    def _sweep(self) -> Sweep:
        return Sweep(asyncio.get_running_loop(), lambda _: False)


def _looked_up(host: str, port: int) -> Sequence[tuple[object, object, object, object, tuple[object, ...]]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class _Fault:
    """What the caller is told where nothing comes of it: why, only while the whole way leads through the internet."""

    def __init__(self, named: Guarded, what: str = "nothing could be fetched from") -> None:
        self._words = f"{what} {named.origin.host}"
        self._told = named.public

    def passes(self, target: Guarded) -> None:
        """The way leads on to there."""
        self._told = self._told and target.public

    def because(self, why: str) -> Invalid:
        return Invalid(f"{self._words}: {why}" if self._told else self._words)


def _head(target: Guarded) -> bytes:
    """The bytes of a request's head. The guard has let no sign through that could end a line."""
    return (
        f"GET {target.path} HTTP/1.1\r\nhost: {_named(target)}\r\nuser-agent: dirigent\r\n"
        "accept: image/*, application/pdf, text/*, audio/*\r\naccept-encoding: identity\r\nconnection: close\r\n\r\n"
    ).encode("ascii")


def _posted(target: Guarded, headers: Sequence[tuple[str, str]], length: int) -> bytes:
    """The bytes of the head of a request with a body."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return (
        f"POST {target.path} HTTP/1.1\r\nhost: {_named(target)}\r\nuser-agent: dirigent\r\n{fields}"
        f"content-length: {length}\r\naccept-encoding: identity\r\nconnection: close\r\n\r\n"
    ).encode("ascii")


def _named(target: Guarded) -> str:
    origin = target.origin
    usual = origin.port == (443 if origin.tls else 80)
    return peer_of(origin).rpartition(":")[0] if usual else peer_of(origin)


def _joined(target: Guarded, location: str) -> str:
    """Where a redirect leads, seen from where it stood."""
    here: Origin = target.origin
    try:
        written = quote(location.encode("latin-1"), safe="".join(map(chr, range(0x80))))
        return urljoin(f"{'https' if here.tls else 'http'}://{peer_of(here)}{target.path}", written)
    except ValueError:  # brackets that do not close
        return ""


async def _read(answer: Answer, most: int, fault: _Fault) -> Fetched:
    headers = answer.headers
    if answer.status != 200:
        raise fault.because(f"it answers with the status {answer.status}")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":  # a small one may unfold without end
        raise fault.because("it answers compressed, though asked not to")
    declared = headers.get("content-type", "")
    content_type = declared.partition(";")[0].strip().lower()
    if content_type not in _UNTOLD and not _TAKEN.fullmatch(content_type):
        raise fault.because("it is no picture, PDF, text or sound")
    length = headers.get("content-length", "0")
    if len(length) > 15 or int(length) > most:
        raise fault.because(f"it is larger than {most} bytes")
    pieces: list[bytes] = []
    size = 0
    async with aclosing(answer.chunks()) as chunks:
        async for piece in chunks:
            size += len(piece)
            if size > most:
                raise fault.because(f"it is larger than {most} bytes")
            pieces.append(piece)
    data = b"".join(pieces)
    if content_type in _UNTOLD:
        content_type = next((known for sign, known in _SIGNS if sign.match(data)), "")
        if not content_type:
            raise fault.because("it is no picture, PDF, text or sound")
    if content_type.startswith("text/") and (spelled := _CHARSET.search(declared)):
        data = data.decode(spelled[1], errors="replace").encode()
    return Fetched(data, content_type)
