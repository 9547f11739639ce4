"""Requests of OpenAI responses: what callers may send, what goes on to providers, and how faults are named."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.events import Event, Finished, ReasoningDelta, ToolCallDelta
from dirigent.core.messages import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
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
from dirigent.dialects.anthropic_messages import AnthropicMessages
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.dialects.openai_responses import OpenAIResponses

DIALECT = OpenAIResponses()
CHAT = OpenAIChat()
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": True}
SEARCH = {"type": "web_search", "search_context_size": "low"}


def read(**fields: Any) -> Request:
    return DIALECT.read_request(json.dumps({"model": "m", "input": "hi", **fields}).encode())


def items(*said: Any) -> tuple[Message, ...]:
    return tuple(read(input=list(said)).messages)


def written(request: Request) -> dict[str, Any]:
    """What goes to a provider that gets our own words."""
    body: dict[str, Any] = json.loads(DIALECT.write_request(request, "x"))
    return body


def spliced(request: Request) -> dict[str, Any]:
    """What goes to a provider that gets the caller's words."""
    assert isinstance(request.wire, Wire)
    body: dict[str, Any] = json.loads(DIALECT.splice(request.wire, "x", report_usage=request.stream))
    return body


def as_chat(request: Request) -> dict[str, Any]:
    """What goes to a provider that speaks chat completions."""
    body: dict[str, Any] = json.loads(CHAT.write_request(request, "x"))
    return body


EVERYTHING = {
    "instructions": "Be brief.",
    "tools": [WEATHER],
    "tool_choice": {"type": "function", "name": "weather"},
    "parallel_tool_calls": False,
    "text": {
        "format": {"type": "json_schema", "name": "bill", "schema": {"a": 1}, "strict": True},
        "verbosity": "low",
    },
    "reasoning": {"effort": "low", "summary": "auto"},
    "max_output_tokens": 7,
    "temperature": 0.5,
    "top_p": 1.0,
    "top_logprobs": 4,
    "include": ["reasoning.encrypted_content"],
    "store": False,
    "user": "u",
    "stream": True,
}


def test_everything_that_our_own_words_know_is_read() -> None:
    request = read(**EVERYTHING)

    assert request.messages == (Message("system", (Text("Be brief."),)), Message("user", (Text("hi"),)))
    assert request.tools == (Tool("weather", None, {"type": "object", "properties": {}}, strict=True),)
    assert request.tool_choice == ToolChoice("named", "weather")
    assert request.structure == Schema({"a": 1}, "bill", strict=True)
    assert (request.max_output, request.temperature, request.top_p, request.user) == (7, 0.5, 1.0, "u")
    assert (request.logprobs, request.top_logprobs, request.reasoning_effort) == (True, 4, "low")
    assert (request.stream, request.include_usage, request.parallel_tool_calls) == (True, True, False)
    assert request.extra.keys() == {"include", "store", "text", "reasoning"}


def test_what_a_policy_has_changed_goes_out_with_all_that_the_caller_set() -> None:
    request = read(**EVERYTHING)

    rebuilt = written(request.changed(temperature=0.6))

    said = [{"role": "user", "content": "hi"}]
    assert rebuilt == {"model": "x", **EVERYTHING, "temperature": 0.6, "input": said}


def test_null_stands_for_every_field_that_may_be_left_out() -> None:
    optional = (
        "instructions stream tools tool_choice parallel_tool_calls text reasoning max_output_tokens temperature top_p "
        "top_logprobs include previous_response_id conversation prompt background user store metadata truncation"
    )

    request = read(**dict.fromkeys(optional.split()))

    assert request.changed(extra={}) == read().changed(extra={})


