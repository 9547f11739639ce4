"""A caller's headers go on with the request to providers of its dialect, changed or not, and to no others."""

from __future__ import annotations

import msgspec
import pytest

from dirigent.core.errors import DirigentError
from dirigent.core.messages import Request
from dirigent.dialects.anthropic_messages import AnthropicMessages
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.openai_responses import OpenAIResponses
from tests.net.providers import Visit, provider
from tests.upstream import head
from tests.world import World

BETA, OPENAI_BETA = {b"anthropic-beta": b"context-1m"}, {b"openai-beta": b"responses=v1"}


def claude() -> Request:
    said = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return AnthropicMessages().read_request(msgspec.json.encode(said), "/v1/messages", BETA)


def responses() -> Request:
    return OpenAIResponses().read_request(b'{"model":"m","input":"hi"}', "", OPENAI_BETA)


async def heard(spoken: Dialect, *asked: Request, count: bool = False) -> list[str]:
    """The heads of what a provider of this dialect is sent."""
    heads: list[str] = []

    async def manner(visit: Visit) -> None:
        while True:
            heads.append((await visit.request())[0].lower())
            visit.say(head(400) + b"0\r\n\r\n")

    async with provider(manner) as vendor:
        base = {"base_url": f"http://127.0.0.1:{vendor.origin.port}", "type": "compatible", "speaks": [spoken.name]}
        world = World({"m": {"type": "deployment", "provider": "p", "name": "x", "retries": 0}}, {"p": base})
        for each in asked:
            with pytest.raises(DirigentError):
                await (world.run().count("m", each) if count else world.events("m", each))
    return heads


@pytest.mark.parametrize("count", [False, True])
async def test_they_go_on_although_a_policy_has_changed_the_messages(*, count: bool) -> None:
    verbatim, changed = await heard(AnthropicMessages(), claude(), claude().changed(temperature=0.5), count=count)

    assert "anthropic-beta: context-1m\r\n" in verbatim
    assert "anthropic-beta: context-1m\r\n" in changed


async def test_those_of_openai_go_on_as_well() -> None:
    verbatim, changed = await heard(OpenAIResponses(), responses(), responses().changed(user="u"))

    assert "openai-beta: responses=v1\r\n" in verbatim
    assert "openai-beta: responses=v1\r\n" in changed


async def test_a_provider_of_another_dialect_never_sees_them() -> None:
    (translated,) = await heard(OpenAIResponses(), claude())

    assert "anthropic-beta" not in translated
