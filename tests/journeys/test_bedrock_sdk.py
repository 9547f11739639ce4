"""Somebody who has written against AWS's SDK changes the address and nothing else, whichever model answers."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import pytest_asyncio
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from tests.dialects.bedrock_converse.wire import body as golden_body
from tests.dialects.bedrock_converse.wire import frames
from tests.journeys.playing import Asked, Played, Playing, between, play_named, whole
from tests.parsed import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")
GOLDEN = ROOT / "tests" / "golden"
KEY = "bedrock-api-key-nobody-sees-this"
SEAL = "EqQBCgIYAhIM+1/a=="
CONFIG = """\
    providers:
      aws: {type: bedrock, region: eu-central-1, base_url: "http://127.0.0.1:{port}", api_key: {env: KEY}}
      signing:
        type: bedrock
        region: eu-central-1
        base_url: "http://127.0.0.1:{port}"
        access_key: {env: KEY}
        secret_key: {env: KEY}
      anthropic: {type: anthropic, base_url: "http://127.0.0.1:{port}/v1", api_key: {env: KEY}}
      other: {type: compatible, base_url: "http://127.0.0.1:{port}/v1"}
    models:
      claude:
        type: deployment
        provider: aws
        name: "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
        retries: 0
        breaker: {failures: 99, fewest: 99}
      signed:
        {type: deployment, provider: signing, name: "arn:aws:bedrock:eu-central-1:1:inference-profile/a.b", retries: 0}
      direct: {type: deployment, provider: anthropic, name: claude-opus-4-8, retries: 0}
      gpt: {type: deployment, provider: other, name: gpt-4o, retries: 0, breaker: {failures: 99, fewest: 99}}
    """
TOOLS: Any = {
    "tools": [
        {"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object", "properties": {"city": {}}}}}},
        {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
    ]
}


def plays(asked: Asked) -> Played:
    name = play_named(json.dumps(asked.body)) or "text"
    if name.isdigit():
        return whole(int(name), {"message": f"the provider says {name}", "error": {"message": f"it says {name}"}})
    if asked.path.endswith("/count-tokens"):
        return whole(200, {"inputTokens": 42})
    if "/converse" not in asked.path:
        folder = GOLDEN / ("anthropic_messages" if asked.path.endswith("/messages") else "openai_chat")
        form = "sse" if asked.body.get("stream") else "json"
        file = folder / f"{name}.{form}"
        file = file if file.exists() else folder / f"{'text' if 'anthropic' in folder.name else 'openai_text'}.{form}"
        return Played(file.read_bytes(), content_type="text/event-stream" if form == "sse" else "application/json")
    if not asked.path.endswith("-stream"):
        return Played(golden_body(name))
    told = frames(name)
    breaks = sum(map(len, told[:-1])) if name.endswith("in_the_middle") else None
    return Played(b"".join(told), content_type="application/vnd.amazon.eventstream", breaks=breaks)


@dataclass
class World:
    """A node behind a door with TLS, without which AWS's SDK sends no bearer key."""

    playing: Playing
    port: int
    certificate: Path

    @property
    def asked(self) -> list[Asked]:
        return self.playing.asked


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "node.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> AsyncIterator[World]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    async with between(tmp_path_factory.mktemp("bedrock") / "data", CONFIG, plays, KEY) as one:

        async def relayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", one.node.port)
            with suppress(ConnectionError):
                await asyncio.gather(_piped(reader, back), _piped(there, writer))

        async with await asyncio.start_server(relayed, "127.0.0.1", 0, ssl=context) as door:
            yield World(one, door.sockets[0].getsockname()[1], certificate)