def test_every_kind_of_item_is_read() -> None:
    said = items(
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look:"},
                {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
                {"type": "input_image", "file_id": "file-7", "detail": "auto"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"},
                {"type": "input_file", "file_url": "https://x/a.pdf"},
                {"type": "input_file", "file_id": "file-1"},
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm."}, {"type": "summary_text", "text": "Yes."}],
            "encrypted_content": "gAAA",
        },
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "a", "annotations": []},
                {"type": "refusal", "refusal": "b"},
            ],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "call_id": "c1", "output": "22 °C"},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": [{"type": "input_image", "image_url": "data:image/png;base64,iVBO"}],
        },
        {"role": "developer", "content": "Be brief."},
    )

    assert said[0].parts[:2] == (Text("Look:"), Image("https://x/y.png", "low"))
    assert isinstance(said[0].parts[2], Opaque)
    assert said[0].parts[3:] == (
        File("data:application/pdf;base64,JVBE", "a.pdf"),
        File(url="https://x/a.pdf"),
        File(reference="file-1"),
        Audio("UklG", "wav"),
    )
    thought = Reasoning("Hm.\n\nYes.", sealed="gAAA", id="rs_1", issuer="openai_responses")
    assert said[1] == Message("assistant", (thought, Text("a"), Refusal("b"), ToolCall("c1", "f", "{}")))
    assert said[2] == Message("tool", (Text("22 °C"),), call="c1")
    assert said[3] == Message("tool", (Image("data:image/png;base64,iVBO"),), call="c2")
    assert said[4:] == (Message("developer", (Text("Be brief."),)),)


def test_a_conversation_in_items_is_one_in_turns_for_a_chat_provider() -> None:
    request = read(
        instructions="Be brief.",
        input=[
            {"role": "user", "content": "Weather in Köln and Bonn?"},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Köln"}'},
            {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": '{"city":"Bonn"}'},
            {"type": "function_call_output", "call_id": "c1", "output": "22"},
            {"type": "function_call_output", "call_id": "c2", "output": "23"},
            {"role": "assistant", "content": "Warm."},
            {"role": "user", "content": [{"type": "input_text", "text": "Thanks"}]},
        ],
    )

    sent = as_chat(request)["messages"]

    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool", "tool", "assistant", "user"]
    assert [call["id"] for call in sent[2]["tool_calls"]] == ["c1", "c2"]
    assert [sent[at]["tool_call_id"] for at in (3, 4)] == ["c1", "c2"]
    assert [sent[at]["content"] for at in (0, 1, 5, 6)] == ["Be brief.", "Weather in Köln and Bonn?", "Warm.", "Thanks"]


BUILT_IN = [
    {"role": "user", "content": [{"type": "input_image", "file_id": "file-7", "detail": "auto"}]},
    {"role": "user", "content": [{"type": "input_map", "detail": {"zoom": 3}}]},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
    {"type": "item_reference", "id": "msg_1"},
    {"type": "computer_call_output", "call_id": "c9", "output": {"type": "computer_screenshot", "image_url": "u"}},
]


def test_items_and_tools_of_other_kinds_survive_on_both_ways_and_go_nowhere_else() -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [SEARCH]}
    request = read(input=BUILT_IN, tools=[SEARCH, WEATHER], tool_choice=choice)

    for sent in (spliced(request), written(request)):
        assert sent["input"] == BUILT_IN
        assert sent["tools"] == [SEARCH, WEATHER]
        assert sent["tool_choice"] == choice
    for at in range(len(BUILT_IN)):
        with pytest.raises(Unsupported, match="openai_responses"):
            as_chat(read(input=BUILT_IN[at : at + 1]))
    with pytest.raises(Unsupported, match="openai_responses"):
        as_chat(read(tools=[SEARCH]))


UNKNOWN = {"metadata": {"a": "b"}, "truncation": "auto", "vendor": [1, {"x": None}], "max_tool_calls": 3}


def test_fields_that_nobody_here_knows_survive_on_both_ways() -> None:
    request = read(**UNKNOWN)

    assert spliced(request) == {"model": "x", "input": "hi", **UNKNOWN}
    assert written(request) == {"model": "x", "input": [{"role": "user", "content": "hi"}], **UNKNOWN}


@pytest.mark.parametrize("kept", [{"previous_response_id": "resp_9"}, {"conversation": "conv_9"}])
def test_a_conversation_that_a_provider_keeps_is_continued_there_alone(kept: dict[str, str]) -> None:
    request = read(**kept)

    assert request.previous in kept.values()
    assert {
        key: value for key, value in written(request).items() if key in ("previous_response_id", "conversation")
    } == kept
    with pytest.raises(Unsupported, match=r"_9.*kept by the provider that gave it"):
        as_chat(request)
    with pytest.raises(Unsupported, match=r"kept by the provider that gave it"):
        DIALECT.write_request(request.changed(dialect="another"), "x")


