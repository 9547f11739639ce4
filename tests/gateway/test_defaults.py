"""A request that names no model is answered by the one that the configuration says, whatever the way and the task."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dirigent.dialects.multipart import Form, written
from tests.gateway.house import house
from tests.net.providers import Visit, provider
from tests.upstream import head

ECHO = {"type": "echo", "says": "from {}"}
TWO = {"one": {"type": "echo", "says": "one"}, "other": {"type": "echo", "says": "other"}}
FORM = "multipart/form-data; boundary=line"
SAID = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}


@pytest.mark.parametrize("extra", [{}, {"model": None}])
@pytest.mark.parametrize("headers", [{}, {"idempotency_key": "k"}])
@pytest.mark.parametrize(("path", "body"), [("/v1/messages", SAID), ("/v1/responses", {"input": "hello"})])
async def test_the_configured_model_answers_and_is_named(
    path: str, body: dict[str, Any], headers: dict[str, str], extra: dict[str, Any]
) -> None:
    async with house(TWO, defaults={"chat": "other"}) as node:
        status, given, answer = await node.call("POST", path, {**body, **extra}, **headers)

    assert status == 200
    assert answer["model"] == given["x-dirigent-model"] == "other"


async def test_its_tokens_are_counted_and_its_decision_is_explained() -> None:
    async with house(TWO, defaults={"chat": "other"}) as node:
        counted, _, count = await node.call("POST", "/v1/messages/count_tokens", SAID)
        explained, _, why = await node.call("POST", "/api/v1/route/explain", {"text": "hello"})

    assert (counted, explained) == (200, 200)
    assert count["input_tokens"] > 0
    assert why["model"] == "other"


async def test_where_nobody_said_which_model_answers_the_refusal_names_the_field_and_the_setting() -> None:
    async with house(TWO) as node:
        status, _, answer = await node.call("POST", "/v1/responses", {"input": "hello"})

    assert status == 400
    assert answer["error"]["param"] == "model"
    assert "`defaults: {chat: NAME}`" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("path", "task", "body"),
    [
        ("/v1/embeddings", "embeddings", {"input": "hi"}),
        ("/v1/images/generations", "images", {"prompt": "a fox"}),
        ("/v1/images/edits", "image_edits", {"prompt": "a fox", "images": [{"image_url": "https://example.org/a"}]}),
        ("/v1/moderations", "moderations", {"input": "hi"}),
        ("/v1/audio/speech", "speech", {"input": "hi", "voice": "echo"}),
        ("/v1/completions", "completions", {"prompt": "hi"}),
    ],
)
async def test_a_provider_is_told_the_name_that_the_caller_left_out(path: str, task: str, body: dict[str, Any]) -> None:
    asked: list[bytes] = []

    async def answering(visit: Visit) -> None:
        asked.append((await visit.request())[1])
        visit.say(head(200, "application/json") + b"0\r\n\r\n")

    async with provider(answering) as vendor, house(*_far(vendor.origin.port), defaults={task: "far"}) as node:
        await node.raw("POST", path, body)

    assert msgspec.json.decode(asked[0]) == {**body, "model": "their-name"}


@pytest.mark.parametrize(
    ("path", "task"),
    [
        ("/v1/audio/transcriptions", "transcriptions"),
        ("/v1/audio/translations", "translations"),
        ("/v1/images/edits", "image_edits"),
        ("/v1/images/variations", "image_variations"),
    ],
)
async def test_a_form_gets_the_name_that_the_caller_left_out(path: str, task: str) -> None:
    asked: list[bytes] = []

    async def answering(visit: Visit) -> None:
        asked.append((await visit.request())[1])
        visit.say(head(200, "application/json") + b"0\r\n\r\n")

    parts = [("file", "a.wav", b"\r\n--sound"), ("image", "a.png", b"\x89PNG"), ("prompt", None, b"a fox")]
    async with provider(answering) as vendor, house(*_far(vendor.origin.port), defaults={task: "far"}) as node:
        await node.raw("POST", path, written(parts, "line"), content_type=FORM)

    sent = Form(asked[0], FORM)
    assert sent.text("model") == "their-name"
    assert sent.joined("", b"") == Form(written([("model", None, b"their-name"), *parts], "line"), FORM).joined("", b"")


def _far(port: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two models at a provider of the test, so that neither is the only one."""
    far = {"type": "deployment", "provider": "p", "name": "their-name", "retries": 0}
    return {"far": far, "near": far}, {"p": {"type": "jobs", "base_url": f"http://127.0.0.1:{port}/v1"}}
