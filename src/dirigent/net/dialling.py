"""How a connection comes about: resolved, connected, through a proxy where one stands, and wrapped in TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import httptools

from dirigent.core.errors import DirigentError, Misconfigured, TimedOut, Unavailable
from dirigent.core.ports import Origin
from dirigent.net.connection import Connection
from dirigent.net.proxies import Proxy

__all__ = ["dial", "peer_of", "trust"]


def trust(authorities: Path | None) -> ssl.SSLContext:
    """Settings that trust the system's authorities and those in the PEM file `authorities`.

    Raises Misconfigured where that file is unreadable.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if authorities is not None:
        try:
            context.load_verify_locations(authorities)
        except (OSError, ssl.SSLError) as error:
            raise Misconfigured(
                f"the file {authorities} is not a readable PEM file of certificate authorities: {error}"
            ) from error
    return context


def peer_of(origin: Origin) -> str:
    """The origin as people read it."""
    return f"[{origin.host}]:{origin.port}" if ":" in origin.host else f"{origin.host}:{origin.port}"


async def dial(
    origin: Origin,
    proxy: Proxy | None,
    tls: Callable[[], ssl.SSLContext],
    fresh: Callable[[], Connection],
    patience: float,
    *,
    at: str | None = None,
) -> Connection:
    """A connection to `origin`, within `patience` seconds: to the address `at`, where its name was resolved before.

    Raises Unavailable or TimedOut, in words that name host and port.
    """
    peer = peer_of(origin) if proxy is None else f"{peer_of(origin)} (through the proxy {proxy})"
    try:
        async with asyncio.timeout(patience):
            return await _dial(origin, proxy, tls, fresh, at)
    except DirigentError:
        raise
    except TimeoutError as error:
        raise TimedOut(f"{peer} could not be connected to within {patience:g} s") from error
    except socket.gaierror as error:
        raise Unavailable(f"{peer} could not be connected to: the name is unknown ({error.strerror})") from error
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(f"the certificate of {peer} cannot be trusted: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise Unavailable(f"no TLS connection to {peer} comes about: {error.reason or error}") from error
    except ConnectionRefusedError as error:
        raise Unavailable(f"{peer} could not be connected to: nothing listens there") from error
    except OSError as error:
        raise Unavailable(f"{peer} could not be connected to: {error.strerror or error}") from error


async def _dial(
    origin: Origin,
    proxy: Proxy | None,
    tls: Callable[[], ssl.SSLContext],
    fresh: Callable[[], Connection],
    at: str | None,
) -> Connection:
    loop = asyncio.get_running_loop()
    if proxy is None:
        context, named = (tls(), origin.host) if origin.tls else (None, None)
        _, connection = await loop.create_connection(
            fresh, at or origin.host, origin.port, ssl=context, server_hostname=named
        )
        return connection
    if not origin.tls and at is None:
        _, connection = await loop.create_connection(fresh, proxy.host, proxy.port)
        return connection
    target = peer_of(Origin(at or origin.host, origin.port, origin.tls))
    transport, tunnel = await loop.create_connection(lambda: _Tunnel(target, proxy), proxy.host, proxy.port)
    connection = fresh()
    try:
        await tunnel.open
        if not origin.tls:  # to the very address: a proxy that is asked for the name would look it up again
            transport.set_protocol(connection)
            connection.connection_made(transport)
            return connection
        wrapped = await loop.start_tls(transport, connection, tls(), server_hostname=origin.host)
    except BaseException:  # cancelled as well: half a tunnel is of no use to anybody
        transport.abort()
        raise
    if wrapped is None:
        raise Unavailable(f"{peer_of(origin)} closed the connection that the proxy {proxy} had opened")
    connection.connection_made(wrapped)
    return connection


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel; `open` is done when it stands."""

    def __init__(self, target: str, proxy: Proxy) -> None:
        self._target = target
        self._proxy = proxy
        self._parser = httptools.HttpResponseParser(self)
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        granted = f"proxy-authorization: {self._proxy.credentials}\r\n" if self._proxy.credentials else ""
        asked = f"CONNECT {self._target} HTTP/1.1\r\nhost: {self._target}\r\n{granted}\r\n"
        cast(asyncio.WriteTransport, transport).write(asked.encode("latin-1"))

    def data_received(self, data: bytes) -> None:
        if self.open.done():
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._refuse(f"does not speak HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse("closed the connection")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 200 <= status < 300 and not self.open.done():
            self.open.set_result(None)
        elif status >= 200:
            self._refuse(f"refused it with the status {status}")

    def _refuse(self, why: str) -> None:
        if not self.open.done():
            self.open.set_exception(
                Unavailable(f"no tunnel to {self._target} comes about: the proxy {self._proxy} {why}")
            )