@pytest.mark.parametrize("field", [{"prompt": {"id": "pmpt_1"}}, {"background": True}])
def test_what_only_openai_can_do_is_refused_by_other_dialects_and_kept_by_this_one(field: dict[str, Any]) -> None:
    request = read(**field)

    assert spliced(request) == {"model": "x", "input": "hi", **field}
    assert written(request) == {"model": "x", "input": [{"role": "user", "content": "hi"}], **field}
    with pytest.raises(Unsupported):
        as_chat(request)


def test_a_prompt_that_is_kept_at_the_provider_needs_no_input() -> None:
    body = json.dumps({"model": "m", "prompt": {"id": "pmpt_1"}, "instructions": "Be brief."}).encode()

    request = DIALECT.read_request(body)

    assert written(request)["instructions"] == "Be brief."
    assert written(request)["prompt"] == {"id": "pmpt_1"}


def test_a_request_without_input_is_spliced_whatever_its_words_look_like() -> None:
    body = {"model": "m", "input": None, "previous_response_id": "resp_1", "instructions": "dirigent."}

    assert spliced(DIALECT.read_request(json.dumps(body).encode())) == body | {"model": "x"}


# --- from other dialects ----------------------------------------------------------------------------------------------


def from_chat(**fields: Any) -> dict[str, Any]:
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    return written(CHAT.read_request(json.dumps({"model": "m", "messages": said, **fields}).encode()))


def test_a_chat_request_is_not_kept_and_its_tools_are_no_stricter_than_they_were() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}

    sent = from_chat(tools=[tool], reasoning_effort="low", max_tokens=9)

    assert (sent["instructions"], sent["input"]) == ("Be brief.", [{"role": "user", "content": "hi"}])
    assert sent["store"] is False
    assert sent["include"] == ["reasoning.encrypted_content"]
    assert sent["tools"] == [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}]
    assert (sent["reasoning"], sent["max_output_tokens"]) == ({"effort": "low"}, 9)
    assert "include" not in from_chat()


def test_settings_that_cannot_be_said_are_named() -> None:
    request = CHAT.read_request(
        json.dumps(
            {
                "model": "m",
                "messages": [{"role": "user", "content": "hi", "name": "Ada"}],
                "stop": "END",
                "seed": 1,
                "presence_penalty": 0.5,
                "logit_bias": {"1": 1},
            }
        ).encode()
    )

    assert DIALECT.unsaid(request) == ["stop", "seed", "presence_penalty", "messages.name", "logit_bias"]
    assert DIALECT.unsaid(read(metadata={})) == []
    assert not written(request).keys() & {"stop", "seed", "presence_penalty", "logit_bias"}


@pytest.mark.parametrize("fields", [{"n": 2}, {"modalities": ["text", "audio"]}])
def test_what_this_dialect_cannot_do_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        from_chat(**fields)


def test_a_tool_that_failed_says_so_in_words() -> None:
    failed = Message("tool", (Text("no such city"),), call="c1", failed=True)
    drawn = Message("tool", (Image("data:image/png;base64,iVBO"),), call="c2", failed=True)

    sent = written(Request(model="m", messages=(failed, drawn)))["input"]

    assert sent[0]["output"] == "Error: no such city"
    assert sent[1]["output"][0] == {"type": "input_text", "text": "Error: "}


