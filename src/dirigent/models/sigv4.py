"""AWS Signature Version 4: a call signed as a whole, by its date, its headers and its body."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from hmac import new as hmac
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from dirigent.core.ports import HttpCall, Origin

__all__ = ["Credentials", "signed"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNSIGNED = frozenset(("traceparent", "user-agent", "expect", "x-amzn-trace-id"))
"""Headers that others may change on the way."""


class Credentials(NamedTuple):
    """Who signs; `token` goes with credentials that last for a while only."""

    access_key: str
    secret_key: str
    token: str | None = None


def signed(call: HttpCall, credentials: Credentials, *, region: str, service: str, now: datetime) -> HttpCall:
    """`call` with its signature; `now` is in UTC."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = [*call.headers, ("x-amz-date", stamp)]
    if credentials.token is not None:
        headers.append(("x-amz-security-token", credentials.token))
    covered = sorted([
        *((name, " ".join(value.split())) for name, value in headers if name not in _UNSIGNED),
        ("host", _host(call.origin)),
    ])  # fmt: skip
    names = ";".join(name for name, _ in covered)
    path, _, query = call.path.partition("?")
    canonical = "\n".join((
        call.method,
        quote(path, safe="/-_.~"),  # encoded once more than it is sent, as every service but S3 wants it
        "&".join(sorted(query.split("&"))),
        *(f"{name}:{value}" for name, value in covered),
        "",
        names,
        sha256(call.body).hexdigest(),
    ))  # fmt: skip
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    told = "\n".join((_ALGORITHM, stamp, scope, sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_key}".encode()
    for step in (stamp[:8], region, service, "aws4_request"):
        key = hmac(key, step.encode(), sha256).digest()
    signature = hmac(key, told.encode(), sha256).hexdigest()
    credential = f"{credentials.access_key}/{scope}"
    proof = f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return msgspec.structs.replace(call, headers=(*headers, ("authorization", proof)))


def _host(origin: Origin) -> str:
    """The host as the HTTP client sends it."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return host if origin.port == (443 if origin.tls else 80) else f"{host}:{origin.port}"
