from __future__ import annotations

from typing import Any

import msgspec
import pytest
from anthropic.types import ModelInfo

from dirigent.dialects import DIALECTS
from dirigent.gateway.endpoints import ANSWERED, COUNTED
from tests.gateway.house import chat, house
from tests.net.providers import Visit, provider
from tests.upstream import answer, refusing, whole

ECHO: dict[str, Any] = {"echo": {"type": "echo"}, "vendor/deep:1": {"type": "echo"}}
SPOKEN = {kind.name for kind in DIALECTS.kinds.values()}


def test_every_dialect_of_the_table_has_a_path_at_which_it_is_answered() -> None:
    assert {name for _, name in ANSWERED} >= SPOKEN
    assert {name for _, name in COUNTED} <= {name for _, name in ANSWERED}


def test_no_path_stands_in_the_table_twice() -> None:
    paths = [path for path, _ in (*ANSWERED, *COUNTED)]

    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("path", [path for path, name in ANSWERED if name in SPOKEN])
async def test_every_path_refuses_nonsense_in_the_dialect_of_the_path(path: str) -> None:
    dialect = next(kind for kind in DIALECTS.kinds.values() if kind.name == dict(ANSWERED)[path])()
    async with house(ECHO) as node:
        status, headers, raw = await node.raw("POST", path.replace("*", "echo"), b"\x00nonsense", content_type="x/y")

        assert status == 400
        assert headers["content-type"] == dialect.content_type
        assert headers["x-request-id"] == headers["request-id"]
        assert dialect.read_error(400, raw, None).message


@pytest.mark.parametrize(
    ("path", "like"),
    [
        ("/v1/messages/batches", "/v1/messages"),
        ("/v1beta/cachedContents", "/v1beta/models/*:generateContent"),
        ("/model/m/invoke", "/model/*/converse"),
        ("/v1/nothing", "/v1/chat/completions"),
        ("/nothing", "/v1/chat/completions"),
        ("/v1/audio/nothing", "/v1/audio/speech"),
    ],
)
async def test_a_path_that_leads_nowhere_is_answered_as_its_neighbours_are(path: str, like: str) -> None:
    kind = next((kind for kind in DIALECTS.kinds.values() if kind.name == dict(ANSWERED)[like]), None)
    if kind is None:
        pytest.skip(f"{dict(ANSWERED)[like]} is not in the table of dialects")
    async with house(ECHO) as node:
        status, headers, raw = await node.raw("POST", path, b"{}")

        expected = kind().write_error(kind().read_error(404, raw, None), 404, "invalid_request_error", "r")
        assert status == 404
        assert headers["request-id"]
        assert set(msgspec.json.decode(raw)) == set(msgspec.json.decode(expected))


async def test_openais_clients_see_the_models_as_openai_lists_them() -> None:
    async with house(ECHO) as node:
        _, _, listed = await node.call("GET", "/v1/models")
        _, _, one = await node.call("GET", "/v1/models/vendor%2Fdeep:1")

        assert listed["object"] == "list"
        assert [model["id"] for model in listed["data"]] == ["echo", "vendor/deep:1"]
        assert one == listed["data"][1]


async def test_anthropics_clients_see_the_models_as_anthropic_lists_them() -> None:
    async with house(ECHO) as node:
        _, _, listed = await node.call("GET", "/v1/models?limit=5", anthropic_version="2023-06-01")
        _, _, one = await node.call("GET", "/v1/models/echo", anthropic_version="2023-06-01")

        assert (listed["has_more"], listed["first_id"], listed["last_id"]) == (False, "echo", "vendor/deep:1")
        assert [model["type"] for model in listed["data"]] == ["model", "model"]
        assert one == listed["data"][0]
        assert ModelInfo.model_validate(one).lifecycle == "active"


async def test_googles_clients_see_the_models_as_google_lists_them() -> None:
    async with house({**ECHO, "vectors": {"type": "local_embedding"}}) as node:
        _, _, listed = await node.call("GET", "/v1beta/models")
        _, _, one = await node.call("GET", "/v1beta/models/echo")

        names = [model["name"] for model in listed["models"]]
        assert names == ["models/echo", "models/vendor/deep:1", "models/vectors"]
        assert "generateContent" in one["supportedGenerationMethods"]
        assert listed["models"][2]["supportedGenerationMethods"] == []


async def test_the_catalog_shows_what_each_model_can_be_asked_for_and_how_it_stands() -> None:
    async with house({"vectors": {"type": "local_embedding"}, "echo": {"type": "echo"}}) as node:
        _, _, shown = await node.call("GET", "/api/v1/models")

        vectors, echo = shown["models"]
        assert (vectors["tasks"], echo["tasks"]) == (["embeddings"], ["chat"])
        assert echo["standing"]["state"] == "well"


