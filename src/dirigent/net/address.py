"""The guard for addresses that callers name: they may lead into the internet, never into our own network."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

import msgspec

from dirigent.core.errors import Invalid
from dirigent.core.ports import Origin

__all__ = ["Guarded", "guard"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # NAT64: the last four bytes are the IPv4 address that is meant


class Guarded(msgspec.Struct, frozen=True):
    """An address that was found harmless. Connect to one of `addresses`: asking for the name again may give another."""

    origin: Origin
    path: str
    addresses: tuple[str, ...]


async def guard(url: str) -> Guarded:
    """What `url` leads to.

    Raises Invalid unless it is http or https, without credentials, and wholly outside private networks.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Invalid("the address is not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Invalid("only http and https addresses are followed")
    if parts.username is not None or parts.password is not None:
        raise Invalid("an address with a user name or password is not followed")
    tls = parts.scheme == "https"
    origin = Origin(host, port or (443 if tls else 80), tls)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, origin.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Invalid(f"the host {host} is unknown") from None
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses or not all(_public(address) for address in addresses):
        raise Invalid(f"the host {host} is not on the public internet")
    path = parts.path or "/"
    return Guarded(origin, f"{path}?{parts.query}" if parts.query else path, addresses)


def _public(text: str) -> bool:
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
    return address.is_global and not address.is_multicast
