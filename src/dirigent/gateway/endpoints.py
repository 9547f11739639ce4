"""Where callers ask: one handler for every dialect, and what the catalog shows of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from time import monotonic, time
from typing import Any
from urllib.parse import unquote

import msgspec

from dirigent.conductor import Conductor
from dirigent.core.decision import Decision
from dirigent.core.errors import BadAnswer, Invalid
from dirigent.core.events import Answer, Event, Verbatim, folded
from dirigent.core.messages import Message, Request, Text
from dirigent.dialects.dialect import Dialect
from dirigent.gateway.app import Call, Endpoint, Recent, Route
from dirigent.gateway.errors import WireFault

__all__ = ["routes"]

_JSON = "application/json"
_STREAM = (("cache-control", "no-cache"), ("x-accel-buffering", "no"))
_encode = msgspec.json.Encoder().encode


def routes(
    conductor: Conductor, dialect: Dialect, recent: Recent, standing: Callable[[], dict[str, Any]]
) -> list[Route]:
    """Every path of the gateway; `standing` tells how this node stands, for whoever asks whether it is ready."""
    catalog = _Catalog(conductor)

    async def live(call: Call) -> None:
        _json(call, {"status": "alive"})

    async def ready(call: Call) -> None:
        _json(call, {"status": "ready", "revision": conductor.catalog.revision, **standing()})

    async def run(call: Call) -> None:
        name = unquote(call.exchange.path.removeprefix("/api/v1/runs/"))
        served = recent.find(name, call.authenticate().tenant)
        if served is None:
            raise WireFault(f"there is no run {name!r} among the last ones of this worker", "not_found")
        _json(call, {**msgspec.structs.asdict(served), "cost": str(served.cost) if served.cost is not None else None})

    return [
        Route("POST", "/v1/chat/completions", answering(dialect, conductor), dialect, answers=True),
        Route("GET", "/v1/models", catalog.listed, dialect),
        Route("GET", "/v1/models/*", catalog.shown, dialect),
        Route("GET", "/api/v1/models", catalog.described, dialect),
        Route("GET", "/api/v1/runs/*", run, dialect),
        Route("POST", "/api/v1/route/explain", _Explain(conductor, dialect).answer, dialect),
        Route("GET", "/health/live", live, dialect, open=True),
        Route("GET", "/health/ready", ready, dialect, open=True),
    ]


def answering(dialect: Dialect, conductor: Conductor) -> Endpoint:
    """The endpoint at which callers of `dialect` ask for answers."""

    async def endpoint(call: Call) -> None:
        request, run = call.request, call.run
        if request is None or run is None:  # else the straight way has come so far
            request = dialect.read_request(call.exchange.body, call.exchange.path, call.exchange.headers)
            run = call.open(request.model)
        if request.stream:
            async with aclosing(conductor.answer(request, run)) as events:
                await _streamed(call, request, dialect, events)
            return
        said: list[Event] = []
        async for event in conductor.answer(request, run):  # read to its end, so there is none to close
            said.append(event)  # noqa: PERF401  a comprehension would be one more coroutine to go through at each step
        first = said[0] if said else None
        if type(first) is Verbatim and len(said) == 1:
            body = first.data
        else:
            body = dialect.write_response(folded(said), request, dialect.prefix + call.run_id, int(time()))
        call.status = 200
        call.exchange.respond(200, call.headers(dialect.content_type), body)

    return endpoint


async def _streamed(call: Call, request: Request, dialect: Dialect, events: Answer) -> None:
    exchange = call.exchange
    writer = dialect.writer(request, dialect.prefix + call.run_id, int(time()))
    verbatim = False
    async for event in events:
        if not exchange.started:  # nothing is promised before the first event: until here a fallback stays possible
            call.status = 200
            call.first_token = monotonic() - call.began
            call.broken_off = writer.fail
            exchange.start(200, [*call.headers(dialect.stream_content_type), *_STREAM])
            verbatim = isinstance(event, Verbatim)
        exchange.write(writer.write(event))
        if exchange.congested:
            await exchange.drain()
    if not exchange.started:
        raise BadAnswer("the answer ended before it began")
    if not verbatim:
        exchange.write(writer.end())
    exchange.finish()


class _Catalog:
    """What the catalog shows of itself."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    async def listed(self, call: Call) -> None:
        """`GET /v1/models`, as OpenAI lists them."""
        catalog = self._conductor.catalog
        _json(call, {"object": "list", "data": [_model(name, catalog.published) for name in catalog.models]})

    async def shown(self, call: Call) -> None:
        """`GET /v1/models/NAME`."""
        name = unquote(call.exchange.path.removeprefix("/v1/models/"))
        catalog = self._conductor.catalog
        catalog.answering(name)
        _json(call, _model(name, catalog.published))

    async def described(self, call: Call) -> None:
        """`GET /api/v1/models`: every model with its kind, what it can do, what it costs and how it is doing."""
        catalog, vitals = self._conductor.catalog, self._conductor.ports.vitals
        described = []
        for name, model in catalog.models.items():
            profile = catalog.profile(name)
            described.append(
                {
                    "name": name,
                    "type": type(model).type_name(),
                    "mentions": [other for _, other in model.mentions()],
                    "price": profile.price,
                    "context_window": profile.context_window,
                    "max_output": profile.max_output,
                    "capabilities": sorted(profile.capabilities) if profile.capabilities is not None else None,
                    "region": profile.region,
                    "quality": profile.quality,
                    "retires": profile.retires,
                    "disputed": profile.disputed,
                    "healthy": vitals.healthy(name),
                    "first_token": vitals.first_token(name),
                    "pace": vitals.pace(name),
                }
            )
        _json(call, {"revision": catalog.revision, "models": described})


