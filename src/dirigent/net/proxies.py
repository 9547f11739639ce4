"""Which proxy stands between us and a provider, and how it is asked."""

from __future__ import annotations

import base64
import ipaddress
from urllib.parse import unquote, urlsplit

import msgspec

from dirigent.core.errors import Misconfigured
from dirigent.core.ports import Origin

__all__ = ["Proxies", "Proxy"]


class Proxy(msgspec.Struct, frozen=True):
    """One HTTP proxy; `credentials` is the value of its `proxy-authorization` header."""

    host: str
    port: int
    credentials: str | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Proxies:
    """The proxies for http and https addresses, as HTTP_PROXY, HTTPS_PROXY and NO_PROXY name them.

    This machine itself is never asked through one. Raises Misconfigured for a proxy that is not reached by plain http.
    """

    def __init__(self, http: str | None = None, https: str | None = None, exempt: str = "") -> None:
        self._plain = _proxy(http)
        self._tls = _proxy(https)
        self._exempt = [entry.strip().lower() for entry in exempt.split(",") if entry.strip()]

    def between(self, origin: Origin) -> Proxy | None:
        """The proxy on the way to `origin`; None where the way is direct."""
        proxy = self._tls if origin.tls else self._plain
        if proxy is None or _here(origin.host) or any(_covers(entry, origin) for entry in self._exempt):
            return None
        return proxy


def _proxy(address: str | None) -> Proxy | None:
    if not address:
        return None
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if parts.scheme != "http" or not parts.hostname:
        raise Misconfigured(f"a proxy is named as http://host:port, not as {parts.scheme}://{parts.hostname or ''}")
    credentials = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        credentials = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Proxy(parts.hostname, parts.port or 80, credentials)


def _here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _covers(entry: str, origin: Origin) -> bool:
    if entry == "*":
        return True
    host = origin.host.lower()
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass  # one of the two is a name
    name, separator, port = entry.rpartition(":")
    if separator and port.isdigit() and ":" not in name:
        if int(port) != origin.port:
            return False
        entry = name
    entry = entry.removeprefix("*").removeprefix(".")
    return host == entry or host.endswith(f".{entry}")
