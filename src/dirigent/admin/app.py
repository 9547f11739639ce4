"""The control plane as an application: a route for each operation, and what every answer carries."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import aclosing, suppress
from functools import cached_property
from secrets import token_hex
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dirigent.admin.access import Access
from dirigent.admin.bridge import Application, Message, Receive, Send
from dirigent.admin.faults import WrongWay, fault_of, headers_of, status_of
from dirigent.admin.openapi import ROOT, Fixed, described, path_of
from dirigent.admin.orders import from_body, from_query
from dirigent.control.operation import Operation
from dirigent.control.permissions import permits
from dirigent.control.plane import ControlPlane
from dirigent.core.errors import DirigentError, Forbidden

__all__ = ["BODY_LIMIT", "Admin", "Endpoint", "Live", "Path", "Stream", "answered", "json_answer"]

_log = logging.getLogger("dirigent.admin")
BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of the largest order: a configuration with all that belongs to it."""
STREAMED = 300.0
"""Seconds for which one stream of what happens goes on."""
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_ALWAYS = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
Endpoint = Callable[[Request], Awaitable[Response]]


class Live(Protocol):
    """Tells what happens while it happens."""

    def events(self, tenant: str, after: str | None = None) -> AsyncGenerator[bytes, None]:
        """What happens in a tenant, framed as server-sent events; begins behind the event of the id `after`."""
        ...


class Path(msgspec.Struct, frozen=True):
    """A path that is no operation: what is said about it, and who answers there."""

    about: Fixed
    endpoint: Endpoint


class Admin:
    """The application, for a bridge to serve; `paths` tells which paths are its own.

    `further` are paths beside the operations, such as those of signing in.
    """

    def __init__(
        self, plane: ControlPlane, access: Access, further: Iterable[Path] = (), live: Live | None = None
    ) -> None:
        self._plane = plane
        self._access = access
        extra = [*further]
        if live is not None:
            extra.append(Path(_LIVE, self._live(live)))
        extra.append(Path(_OPENAPI, self._openapi))
        self._fixed = tuple(path.about for path in extra)
        routes = [self._route(operation) for operation in plane.operations.values()]
        routes += [Route(path.about.path, answered(path.endpoint), methods=[path.about.method]) for path in extra]
        self.paths = frozenset((*map(path_of, plane.operations.values()), *(about.path for about in self._fixed)))
        """Every path of this application, as it is asked for."""
        inner = Starlette(routes=routes, exception_handlers={HTTPException: _lost})
        inner.router.redirect_slashes = False
        self.application: Application = _Around(inner)

    def _route(self, operation: Operation[Any, Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            actor = await self._access.actor(request)
            await self._plane.admitting(operation.name, actor, request=request.scope["request_id"])
            if operation.changes:
                order = from_body(await json_body(request), operation.order)
            else:
                order = from_query(request.query_params.multi_items(), operation.order)
            outcome = await self._plane.performing(operation.name, actor, order, request=request.scope["request_id"])
            return json_answer(outcome)

        return Route(path_of(operation), answered(endpoint), methods=["POST" if operation.changes else "GET"])

    async def _openapi(self, request: Request) -> Response:
        # it is read out of the sources of every struct, for which no start waits, and no answer of a model either
        return Response(await asyncio.to_thread(lambda: self._document), media_type="application/json")

    @cached_property
    def _document(self) -> bytes:
        return msgspec.json.encode(described(self._plane.operations, self._fixed))

    def _live(self, live: Live) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            actor = await self._access.actor(request)
            if not permits(actor, "runs.see"):
                raise Forbidden(f"the role {actor.role} may not watch runs")
            return Stream(live.events(actor.tenant, request.headers.get("last-event-id")))

        return endpoint


class Stream(Response):
    """Events as they come, for a few minutes: then the caller comes again, and is asked again who it is."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(headers={"content-type": "text/event-stream", "x-accel-buffering": "no"})
        self._events = events

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        head = [pair for pair in self.raw_headers if pair[0] != b"content-length"]
        await send({"type": "http.response.start", "status": self.status_code, "headers": head})
        async with aclosing(self._events) as events:
            with suppress(TimeoutError):
                async with asyncio.timeout(STREAMED):
                    async for event in events:
                        await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


_OPENAPI = Fixed("GET", f"{ROOT}/openapi.json", "This description.", open=True)
_LIVE = Fixed("GET", f"{ROOT}/live", "What happens, while it happens.", media="text/event-stream")


async def json_body(request: Request) -> bytes:
    """The body of a request that says that it is JSON, as no page of others can without asking first."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise WrongWay("the body has to be JSON, with the content type application/json", "wrong_media_type")
    body = await request.body()
    if len(body) > BODY_LIMIT:
        raise WrongWay(f"the body is larger than {BODY_LIMIT} bytes", "request_too_large")
    return body


def json_answer(outcome: object, status: int = 200) -> Response:
    """An outcome as the body of an answer."""
    return Response(msgspec.json.encode(outcome), status, media_type="application/json")


def answered(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with every error told in the one shape; a fault of ours is told without its words."""

    async def whole(request: Request) -> Response:
        try:
            return await endpoint(request)
        except DirigentError as error:
            return _told(error)
        except Exception as fault:  # noqa: BLE001  whatever it is, the caller has a right to an answer
            name, kind = request.scope["request_id"], type(fault).__name__
            # where it happened, and not its words: a database's may repeat what was to be written
            trace = "".join(traceback.format_tb(fault.__traceback__))
            _log.error("the request %s failed on a fault of our own: %s\n%s", name, kind, trace)
            return _told(DirigentError(f"something went wrong on our side; the log has it under {name}"))

    return whole


def _told(error: DirigentError) -> Response:
    response = json_answer(fault_of(error), status_of(error))
    response.headers.update(headers_of(error))
    return response


async def _lost(request: Request, fault: Exception) -> Response:
    """Nothing is at this path, or not for this method."""
    path = request.url.path
    if isinstance(fault, HTTPException) and fault.status_code == 405:
        allowed = (fault.headers or {}).get("Allow", "")
        response = _told(WrongWay(f"{path} takes {allowed}, not {request.method}", "method_not_allowed"))
        response.headers["allow"] = allowed
        return response
    return _told(WrongWay(f"there is nothing at {request.method} {path}", "not_found"))


class _Around:
    """What every answer carries: the id of its request, and that nobody may keep it."""

    def __init__(self, inner: Application) -> None:
        self._inner = inner

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
        name = scope["request_id"] = given if _ID.fullmatch(given) else f"req-{token_hex(12)}"
        carried = [*_ALWAYS, (b"x-request-id", name.encode()), (b"x-dirigent-run", name.encode())]

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = [*message.get("headers", ())]
                own = {name.lower() for name, _ in said}
                message["headers"] = [*said, *(pair for pair in carried if pair[0] not in own)]
            await send(message)

        await self._inner(scope, receive, sent)
