"""Requests of OpenAI chat completions: what callers may send, what goes on to providers, and how faults are named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Request,
    Schema,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    Wire,
)
from dirigent.dialects.openai_chat import OpenAIChat

DIALECT = OpenAIChat()
SAID = [{"role": "user", "content": "hi"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CUSTOM = {"type": "custom", "custom": {"name": "sql", "format": {"type": "text"}}}


def read(**fields: Any) -> Request:
    return DIALECT.read_request(json.dumps({"model": "m", "messages": SAID, **fields}).encode())


def messages(*said: dict[str, Any]) -> tuple[Message, ...]:
    return tuple(read(messages=list(said)).messages)


def written(request: Request, dialect: OpenAIChat = DIALECT) -> dict[str, Any]:
    """What goes to a provider that gets our own words."""
    body: dict[str, Any] = json.loads(dialect.write_request(request, "x"))
    return body


def spliced(request: Request, dialect: OpenAIChat = DIALECT) -> dict[str, Any]:
    """What goes to a provider that gets the caller's words."""
    assert isinstance(request.wire, Wire)
    body: dict[str, Any] = json.loads(dialect.splice(request.wire, "x", report_usage=request.stream))
    return body


def test_everything_that_our_own_words_know_is_read() -> None:
    request = read(
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "bill", "schema": {"a": 1}, "strict": True}},
        max_completion_tokens=7,
        temperature=0.5,
        top_p=1,
        stop="END",
        seed=3,
        n=2,
        logprobs=True,
        top_logprobs=4,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        reasoning_effort="low",
        modalities=["text"],
        user="u",
        stream=True,
        stream_options={"include_usage": True},
    )

    assert request.tools == (Tool("weather", None, {"type": "object", "properties": {}}),)
    assert request.tool_choice == ToolChoice("named", "weather")
    assert request.structure == Schema({"a": 1}, "bill", strict=True)
    assert (request.max_output, request.stop, request.choices, request.top_logprobs) == (7, ("END",), 2, 4)
    assert (request.temperature, request.top_p, request.seed, request.user) == (0.5, 1.0, 3, "u")
    assert (request.stream, request.include_usage, request.parallel_tool_calls) == (True, True, False)
    assert (request.presence_penalty, request.frequency_penalty) == (0.1, -0.1)
    assert (request.reasoning_effort, request.modalities, request.extra) == ("low", ("text",), {})


def test_null_stands_for_every_field_that_may_be_left_out() -> None:
    optional = [
        "stream stream_options tools tool_choice parallel_tool_calls response_format max_tokens max_completion_tokens",
        "temperature top_p stop seed n logprobs top_logprobs presence_penalty frequency_penalty reasoning_effort",
        "modalities user functions function_call logit_bias metadata store service_tier audio prediction",
    ]
    nothing = dict.fromkeys(" ".join(optional).split())

    request = read(**nothing)

    assert request.changed(extra={}, messages=()) == read().changed(messages=())
    assert messages(
        {"role": "user", "content": "hi", "name": None},
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "audio": None,
            "tool_calls": None,
            "function_call": None,
        },
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": None}}]},
    ) == (Message("user", (Text("hi"),)), Message("assistant"), Message("user", (Image("u"),)))


def test_every_kind_of_content_is_read() -> None:
    said = messages(
        {
            "role": "user",
            "name": "Ada",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "file", "file": {"file_data": "JVBE", "filename": "a.pdf"}},
                {"type": "video_url", "video_url": {"url": "v"}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}],
            "reasoning_content": "Hm",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            "audio": {"id": "audio_1"},
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "22 °C"}]},
        {"role": "developer", "content": "Be brief."},
    )

    assert said[0].name == "Ada"
    assert said[0].parts[:5] == (
        Text("Look:"),
        Image("https://x/y.png", "low"),
        Audio("UklG", "wav"),
        File(reference="file-1"),
        File("JVBE", "a.pdf"),
    )
    assert isinstance(said[0].parts[5], Opaque)
    assert said[1].parts == (
        Reasoning("Hm"),
        Text("a"),
        Refusal("b"),
        Audio(reference="audio_1"),
        ToolCall("c1", "f", "{}"),
    )
    assert said[2] == Message("tool", (Text("22 °C"),), call="c1")
    assert said[3] == Message("developer", (Text("Be brief."),))


