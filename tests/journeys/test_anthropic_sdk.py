"""Somebody who has written against Anthropic's SDK changes the address and nothing else, whichever model answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic
from anthropic.types import Message

from tests.journeys.node import Node, node
from tests.net.providers import Visit, provider
from tests.parsed import ROOT
from tests.upstream import head

pytestmark = pytest.mark.asyncio(loop_scope="module")
GOLDEN = ROOT / "tests" / "golden"
_PAUSE = 1.0
"""Seconds before an error, so that what was said before it has reached the caller."""
KEY = "sk-ant-nobody-sees-this"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAE="
CACHE: Any = {"type": "ephemeral", "ttl": "1h"}
TOOLS: Any = [
    {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}},
    {"name": "now", "input_schema": {"type": "object", "properties": {}}},
]
CONFIG = """\
    providers:
      anthropic:
        {{type: anthropic, base_url: "http://127.0.0.1:{port}/v1", api_key: {{env: KEY}}, refuse_betas: ["fast-*"]}}
      other: {{type: compatible, base_url: "http://127.0.0.1:{port}/v1"}}
    models:
      claude:
        type: deployment
        provider: anthropic
        name: claude-opus-4-8
        retries: 0
        breaker: {{failures: 99, fewest: 99}}
      gpt: {{type: deployment, provider: other, name: gpt-4o, retries: 0, breaker: {{failures: 99, fewest: 99}}}}
      fresh: {{type: deployment, provider: anthropic, name: claude-opus-4-8, retries: 0}}
      auto: {{type: router, candidates: [fresh, gpt]}}
    """


@dataclass
class World:
    """A node between an SDK and a provider who plays the golden exchange that the last message names."""

    node: Node
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    """Path, headers and body of each request that reached the provider."""

    def client(self, key: str | None = None) -> AsyncAnthropic:
        address = f"http://127.0.0.1:{self.node.port}"
        return AsyncAnthropic(base_url=address, api_key=key or self.node.key, max_retries=0)


def _named(body: dict[str, Any]) -> str:
    """The golden exchange that the last words of the conversation name."""
    content = body["messages"][-1]["content"]
    texts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    words = [word for text in texts for word in text.split() if word.startswith("play:")]
    return words[-1].removeprefix("play:") if words else "text"


def _played(path: str, body: dict[str, Any]) -> list[bytes]:
    """The answer, in the pieces in which it is said; an empty one is a pause."""
    name = _named(body)
    if name.isdigit():
        told = {"type": "error", "error": {"type": "whatever", "message": f"the provider says {name}"}}
        return [_whole(int(name), json.dumps(told).encode())]
    if path.endswith("/count_tokens"):
        return [_whole(200, b'{"input_tokens": 42}')]
    folder = GOLDEN / ("anthropic_messages" if path.endswith("/messages") else "openai_chat")
    if not (folder / f"{name}.sse").exists():
        name = "openai_text"
    if not body.get("stream"):
        return [_whole(200, (folder / f"{name}.json").read_bytes())]
    stream = (folder / f"{name}.sse").read_bytes()
    before, error, after = stream.partition(b"event: error" if b"event: error" in stream else b'data: {"error"')
    said, broken = (b"".join(map(_chunk, _fragments(data))) for data in (before, error + after))
    return [head(), said, b"", broken, _chunk(b"")] if error else [head(), said, _chunk(b"")]


def _fragments(data: bytes) -> list[bytes]:
    return [data[at : at + 7] for at in range(0, len(data), 7)]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _whole(status: int, data: bytes) -> bytes:
    line = f"HTTP/1.1 {status} Word\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    return line.encode() + data


@asynccontextmanager
async def between(data: Path) -> AsyncIterator[World]:
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    async def plays(visit: Visit) -> None:
        while True:
            top, sent = await visit.request()
            line, *lines = top.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
            path, body = line.split()[1], json.loads(sent)
            asked.append((path, headers, body))
            for piece in _played(path, body):
                await asyncio.sleep(0 if piece else _PAUSE)
                visit.say(piece)

    async with provider(plays) as upstream:
        config = CONFIG.format(port=upstream.origin.port)
        with node(data, config, environment={"KEY": KEY}) as one:
            yield World(one, asked)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with between(tmp_path_factory.mktemp("anthropic") / "data") as one:
        yield one


@pytest.fixture
def world(shared: World) -> World:
    """The node of all these stories, of which nothing has been asked yet."""
    shared.asked.clear()
    return shared


async def streamed(client: AsyncAnthropic, **fields: Any) -> tuple[Message, set[str]]:
    """The message that the SDK puts together, and the types of the events that it was made of."""
    async with client.messages.stream(max_tokens=100, **fields) as stream:
        kinds: set[str] = {event.type async for event in stream}
        return await stream.get_final_message(), kinds


def says(text: str) -> Any:
    return [{"role": "user", "content": text}]


async def test_a_conversation_with_tools_and_thoughts_is_led_with_claude_over_two_turns(world: World) -> None:
    client = world.client()

    plain = await client.messages.create(model="claude", max_tokens=50, messages=says("play:text"))
    message, kinds = await streamed(
        client,
        model="claude",
        messages=says("play:thinking_and_parallel_tools"),
        tools=TOOLS,
        thinking={"type": "adaptive"},
    )
    thought, text, first, second = message.content
    results: Any = [
        {"type": "tool_result", "tool_use_id": first.id, "content": "sunny"},  # type: ignore[union-attr]
        {"type": "tool_result", "tool_use_id": second.id, "content": "noon", "is_error": True},  # type: ignore[union-attr]
        {"type": "text", "text": "play:text"},
    ]
    turns: Any = [
        *says("?"),
        {"role": "assistant", "content": [block.to_dict() for block in message.content]},
        {"role": "user", "content": results},
    ]
    await client.messages.create(model="claude", max_tokens=50, messages=turns, tools=TOOLS)

    assert plain.content[0].to_dict()["text"] == "Guten Tag"
    assert (plain.usage.input_tokens, plain.usage.cache_read_input_tokens) == (4, 1200)
    assert (thought.type, text.type, first.type, second.type) == ("thinking", "text", "tool_use", "tool_use")
    assert first.to_dict()["input"] == {"city": "Köln"}
    assert message.stop_reason == "tool_use"
    assert "input_json" in kinds
    sent = world.asked[-1][2]["messages"]
    assert sent[1]["content"][0] == {
        "type": "thinking",
        "thinking": "Two cities, two calls.",
        "signature": "EqQBCgIYAhIM+1/a==",
    }
    assert sent[2]["content"] == results
    assert all(body["model"] == "claude-opus-4-8" for _, _, body in world.asked)


async def test_the_same_conversation_is_led_with_a_model_of_another_dialect(world: World) -> None:
    client = world.client()

    plain = await client.messages.create(
        model="gpt", max_tokens=50, system="Be brief.", messages=says("play:openai_text")
    )
    thoughtful, _ = await streamed(client, model="gpt", messages=says("play:deepseek_reasoning"))
    message, _ = await streamed(client, model="gpt", messages=says("play:openai_parallel_tools"), tools=TOOLS)
    first, second = message.content
    turns: Any = [
        *says("?"),
        {"role": "assistant", "content": [block.to_dict() for block in message.content]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": first.id, "content": "sunny"},  # type: ignore[union-attr]
                {"type": "tool_result", "tool_use_id": second.id, "content": [{"type": "text", "text": "noon"}]},  # type: ignore[union-attr]
                {"type": "text", "text": "play:openai_text"},
            ],
        },
    ]
    await client.messages.create(model="gpt", max_tokens=50, messages=turns, tools=TOOLS)

    assert plain.content[0].to_dict()["text"] == "Guten Tag"
    assert (plain.model, plain.stop_reason, plain.usage.input_tokens) == ("gpt", "end_turn", 6)
    assert plain.usage.cache_read_input_tokens == 8
    assert [block.type for block in thoughtful.content] == ["thinking", "text"]
    assert thoughtful.usage.output_tokens == 12
    assert [block.to_dict()["input"] for block in message.content] == [{"city": "Köln"}, {"zone": "CET"}]
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (82, 40)
    path, headers, body = world.asked[-1]
    assert path == "/v1/chat/completions"
    assert "x-api-key" not in headers
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "tool", "tool", "user"]
    assert [call["id"] for call in body["messages"][1]["tool_calls"]] == ["call_A1", "call_B2"]
    assert [turn["tool_call_id"] for turn in body["messages"][2:4]] == ["call_A1", "call_B2"]
    assert body["tools"][0]["function"]["parameters"] == TOOLS[0]["input_schema"]
    assert world.asked[0][2]["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_images_documents_and_cache_marks_reach_claude_untouched_and_images_reach_others(world: World) -> None:
    client = world.client()
    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    content: Any = [
        {**image, "cache_control": CACHE},
        {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}, "title": "A"},
        {"type": "text", "text": "play:text", "cache_control": {**CACHE, "scope": "global"}},
    ]
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": CACHE}]

    await client.beta.messages.create(
        model="claude",
        max_tokens=50,
        system=system,
        messages=[{"role": "user", "content": content}],
        betas=["files-api-2025-04-14", "fast-mode-2026-02-01"],
    )
    await client.messages.create(
        model="gpt",
        max_tokens=50,
        messages=[{"role": "user", "content": [image, {"type": "text", "text": "play:openai_text"}]}],
    )

    (_, headers, verbatim), (_, _, translated) = world.asked
    assert verbatim["messages"] == [{"role": "user", "content": content}]
    assert verbatim["system"] == system
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, client.default_headers["anthropic-version"])
    assert headers["anthropic-beta"] == "files-api-2025-04-14"
    assert translated["messages"][0]["content"][0] == {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{PNG}"},
    }


async def test_tokens_are_counted_by_claude_and_estimated_for_others(world: World) -> None:
    client = world.client()

    counted = await client.messages.count_tokens(model="claude", messages=says("How many?"), tools=TOOLS)
    estimated = await client.messages.count_tokens(model="gpt", messages=says("How many?"), tools=TOOLS)

    assert counted.input_tokens == 42
    assert 0 < estimated.input_tokens < 200
    ((path, _, body),) = world.asked
    assert path == "/v1/messages/count_tokens"
    assert body.keys() == {"model", "messages", "tools"}


@pytest.mark.parametrize("model", ["claude", "gpt"])
async def test_what_goes_wrong_is_sorted_by_the_sdk_as_if_anthropic_had_said_it(world: World, model: str) -> None:
    client = world.client()

    async def fails(text: str, client: AsyncAnthropic = client, model: str = model) -> anthropic.APIStatusError:
        with pytest.raises(anthropic.APIStatusError) as raised:
            await client.messages.create(model=model, max_tokens=9, messages=says(text))
        return raised.value

    limited, overloaded, rejected = await fails("play:429"), await fails("play:529"), await fails("play:400")
    stranger = await fails("hi", world.client("dk-wrong"))
    unknown = await fails("hi", model="clod")

    assert isinstance(limited, anthropic.RateLimitError)
    assert (limited.type, overloaded.type, rejected.type) == (
        "rate_limit_error",
        "overloaded_error",
        "invalid_request_error",
    )
    assert isinstance(rejected, anthropic.BadRequestError)
    assert rejected.api_message == "the provider says 400"
    assert isinstance(stranger, anthropic.AuthenticationError)
    assert stranger.type == "authentication_error"
    assert isinstance(unknown, anthropic.NotFoundError)
    assert unknown.type == "not_found_error"
    assert unknown.request_id


async def test_an_answer_that_breaks_off_is_an_error_with_its_type_and_never_a_whole_answer(world: World) -> None:
    client = world.client()

    for model, name in (("claude", "overloaded_in_the_middle"), ("gpt", "vllm_error")):
        heard = ""
        with pytest.raises(anthropic.APIStatusError) as raised:  # noqa: PT012  it is the loop that fails
            async with client.messages.stream(model=model, max_tokens=9, messages=says(f"play:{name}")) as stream:
                async for text in stream.text_stream:
                    heard += text
        assert heard == "Once"
        assert raised.value.type == "overloaded_error"


async def test_who_has_written_against_openais_sdk_reaches_claude_as_well(world: World) -> None:
    tools: Any = [{"type": "function", "function": {"name": each["name"]}} for each in TOOLS]
    question: Any = [{"role": "system", "content": "Be brief."}, *says("play:thinking_and_parallel_tools")]

    async with world.node.async_openai() as client:
        stream = await client.chat.completions.create(
            model="claude",
            messages=question,
            tools=tools,
            temperature=0.3,
            reasoning_effort="high",
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        calls: Any = [
            {"id": "functions.weather:0", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
            {"id": "functions.now:1", "type": "function", "function": {"name": "now", "arguments": ""}},
        ]
        turns: Any = [
            *says("?"),
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "functions.weather:0", "content": "sunny"},
            {"role": "tool", "tool_call_id": "functions.now:1", "content": "noon"},
            *says("play:text"),
        ]
        answer = await client.chat.completions.with_raw_response.create(
            model="claude", messages=turns, tools=tools, temperature=0.3, n=2
        )
        whole = answer.parse()

    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    named = [call.function.name for delta in deltas for call in delta.tool_calls or () if call.id and call.function]
    assert named == ["weather", "now"]
    assert "".join(delta.content or "" for delta in deltas) == "I'll look that up."
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "tool_calls"
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (25, 89)
    assert [choice.message.content for choice in whole.choices] == ["Guten Tag", "Guten Tag"]
    assert answer.headers["x-dirigent-left-out"] == "temperature"
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == 2 * 1504
    _, headers, body = world.asked[0]
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})
    assert "temperature" not in body
    assert headers["anthropic-version"] == "2023-06-01"
    _, results = world.asked[1][2]["messages"][1:]
    assert [block["type"] for block in results["content"]] == ["tool_result", "tool_result", "text"]


async def test_an_overloaded_claude_that_had_only_greeted_leaves_the_word_to_the_next_candidate(world: World) -> None:
    message, _ = await streamed(world.client(), model="auto", messages=says("play:overloaded_at_once"))

    assert [path for path, _, _ in world.asked] == ["/v1/messages", "/v1/chat/completions"]
    assert message.content[0].to_dict()["text"] == "Guten Tag, „Köln“ 👋"


async def test_a_key_is_taken_in_either_of_the_headers_in_which_the_sdks_have_sent_it(world: World) -> None:
    asked = {"model": "claude", "max_tokens": 9, "messages": says("play:text")}

    def call(headers: dict[str, str]) -> int:
        return world.node.call("POST", "/v1/messages?beta=true", asked, headers, key=None).status

    assert await asyncio.to_thread(call, {"x-api-key": world.node.key}) == 200
    assert await asyncio.to_thread(call, {"authorization": f"Bearer {world.node.key}"}) == 200
    assert await asyncio.to_thread(call, {"x-api-key": "dk-wrong"}) == 401
