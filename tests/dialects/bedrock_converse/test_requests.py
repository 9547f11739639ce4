"""What becomes of a request on the way to Bedrock, and of Bedrock's requests on the way to others."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import msgspec
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from msgspec import Raw

from dirigent.core.errors import (
    Invalid,
    Misconfigured,
    RateLimited,
    Rejected,
    TimedOut,
    TooLong,
    Unavailable,
    Unsupported,
)
from dirigent.core.events import AudioDelta, Event, Finished, ReasoningDelta, TextDelta, ToolCallDelta, folded
from dirigent.core.messages import (
    Audio,
    Choice,
    File,
    Image,
    Message,
    Opaque,
    Reasoning,
    Request,
    Response,
    Schema,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    Wire,
)
from dirigent.core.profile import Profile
from dirigent.dialects.bedrock_converse import BedrockConverse

DIALECT = BedrockConverse()
SONNET, OPUS, HAIKU_3, NOVA, GPT_OSS, LLAMA = (
    DIALECT.fitted(name, Profile())
    for name in (
        "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic.claude-opus-4-8",
        "anthropic.claude-3-haiku-20240307-v1:0",
        "amazon.nova-2-lite-v1:0",
        "openai.gpt-oss-120b-1:0",
        "meta.llama3-3-70b-instruct-v1:0",
    )
)
SERVICE = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")
PATH = "/model/auto/converse"
SILENT = {"role": "user", "content": []}
NOVA_LOW = {"type": "enabled", "maxReasoningEffort": "low"}
HI = Message("user", (Text("hi"),))
CACHE = Raw(b'{"type":"ephemeral","ttl":"1h"}')
POINT = {"cachePoint": {"type": "default", "ttl": "1h"}}


def asked(*messages: Message, dialect: BedrockConverse = SONNET, **fields: Any) -> Any:
    """The body of a request of another dialect, held against the description that AWS's SDK has of it."""
    request = Request(model="m", messages=messages or (HI,), dialect="openai_chat", **fields)
    body = msgspec.json.decode(dialect.write_request(request, "x"))
    shape = SERVICE.operation_model("Converse").input_shape
    faults = ParamValidator().validate({**body, "modelId": "x"}, shape).generate_report()
    assert not faults, faults
    return body