def test_a_document_gets_the_type_that_it_was_given_with() -> None:
    file = File("JVBE", "a.pdf", media_type="application/pdf")

    sent = written(Request(model="m", messages=(Message("user", (file,)),)))["input"]

    assert sent[0]["content"] == [
        {"type": "input_file", "file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}
    ]


@pytest.mark.parametrize(
    ("budget", "word"), [(0, "none"), (1, "low"), (1024, "low"), (8192, "medium"), (8193, "high"), (-1, None)]
)
def test_a_budget_of_thought_becomes_a_word(budget: int, word: str | None) -> None:
    sent = written(Request(model="m", messages=(Message("user", (Text("hi"),)),), reasoning_budget=budget))

    assert sent.get("reasoning") == (None if word is None else {"effort": word})


# --- seals of other providers -----------------------------------------------------------------------------------------

SEALED = (
    Reasoning("I think", signature="c2lnbg==", issuer="anthropic_messages"),
    Reasoning("", sealed="redacted", issuer="anthropic_messages"),
    Reasoning("plain"),
    Reasoning("own", sealed="gAAA", id="rs_1", issuer="openai_responses"),
)
CALL = ToolCall("c1", "weather", "{}", signature="Z2VtaW5p")


def handed_back(*parts: Part) -> Request:
    """The next request of a caller who hands in every item that it was given."""
    writer = DIALECT.writer(Request(model="m"), "resp_1", 0)
    stream = b"".join([writer.write(event) for event in events_of(parts)]) + writer.end()
    last = msgspec.json.decode(stream.split(b"data: ")[-1])
    return read(input=[{"role": "user", "content": "hi"}, *last["response"]["output"]])


def events_of(parts: Iterable[Part]) -> list[Event]:
    told: list[Event] = []
    for block, part in enumerate(parts):
        match part:
            case Reasoning(text, signature, sealed, name, issuer):
                told.append(ReasoningDelta(text, 0, block, signature, sealed, name, issuer))
            case ToolCall():
                told.append(ToolCallDelta(block, part.id, part.name, part.arguments, 0, part.signature))
    return [*told, Finished("stop")]


def test_seals_of_other_providers_come_back_as_they_went() -> None:
    request = handed_back(*SEALED, CALL)

    assert tuple(request.messages)[1:] == (Message("assistant", (*SEALED, CALL)),)


def test_openai_sees_no_seal_but_its_own() -> None:
    request = handed_back(*SEALED, CALL)

    for sent in (spliced(request), written(request)):
        thoughts = [item for item in sent["input"] if item.get("type") == "reasoning"]
        assert thoughts == [
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "own"}],
                "encrypted_content": "gAAA",
            }
        ]
        assert "dirigent." not in json.dumps(sent)


@pytest.mark.parametrize(
    "forged", ["dirigent.", "dirigent.%%%", "dirigent.W10=", "dirigent.eyJpc3N1ZXIiOjF9", "dirigent.ü"]
)
def test_what_only_looks_like_a_seal_is_a_thought_of_this_dialect(forged: str) -> None:
    (message,) = items({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": forged})

    assert message.parts == (Reasoning(sealed=forged, id="rs_1", issuer="openai_responses"),)


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid, match="the body is not a JSON object") as raised:
        DIALECT.read_request(body)

    assert raised.value.param is None


def item(**fields: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": "hi"}, fields]}


def part(**fields: Any) -> dict[str, Any]:
    return item(role="user", content=[{"type": "input_text", "text": "a"}, fields])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"input": 3}, "input"),
        ({"input": [3]}, "input[0]"),
        (item(content="x"), "input[1].role"),
        (item(role="robot", content="x"), "input[1].role"),
        (item(role="user"), "input[1].content"),
        (item(role="user", content=3), "input[1].content"),
        (item(type="function_call", name="f"), "input[1].call_id"),
        (item(type="function_call", call_id="c"), "input[1].name"),
        (item(type="function_call_output", output="x"), "input[1].call_id"),
        (item(type="function_call_output", call_id="c"), "input[1].output"),
        (item(type="function_call_output", call_id="c", output=[{}]), "input[1].output[0].type"),
        (item(type="reasoning", summary=3), "input[1].summary"),
        (part(type="input_text"), "input[1].content[1].text"),
        (part(text="x"), "input[1].content[1].type"),
        (part(type="input_audio"), "input[1].content[1].input_audio"),
        (part(type="input_audio", input_audio={"data": "x"}), "input[1].content[1].input_audio.format"),
        ({"instructions": 3}, "instructions"),
        ({"tools": {}}, "tools"),
        ({"tools": ["x"]}, "tools[0]"),
        ({"tools": [WEATHER, {"type": "function"}]}, "tools[1].name"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_a_fault_is_named_by_its_path_in_the_callers_own_body(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as raised:
        read(**fields)

    assert raised.value.param == param
    assert raised.value.message.startswith(f"{param}: ")
    assert "$" not in raised.value.message


def test_a_request_in_which_nothing_is_said_goes_to_its_own_dialect_and_to_nobody_who_has_to_read_it() -> None:
    request = read(input=None, user="u")
    assert request.wire is not None

    sent = msgspec.json.decode(DIALECT.splice(request.wire, "gpt-5", report_usage=False))

    assert sent == {"model": "gpt-5", "input": None, "user": "u"}
    assert msgspec.json.decode(DIALECT.write_request(request.changed(), "x")) == {"model": "x", "user": "u"}
    for other in (AnthropicMessages(), OpenAIChat()):
        with pytest.raises(Unsupported, match="only the dialect 'openai_responses' knows"):
            other.write_request(request, "x")
