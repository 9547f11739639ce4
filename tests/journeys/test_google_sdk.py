"""Somebody who has written against Google's SDK changes the address and nothing else, whichever model answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google import genai
from google.genai import errors, types

from tests.journeys.playing import Asked, Played, Playing, between, play_named, whole
from tests.parsed import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")
GOLDEN = ROOT / "tests" / "golden"
KEY = "AIza-nobody-sees-this"
SEAL = "CikB0e2Kb+/sig11"
CONFIG = """\
    providers:
      google: {type: google, base_url: "http://127.0.0.1:{port}/v1beta", api_key: {env: KEY}}
      anthropic: {type: anthropic, base_url: "http://127.0.0.1:{port}/v1", api_key: {env: KEY}}
      other: {type: compatible, base_url: "http://127.0.0.1:{port}/v1"}
    models:
      gemini:
        type: deployment
        provider: google
        name: gemini-3-flash-preview
        retries: 0
        breaker: {failures: 99, fewest: 99}
      claude: {type: deployment, provider: anthropic, name: claude-opus-4-8, retries: 0}
      gpt: {type: deployment, provider: other, name: gpt-4o, retries: 0, breaker: {failures: 99, fewest: 99}}
      auto: {type: router, candidates: [gemini, gpt]}
    """
TOOLS: Any = [
    {
        "function_declarations": [
            {
                "name": "weather",
                "description": "The weather.",
                "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
            },
            {"name": "now"},
        ]
    }
]


def plays(asked: Asked) -> Played:
    name = play_named(json.dumps(asked.body)) or "text"
    if name.isdigit():
        told = {"error": {"code": int(name), "message": f"the provider says {name}", "status": "WHATEVER"}}
        return whole(int(name), told)
    if asked.path.endswith(":countTokens"):
        return whole(200, {"totalTokens": 42})
    google, claude = "Content" in asked.path, asked.path.endswith("/messages")
    folder = GOLDEN / ("google_generate" if google else "anthropic_messages" if claude else "openai_chat")
    streams = "stream" in asked.path or bool(asked.body.get("stream"))
    file = folder / f"{name}.{'sse' if streams else 'json'}"
    if not file.exists():
        file = folder / f"{'text' if google or claude else 'openai_text'}.{'sse' if streams else 'json'}"
    data = file.read_bytes()
    place = data.find(b'data: {"error')
    kind = "text/event-stream" if streams else "application/json"
    return Played(data, content_type=kind, breaks=place if place > 0 else None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Playing]:
    async with between(tmp_path_factory.mktemp("google") / "data", CONFIG, plays, KEY) as one:
        yield one


@pytest.fixture
def world(shared: Playing) -> Playing:
    """The node of all these stories, of which nothing has been asked yet."""
    shared.asked.clear()
    return shared


def client(world: Playing, key: str | None = None) -> genai.Client:
    options = types.HttpOptions(base_url=world.url, retry_options=types.HttpRetryOptions(attempts=1))
    return genai.Client(api_key=key or world.node.key, http_options=options)


async def streamed(one: genai.Client, **asked: Any) -> list[types.GenerateContentResponse]:
    return [chunk async for chunk in await one.aio.models.generate_content_stream(**asked)]


def parts_of(chunks: list[types.GenerateContentResponse]) -> list[types.Part]:
    return [
        part
        for chunk in chunks
        for candidate in chunk.candidates or ()
        for part in (candidate.content.parts if candidate.content else None) or ()
    ]


async def test_a_conversation_with_tools_and_seals_is_led_with_gemini_over_two_turns(world: Playing) -> None:
    one = client(world)
    config = types.GenerateContentConfig(
        tools=TOOLS, automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
    )

    plain = await one.aio.models.generate_content(model="gemini", contents="play:text")
    chunks = await streamed(one, model="gemini", contents="play:thinking_and_parallel_tools", config=config)
    parts = parts_of(chunks)
    calls = [part for part in parts if part.function_call]
    results = [
        types.Part.from_function_response(name="weather", response={"output": weather}) for weather in ("sun", "rain")
    ]
    turns = [
        types.Content(role="user", parts=[types.Part(text="?")]),
        types.Content(role="model", parts=parts),
        types.Content(role="user", parts=results),
        types.Content(role="user", parts=[types.Part(text="play:text")]),
    ]
    await one.aio.models.generate_content(model="gemini", contents=turns, config=config)

    assert plain.text == "Guten Tag"
    assert plain.usage_metadata is not None
    assert plain.usage_metadata.prompt_token_count == 9
    assert [call.function_call.args for call in calls if call.function_call] == [{"city": "Köln"}, {"city": "Bonn"}]
    assert [part.text for part in parts if part.thought] == ["**Planning**\n\nTwo cities", ", two calls."]
    assert [asked.path for asked in world.asked] == [
        "/v1beta/models/gemini-3-flash-preview:generateContent",
        "/v1beta/models/gemini-3-flash-preview:streamGenerateContent?alt=sse",
        "/v1beta/models/gemini-3-flash-preview:generateContent",
    ]
    assert world.asked[-1].headers["x-goog-api-key"] == KEY
    sealed = [part for part in world.asked[-1].body["contents"][1]["parts"] if "functionCall" in part]
    assert [part.get("thoughtSignature", "").replace("-", "+").replace("_", "/") for part in sealed] == [SEAL, ""]


@pytest.mark.parametrize("model", ["claude", "gpt"])
async def test_the_same_conversation_is_led_with_models_of_other_dialects(world: Playing, model: str) -> None:
    one = client(world)
    config = types.GenerateContentConfig(
        tools=TOOLS,
        system_instruction="Be brief.",
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    name = {"claude": "thinking_and_parallel_tools", "gpt": "openai_parallel_tools"}[model]

    plain = await one.aio.models.generate_content(model=model, contents="play:openai_text")
    chunks = await streamed(one, model=model, contents=f"play:{name}", config=config)
    parts = parts_of(chunks)
    calls = [part.function_call for part in parts if part.function_call]
    answers = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "sun"}))
        for call in calls
    ]
    turns = [
        types.Content(role="user", parts=[types.Part(text="?")]),
        types.Content(role="model", parts=parts),
        types.Content(role="user", parts=answers),
        types.Content(role="user", parts=[types.Part(text="play:openai_text")]),
    ]
    await one.aio.models.generate_content(model=model, contents=turns, config=config)

    assert plain.text == "Guten Tag"
    assert plain.model_version == model
    assert [call.name for call in calls] == ["weather", "now" if model == "claude" else "time"]
    assert calls[0].args == {"city": "Köln"}
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.candidates_token_count
    assert [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates][-1] == "STOP"
    sent = world.asked[-1].body["messages"]
    if model == "claude":
        assert "Be brief." in str(world.asked[-1].body["system"])
        assert sent[1]["content"][0]["signature"] == "EqQBCgIYAhIM+1/a=="
        assert [block["tool_use_id"] for block in sent[2]["content"][:2]] == ["toolu_01A", "toolu_01B"]
    else:
        assert [turn["role"] for turn in sent] == ["system", "user", "assistant", "tool", "tool", "user"]
        assert [turn["tool_call_id"] for turn in sent[3:5]] == ["call_A1", "call_B2"]
        assert world.asked[-1].body["tools"][0]["function"]["parameters"]["properties"] == {"city": {"type": "string"}}


async def test_images_and_schemas_reach_every_model(world: Playing) -> None:
    one = client(world)
    contents: Any = [
        types.Part.from_bytes(data=b"\x89PNG\r\n", mime_type="image/png"),
        types.Part(text="play:openai_text"),
    ]
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=schema)

    await one.aio.models.generate_content(model="gemini", contents=contents, config=config)
    await one.aio.models.generate_content(model="gpt", contents=contents, config=config)

    verbatim, translated = (asked.body for asked in world.asked)
    (picture, _) = verbatim["contents"][0]["parts"]
    assert "image/png" in next(iter(picture.values())).values()  # however this SDK spells the fields' names
    assert verbatim["generationConfig"]["responseJsonSchema"] == schema
    image = translated["messages"][0]["content"][0]["image_url"]["url"]
    assert image == "data:image/png;base64,iVBORw0K"
    assert translated["response_format"]["json_schema"]["schema"] == schema


async def test_tokens_are_counted_by_google_and_estimated_for_others(world: Playing) -> None:
    one = client(world)

    counted = await one.aio.models.count_tokens(model="gemini", contents="How many?")
    estimated = await one.aio.models.count_tokens(model="gpt", contents="How many?")

    assert counted.total_tokens == 42
    assert estimated.total_tokens
    assert 0 < estimated.total_tokens < 100
    assert len(world.asked) == 1


@pytest.mark.parametrize("model", ["gemini", "gpt"])
async def test_what_goes_wrong_is_sorted_by_the_sdk_as_if_google_had_said_it(world: Playing, model: str) -> None:
    async def fails(text: str, one: genai.Client, model: str = model) -> errors.APIError:
        with pytest.raises(errors.APIError) as raised:
            await one.aio.models.generate_content(model=model, contents=text)
        return raised.value

    one = client(world)
    limited, down, rejected = await fails("play:429", one), await fails("play:503", one), await fails("play:400", one)
    stranger, unknown = await fails("hi", client(world, "dk-wrong")), await fails("hi", one, "gemeni")

    assert isinstance(limited, errors.ClientError)
    assert isinstance(down, errors.ServerError)
    assert (limited.code, limited.status) == (429, "RESOURCE_EXHAUSTED")
    assert (down.code, down.status) == (503, "UNAVAILABLE")
    assert (rejected.code, rejected.message) == (400, "the provider says 400")
    assert (stranger.code, stranger.status) == (401, "UNAUTHENTICATED")
    assert (unknown.code, unknown.status) == (404, "NOT_FOUND")


async def test_an_answer_that_breaks_off_is_an_error_and_never_a_whole_answer(world: Playing) -> None:
    one = client(world)

    for model, name in (("gemini", "overloaded_in_the_middle"), ("gpt", "vllm_error")):
        heard: list[types.GenerateContentResponse] = []
        with pytest.raises(errors.APIError) as raised:  # noqa: PT012  it is the loop that fails
            async for chunk in await one.aio.models.generate_content_stream(model=model, contents=f"play:{name}"):
                heard.append(chunk)  # noqa: PERF401
        assert "".join(part.text or "" for part in parts_of(heard)) == "Once"
        assert raised.value.status == "UNAVAILABLE"


async def test_who_has_written_against_openais_sdk_reaches_gemini_and_its_seals_come_back(world: Playing) -> None:
    tools: Any = [
        {"type": "function", "function": {"name": "weather", "parameters": {"$schema": "x", "type": "object"}}}
    ]
    question: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "play:thinking_and_tools"}]

    async with world.node.async_openai() as one:
        first = await one.chat.completions.create(
            model="gemini", messages=question, tools=tools, reasoning_effort="high"
        )
        message = first.choices[0].message
        assert message.tool_calls
        turns: Any = [
            {"role": "user", "content": "?"},
            message.to_dict(),
            *({"role": "tool", "tool_call_id": call.id, "content": "sun"} for call in message.tool_calls),
            {"role": "user", "content": "play:text"},
        ]
        await one.chat.completions.create(model="gemini", messages=turns, tools=tools)
        foreign: Any = [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
        turns = [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": None, "tool_calls": foreign},
            {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
        ]
        await one.chat.completions.create(model="gemini", messages=turns, tools=tools)

    assert first.choices[0].finish_reason == "tool_calls"
    assert first.usage is not None
    assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (40, 52)
    asked, again, strange = (each.body for each in world.asked)
    assert asked["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert asked["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "HIGH", "includeThoughts": True}
    assert asked["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == {"type": "object"}
    calls = [part for part in again["contents"][1]["parts"] if "functionCall" in part]
    assert [part.get("thoughtSignature") for part in calls] == [SEAL, None]
    assert calls[0]["functionCall"]["id"] == "x1ab"
    assert "id" not in calls[1]["functionCall"]
    results = [part["functionResponse"] for part in again["contents"][2]["parts"]]
    assert [result["name"] for result in results] == ["weather", "now"]
    assert strange["contents"][1]["parts"][0]["thoughtSignature"] == "skip_thought_signature_validator"


async def test_who_asks_without_events_gets_the_stream_as_one_list(world: Playing) -> None:
    body = {"contents": {"parts": {"text": "play:text"}}, "system_instruction": {"parts": {"text": "Be brief."}}}

    answer = await asyncio.to_thread(
        world.node.call, "POST", f"/v1beta/models/gemini:streamGenerateContent?key={world.node.key}", body, key=None
    )

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    texts = [part.get("text", "") for chunk in answer.json for part in chunk["candidates"][0]["content"]["parts"]]
    assert "".join(texts) == "Guten Tag, „Köln“ 👋"
    assert world.asked[-1].body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