@pytest.fixture
def world(shared: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The node of all these stories, of which nothing has been asked yet."""
    shared.asked.clear()
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", shared.playing.node.key)
    return shared


async def _piped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


def client(world: World) -> Any:
    config = Config(retries={"max_attempts": 0}, read_timeout=20, connect_timeout=5)
    url = f"https://localhost:{world.port}"
    return boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=url,
        config=config,
        verify=str(world.certificate),
    )


async def asks(call: Callable[[], Any]) -> Any:
    """What a call of the SDK gives, which knows no event loop."""
    return await asyncio.to_thread(call)


def says(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": text}]}]


def message_of(events: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str, dict[str, Any]]:
    """The content, the reason of the end and the usage of a stream, put together as AWS's examples do."""
    content: dict[int, dict[str, Any]] = {}
    stop, usage = "", {}
    for event in events:
        ((kind, told),) = event.items()
        block = content.setdefault(told["contentBlockIndex"], {}) if "contentBlockIndex" in told else {}
        match kind:
            case "contentBlockStart":
                block["toolUse"] = {**told["start"]["toolUse"], "input": ""}
            case "contentBlockDelta":
                _continue(block, told["delta"])
            case "contentBlockStop" if "toolUse" in block:
                block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
            case "messageStop":
                stop = told["stopReason"]
            case "metadata":
                usage = told["usage"]
    return [content[index] for index in sorted(content)], stop, usage


def _continue(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "reasoningContent" in delta:
        thought = delta["reasoningContent"]
        if "redactedContent" in thought:
            block["reasoningContent"] = thought
            return
        said = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        said["text"] += thought.get("text", "")
        if "signature" in thought:
            said["signature"] = thought["signature"]


@pytest.mark.parametrize("model", ["claude", "direct", "gpt"])
async def test_a_conversation_with_tools_and_thoughts_is_led_over_two_turns(world: World, model: str) -> None:
    one = client(world)
    name = "openai_parallel_tools" if model == "gpt" else "thinking_and_parallel_tools"
    last = "openai_text" if model == "gpt" else "text"

    def talk() -> tuple[Any, ...]:
        plain = one.converse(modelId=model, messages=says(f"play:{last}"), system=[{"text": "Be brief."}])
        stream = one.converse_stream(modelId=model, messages=says(f"play:{name}"), toolConfig=TOOLS)
        content, stop, usage = message_of(list(stream["stream"]))
        calls = [block["toolUse"] for block in content if "toolUse" in block]
        results = [{"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "sun"}]}} for call in calls]
        turns = [
            *says("?"),
            {"role": "assistant", "content": content},
            {"role": "user", "content": [*results, {"text": f"play:{last}"}]},
        ]
        again = one.converse(modelId=model, messages=turns, toolConfig=TOOLS)
        return plain, content, stop, usage, calls, again

    plain, content, stop, usage, calls, again = await asks(talk)

    assert plain["output"]["message"]["content"] == [{"text": "Guten Tag"}]
    assert plain["stopReason"] == again["stopReason"] == "end_turn"
    assert plain["usage"]["totalTokens"]
    assert stop == "tool_use"
    assert usage["outputTokens"]
    assert calls[0]["input"] == {"city": "Köln"}
    assert len(calls) == 2
    sent = world.asked[-1].body["messages"]
    if model == "claude":
        assert [block.keys() for block in content[:2]] == [{"reasoningContent"}, {"text"}]
        assert sent[1]["content"][0]["reasoningContent"]["reasoningText"]["signature"] == SEAL
        path = "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0"
        assert [asked.path for asked in world.asked] == [
            f"{path}/converse",
            f"{path}/converse-stream",
            f"{path}/converse",
        ]
        assert world.asked[-1].headers["authorization"] == f"Bearer {KEY}"
    elif model == "direct":
        assert sent[1]["content"][0]["signature"] == SEAL
        assert [block["type"] for block in sent[2]["content"]] == ["tool_result", "tool_result", "text"]
    else:
        assert [turn["role"] for turn in sent] == ["user", "assistant", "tool", "tool", "user"]


async def test_a_call_is_signed_where_keys_are_given(world: World) -> None:
    answer = await asks(lambda: client(world).converse(modelId="signed", messages=says("play:text")))

    (asked,) = world.asked
    assert answer["output"]["message"]["content"] == [{"text": "Guten Tag"}]
    assert asked.path == "/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A1%3Ainference-profile%2Fa.b/converse"
    assert asked.headers["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={KEY}/2")
    assert "SignedHeaders=content-type;host;x-amz-date, Signature=" in asked.headers["authorization"]


async def test_pictures_and_schemas_reach_every_model(world: World) -> None:
    one = client(world)
    picture = {"image": {"format": "png", "source": {"bytes": b"\x89PNG\r\n"}}}
    content: Any = [{"role": "user", "content": [picture, {"text": "play:openai_text"}]}]
    schema = json.dumps({"type": "object", "properties": {}})
    form = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema, "name": "a"}}}}

    await asks(lambda: one.converse(modelId="gpt", messages=content, outputConfig=form))

    ((_, _, body),) = ((asked.path, asked.headers, asked.body) for asked in world.asked)
    assert body["messages"][0]["content"][0]["image_url"]["url"] == "data:image/png;base64,iVBORw0K"
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object", "properties": {}}


