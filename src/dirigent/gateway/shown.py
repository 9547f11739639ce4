"""What the catalog shows of itself: to OpenAI's, Anthropic's and Google's clients as each expects it, and in full."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from dirigent.conductor import Conductor
from dirigent.core.catalog import Catalog
from dirigent.core.editions import Listed
from dirigent.core.grants import Grant
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
        found = self._conductor.listed(self._grant(call))
        if not _is_anthropic(call):
            respond(call, {"object": "list", "data": [_openai(each) for each in found]})
            return
        models = [_anthropic(each) for each in found]
        ends = (models[0]["id"], models[-1]["id"]) if models else (None, None)
        respond(call, {"data": models, "has_more": False, "first_id": ends[0], "last_id": ends[1]})

    async def shown(self, call: Call) -> None:
        """`GET /v1/models/NAME`, likewise."""
        found = self._conductor.shown(unquote(call.exchange.path.removeprefix("/v1/models/")), self._grant(call))
        respond(call, _anthropic(found) if _is_anthropic(call) else _openai(found))

    async def listed_for_google(self, call: Call) -> None:
        """`GET /v1beta/models`, as Google lists them."""
        respond(call, {"models": [_google(each) for each in self._conductor.listed(self._grant(call))]})

    async def shown_to_google(self, call: Call) -> None:
        """`GET /v1beta/models/NAME`."""
        name = unquote(call.exchange.path.removeprefix("/v1beta/models/"))
        respond(call, _google(self._conductor.shown(name, self._grant(call))))

    async def described(self, call: Call) -> None:
        """`GET /api/v1/models`: every model with its kind, what it can do, what it costs, how it is doing; aliases."""
        catalog, aliases = self._conductor.catalog, self._conductor.aliases
        found = self._conductor.listed(self._grant(call))
        models = [self._described(each.name, catalog) for each in found if each.name in catalog.models]
        others = [aliases[each.name] for each in found if each.name not in catalog.models]
        respond(call, {"revision": catalog.revision, "models": models, "aliases": others})

    def _grant(self, call: Call) -> Grant:
        """What the caller may do for the purpose that it names or that its key implies."""
        return self._conductor.grant(call.principal or call.authenticate(), call.purpose)

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


def _openai(listed: Listed) -> dict[str, Any]:
    return {"id": listed.name, "object": "model", "created": listed.catalog.published, "owned_by": "dirigent"}


def _anthropic(listed: Listed) -> dict[str, Any]:
    profile = listed.catalog.profile(listed.model)
    return {
        "type": "model",
        "id": listed.name,
        "display_name": listed.name,
        "created_at": datetime.fromtimestamp(listed.catalog.published, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": profile.context_window,
        "max_tokens": profile.max_output,
    }


def _google(listed: Listed) -> dict[str, Any]:
    profile = listed.catalog.profile(listed.model)
    chats = profile.tasks is None or "chat" in profile.tasks
    limits = {"inputTokenLimit": profile.context_window, "outputTokenLimit": profile.max_output}
    return {
        "name": f"models/{listed.name}",
        "displayName": listed.name,
        "version": listed.catalog.revision,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"] if chats else [],
        **{field: tokens for field, tokens in limits.items() if tokens is not None},
    }