def test_the_old_function_calls_get_an_id_that_call_and_result_share() -> None:
    request = read(
        messages=[
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}},
            {"role": "function", "name": "weather", "content": "22"},
            {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"a":1}'}},
            {"role": "function", "name": "weather", "content": None},
        ]
    )

    sent = written(request)["messages"]

    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "assistant", "tool"]
    assert [call["id"] for message in sent for call in message.get("tool_calls", ())] == ["call_1", "call_3"]
    assert [message["tool_call_id"] for message in sent if message["role"] == "tool"] == ["call_1", "call_3"]
    assert spliced(request)["messages"][2]["role"] == "function"


UNKNOWN = {"logit_bias": {"50256": -100}, "metadata": {"a": "b"}, "vendor": [1, {"x": None}], "guided_regex": "[ab]"}


def test_fields_that_nobody_here_knows_survive_on_both_ways() -> None:
    request = read(**UNKNOWN)

    assert spliced(request) == {"model": "x", "messages": SAID, **UNKNOWN}
    assert written(request) == {"model": "x", "messages": SAID, **UNKNOWN}


def test_tools_choices_calls_and_parts_of_other_kinds_survive_on_both_ways() -> None:
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [CUSTOM]}}
    call = {"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    said = [
        {"role": "user", "content": [{"type": "video_url", "video_url": {"url": "v"}}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "1", "tool_call_id": "c1"},
    ]

    request = read(tools=[CUSTOM, WEATHER], tool_choice=allowed, messages=said)

    for sent in (written(request), spliced(request)):
        assert sent["tools"] == [CUSTOM, WEATHER]
        assert sent["tool_choice"] == allowed
        assert sent["messages"] == said


def test_what_only_another_dialect_knows_is_refused_and_not_left_out() -> None:
    foreign = Opaque("anthropic_messages", b"{}")

    for request in (
        Request(model="m", messages=(Message("user", (foreign,)),)),
        Request(model="m", messages=(), tools=(foreign,)),
    ):
        with pytest.raises(Unsupported, match="anthropic_messages"):
            DIALECT.write_request(request, "x")


@pytest.mark.parametrize(
    ("format", "structure"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, Schema()),
        ({"type": "json_object", "schema": {"type": "object"}}, Schema({"type": "object"})),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}, Schema({}, "n")),
    ],
)
def test_the_structure_of_the_answer_is_read(format: dict[str, Any], structure: Schema | None) -> None:
    assert read(response_format=format).structure == structure


def test_usage_is_asked_for_in_streams_alone_and_other_options_stay() -> None:
    options = {"include_obfuscation": False}

    assert spliced(read(stream=True, stream_options=options))["stream_options"] == {**options, "include_usage": True}
    assert spliced(read(stream=True, stream_options=None))["stream_options"] == {"include_usage": True}
    assert written(read(stream=True))["stream_options"] == {"include_usage": True}
    assert "stream_options" not in spliced(read())
    assert "stream_options" not in written(read())


def test_a_provider_that_does_not_know_stream_options_gets_none() -> None:
    plain = OpenAIChat(usage_in_stream=False)
    request = read(stream=True, stream_options={"include_usage": True})

    assert "stream_options" not in spliced(request, plain)
    assert "stream_options" not in written(request, plain)


def test_the_bound_of_the_answer_goes_out_under_the_one_name_that_a_provider_takes() -> None:
    new = OpenAIChat(output_field="max_completion_tokens", only_output_field=True)
    old = OpenAIChat(only_output_field=True)

    assert spliced(read(max_tokens=5), new) == {"model": "x", "messages": SAID, "max_completion_tokens": 5}
    assert spliced(read(max_completion_tokens=5), old) == {"model": "x", "messages": SAID, "max_tokens": 5}
    assert spliced(read(max_tokens=5, max_completion_tokens=6), new)["max_completion_tokens"] == 6
    assert spliced(read(max_completion_tokens=5)) == {"model": "x", "messages": SAID, "max_completion_tokens": 5}
    assert written(read(max_tokens=5), new)["max_completion_tokens"] == 5


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe", b'{"model": "m"', b"{'a': 1}"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid, match="the body is not a JSON object") as raised:
        DIALECT.read_request(body)

    assert raised.value.param is None