def _model(name: str, created: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": "dirigent"}


class _Short(msgspec.Struct):
    model: str
    text: str


class _Explain:
    """`POST /api/v1/route/explain`: a chat request, or `{model, text}`, is decided upon and nobody is asked."""

    def __init__(self, conductor: Conductor, dialect: Dialect) -> None:
        self._conductor = conductor
        self._dialect = dialect

    async def answer(self, call: Call) -> None:
        """The decision as data, the outermost first."""
        request = self._request(call.exchange.body)
        run = call.open(request.model)
        decisions = await self._conductor.explain(request, run)
        _json(call, _explained(request.model, decisions))

    def _request(self, body: bytes) -> Request:
        try:
            short = msgspec.json.decode(body, type=_Short)
        except msgspec.DecodeError:
            return self._dialect.read_request(body)
        if not short.text:
            raise Invalid("text: there is nothing to decide upon", param="text")
        return Request(model=short.model, messages=(Message("user", (Text(short.text),)),))


def _explained(model: str, decisions: Sequence[Decision]) -> dict[str, Any]:
    if not decisions:
        reason = f"{model} is asked by its name; no router stands in between"
        return {
            "model": model,
            "deployment": model,
            "reason": reason,
            "features": {},
            "candidates": [],
            "microseconds": 0,
            "decisions": [],
        }
    outer = decisions[0]
    return {
        "model": model,
        "deployment": decisions[-1].chosen,
        "reason": outer.reason,
        "features": outer.features,
        "candidates": [_candidate(each) for each in outer.candidates],
        "microseconds": sum(decision.microseconds for decision in decisions),
        "decisions": [
            {**msgspec.structs.asdict(decision), "candidates": [_candidate(each) for each in decision.candidates]}
            for decision in decisions
        ],
    }


def _candidate(considered: Any) -> dict[str, Any]:
    return {**msgspec.structs.asdict(considered), "cost": str(considered.cost) if considered.cost is not None else None}


def _json(call: Call, body: object) -> None:
    call.status = 200
    call.exchange.respond(200, call.headers(_JSON), _encode(body))