async def test_tokens_are_counted(world: World) -> None:
    asked = {"converse": {"messages": says("How many?")}}

    counted = await asks(lambda: client(world).count_tokens(modelId="claude", input=asked))
    estimated = await asks(lambda: client(world).count_tokens(modelId="gpt", input=asked))

    assert counted["inputTokens"] == 42
    assert 0 < estimated["inputTokens"] < 100


@pytest.mark.parametrize("model", ["claude", "gpt"])
async def test_what_goes_wrong_is_sorted_by_the_sdk_as_if_aws_had_said_it(
    world: World, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(text: str, one: Any, model: str = model) -> tuple[str, int]:
        with pytest.raises(ClientError) as raised:
            await asks(lambda: one.converse(modelId=model, messages=says(text)))
        told: Any = raised.value.response
        return told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]

    one = client(world)

    assert await fails("play:429", one) == ("ThrottlingException", 429)
    assert await fails("play:503", one) == ("ServiceUnavailableException", 503)
    assert await fails("play:400", one) == ("ValidationException", 400)
    assert await fails("hi", one, "clod") == ("ResourceNotFoundException", 404)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "dk-wrong")
    assert await fails("hi", client(world)) == ("UnrecognizedClientException", 401)


async def test_an_answer_that_breaks_off_is_an_exception_and_never_a_whole_answer(world: World) -> None:
    def hear() -> tuple[str, str]:
        stream = client(world).converse_stream(modelId="claude", messages=says("play:failed_in_the_middle"))
        heard = ""
        try:
            for event in stream["stream"]:
                heard += event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
        except EventStreamError as error:
            return heard, str(error)
        return heard, ""

    heard, error = await asks(hear)

    assert heard == "Once"
    assert "serviceUnavailableException" in error
    assert "The model failed." in error


async def test_who_has_written_against_openais_sdk_reaches_bedrock_as_well(world: World) -> None:
    tools: Any = [{"type": "function", "function": {"name": "weather"}}]
    calls: Any = [{"id": "functions.weather:0", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
    turns: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "functions.weather:0", "content": "sunny"},
        {"role": "user", "content": "play:text"},
    ]

    async with world.playing.node.async_openai() as one:
        stream = await one.chat.completions.create(
            model="claude",
            messages=[{"role": "user", "content": "play:thinking_and_parallel_tools"}],
            tools=tools,
            reasoning_effort="low",
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        answer = await one.chat.completions.with_raw_response.create(model="claude", messages=turns, seed=7)

    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 89
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "tool_calls"
    assert answer.parse().choices[0].message.content == "Guten Tag"
    assert answer.headers["x-dirigent-left-out"] == "seed"
    asked, again = (each.body for each in world.asked)
    assert asked["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 2048}}
    assert asked["inferenceConfig"] == {"maxTokens": 2048 + 4096}
    assert again["system"] == [{"text": "Be brief."}]
    assert again["messages"][1]["content"][0]["toolUse"]["toolUseId"] == "functions.weather:0"
    assert [spec["toolSpec"]["name"] for spec in again["toolConfig"]["tools"]] == ["weather"]