def part(**fields: Any) -> dict[str, Any]:
    return {"messages": [*SAID, {"role": "user", "content": [{"type": "text", "text": "a"}, fields]}]}


def last(**fields: Any) -> dict[str, Any]:
    return {"messages": [*SAID, fields]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": 3}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [3]}, "messages[0]"),
        (last(content="x"), "messages[1].role"),
        (last(role="robot", content="x"), "messages[1].role"),
        (last(role="user"), "messages[1].content"),
        (last(role="system", content=None), "messages[1].content"),
        (last(role="user", content=3), "messages[1].content"),
        (last(role="tool", content="x"), "messages[1].tool_call_id"),
        (last(role="function", content="x"), "messages[1].name"),
        (last(role="assistant", tool_calls=[{"id": "a"}]), "messages[1].tool_calls[0].function"),
        (last(role="assistant", tool_calls=[{"function": {"name": "f"}}]), "messages[1].tool_calls[0].id"),
        (last(role="assistant", tool_calls=[{"id": "a", "function": {}}]), "messages[1].tool_calls[0].function.name"),
        (last(role="assistant", tool_calls=["x"]), "messages[1].tool_calls[0]"),
        (part(type="text"), "messages[1].content[1].text"),
        (part(type="text", text=3), "messages[1].content[1].text"),
        (part(text="x"), "messages[1].content[1].type"),
        (part(type="image_url", image_url="https://x"), "messages[1].content[1].image_url"),
        (part(type="image_url", image_url={}), "messages[1].content[1].image_url.url"),
        (part(type="input_audio", input_audio={"data": "x"}), "messages[1].content[1].input_audio.format"),
        (part(type="file"), "messages[1].content[1].file"),
        ({"tools": {}}, "tools"),
        ({"tools": ["x"]}, "tools[0]"),
        ({"tools": [WEATHER, {"type": "function"}]}, "tools[1].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tool_choice": 7}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"stop": [1]}, "stop[0]"),
        ({"seed": 1.5}, "seed"),
        ({"user": 1}, "user"),
    ],
)
def test_a_fault_is_named_by_its_path_in_the_callers_own_body(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as raised:
        read(**fields)

    assert raised.value.param == param
    assert raised.value.message.startswith(f"{param}: ")
    assert "$" not in raised.value.message


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Invalid) as raised:
        DIALECT.read_request(b'{"model":"m"}')

    assert (raised.value.param, raised.value.message) == ("messages", "messages: this field is missing")


@pytest.mark.parametrize("body", [{"messages": SAID}, {"messages": SAID, "model": None}])
def test_a_model_that_is_not_named_is_named_on_the_way_out(body: dict[str, Any]) -> None:
    request = DIALECT.read_request(json.dumps(body).encode())

    assert request.model == ""
    assert spliced(request) == written(request) == {"model": "x", "messages": SAID}


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_bound_of_no_tokens_is_for_the_provider_to_judge(field: Any) -> None:
    request = read(**{field: 0})

    assert request.max_output == 0
    assert spliced(request)[field] == 0
    assert written(request, OpenAIChat(output_field=field))[field] == 0


def test_messages_are_read_when_somebody_looks_and_only_once() -> None:
    said = read(messages=[*SAID, {"role": "system", "content": "x"}]).messages

    assert len(said) == 2
    assert said[1] is said[1]
    assert list(said[:1]) == [Message("user", (Text("hi"),))]


def test_a_field_that_only_the_dialect_knows_is_whole_beside_a_picture() -> None:
    picture, note = "A" * 9_000, "B" * 9_000
    parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}]
    body = {"model": "m", "messages": [{"role": "user", "content": parts, "x_note": note}]}

    message = OpenAIChat().read_request(json.dumps(body).encode()).messages[0]

    assert message.parts == (Image(f"data:image/png;base64,{picture}"),)
    assert {name: json.loads(bytes(raw)) for name, raw in message.extra.items()} == {"x_note": note}
