"""What the kinds of HTTP services share: an address, credentials by reference, and what may be asked there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from dirigent.core.errors import Finding, Misconfigured
from dirigent.core.ports import Origin, Secret, Secrets
from dirigent.core.source import Offer, Service, Source

__all__ = ["HttpSource"]

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Pattern = Annotated[str, Meta(pattern="^/")]


class HttpSource(Source, frozen=True, kw_only=True):
    """An HTTP service."""

    offers: ClassVar[Offer] = "service"
    protocol: ClassVar[Literal["rest", "odata"]] = "rest"

    base_url: Annotated[str, Meta(pattern="^https?://", max_length=1000)]
    """Where it is; each path is put behind it."""
    headers: Mapping[str, Secret | str] = {}
    """Headers of each call. What lets us in is a credential by reference, `{env: NAME}` or `{file: PATH}`."""
    paths: tuple[Pattern, ...] = ("/*",)
    """The paths below the address that may be asked; `*` stands for any signs."""
    methods: tuple[Method, ...] = ("GET",)
    """What may be done there. Anything but GET and HEAD may change something."""

    def service(self, name: str, secrets: Secrets) -> Service:
        """The service, with its credentials. Raises Misconfigured where one is missing."""
        parts = urlsplit(self.base_url)
        tls = parts.scheme == "https"
        origin = Origin((parts.hostname or "").lower(), parts.port or (443 if tls else 80), tls)
        headers = tuple((field.lower(), _revealed(value, secrets)) for field, value in self.headers.items())
        return Service(origin, parts.path.rstrip("/"), headers, self.paths, tuple(self.methods), self.protocol)

    def faults(self, secrets: Secrets) -> Iterable[Finding]:
        """An address that is none, a header that cannot be sent, a credential that is missing."""
        try:
            parts = urlsplit(self.base_url)
            _ = parts.port
            if not parts.hostname or parts.username or parts.query or parts.fragment:
                raise ValueError
        except ValueError:
            yield Finding(
                ("base_url",), "this is no plain address: a host, perhaps a port and a path, and nothing else"
            )
        for field, value in self.headers.items():
            if not field.replace("-", "").isalnum() or field.lower() in _OURS:
                yield Finding(("headers", field), "this is no header that can be set here")
            elif isinstance(value, Secret) and bool(value.env) == bool(value.file):
                yield Finding(
                    ("headers", field), "a credential stands either in a variable, `env`, or in a file, `file`"
                )
            else:
                try:
                    _revealed(value, secrets)
                except Misconfigured as fault:
                    yield Finding(("headers", field), fault.message)


_OURS = frozenset(("host", "content-length", "connection", "transfer-encoding", "accept-encoding", "idempotency-key"))


def _revealed(value: Any, secrets: Secrets) -> str:
    if not isinstance(value, Secret):
        return str(value)
    found = secrets.reveal(value)
    if not found:
        raise Misconfigured(f"{value} is missing or empty")
    return found
