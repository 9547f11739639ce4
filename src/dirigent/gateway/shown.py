"""What the catalog shows of itself: to OpenAI's, Anthropic's and Google's clients as each expects it, and in full."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from dirigent.conductor import Conductor
from dirigent.core.catalog import Catalog
from dirigent.core.errors import Forbidden
from dirigent.gateway.call import Call

__all__ = ["Shown", "respond"]

_JSON = "application/json"
_encode = msgspec.json.Encoder().encode


class Shown:
    """The endpoints at which callers learn which models there are."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    async def listed(self, call: Call) -> None:
        """`GET /v1/models`, as OpenAI lists them, or as Anthropic does for its own clients."""
        catalog, names = self._conductor.catalog, self._names(call)
        if not _is_anthropic(call):
            respond(call, {"object": "list", "data": [_openai(name, catalog) for name in names]})
            return
        models = [_anthropic(name, catalog) for name in names]
        ends = (models[0]["id"], models[-1]["id"]) if models else (None, None)
        respond(call, {"data": models, "has_more": False, "first_id": ends[0], "last_id": ends[1]})

    async def shown(self, call: Call) -> None:
        """`GET /v1/models/NAME`, likewise."""
        name = unquote(call.exchange.path.removeprefix("/v1/models/"))
        catalog = self._known(name, call)
        respond(call, _anthropic(name, catalog) if _is_anthropic(call) else _openai(name, catalog))

    async def listed_for_google(self, call: Call) -> None:
        """`GET /v1beta/models`, as Google lists them."""
        catalog = self._conductor.catalog
        respond(call, {"models": [_google(name, catalog) for name in self._names(call)]})

    async def shown_to_google(self, call: Call) -> None:
        """`GET /v1beta/models/NAME`."""
        name = unquote(call.exchange.path.removeprefix("/v1beta/models/"))
        catalog = self._known(name, call)
        respond(call, _google(name, catalog))

    async def described(self, call: Call) -> None:
        """`GET /api/v1/models`: every model with its kind, what it can do, what it costs and how it is doing."""
        catalog = self._conductor.catalog
        models = [self._described(name, catalog) for name in self._names(call)]
        respond(call, {"revision": catalog.revision, "models": models})

    def _names(self, call: Call) -> Sequence[str]:
        """The models that the caller may ask for the purpose that it names or that its key implies."""
        names = list(self._conductor.catalog.models)
        grant = self._conductor.grant(call.principal or call.authenticate(), call.purpose)
        return [name for name in names if grant.may_ask(name).permitted]

    def _known(self, name: str, call: Call) -> Catalog:
        """The catalog, where it has a model of this name that the caller may ask. Raises UnknownModel, Forbidden."""
        catalog = self._conductor.catalog
        catalog.answering(name)
        ruling = self._conductor.grant(call.principal or call.authenticate(), call.purpose).may_ask(name)
        if not ruling.permitted:
            raise Forbidden(ruling.rule, param="model")
        return catalog

    def _described(self, name: str, catalog: Catalog) -> dict[str, Any]:
        model, profile, vitals = catalog.models[name], catalog.profile(name), self._conductor.ports.vitals
        return {
            "name": name,
            "type": type(model).type_name(),
            "mentions": [other for _, other in model.mentions()],
            "tasks": sorted(profile.tasks) if profile.tasks is not None else None,
            "price": profile.price,
            "context_window": profile.context_window,
            "max_output": profile.max_output,
            "capabilities": sorted(profile.capabilities) if profile.capabilities is not None else None,
            "region": profile.region,
            "quality": profile.quality,
            "retires": profile.retires,
            "disputed": profile.disputed,
            "healthy": vitals.healthy(name),
            "standing": vitals.standing(name),
            "first_token": vitals.first_token(name),
            "pace": vitals.pace(name),
        }


def respond(call: Call, body: object) -> None:
    """Answers with JSON."""
    call.status = 200
    call.exchange.respond(200, call.headers(_JSON), _encode(body))


def _is_anthropic(call: Call) -> bool:
    return b"anthropic-version" in call.exchange.headers


def _openai(name: str, catalog: Catalog) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": catalog.published, "owned_by": "dirigent"}


def _anthropic(name: str, catalog: Catalog) -> dict[str, Any]:
    profile = catalog.profile(name)
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": datetime.fromtimestamp(catalog.published, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": profile.context_window,
        "max_tokens": profile.max_output,
    }


def _google(name: str, catalog: Catalog) -> dict[str, Any]:
    profile = catalog.profile(name)
    chats = profile.tasks is None or "chat" in profile.tasks
    limits = {"inputTokenLimit": profile.context_window, "outputTokenLimit": profile.max_output}
    return {
        "name": f"models/{name}",
        "displayName": name,
        "version": catalog.revision,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"] if chats else [],
        **{field: tokens for field, tokens in limits.items() if tokens is not None},
    }
