"""What holds for every kind of provider."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dirigent.core.errors import DirigentError, Misconfigured, Unavailable
from dirigent.core.messages import Embedding, Request, Task
from dirigent.core.ports import HttpCall, LocalEndpoint, LocalSetup, LocalState
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.models.providers import PROVIDERS
from dirigent.models.providers.compatible import VENDORS
from dirigent.models.providers.provider import Provider
from tests.world import KEY, READER, World, request

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {"api_key": {"env": "KEY"}, "organization": "org-1", "project": "proj-1", "region": "eu"},
        {"api_key": {"env": "KEY"}, "base_url": "https://eu.api.openai.com/v1/"},
    ],
    "anthropic": [
        {"api_key": {"env": "KEY"}, "betas": ["context-1m-2025-08-07"], "refuse_betas": ["fast-*"], "region": "us"},
        {"base_url": "http://127.0.0.1:11434/v1", "allow_betas": []},
    ],
    "azure": [
        {"resource": "our-company", "api_key": {"env": "KEY"}, "zone": "eu", "models": {"writer": "gpt-5-mini"}},
        {
            "base_url": "https://x.services.ai.azure.com/openai/v1/",
            "api_key": {"env": "KEY"},
            "speaks": ["openai_chat"],
        },
    ],
    "compatible": [
        {"base_url": "http://127.0.0.1:9/v1", "headers": {"X-Team": "legal"}},
        {"base_url": "https://[2001:db8::1]:8443/deep/v1", "api_key": {"env": "KEY"}, "region": "eu"},
        {"vendor": "vllm", "speaks": ["openai_chat", "openai_responses", "anthropic_messages"]},
        *(
            {"vendor": vendor, "api_key": {"env": "KEY"}, **({} if row.base_url else {"base_url": row.shape})}
            for vendor, row in VENDORS.items()
        ),
    ],
    "google": [
        {"api_key": {"env": "KEY"}, "region": "eu"},
        {"access_token": {"env": "KEY"}, "base_url": "https://europe-west4-aiplatform.googleapis.com/v1/publishers/g/"},
    ],
    "bedrock": [
        {"region": "eu-central-1", "api_key": {"env": "KEY"}},
        {"region": "us-east-1", "access_key": {"env": "KEY"}, "secret_key": {"env": "KEY"}},
    ],
    "llama_cpp": [{}, {"slots": 2, "context": 1024, "threads": 1, "patience": 0}],
}
ALL = [{"type": kind, **settings} for kind in sorted(PROVIDERS.kinds) for settings in EXAMPLES.get(kind, [])]


def named(settings: dict[str, Any]) -> str:
    return str(settings.get("resource") or settings.get("vendor") or settings.get("base_url") or settings["type"])


every_provider = pytest.mark.parametrize("settings", ALL, ids=named)
every_provider_with_a_key = pytest.mark.parametrize("settings", [each for each in ALL if "api_key" in each], ids=named)


class OneModel:
    """A machine on which one embedded model is ready."""

    def state(self, name: str) -> LocalState:
        return LocalState("ready", "ready")

    def slots(self, setup: LocalSetup) -> int:
        return setup.slots or 1

    async def endpoint(self, name: str, setup: LocalSetup, patience: float) -> LocalEndpoint:
        return LocalEndpoint(4321, KEY)


def test_every_kind_has_an_example_here() -> None:
    assert EXAMPLES.keys() == PROVIDERS.kinds.keys()


def provider(settings: dict[str, Any]) -> Provider:
    kind, faults = READER.read(Provider, settings, ())
    assert kind is not None, faults
    return kind


@every_provider
async def test_its_address_can_be_connected_to_and_its_headers_can_be_sent(settings: dict[str, Any]) -> None:
    address = await provider(settings).address("gpt-4o", OpenAIChat(), World({}, local=OneModel()).run())

    assert address.origin.host
    assert 0 < address.origin.port < 65536
    assert not address.path or address.path.startswith("/")
    assert not address.path.endswith("/")
    assert "//" not in address.path
    names = [name for name, _ in address.headers]
    assert names == [name.lower() for name in names]
    assert len(names) == len(set(names))
    assert "content-type" not in names  # the dialect knows it
    assert all(value.isprintable() for _, value in address.headers)


@every_provider_with_a_key
async def test_a_missing_credential_is_told_by_its_name(settings: dict[str, Any]) -> None:
    run = World({}).run()

    with pytest.raises(Misconfigured, match="the environment variable NOBODY is missing or empty"):
        await provider(settings | {"api_key": {"env": "NOBODY"}}).address("gpt-4o", OpenAIChat(), run)


@every_provider
def test_its_configuration_never_holds_a_credential_and_survives_a_round_trip(settings: dict[str, Any]) -> None:
    kind = provider(settings)

    written = msgspec.json.encode({"type": kind.type_name(), **msgspec.to_builtins(kind)})

    assert KEY not in f"{kind!r} {written!r}"
    assert provider(msgspec.json.decode(written)) == kind


@every_provider_with_a_key
def test_a_credential_in_plain_words_is_refused_without_repeating_it(settings: dict[str, Any]) -> None:
    kind, faults = READER.read(Provider, settings | {"api_key": KEY}, ("providers", "p"))

    assert kind is None
    assert [fault.path for fault in faults] == [("providers", "p", "api_key")]
    assert "{env: NAME}" in faults[0].message
    assert KEY not in faults[0].message


@every_provider
def test_what_is_published_of_an_unknown_deployment_is_told_without_raising(settings: dict[str, Any]) -> None:
    world = World({})

    kind = provider(settings)

    assert kind.listing("no such model", world.ports.listings) is None or settings["type"] == "llama_cpp"
    assert kind.located() is None or isinstance(kind.located(), str)
    assert kind.dialect() == kind.dialect()


@every_provider
@pytest.mark.parametrize("task", ["chat", "embeddings"])
@pytest.mark.parametrize("preferred", ["", "openai_chat", "openai_responses", "anthropic_messages"])
async def test_what_it_takes_is_a_well_formed_call(settings: dict[str, Any], task: Task, preferred: str) -> None:
    kind, run = provider(settings), World({}, local=OneModel()).run()
    dialect = kind.dialect(task, preferred)
    if dialect is None:
        assert task != "chat" or settings.get("vendor") in ("jina", "tei", "voyage")
        return
    asked = request("Guten Tag", max_output=64, stream=task == "chat")
    if task == "embeddings":
        asked = Request(model="m", task=task, job=Embedding(("Guten Tag",)))

    address = await kind.address("a-model", dialect, run)
    body = dialect.write_request(asked, "a-model")
    call = await kind.signed(
        HttpCall(address.origin, address.path + dialect.path("a-model", stream=True), (), body), run
    )

    assert call.path.startswith("/")
    assert "//" not in call.path
    sent = msgspec.json.decode(call.body)
    in_path = dialect.name in ("bedrock_converse", "google_generate")  # there the path says which model, and how
    assert "a-model" in (call.path if in_path else sent["model"])
    assert b"Guten Tag" in call.body
    if task == "chat" and not in_path:
        assert sent["stream"] is True
        bounds = {"max_tokens", "max_completion_tokens", "max_output_tokens"} & sent.keys()
        assert [sent[bound] for bound in bounds] == [64]


@every_provider
def test_an_unknown_setting_is_refused(settings: dict[str, Any]) -> None:
    kind, faults = READER.read(Provider, settings | {"apikey": 1}, ())

    assert kind is None
    assert [fault.path for fault in faults] == [("apikey",)]


async def test_a_model_that_is_not_there_yet_is_unavailable_in_words() -> None:
    with pytest.raises(DirigentError) as raised:
        await provider({"type": "llama_cpp"}).address("qwen", OpenAIChat(), World({}).run())

    assert isinstance(raised.value, Unavailable)
