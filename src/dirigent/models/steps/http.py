"""The step that calls a service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from dirigent.core.errors import Finding
from dirigent.core.journal import Effect, written
from dirigent.core.model import Survey
from dirigent.models.calling import called, plain_path, service_faults, service_of
from dirigent.models.filling import template_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Http"]

_READS = ("GET", "HEAD")
_OURS = frozenset(("host", "content-length", "connection", "transfer-encoding", "idempotency-key", "authorization"))


class Http(Step, frozen=True, kw_only=True):
    """Call a service that the operator has named, and get what it answers: JSON as data, else text.

    Where to and with which credential stands in the source; so does which paths and methods may be asked. Anything but
    GET and HEAD happens once: if nobody knows whether it has happened, a person is asked. A service that takes an
    idempotency key is `idempotent`, and is called again instead. The result has `status`, `content_type` and `body`.
    """

    source: str
    """Which service, a `rest` source."""
    path: Annotated[str, Meta(min_length=1, max_length=2000)]
    """Below the source's address; templates are filled in."""
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """What is done there."""
    query: Mapping[str, Any] = {}
    """What stands behind the path; templates are filled in, and what becomes nothing is left out."""
    headers: Mapping[str, str] = {}
    """Further headers; templates are filled in. Credentials stand in the source."""
    json: Any = None
    """What is sent, as data; templates are filled in."""
    text: str | None = None
    """What is sent instead, as text; templates are filled in."""
    accept: tuple[Annotated[int, Meta(ge=300, le=599)], ...] = ()
    """Further statuses that are answers and no failures, such as 404."""
    idempotent: bool = False
    """Whether the service does the same only once for one `idempotency-key`, which it then gets."""
    limit: Annotated[int, Meta(ge=1, le=100_000_000)] = 5_000_000
    """Bytes of the answer at most."""
    patience: Annotated[float, Meta(gt=0, le=600)] = 30.0
    """Seconds for the whole call."""

    def effect_of(self) -> Effect:
        """Reading is pure; all else happens once, unless the service takes care of that."""
        if self.method in _READS:
            return "pure"
        return "idempotent" if self.idempotent else "once"

    async def work(self, place: Place) -> Any:
        """What it answers. Raises Forbidden, Misconfigured, ServiceRefused, Unavailable, TimedOut, BadAnswer."""
        service = service_of(self.source, place.run)
        path = plain_path(place.text(self.path), service)
        own = [(name.lower(), _line(place.text(value))) for name, value in self.headers.items()]
        body = b""
        if self.json is not None:
            body = written(place.value(self.json))
            own.append(("content-type", "application/json"))
        elif self.text is not None:
            body = place.text(self.text).encode()
            own.append(("content-type", "text/plain; charset=utf-8"))
        if self.idempotent:
            own.append(("idempotency-key", place.key))
        own.append(("accept", "application/json, text/*;q=0.8"))
        given = dict(own)
        reply = await called(
            place.run, service, self.method, path,
            query=place.value(dict(self.query)), headers=tuple(given.items()), body=body, seconds=self.patience,
            most=self.limit, accepted=self.accept,
        )  # fmt: skip
        place.tell(source=self.source, method=self.method, answered=reply.status)
        return {"status": reply.status, "content_type": reply.content_type, "body": reply.body}

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """A source that is no service, two bodies, a header that is ours, templates."""
        yield from service_faults(self.source, survey)
        for setting in ("path", "query", "headers", "json", "text"):
            yield from template_faults(getattr(self, setting), names, (setting,))
        if self.json is not None and self.text is not None:
            yield Finding(("text",), "a call sends either `json` or `text`")
        if self.method in _READS and (self.json is not None or self.text is not None):
            yield Finding(("method",), f"{self.method} sends nothing")
        for name in self.headers:
            if name.lower() in _OURS or not name.replace("-", "").isalnum():
                yield Finding(("headers", name), "this header is not set here; a credential stands in the source")


def _line(text: str) -> str:
    """A header's value on one line, in signs that a header may have."""
    return " ".join(text.split()).encode("latin-1", errors="replace").decode("latin-1")
