"""Azure: where requests go, how they are let in, which figures count, and what its content filter refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dirigent.core.errors import Rejected
from dirigent.core.ports import Origin, Secrets
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.listings import Listings
from dirigent.models.providers.provider import Provider
from dirigent.settings import EnvironmentSecrets
from tests.net.providers import Visit, provider
from tests.upstream import answer, head, refusing
from tests.world import KEY, READER, World

FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"violence": {"filtered": True, "severity": "high"}},
        },
    }
}
MODELS = {"m": {"type": "deployment", "provider": "p", "name": "writer"}}


def read(**settings: Any) -> Provider:
    kind, faults = READER.read(Provider, {"type": "azure", **settings}, ())
    assert kind is not None, faults
    return kind


def refused(**settings: Any) -> str:
    kind, faults = READER.read(Provider, {"type": "azure", **settings}, ())
    assert kind is None
    return "; ".join(fault.message for fault in faults)


def spoken(kind: Provider, preferred: str) -> str:
    dialect = kind.dialect("chat", preferred)
    assert dialect is not None
    return dialect.name


async def test_a_resource_is_asked_by_its_v1_address_and_its_key() -> None:
    kind = read(resource="our-company", api_key={"env": "KEY"})

    address = await kind.address("writer", OpenAIChat(), World({}).run())

    assert address.origin == Origin("our-company.openai.azure.com", 443, tls=True)
    assert (address.path, address.headers) == ("/openai/v1", (("api-key", KEY),))
    assert not kind.signs


async def test_each_request_takes_the_token_that_stands_there_then(tmp_path: Path) -> None:
    heard: list[str] = []
    body = msgspec.json.encode(answer())

    async def manner(visit: Visit) -> None:
        while True:
            told, _ = await visit.request()
            heard.extend(line for line in told.split("\r\n") if line.startswith(("authorization", "api-key", "POST")))
            visit.say(head(content_type="application/json"))
            visit.say(f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")

    token, fresh = tmp_path / "token", tmp_path / "fresh"
    token.write_text("first-token")
    secrets: Secrets = EnvironmentSecrets()
    async with provider(manner) as azure:
        base = f"http://127.0.0.1:{azure.origin.port}/openai/v1"
        kind = {"type": "azure", "base_url": base, "token": {"file": str(token)}}
        world = World(MODELS, {"p": kind}, secrets={str(token): "checked"})
        world.ports = msgspec.structs.replace(world.ports, secrets=secrets)
        await world.collect("m")
        fresh.write_text("second-token")
        fresh.replace(token)
        await world.collect("m")

    post = "POST /openai/v1/chat/completions HTTP/1.1"
    assert heard == [post, "authorization: Bearer first-token", post, "authorization: Bearer second-token"]


async def test_what_the_content_filter_refuses_keeps_azures_reason() -> None:
    async with provider(refusing(400, FILTERED)) as azure:
        base = f"http://127.0.0.1:{azure.origin.port}/openai/v1"
        world = World(MODELS, {"p": {"type": "azure", "base_url": base, "api_key": {"env": "KEY"}}})
        with pytest.raises(Rejected, match="content management policy") as raised:
            await world.collect("m")

    assert (raised.value.reason, raised.value.param) == ("content_filter", "prompt")


def test_the_figures_are_those_of_the_model_behind_the_deployment_in_its_zone() -> None:
    settings = {"resource": "x", "api_key": {"env": "KEY"}}
    listings = Listings()

    named = read(**settings).listing("gpt-5-mini", listings)
    mapped = read(**settings, models={"writer": "gpt-5-mini"}).listing("writer", listings)
    zoned = read(**settings, zone="eu").listing("gpt-5-mini", listings)
    unknown = read(**settings).listing("writer", listings)

    assert named is not None
    assert mapped == named
    assert zoned == listings.find("azure", "eu/gpt-5-mini") != named
    assert unknown is None


def test_the_zone_says_where_data_is_processed_unless_the_file_does() -> None:
    settings = {"resource": "x", "api_key": {"env": "KEY"}, "zone": "eu"}

    assert read(**settings).located() == "eu"
    assert read(**settings, region="germanywestcentral").located() == "germanywestcentral"


def test_models_that_are_not_openais_are_spoken_to_as_they_want_it() -> None:
    settings = {"resource": "x", "api_key": {"env": "KEY"}}
    usual, foreign = read(**settings), read(**settings, speaks=["openai_chat"], output_field="max_tokens")

    assert [spoken(kind, "openai_responses") for kind in (usual, foreign)] == ["openai_responses", "openai_chat"]
    assert [getattr(kind.dialect(), "output_field", "") for kind in (usual, foreign)] == [
        "max_completion_tokens",
        "max_tokens",
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"api_key": {"env": "KEY"}}, "one of `resource` and `base_url`"),
        ({"resource": "x", "base_url": "http://x", "api_key": {"env": "KEY"}}, "one of `resource` and `base_url`"),
        ({"resource": "x.y/z", "api_key": {"env": "KEY"}}, "is not the name of a resource"),
        ({"base_url": "ftp://x", "api_key": {"env": "KEY"}}, "is no address"),
        ({"resource": "x"}, "{env: AZURE_OPENAI_API_KEY}"),
        ({"resource": "x", "api_key": {"env": "KEY"}, "token": {"file": "/t"}}, "one of `api_key` and `token`"),
        ({"resource": "x", "api_key": {"env": "KEY"}, "speaks": []}, "length"),
    ],
)
def test_what_could_never_be_asked_is_refused_in_words(settings: dict[str, Any], words: str) -> None:
    assert words in refused(**settings)
