"""Somebody who has written against `client.responses` changes the address and nothing else, whichever model answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from tests.journeys.node import Node, node
from tests.net.providers import Visit, provider
from tests.parsed import ROOT
from tests.upstream import head

pytestmark = pytest.mark.asyncio(loop_scope="module")
GOLDEN = ROOT / "tests" / "golden"
KEY = "sk-nobody-sees-this"
PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAE="
PDF = "data:application/pdf;base64,JVBERi0="
TOOLS: Any = [
    {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": False},
    {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": False},
]
CONFIG = """\
    providers:
      openai: {{type: openai, base_url: "http://127.0.0.1:{port}/v1", api_key: {{env: KEY}}}}
      other: {{type: compatible, base_url: "http://127.0.0.1:{port}/v1"}}
      anthropic: {{type: anthropic, base_url: "http://127.0.0.1:{port}/v1", api_key: {{env: KEY}}}}
    models:
      gpt: {{type: deployment, provider: openai, name: gpt-5, retries: 0}}
      mistral: {{type: deployment, provider: other, name: mistral-large, retries: 0}}
      claude: {{type: deployment, provider: anthropic, name: claude-opus-4-8, retries: 0}}
    """
FOLDERS = {
    "/v1/responses": "openai_responses",
    "/v1/chat/completions": "openai_chat",
    "/v1/messages": "anthropic_messages",
}
BROKEN = ("openai_failed", "vllm_error")
PLAIN = {"openai_responses": "openai_text", "openai_chat": "openai_text", "anthropic_messages": "text"}


@dataclass
class World:
    """A node between the SDK and a provider who plays the golden exchange that the request's `user` names."""

    node: Node
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Path and body of each request that reached the provider."""

    def client(self, key: str | None = None) -> AsyncOpenAI:
        address = f"http://127.0.0.1:{self.node.port}/v1"
        return AsyncOpenAI(base_url=address, api_key=key or self.node.key, max_retries=0)


def _played(path: str, body: dict[str, Any]) -> tuple[bytes, ...]:
    """The pieces of the answer; between two of them is a pause."""
    folder = FOLDERS[path]
    said = body.get("user") or body.get("metadata", {}).get("user_id") or ""
    name = said.removeprefix("play:") if said.startswith("play:") else PLAIN[folder]
    if name.isdigit():
        told = {"error": {"message": f"the provider says {name}", "type": "whatever", "param": None, "code": "c"}}
        return (_whole(int(name), json.dumps(told).encode()),)
    if not body.get("stream"):
        return (_whole(200, (GOLDEN / folder / f"{name}.json").read_bytes()),)
    data = (GOLDEN / folder / f"{name}.sse").read_bytes()
    if name in BROKEN:  # what came before the error is on its way before it
        said, _, rest = data.rpartition(b"Once")
        end = len(said) + 4 + rest.index(b"\n\n") + 2
        return head() + _chunk(data[:end]), _chunk(data[end:]) + b"0\r\n\r\n"
    pieces = [data[at : at + 7] for at in range(0, len(data), 7)]
    return (head() + b"".join(map(_chunk, pieces)) + b"0\r\n\r\n",)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _whole(status: int, data: bytes) -> bytes:
    line = f"HTTP/1.1 {status} Word\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    return line.encode() + data


@asynccontextmanager
async def between(data: Path) -> AsyncIterator[World]:
    asked: list[tuple[str, dict[str, Any]]] = []

    async def plays(visit: Visit) -> None:
        while True:
            top, sent = await visit.request()
            path, body = top.split()[1], json.loads(sent)
            asked.append((path, body))
            first, *more = _played(path, body)
            visit.say(first)
            for piece in more:
                await asyncio.sleep(1)  # so that a busy node has heard what came before
                visit.say(piece)

    async with provider(plays) as upstream:
        config = CONFIG.format(port=upstream.origin.port)
        with node(data, config, environment={"KEY": KEY}) as one:
            yield World(one, asked)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with between(tmp_path_factory.mktemp("responses") / "data") as one:
        yield one


@pytest.fixture
def world(shared: World) -> World:
    """The node of all these stories, of which nothing has been asked yet."""
    shared.asked.clear()
    return shared


async def streamed(client: AsyncOpenAI, **fields: Any) -> tuple[Response, list[str]]:
    """The response that the SDK puts together, and the types of the events that it was made of."""
    async with client.responses.stream(**fields) as stream:
        kinds: list[str] = [event.type async for event in stream]
        return await stream.get_final_response(), kinds


@pytest.mark.parametrize("model", ["gpt", "mistral", "claude"])
async def test_every_model_answers_whole_and_in_a_stream(world: World, model: str) -> None:
    client = world.client()

    whole = await client.responses.create(model=model, input="hello", instructions="Be brief.")
    response, kinds = await streamed(client, model=model, input="hello")

    for answer in (whole, response):
        assert answer.output_text
        assert answer.status == "completed"
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert "response.output_text.delta" in kinds
    path, body = world.asked[0]
    assert FOLDERS[path] == {"gpt": "openai_responses", "mistral": "openai_chat", "claude": "anthropic_messages"}[model]
    assert "Be brief." in json.dumps(body)


async def test_openai_gets_the_callers_own_words_and_the_caller_openais(world: World) -> None:
    client = world.client()

    raw = await client.responses.with_raw_response.create(
        model="gpt",
        input=[{"role": "user", "content": "hello"}],
        previous_response_id="resp_1",
        extra_body={"new_field": {"a": [1, None]}},
    )

    ((path, body),) = world.asked
    assert path == "/v1/responses"
    assert body == {
        "model": "gpt-5",
        "input": [{"role": "user", "content": "hello"}],
        "previous_response_id": "resp_1",
        "new_field": {"a": [1, None]},
    }
    assert raw.content == (GOLDEN / "openai_responses" / "openai_text.json").read_bytes()


@pytest.mark.parametrize(("model", "name"), [("gpt", "openai_reasoning_tools"), ("mistral", "openai_parallel_tools")])
async def test_tools_are_called_and_answered_over_two_turns(world: World, model: str, name: str) -> None:
    client = world.client()

    first, kinds = await streamed(client, model=model, input="Weather?", tools=TOOLS, user=f"play:{name}")
    calls = [item for item in first.output if item.type == "function_call"]
    results: Any = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"of {call.call_id}"} for call in calls
    ]
    turns: Any = [{"role": "user", "content": "Weather?"}, *(item.to_dict() for item in first.output), *results]
    second = await client.responses.create(model=model, input=turns, tools=TOOLS)

    assert [call.call_id for call in calls] == ["call_A1", "call_B2"]
    assert all(isinstance(json.loads(call.arguments or "{}"), dict) for call in calls)
    assert kinds.count("response.function_call_arguments.done") == 2
    assert second.output_text == "Guten Tag" or second.output_text.startswith("Guten Tag,")
    _, body = world.asked[-1]
    if model == "gpt":
        thoughts = [item for item in body["input"] if item.get("type") == "reasoning"]
        assert [thought["encrypted_content"] for thought in thoughts] == ["gAAAAABo4f_seal=="]
        return
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in body["messages"][1]["tool_calls"]] == ["call_A1", "call_B2"]
    assert [message["content"] for message in body["messages"][2:]] == ["of call_A1", "of call_B2"]


async def test_claude_gets_its_sealed_thoughts_back_through_items_and_nobody_else_does(world: World) -> None:
    client = world.client()

    first, _ = await streamed(client, model="claude", input="?", tools=TOOLS, user="play:thinking_and_parallel_tools")
    results: Any = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "done"}
        for item in first.output
        if item.type == "function_call"
    ]
    turns: Any = [{"role": "user", "content": "?"}, *(item.to_dict() for item in first.output), *results]
    for model in ("claude", "gpt", "mistral"):
        await client.responses.create(model=model, input=turns, tools=TOOLS)

    golden = (GOLDEN / "anthropic_messages" / "thinking_and_parallel_tools.sse").read_text(encoding="utf-8")
    deltas = [json.loads(line[5:]).get("delta", {}) for line in golden.splitlines() if line.startswith("data:")]
    thinking = "".join(delta.get("thinking", "") for delta in deltas)
    signature = "".join(delta.get("signature", "") for delta in deltas)
    (_, to_claude), (_, to_openai), (_, to_mistral) = world.asked[1:]
    assert signature
    assert to_claude["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": thinking,
        "signature": signature,
    }
    assert [item["type"] for item in to_openai["input"][1:]] != []
    assert "reasoning" not in [item.get("type") for item in to_openai["input"]]
    assert signature not in json.dumps(to_openai) + json.dumps(to_mistral)
    assert "dirigent." not in json.dumps(to_openai) + json.dumps(to_mistral)


async def test_claude_gets_its_sealed_thoughts_back_through_chat_completions_too(world: World) -> None:
    client = world.client()
    tools: Any = [
        {"type": "function", "function": {key: tool[key] for key in ("name", "parameters")}} for tool in TOOLS
    ]
    asked: Any = [{"role": "user", "content": "?"}]

    first = await client.chat.completions.create(
        model="claude", messages=asked, tools=tools, user="play:thinking_and_tools"
    )
    message = first.choices[0].message
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in message.tool_calls or ()]
    turns: Any = [*asked, message.to_dict(), *results]
    await client.chat.completions.create(model="claude", messages=turns, tools=tools)

    golden = json.loads((GOLDEN / "anthropic_messages" / "thinking_and_tools.json").read_bytes())
    (sealed,) = (block for block in golden["content"] if block["type"] == "thinking")
    _, body = world.asked[-1]
    assert sealed["signature"]
    assert body["messages"][1]["content"][0] == sealed


class Bill(BaseModel):
    total: float


async def test_a_structured_answer_is_parsed_whoever_gives_it(world: World) -> None:
    parsed = await world.client().responses.parse(
        model="mistral", input="How much?", text_format=Bill, user="play:openai_structured"
    )

    assert parsed.output_parsed == Bill(total=12.5)
    ((_, body),) = world.asked
    assert body["response_format"]["type"] == "json_schema"
    assert body["response_format"]["json_schema"]["name"] == "Bill"
    assert body["response_format"]["json_schema"]["strict"] is True


async def test_pictures_sound_and_documents_reach_a_chat_provider(world: World) -> None:
    said: Any = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look:"},
                {"type": "input_image", "image_url": PNG, "detail": "low"},
                {"type": "input_file", "file_data": PDF, "filename": "a.pdf"},
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            ],
        }
    ]

    await world.client().responses.create(model="mistral", input=said)

    ((_, body),) = world.asked
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
    ]


async def test_what_a_model_cannot_do_is_refused_in_words_before_it_is_asked(world: World) -> None:
    client = world.client()

    for fields in (
        {"previous_response_id": "resp_1"},
        {"background": True},
        {"tools": [{"type": "web_search"}]},
    ):
        with pytest.raises(openai.BadRequestError) as raised:
            await client.responses.create(model="mistral", input="hi", **fields)
        assert raised.value.code == "unsupported"
    assert world.asked == []


async def test_an_answer_that_ran_out_of_room_says_so(world: World) -> None:
    client = world.client()

    whole = await client.responses.create(model="gpt", input="hi", user="play:openai_incomplete")
    chunks = [
        event
        async for event in await client.responses.create(
            model="mistral", input="hi", user="play:llama_cpp_cut_before_done", stream=True
        )
    ]

    assert whole.status == "incomplete"
    last = chunks[-1]
    assert last.type == "response.incomplete"
    for details in (whole.incomplete_details, last.response.incomplete_details):
        assert details is not None
        assert details.reason == "max_output_tokens"


@pytest.mark.parametrize("model", ["gpt", "mistral"])
async def test_what_goes_wrong_is_sorted_by_the_sdk_as_if_openai_had_said_it(world: World, model: str) -> None:
    client = world.client()

    async def fails(said: str = "", client: AsyncOpenAI = client, **fields: Any) -> openai.APIStatusError:
        with pytest.raises(openai.APIStatusError) as raised:
            await client.responses.create(**{"model": model, "input": "hi", "user": f"play:{said}", **fields})
        return raised.value

    assert isinstance(await fails("429"), openai.RateLimitError)
    assert isinstance(await fails("500"), openai.InternalServerError)
    rejected = await fails("400")
    assert isinstance(rejected, openai.BadRequestError)
    assert "the provider says 400" in rejected.message
    wrong = await fails(input=[{"role": "robot", "content": "x"}])
    assert (type(wrong), wrong.param) == (openai.BadRequestError, "input[0].role")
    assert isinstance(await fails(model="gtp"), openai.NotFoundError)
    assert isinstance(await fails(client=world.client("dk-wrong")), openai.AuthenticationError)


@pytest.mark.parametrize(("model", "name"), [("gpt", "openai_failed"), ("mistral", "vllm_error")])
async def test_an_answer_that_breaks_off_is_an_error_and_never_a_whole_answer(
    world: World, model: str, name: str
) -> None:
    heard = ""

    with pytest.raises(openai.APIError) as raised:  # noqa: PT012  it is the loop that fails
        async for event in await world.client().responses.create(
            model=model, input="hi", user=f"play:{name}", stream=True
        ):
            if event.type == "response.output_text.delta":
                heard += event.delta

    assert heard == "Once"
    assert raised.value.code == "unavailable"


async def test_an_answer_that_fails_before_it_begins_has_a_status(world: World) -> None:
    with pytest.raises(openai.RateLimitError):
        await world.client().responses.create(model="gpt", input="hi", user="play:openai_limited", stream=True)
