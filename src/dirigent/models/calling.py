"""Calls to services that the operator has named: what may be asked there, and what their answers mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import aclosing
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from dirigent.core.errors import (
    BadAnswer,
    DirigentError,
    Finding,
    Forbidden,
    Invalid,
    Misconfigured,
    RateLimited,
    Unavailable,
)
from dirigent.core.journal import read
from dirigent.core.model import Survey
from dirigent.core.ports import HttpCall, Timeouts
from dirigent.core.registry import nearest
from dirigent.core.run import Run
from dirigent.core.source import Service, ServiceRefused, Source

__all__ = ["Reply", "called", "plain_path", "service_faults", "service_of"]

_KEPT = "/-._~!$&'()*+,;=:@%"
"""Signs of a path that stay as they are."""
_SHOWN = 300
"""Characters of a refusal that are told."""


class Reply(msgspec.Struct, frozen=True):
    """What a service has answered."""

    status: int
    content_type: str
    body: Any
    """Plain data where it is JSON, else its text."""


def service_of(name: str, run: Run) -> Service:
    """The service of that name, which this run may reach. Raises Invalid, Forbidden, Misconfigured."""
    source = run.catalog.source(name)
    if not isinstance(source, Source) or source.offers != "service":
        raise Invalid(f"the source {name!r} is no service that can be called")
    source.permit(name, run)
    return source.service(name, run.ports.secrets)


def plain_path(path: str, service: Service) -> str:
    """A path of the service, written for the wire. Raises Forbidden where it leads elsewhere or is not permitted."""
    if not path.startswith("/") or "//" in path or "?" in path or "#" in path or "\\" in path:
        raise Forbidden(f"{path!r} is no plain path: it begins with one slash; what is asked stands in `query`")
    bare = path.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/")
    if any(part in (".", "..") for part in bare.split("/")) or any(ord(sign) < 32 for sign in path):
        raise Forbidden(f"{path!r} leads out of what is permitted")
    if not any(fnmatchcase(path, pattern) for pattern in service.paths):
        raise Forbidden(f"the path {path!r} is none of those that this source lets be asked")
    return quote(f"{service.path}{path}", safe=_KEPT)


async def called(
    run: Run,
    service: Service,
    method: str,
    path: str,
    *,
    query: Mapping[str, Any] | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
    seconds: float,
    most: int,
    accepted: Iterable[int] = (),
) -> Reply:
    """What the service answers; `path` is for the wire.

    Raises Forbidden where the source does not let that be done, ServiceRefused, Unavailable, TimedOut, BadAnswer.
    """
    if method not in service.methods:
        raise Forbidden(f"this source lets only {', '.join(service.methods)} be asked, not {method}")
    written = urlencode(
        {name: _text(value) for name, value in (query or {}).items() if value is not None}, quote_via=quote
    )
    call = HttpCall(
        service.origin,
        f"{path}?{written}" if written else path,
        (*headers, *service.headers),
        body,
        method,
    )
    patience = min(seconds, max(0.001, run.seconds_left))
    waits = Timeouts(min(10.0, patience), patience, patience, patience)
    answer = await run.ports.http.open(call, waits)
    try:
        data = await _read(answer.chunks(), most)
        content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not 200 <= answer.status < 300 and answer.status not in accepted:
            raise _refusal(answer.status, data, answer.headers.get("retry-after", ""))
        return Reply(answer.status, content_type, _body(content_type, data))
    finally:
        answer.close()


def service_faults(name: str, survey: Survey) -> Iterable[Finding]:
    """A source that is none, or no service."""
    source = survey.source(name)
    if name not in survey.source_names():
        yield Finding(("source",), f"there is no source {name!r}{nearest(name, survey.source_names())}")
    elif source is not None and source.offers != "service":
        yield Finding(("source",), f"{name!r} has {source.offers}, and is no service that can be called")


async def _read(chunks: Any, most: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async with aclosing(chunks) as coming:
        async for piece in coming:
            size += len(piece)
            if size > most:
                raise ServiceRefused(f"the service answers more than {most} bytes")
            pieces.append(piece)
    return b"".join(pieces)


def _body(content_type: str, data: bytes) -> Any:
    if not data:
        return None
    if content_type.endswith("json"):
        try:
            return read(data)
        except msgspec.DecodeError:
            raise BadAnswer("the service says that it answers JSON, and does not") from None
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadAnswer(f"the service answers {content_type or 'something'} that is no text") from None


def _refusal(status: int, data: bytes, wait: str) -> DirigentError:
    words = " ".join(data[: _SHOWN * 4].decode(errors="replace").split())[:_SHOWN]
    said = f"the service answers {status}" + (f": {words}" if words else "")
    if status in (401, 403):
        return Misconfigured(f"the service does not let us in ({status}): the operator has to look at its credential")
    if status == 429:
        return RateLimited(said, retry_after=float(wait) if wait.isascii() and wait.isdigit() else None)
    return Unavailable(said) if status >= 500 or status == 408 else ServiceRefused(said)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return str(value)
