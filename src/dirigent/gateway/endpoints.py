"""Where callers ask: the table of all paths, each with the dialect that is spoken there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import msgspec

from dirigent.conductor import Conductor
from dirigent.core.ports import Replays
from dirigent.dialects import DIALECTS
from dirigent.dialects.dialect import Dialect
from dirigent.gateway.answering import answering, counting
from dirigent.gateway.app import Recent
from dirigent.gateway.call import Call, Route
from dirigent.gateway.errors import WireFault
from dirigent.gateway.explained import Explain
from dirigent.gateway.filed import FILES, Filed
from dirigent.gateway.lasting import PATIENCE, Lasting
from dirigent.gateway.once import Once
from dirigent.gateway.replays import MemoryReplays
from dirigent.gateway.runs import OwnRuns
from dirigent.gateway.shown import Shown, respond
from dirigent.gateway.tried import Try

__all__ = ["ANSWERED", "COUNTED", "QUIET", "routes"]

QUIET = 10.0
"""Seconds of silence after which a stream is kept alive."""

ANSWERED = (
    ("/v1/chat/completions", "openai_chat"),
    ("/v1/responses", "openai_responses"),
    ("/v1/messages", "anthropic_messages"),
    ("/v1beta/models/*:generateContent", "google_generate"),
    ("/v1beta/models/*:streamGenerateContent", "google_generate"),
    ("/v1/models/*:generateContent", "google_generate"),
    ("/v1/models/*:streamGenerateContent", "google_generate"),
    ("/model/*/converse", "bedrock_converse"),
    ("/model/*/converse-stream", "bedrock_converse"),
    ("/v1/embeddings", "openai_embeddings"),
    ("/v1/completions", "openai_completions"),
    ("/v1/audio/speech", "openai_speech"),
    ("/v1/audio/transcriptions", "openai_transcriptions"),
    ("/v1/audio/translations", "openai_translations"),
    ("/v1/images/generations", "openai_images"),
    ("/v1/images/edits", "openai_image_edits"),
    ("/v1/images/variations", "openai_image_variations"),
    ("/v1/moderations", "openai_moderations"),
)
"""Where requests are answered, and in which dialect."""

COUNTED = (
    ("/v1/messages/count_tokens", "anthropic_messages"),
    ("/v1beta/models/*:countTokens", "google_generate"),
    ("/v1/models/*:countTokens", "google_generate"),
    ("/model/*/count-tokens", "bedrock_converse"),
)
"""Where the tokens of a request are counted."""


def routes(
    conductor: Conductor,
    dialect: Dialect,
    recent: Recent,
    standing: Callable[[], dict[str, Any]],
    *,
    replays: Replays | None = None,
    quiet: float = QUIET,
    patience: float = PATIENCE,
) -> list[Route]:
    """Every path of the gateway; what speaks no dialect of its own is answered in `dialect`.

    `standing` tells how this node stands, for whoever asks whether it is ready. Answers to requests with an idempotency
    key are kept in `replays`, by default in this process. A stream in which nothing was said for `quiet` seconds is
    kept alive; 0 lets it be silent. The whole answer of a durable run is waited for `patience` seconds.
    """
    shown = Shown(conductor)

    async def live(call: Call) -> None:
        respond(call, {"status": "alive"})

    async def ready(call: Call) -> None:
        respond(call, {"status": "ready", "revision": conductor.catalog.revision, **standing()})

    async def of_this_worker(call: Call) -> None:
        name = unquote(call.exchange.path.removeprefix("/api/v1/runs/"))
        served = recent.find(name, call.authenticate().tenant)
        if served is None:
            raise WireFault(f"there is no run {name!r} among the last ones of this worker", "not_found")
        respond(call, {**msgspec.structs.asdict(served), "cost": str(served.cost) if served.cost is not None else None})

    own = OwnRuns(conductor, of_this_worker)
    known = {kind.name: kind() for kind in DIALECTS.kinds.values()} | {dialect.name: dialect}
    once = Once(replays if replays is not None else MemoryReplays())
    google = known.get("google_generate", dialect)
    return [
        Route("GET", "/v1/models", shown.listed, dialect),
        Route("GET", "/v1/models/*", shown.shown, dialect),
        *_spoken(known, conductor, once, Lasting(conductor, patience), quiet),
        Route("GET", "/v1beta/models", shown.listed_for_google, google),
        Route("GET", "/v1beta/models/*", shown.shown_to_google, google),
        Route("GET", "/api/v1/models", shown.described, dialect),
        Route("POST", "/api/v1/runs", own.submit, dialect),
        Route("GET", "/api/v1/runs/*/events", own.events, dialect),
        Route("POST", "/api/v1/runs/*/cancel", own.cancel, dialect),
        Route("GET", "/api/v1/runs/*", own.show, dialect),
        Route("GET", f"{FILES}*", Filed(conductor).sent, dialect),
        Route("POST", "/api/v1/route/explain", Explain(conductor, dialect).answer, dialect),
        Route("POST", "/api/v1/steps/try", Try(conductor).answer, dialect),
        Route("GET", "/health/live", live, dialect, open=True),
        Route("GET", "/health/ready", ready, dialect, open=True),
    ]


def _spoken(
    known: dict[str, Dialect], conductor: Conductor, once: Once, lasting: Lasting, quiet: float
) -> Iterator[Route]:
    """The paths at which a dialect is spoken, as far as it is in the table of dialects."""
    for path, name in ANSWERED:
        if (dialect := known.get(name)) is not None:
            wait = quiet if dialect.ping else 0.0
            endpoint = answering(dialect, conductor, once, lasting, wait)
            yield Route("POST", path, endpoint, dialect, answers=True, quiet=wait)
    for path, name in COUNTED:
        if (dialect := known.get(name)) is not None:
            yield Route("POST", path, counting(dialect, conductor), dialect)