async def test_the_key_in_the_query_opens_googles_paths_and_no_others() -> None:
    async with house(ECHO) as node:
        google, _, _ = await node.call("GET", "/v1beta/models?key=anna", key=None)
        other, _, _ = await node.call("GET", "/v1/models?key=anna", key=None)
        wrong, _, _ = await node.call("GET", "/v1beta/models?key=nobody", key=None)

        assert (google, other, wrong) == (200, 401, 401)


@pytest.mark.parametrize("header", ["x_goog_api_key", "x_api_key"])
async def test_each_vendors_header_for_the_key_is_taken(header: str) -> None:
    async with house(ECHO) as node:
        status, _, _ = await node.raw("GET", "/v1/models", None, None, **{header: "anna"})

        assert status == 200


async def test_a_model_that_only_chats_refuses_every_other_task_by_the_field_model() -> None:
    async with house(ECHO) as node:
        status, _, body = await node.call("POST", "/v1/embeddings", {"model": "echo", "input": "hello"})

        assert (status, body["error"]["param"], body["error"]["code"]) == (400, "model", "unsupported")


async def test_a_model_of_another_task_refuses_to_chat_by_the_field_model() -> None:
    async with house({"vectors": {"type": "local_embedding"}}) as node:
        status, _, body = await node.call("POST", "/v1/chat/completions", chat("vectors"))

        assert (status, body["error"]["param"]) == (400, "model")


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_provider_says_of_its_limits_reaches_the_caller(*, stream: bool) -> None:
    manner = whole(answer(), x_ratelimit_remaining_requests="41")
    async with provider(manner) as vendor:
        at = {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}"}}
        models = {"far": {"type": "deployment", "provider": "p", "name": "gpt-4o"}}
        async with house(models, at) as node:
            for _ in range(2):  # by the general way first, then by the straight one
                status, headers, _ = await node.call("POST", "/v1/chat/completions", chat("far", stream=stream))

                assert status == 200
                assert headers["x-ratelimit-remaining-requests"] == "41"


async def test_the_callers_trace_goes_on_to_the_provider_on_each_way_and_a_malformed_one_does_not() -> None:
    asked: list[str] = []
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    async def noting(visit: Visit) -> None:
        while True:
            asked.append((await visit.request())[0])
            body = msgspec.json.encode(answer())
            visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    async with provider(noting) as vendor:
        at = {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}"}}
        models = {"far": {"type": "deployment", "provider": "p", "name": "gpt-4o"}}
        async with house(models, at) as node:
            for given in (trace, trace, "nonsense"):
                await node.call("POST", "/v1/chat/completions", chat("far"), traceparent=given)

    assert [f"traceparent: {trace}" in head for head in asked] == [True, True, False]
    assert "nonsense" not in asked[2]


async def test_the_callers_sdk_and_this_node_do_not_multiply_their_tries() -> None:
    async with provider(refusing(503, {"error": {"message": "not now"}})) as vendor:
        at = {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}"}}
        far = {"type": "deployment", "provider": "p", "name": "x", "retries": 0, "breaker": {"failures": 100}}
        models: dict[str, Any] = {f"far{number}": far for number in range(10)}
        models["auto"] = {"type": "router", "candidates": list(models), "strategy": {"type": "fixed"}}
        async with house(models, at) as node:
            attempts = []
            for count in ("0", "5", "99"):
                await node.call("POST", "/v1/chat/completions", chat("auto"), x_stainless_retry_count=count)
                attempts.append(node.last.attempts)

    assert attempts == [8, 3, 1]


async def test_a_setting_that_the_provider_has_no_words_for_is_named_in_the_answer() -> None:
    if "anthropic_messages" not in SPOKEN:
        pytest.skip("anthropic_messages is not in the table of dialects")
    async with provider(whole(answer())) as vendor:
        at = {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}"}}
        async with house({"far": {"type": "deployment", "provider": "p", "name": "x"}}, at) as node:
            body = {**chat("far"), "max_tokens": 9, "top_k": 5}
            status, headers, _ = await node.call("POST", "/v1/messages", body)

    assert status == 200
    assert headers["x-dirigent-left-out"] == "top_k"


async def test_the_head_of_a_model_can_be_asked_for_alone() -> None:
    async with house(ECHO) as node:
        there, _, body = await node.raw("HEAD", "/v1/models/echo")
        gone, _, _ = await node.raw("HEAD", "/v1/models/nobody")

    assert (there, body, gone) == (200, b"", 404)
