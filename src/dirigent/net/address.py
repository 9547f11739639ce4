"""The guard for addresses that callers name: they may lead into the internet, never into our own network."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import SplitResult, quote, urlsplit

import msgspec

from dirigent.core.errors import Invalid
from dirigent.core.ports import Origin

__all__ = ["Address", "Guarded", "Permit", "Resolver", "guard", "harmless", "public"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Permit = Callable[[Address], bool]
"""Whether a connection to an address may be made."""
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, for a connection to that port. Raises OSError where there is none."""

_LONGEST = 8192
_LONGEST_NAME = 255
_NEVER_SENT = re.compile(r"[\x00-\x20\x7f\\]")
"""What no URL contains, and what programs that read URLs take in different ways."""
_PLAIN = "/%!$&'()*+,;=:@~?"
"""Signs of a path that stay as they are; a question mark cannot be in it."""
_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")
_AMBIGUOUS = frozenset("ßς\u200c\u200d")
"""Signs that lead to one host by the older rules for international names and to another by the newer."""
_AT_HOME = ("localhost", "local", "internal", "home.arpa", "intranet", "lan", "corp", "home")
"""Ends of names that nobody in the internet has."""
_WEB = frozenset((80, 443))
_OTHER_SERVICES = frozenset(
    (2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, 6697, 10080, 11211, *range(6665, 6670))
)
"""Ports above 1023 of services that would take a request for commands of theirs."""


def _networks(*written: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(each) for each in written)


# The registries of special addresses (IANA), spelled out, because what the standard library knows of them changes from
# one of its versions to the next.
_HARMFUL = _networks(
    "0.0.0.0/8",  # this machine, to many systems
    "100.100.100.200/32",  # Alibaba Cloud: its machines' credentials
    "168.63.129.16/32",  # Azure: the same, at an address that looks public
    "169.254.0.0/16",  # link-local; most clouds keep their machines' credentials there
    "192.0.0.0/24",  # protocol assignments; Oracle Cloud's credentials
    "192.88.99.0/24",  # relays for 6to4
    "224.0.0.0/4",  # many at once
    "240.0.0.0/4",  # reserved, and all at once
    "2001::/32",  # Teredo: another address is meant, and not seen from here
    "2002::/16",  # 6to4: the same
    "fd00:ec2::254/128",  # Amazon: its machines' credentials
    "fd20:ce::254/128",  # Google: the same
)
_NOT_PUBLIC = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",  # between a provider and its customers
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.2.0/24",  # for documents, as the two below
    "192.168.0.0/16",
    "198.18.0.0/15",  # for measurements
    "198.51.100.0/24",
    "203.0.113.0/24",
    "2001::/23",  # protocol assignments
    "2001:db8::/32",  # for documents, as the next
    "3fff::/20",
)
_GLOBAL = ipaddress.IPv6Network("2000::/3")  # of the sixth version, all that has been given to the internet so far
_LOCAL = _networks("::1/128", "fc00::/7")
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # NAT64: the last four bytes are the IPv4 address that is meant


class Guarded(msgspec.Struct, frozen=True):
    """An address that was found harmless. Connect to one of `addresses`: asking for the name again may give another."""

    origin: Origin
    path: str
    addresses: tuple[str, ...]
    public: bool
    """Whether all of them are in the internet, so that whoever named the address may learn what is answered there."""


def public(address: Address) -> bool:
    """Whether the address stands in the internet, for everybody to reach."""
    meant = _meant(address)
    if isinstance(meant, ipaddress.IPv6Address) and meant not in _GLOBAL:
        return False
    return not _within(meant, _HARMFUL) and not _within(meant, _NOT_PUBLIC)


def harmless(address: Address) -> bool:
    """Whether it stands in the internet or in a private network, yet not where a machine's own credentials are."""
    meant = _meant(address)
    if isinstance(meant, ipaddress.IPv6Address) and meant not in _GLOBAL and not _within(meant, _LOCAL):
        return False
    return not _within(meant, _HARMFUL)


async def guard(url: str, resolve: Resolver, permits: Permit = public) -> Guarded:
    """What `url` leads to.

    Raises Invalid unless it is http or https, without credentials, and leads wholly to where `permits` allows. The
    words are the same whether a host is unknown or forbidden, so that nobody learns the names of our own network.
    """
    parts = _split(url)
    host = _host(parts.hostname or "")
    origin = Origin(host, _port(parts), parts.scheme == "https")
    refusal = Invalid(f"the host {host} is not on the public internet" if permits is public else _unreachable(host))
    if permits is public and _at_home(host):
        raise refusal
    try:
        found = (host,) if _is_literal(host) else await resolve(host, origin.port)
        addresses = tuple(dict.fromkeys(ipaddress.ip_address(each.partition("%")[0]) for each in found))
    except (OSError, ValueError):  # a name that cannot be asked for is a ValueError
        raise refusal from None
    if not addresses or not all(permits(address) for address in addresses):
        raise refusal
    return Guarded(origin, _path(parts), tuple(map(str, addresses)), all(public(address) for address in addresses))


def _split(url: str) -> SplitResult:
    if len(url) > _LONGEST or _NEVER_SENT.search(url):
        raise Invalid("the address is too long or holds a sign that no URL has")
    try:
        parts = urlsplit(url)
        named, _ = parts.hostname, parts.port
    except ValueError:
        raise Invalid("the address is not a URL") from None
    if named and ("[" in parts.netloc) is not (":" in named):
        raise Invalid("the address has no host that can be asked for")
    if len(parts.netloc) > _LONGEST_NAME:
        raise Invalid("the address has no host that can be asked for")
    if parts.scheme not in ("http", "https") or not named:
        raise Invalid("only http and https addresses are followed")
    if "@" in parts.netloc:
        raise Invalid("an address with a user name or password is not followed")
    return parts


def _host(host: str) -> str:
    """The host as it stands in certificates: ASCII, lower case, without a dot at its end."""
    if ":" in host and "%" not in host:
        return _literal(ipaddress.IPv6Address, host)
    if not host.isascii():
        if not _AMBIGUOUS.isdisjoint(host):
            raise Invalid("the host's name means different hosts to different programs; write it as `xn--`")
        try:
            host = host.encode("idna").decode().lower()
        except UnicodeError:
            raise Invalid("the address has no host that can be asked for") from None
    host = host.removesuffix(".")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        return _literal(ipaddress.IPv4Address, host)  # in four decimal numbers: all other spellings hide something
    if not _NAME.fullmatch(host):
        raise Invalid("the address has no host that can be asked for")
    return host


def _literal(kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address], host: str) -> str:
    try:
        return str(kind(host))
    except ValueError:
        raise Invalid("the host is a number that is no address in its usual spelling") from None


def _is_literal(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdigit()


def _port(parts: SplitResult) -> int:
    port = parts.port
    if port is None:
        return 443 if parts.scheme == "https" else 80
    if port in _WEB or (port >= 1024 and port not in _OTHER_SERVICES):
        return port
    raise Invalid(f"nothing is fetched from the port {port}")


def _path(parts: SplitResult) -> str:
    path, query = (quote(part, safe=_PLAIN, errors="replace") for part in (parts.path or "/", parts.query))
    return f"{path}?{query}" if query else path


def _at_home(host: str) -> bool:
    return any(host == end or host.endswith(f".{end}") for end in _AT_HOME)


def _unreachable(host: str) -> str:
    return f"the host {host} is not one that may be asked"


def _meant(address: Address) -> Address:
    """The address at which a connection ends: some of the sixth version stand for one of the fourth."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def _within(address: Address, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