def tokens(budget: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": budget}


def read(body: Any, path: str = PATH) -> Request:
    return DIALECT.read_request(msgspec.json.encode(body), path)


def test_turns_change_sides_and_results_stand_first_in_theirs() -> None:
    calls = Message("assistant", (Text("One moment."), ToolCall("call.1:x", "f", '{"a":1}'), ToolCall("b c", "g", "")))
    results = [
        Message("tool", (Text("one"),), call="call.1:x"),
        Message("tool", (Text("two"),), call="b c", failed=True),
    ]

    body = asked(Message("system", (Text("Be brief."),)), HI, HI, calls, *results, HI)

    assert body["system"] == [{"text": "Be brief."}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][0]["content"] == [{"text": "hi"}, {"text": "hi"}]
    first, second = (block["toolUse"] for block in body["messages"][1]["content"][1:])
    assert first == {"toolUseId": "call.1:x", "name": "f", "input": {"a": 1}}
    told = body["messages"][2]["content"]
    assert [block["toolResult"]["toolUseId"] for block in told[:2]] == [first["toolUseId"], second["toolUseId"]]
    assert told[1]["toolResult"]["status"] == "error"
    assert told[2] == {"text": "hi"}


def test_tools_are_named_where_they_were_called_before() -> None:
    body = asked(HI, Message("assistant", (ToolCall("a", "f", "{}"),)), Message("tool", (Text("one"),), call="a"))

    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["f"]


def test_texts_without_signs_are_left_out_for_bedrock_refuses_them() -> None:
    body = asked(Message("user", (Text(""), Text(" \n"), Text("hi"))), Message("assistant", (Text(" "),)))

    assert body["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]


def test_marks_of_a_cache_become_points_where_the_model_knows_them() -> None:
    system, tool = Message("system", (Text("Long.", CACHE),)), Tool("f", parameters={"type": "object"}, cache=CACHE)

    marked = asked(system, HI, tools=(tool,))
    plain = asked(system, HI, tools=(tool,), dialect=LLAMA)

    assert marked["system"] == [{"text": "Long."}, POINT]
    assert marked["toolConfig"]["tools"][1] == POINT
    assert plain["system"] == [{"text": "Long."}]
    assert len(plain["toolConfig"]["tools"]) == 1
    body = {"messages": [{"role": "user", "content": [{"text": "a"}, POINT]}], "toolConfig": marked["toolConfig"]}
    assert read(body).messages[0].parts == (Text("a", CACHE),)
    assert read(body).tools == (tool,)


def test_seals_go_back_byte_for_byte_and_foreign_thoughts_stay_away() -> None:
    mine = Reasoning("I think.", "EqQB/+==", issuer="bedrock_converse")
    redacted = Reasoning("", sealed="RW13", issuer="bedrock_converse")
    foreign = Reasoning("Hm.", "c2ln", issuer="google_generate")

    body = asked(HI, Message("assistant", (mine, redacted, foreign, Reasoning("plain"), Text("4"))))

    assert body["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "I think.", "signature": "EqQB/+=="}}},
        {"reasoningContent": {"redactedContent": "RW13"}},
        {"text": "4"},
    ]


def test_seals_of_others_travel_through_clients_of_aws_and_never_reach_bedrock() -> None:
    parts = (
        Reasoning("I think.", "c2ln", issuer="google_generate"),
        Reasoning("", sealed="gAAA", id="rs_1", issuer="openai_responses"),
        ToolCall("a", "f", "{}", "c2Vh"),
    )
    response = Response((Choice(Message("assistant", parts), "tool_calls"),))
    turn = msgspec.json.decode(DIALECT.write_response(response, Request(model="m"), "id", 0))["output"]["message"]

    again = read({"messages": [{"role": "user", "content": [{"text": "?"}]}, turn]})

    assert again.messages[1].parts == parts
    assert isinstance(again.wire, Wire)
    spliced = msgspec.json.decode(DIALECT.splice(again.wire, "x", report_usage=True))
    assert [set(block) for block in spliced["messages"][1]["content"]] == [{"toolUse"}]


def test_seals_of_others_travel_in_streams_too() -> None:
    writer = DIALECT.writer(Request(model="m", stream=True), "id", 0)
    events: list[Event] = [
        ReasoningDelta("I think.", block=0),
        ReasoningDelta(signature="c2ln", issuer="google_generate", block=0),
        ReasoningDelta(sealed="gAAA", id="rs_1", issuer="openai_responses", block=1),
        TextDelta("4"),
    ]
    reader = DIALECT.reader()

    stream = b"".join(map(writer.write, events)) + writer.end()

    assert folded(reader.feed(stream)).choices[0].message.parts == folded(events).choices[0].message.parts


def test_fragments_of_mixed_calls_are_told_one_call_after_the_other() -> None:
    writer, reader = DIALECT.writer(Request(model="m", stream=True), "id", 0), DIALECT.reader()
    events: list[Event] = [
        ToolCallDelta(0, "a", "f", '{"x":'),
        ToolCallDelta(1, "b", "g", '{"y":'),
        TextDelta("So."),
        ToolCallDelta(0, arguments="1}"),
        ToolCallDelta(1, arguments="2}"),
    ]

    stream = b"".join(map(writer.write, events)) + writer.end()

    calls = [part for part in folded(reader.feed(stream)).choices[0].message.parts if isinstance(part, ToolCall)]
    assert calls == [ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}')]


@pytest.mark.parametrize(
    ("dialect", "fields", "more", "effort", "bound"),
    [
        (SONNET, {"reasoning_effort": "medium"}, {"thinking": tokens(8192)}, None, 12_288),
        (SONNET, {"reasoning_budget": 2000, "max_output": 9000}, {"thinking": tokens(2000)}, None, 9000),
        (SONNET, {"reasoning_effort": "high", "max_output": 1500}, None, None, 1500),
        (SONNET, {"reasoning_effort": "none"}, None, None, None),
        (OPUS, {"reasoning_effort": "xhigh"}, {"thinking": {"type": "adaptive"}}, "high", None),
        (OPUS, {"reasoning_effort": "none"}, None, "low", None),
        (NOVA, {"reasoning_effort": "low"}, {"reasoningConfig": NOVA_LOW}, None, None),
        (GPT_OSS, {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}, None, None),
        (LLAMA, {"reasoning_effort": "high"}, None, None, None),
    ],
)  # fmt: skip
def test_how_long_to_think_is_said_as_each_family_takes_it(
    dialect: BedrockConverse, fields: dict[str, Any], more: Any, effort: str | None, bound: int | None
) -> None:
    body = asked(dialect=dialect, **fields)

    assert body.get("additionalModelRequestFields") == more
    assert body.get("outputConfig", {}).get("effort") == effort
    assert body.get("inferenceConfig", {}).get("maxTokens") == bound


def test_settings_that_a_family_refuses_are_left_out_and_named() -> None:
    request = Request(model="m", messages=(HI,), temperature=1.5, top_p=0.9, top_k=4, seed=1, user="u")

    assert asked(temperature=1.5, top_p=0.9, top_k=4)["inferenceConfig"] == {"temperature": 1.0}
    assert set(SONNET.unsaid(request)) == {"temperature", "top_p", "seed", "user"}
    assert set(OPUS.unsaid(request)) == {"temperature", "top_p", "top_k", "seed", "user"}
    assert set(LLAMA.unsaid(request)) == {"temperature", "top_k", "seed", "user"}


def test_no_thought_is_possible_in_the_middle_of_calls_and_that_it_was_asked_for_is_named() -> None:
    loop = (
        HI,
        Message("assistant", (ToolCall("call_1", "weather", "{}"),)),
        Message("tool", (Text("22"),), call="call_1"),
    )
    request = Request(model="m", messages=loop, tools=(Tool("weather"),), reasoning_effort="high")

    assert "additionalModelRequestFields" not in asked(*loop, tools=(Tool("weather"),), reasoning_effort="high")
    assert SONNET.unsaid(request) == ("reasoning_effort",)
    assert OPUS.unsaid(request) == ()  # how much effort is told in a word of its own
    assert LLAMA.unsaid(request) == ("reasoning_effort",)
    assert LLAMA.unsaid(Request(model="m", messages=(HI,), reasoning_effort="none")) == ()


def test_stop_sequences_of_blanks_alone_are_left_out_where_they_are_refused() -> None:
    request = Request(model="m", messages=(HI,), stop=("END", "\n"))

    assert asked(stop=("END", "\n"))["inferenceConfig"] == {"stopSequences": ["END"]}
    assert asked(stop=("END", "\n"), dialect=NOVA)["inferenceConfig"] == {"stopSequences": ["END", "\n"]}
    assert (SONNET.unsaid(request), NOVA.unsaid(request)) == (("stop",), ())


def test_claude_is_asked_which_stop_sequence_ended_its_answer() -> None:
    assert asked(stop=("END",))["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    assert "additionalModelResponseFieldPaths" not in asked()
    assert "additionalModelResponseFieldPaths" not in asked(stop=("END",), dialect=NOVA)


@pytest.mark.parametrize(
    ("more", "sequence"), [({"stop_sequence": "3"}, "3"), ({"stop_sequence": 3}, None), ([], None)]
)
def test_which_stop_sequence_it_was_is_read_where_it_is_told(more: object, sequence: str | None) -> None:
    message = {"role": "assistant", "content": [{"text": "1, 2, "}]}
    fields = {"stopReason": "stop_sequence", "additionalModelResponseFields": more}

    response = folded(DIALECT.read_response(msgspec.json.encode({"output": {"message": message}, **fields})))

    assert (response.choices[0].finish, response.choices[0].sequence) == ("stop", sequence)


@pytest.mark.parametrize("paths", [[], ["/stop_sequence"]])
def test_a_caller_is_told_which_stop_sequence_it_was_if_he_has_asked(paths: list[str]) -> None:
    body = {"messages": [{"role": "user", "content": [{"text": "hi"}]}], "additionalModelResponseFieldPaths": paths}
    request = DIALECT.read_request(msgspec.json.encode(body), PATH)
    choice = Choice(Message("assistant", (Text("1, 2, "),)), "stop", sequence="3")

    whole = msgspec.json.decode(DIALECT.write_response(Response((choice,)), request, "", 0))
    writer = DIALECT.writer(request, "", 0)
    streamed = writer.write(TextDelta("1, 2, ")) + writer.write(Finished("stop", sequence="3")) + writer.end()

    assert whole["stopReason"] == "stop_sequence"
    assert whole.get("additionalModelResponseFields") == ({"stop_sequence": "3"} if paths else None)
    assert (b'"additionalModelResponseFields":{"stop_sequence":"3"}' in streamed) is bool(paths)


def test_bounds_that_bedrock_refuses_are_told_in_words_and_open_objects_are_refused_or_left_loose() -> None:
    age = {"type": "integer", "minimum": 0}
    shut = {"type": "object", "properties": {"age": age}, "required": ["age"]}
    loose = {"type": "object", "additionalProperties": age}

    structured = asked(structure=Schema(shut))["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]
    strict, left = (
        each["toolSpec"]
        for each in asked(tools=(Tool("a", None, shut, strict=True), Tool("b", None, loose, strict=True)))[
            "toolConfig"
        ]["tools"]
    )

    closed = {
        **shut,
        "properties": {"age": {"type": "integer", "description": "(minimum: 0)"}},
        "additionalProperties": False,
    }
    assert msgspec.json.decode(structured) == closed
    assert (strict["inputSchema"]["json"], strict["strict"]) == (closed, True)
    assert (left["inputSchema"]["json"], "strict" in left) == (loose, False)
    with pytest.raises(Unsupported, match="every key"):
        asked(structure=Schema(loose))


def test_the_words_of_a_sound_are_told_in_streams_too() -> None:
    writer = DIALECT.writer(Request(model="m", messages=(HI,)), "", 0)

    told = (
        writer.write(AudioDelta("AAEC", "Guten "))
        + writer.write(AudioDelta("AwQF"))
        + writer.write(AudioDelta("", "Tag"))
    )

    reader = DIALECT.reader()
    assert "".join(each.text for each in reader.feed(told + writer.end()) if isinstance(each, TextDelta)) == "Guten Tag"


def test_pictures_and_documents_go_out_by_their_contents() -> None:
    picture = Image("data:image/png;base64,/9j/AA==")  # what it is counts, not what it is called
    page = File("JVBERi0=", "Q3: results!.pdf")
    content = asked(Message("user", (picture, page, Audio("AA==", "mp3"))))["messages"][0]["content"]

    assert content[0] == {"image": {"format": "jpeg", "source": {"bytes": "/9j/AA=="}}}
    assert content[1] == {"document": {"format": "pdf", "name": "Q3 results pdf", "source": {"bytes": "JVBERi0="}}}
    assert b64decode(content[2]["audio"]["source"]["bytes"]) == b"\0"


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (Message("user", (Image("https://example.org/a.png"),)), {}),
        (Message("user", (File(url="https://example.org/a.pdf"),)), {}),
        (Message("user", (File(reference="file-1"),)), {}),
        (Message("user", (Opaque("openai_chat", b"{}"),)), {}),
        (HI, {"choices": 2}),
        (HI, {"structure": Schema()}),
        (HI, {"modalities": ("audio",)}),
        (Message("assistant", (ToolCall("a", "f", "{}"),)), {"tool_choice": ToolChoice("none")}),
    ],
)
def test_what_bedrock_cannot_be_told_is_refused_in_words(message: Message, fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        asked(message, **fields)


def test_what_only_bedrock_knows_survives_a_change_of_the_messages() -> None:
    body = {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "additionalModelRequestFields": {"thinking": {"type": "adaptive"}, "top_k": 3, "anthropic_beta": ["x"]},
        "performanceConfig": {"latency": "optimized"},
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5},
    }

    request = read(body).changed(messages=(Message("user", (Text("ho"),)),))

    written = msgspec.json.decode(SONNET.write_request(request, "x"))
    assert written == {**body, "messages": [{"role": "user", "content": [{"text": "ho"}]}]}


def test_the_name_of_a_model_is_read_out_of_the_path_and_written_into_it() -> None:
    request = read({"messages": [{"role": "user", "content": []}]}, "/model/a%2Fb%3A0/converse-stream")

    assert (request.model, request.stream) == ("a/b:0", True)
    assert (
        DIALECT.path("arn:aws:bedrock:x:1:y/z", stream=False) == "/model/arn%3Aaws%3Abedrock%3Ax%3A1%3Ay%2Fz/converse"
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": []}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"text": 1}]}]}, "messages[0].content[0].text"),
        ({"messages": [SILENT], "inferenceConfig": {"maxTokens": 0}}, "inferenceConfig.maxTokens"),
    ],
)  # fmt: skip
def test_a_faulty_request_is_refused_with_the_field_at_fault(body: Any, param: str) -> None:
    with pytest.raises(Invalid) as raised:
        list(read(body).messages)

    assert raised.value.param == param


def test_tokens_are_counted_of_the_prompt_alone_and_by_models_that_can() -> None:
    body = SONNET.write_request(Request(model="m", messages=(HI,), max_output=9, temperature=0.1), "x")

    counted = msgspec.json.decode(SONNET.counting_body(body))

    assert counted == {"input": {"converse": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}}}
    assert read(counted, "/model/m/count-tokens").messages[0].text == "hi"
    assert SONNET.counting_path("a") == "/model/a/count-tokens"
    assert LLAMA.counting_path("a") is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"message":"Input is too long for requested model."}', TooLong),
        (400, b'{"message":"The provided model identifier is invalid."}', Rejected),
        (400, b'{"__type":"com.amazon#ServiceQuotaExceededException","message":"x"}', RateLimited),
        (403, b'{"Message":"User: arn is not authorized"}', Misconfigured),
        (404, b'{"message":"Model not found."}', Misconfigured),
        (408, b'{"message":"Model timed out."}', TimedOut),
        (424, b'{"message":"boom","originalStatusCode":500}', Unavailable),
        (424, b'{"message":"bad prompt","originalStatusCode":400}', Rejected),
        (429, b'{"message":"Too many requests"}', RateLimited),
        (429, b'{"__type":"ModelNotReadyException","message":"x"}', Unavailable),
        (503, b"<html><title>Gone</title>", Unavailable),
    ],
)
def test_refusals_are_understood(status: int, body: bytes, kind: type[Exception]) -> None:
    assert type(DIALECT.read_error(status, body, None)) is kind


def test_results_as_objects_and_documents_to_be_cited_are_read() -> None:
    call = {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {}}}
    result = {"toolResult": {"toolUseId": "t1", "content": [{"json": {"degrees": 22}}]}}
    source = {"source": {"text": "Thesis"}, "name": "paper", "format": "txt", "citations": {"enabled": True}}
    body = {
        "messages": [
            {"role": "user", "content": [{"text": "How warm is it?"}, {"document": source}]},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
    }

    asked, _, told = DIALECT.read_request(msgspec.json.encode(body), "/model/m/converse").messages

    assert isinstance(asked.parts[1], Opaque)
    assert msgspec.json.decode(told.text) == {"degrees": 22}
