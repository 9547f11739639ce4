"""What becomes of a request on the way to Google, and of Google's requests on the way to others."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
import pytest
from google.genai import types

from dirigent.core.errors import Invalid, Misconfigured, RateLimited, Rejected, TooLong, Unsupported
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
from dirigent.dialects.google_generate import GoogleGenerate

DIALECT = GoogleGenerate()
GEMINI_3, GEMINI_25, PRO_25, GEMINI_2 = (
    DIALECT.fitted(name, Profile())
    for name in ("gemini-3-flash-preview", "gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.0-flash")
)
PATH = "/v1beta/models/auto:generateContent"
EXCEEDS = "exceeds the maximum number of tokens allowed"
FILM = File(reference="gs://a/b", media_type="video/mp4")
HI = Message("user", (Text("hi"),))


def asked(*messages: Message, dialect: GoogleGenerate = GEMINI_3, **fields: Any) -> Any:
    """The body of a request of another dialect, held against Google's own types."""
    request = Request(model="m", messages=messages or (HI,), dialect="openai_chat", **fields)
    body = msgspec.json.decode(dialect.write_request(request, dialect.deployment))
    for content in body["contents"]:
        types.Content.model_validate(content)
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    for tool in body.get("tools", []):
        types.Tool.model_validate(tool)
    return body


def read(body: Any, path: str = PATH) -> Request:
    return DIALECT.read_request(body if isinstance(body, bytes) else msgspec.json.encode(body), path)


def test_instructions_stand_beside_the_conversation_wherever_they_were_given() -> None:
    late = Message("developer", (Text("Be kind."),))

    body = asked(Message("system", (Text("Be brief."),)), HI, late)

    assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}, {"text": "Be kind."}]
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]
    assert asked(late)["contents"] == [{"role": "user", "parts": [{"text": "Be kind."}]}]


def test_results_of_parallel_calls_stand_together_under_the_names_of_their_functions() -> None:
    calls = (ToolCall("a", "weather", "{}"), ToolCall("b", "now", ""))
    results = [Message("tool", (Text(text),), call=call) for call, text in (("a", '{"sun":1}'), ("b", "noon"))]

    body = asked(HI, Message("assistant", calls), *results, HI)

    assert [content["role"] for content in body["contents"]] == ["user", "model", "user", "user"]
    assert [part["functionResponse"] for part in body["contents"][2]["parts"]] == [
        {"id": "a", "name": "weather", "response": {"sun": 1}},
        {"id": "b", "name": "now", "response": {"output": "noon"}},
    ]


def test_a_result_that_failed_says_so() -> None:
    body = asked(
        HI, Message("assistant", (ToolCall("a", "f", "{}"),)), Message("tool", (Text("no"),), call="a", failed=True)
    )

    assert body["contents"][2]["parts"][0]["functionResponse"]["response"] == {"error": "no"}


def test_only_the_first_call_without_a_seal_is_excused_and_only_where_seals_are_wanted() -> None:
    calls = Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")))
    sealed = Message("assistant", (ToolCall("a", "f", "{}", "c2ln"), ToolCall("b", "f", "{}")))

    def seals(body: Any) -> list[str | None]:
        return [part.get("thoughtSignature") for part in body["contents"][1]["parts"]]

    assert seals(asked(HI, calls)) == ["skip_thought_signature_validator", None]
    assert seals(asked(HI, sealed)) == ["c2ln", None]
    assert seals(asked(HI, calls, dialect=GEMINI_25)) == [None, None]


def test_seals_go_back_to_where_they_were_and_foreign_thoughts_stay_away() -> None:
    thought = Reasoning("I think.", "c2ln", issuer="google_generate")
    bare = Reasoning("", "YmFyZQ==", issuer="google_generate")
    foreign = Reasoning("Hm.", "sig", issuer="anthropic_messages")
    answer = Message("assistant", (thought, foreign, Reasoning("plain"), bare, Text("Vier.")))

    body = asked(HI, answer)

    assert body["contents"][1]["parts"] == [
        {"text": "I think.", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "Vier.", "thoughtSignature": "YmFyZQ=="},
    ]


def test_seals_of_others_travel_through_googles_clients_and_never_reach_google() -> None:
    claude = Reasoning("I think.", "EqQB/+==", issuer="anthropic_messages")
    kept = Reasoning("", sealed="gAAA", id="rs_1", issuer="openai_responses")
    answer = msgspec.json.decode(
        DIALECT.write_response(_whole(claude, kept, Text("Four")), Request(model="m"), "id", 0)
    )
    content = types.Content.model_validate(answer["candidates"][0]["content"]).model_dump(mode="json", by_alias=True)

    again = read({"contents": [{"parts": [{"text": "?"}]}, {k: v for k, v in content.items() if v}]})

    assert again.messages[1].parts == (claude, kept, Text("Four"))
    assert isinstance(again.wire, Wire)
    spliced = msgspec.json.decode(DIALECT.splice(again.wire, "x", report_usage=True))
    assert [part["text"] for part in spliced["contents"][1]["parts"]] == ["Four"]
    assert b"ZGlyaWdlbnQu" not in DIALECT.splice(again.wire, "x", report_usage=True)


def _whole(*parts: Any) -> Any:
    return Response((Choice(Message("assistant", parts), "stop"),))


def test_seals_are_the_same_bytes_in_whichever_letters_an_sdk_writes_them() -> None:
    raw = b64encode(bytes([251, 239, 190, 255])).decode()
    urlsafe = raw.replace("+", "-").replace("/", "_")

    request = read(
        {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f"}, "thoughtSignature": urlsafe}]}]}
    )

    (call,) = request.messages[0].parts
    assert isinstance(call, ToolCall)
    assert call.signature == raw != urlsafe


def test_results_without_ids_find_their_calls_by_name_and_order() -> None:
    calls = [{"functionCall": {"name": name}} for name in ("f", "g", "f")]
    results = [{"functionResponse": {"name": name, "response": {"result": name}}} for name in ("f", "f", "g")]

    request = read({"contents": [{"role": "model", "parts": calls}, {"role": "user", "parts": results}]})

    made = [part.id for part in request.messages[0].parts if isinstance(part, ToolCall)]
    assert len(set(made)) == 3
    assert [message.call for message in request.messages[1:]] == [made[0], made[2], made[1]]


@pytest.mark.parametrize(
    ("part", "means"),
    [
        ({"inlineData": {"mimeType": "image/png", "data": "AA=="}}, Image("data:image/png;base64,AA==")),
        ({"inline_data": {"mime_type": "audio/mpeg", "data": "AA=="}}, Audio("AA==", "mp3")),
        ({"inlineData": {"mimeType": "application/pdf", "data": "AA=="}}, File("AA==", media_type="application/pdf")),
        ({"fileData": {"mimeType": "image/png", "fileUri": "https://x.org/a.png"}}, Image("https://x.org/a.png")),
        ({"fileData": {"fileUri": "gs://a/b", "mimeType": "video/mp4"}}, FILM),
        ({"executableCode": {"code": "1"}}, Opaque("google_generate", b'{"executableCode":{"code":"1"}}')),
    ],
)  # fmt: skip
def test_parts_are_read_in_our_own_words(part: Any, means: Any) -> None:
    assert read({"contents": [{"role": "user", "parts": [part]}]}).messages[0].parts == (means,)


@pytest.mark.parametrize(
    ("image", "part"),
    [
        ("data:image/jpg;base64,/9j/AA==", {"inlineData": {"mimeType": "image/jpeg", "data": "/9j/AA=="}}),
        ("https://x.org/a.webp?b=1", {"fileData": {"fileUri": "https://x.org/a.webp?b=1", "mimeType": "image/webp"}}),
        ("https://x.org/a", {"fileData": {"fileUri": "https://x.org/a", "mimeType": "image/jpeg"}}),
    ],
)
def test_pictures_go_out_by_their_contents_or_address(image: str, part: Any) -> None:
    assert asked(Message("user", (Image(image),)))["contents"][0]["parts"] == [part]


def test_pictures_from_tools_go_with_the_result_or_behind_it() -> None:
    said = (
        HI,
        Message("assistant", (ToolCall("a", "f", "{}"),)),
        Message("tool", (Image("data:image/png;base64,AA=="),), call="a"),
    )

    within, behind = asked(*said), asked(*said, dialect=GEMINI_25)

    assert within["contents"][2]["parts"][0]["functionResponse"]["parts"][0]["inlineData"]["data"] == "AA=="
    assert "parts" not in behind["contents"][2]["parts"][0]["functionResponse"]
    assert behind["contents"][3]["parts"][1]["inlineData"]["data"] == "AA=="


def test_schemas_lose_what_google_refuses_and_tell_the_bounds_in_words() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "definitions": {"n": {"type": "number", "exclusiveMinimum": 0, "description": "A number."}},
        "properties": {"n": {"$ref": "#/definitions/n"}, "$schema": {"const": "x"}},
        "additionalProperties": False,
    }

    body = asked(tools=(Tool("f", "F.", schema),), structure=None)

    assert body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == {
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/n"}, "$schema": {"enum": ["x"]}},
        "additionalProperties": False,
        "$defs": {"n": {"type": "number", "description": "A number. (exclusiveMinimum: 0)"}},
    }


def test_googles_older_schemas_become_json_schemas() -> None:
    parameters = {
        "type": "OBJECT",
        "properties": {
            "a": {"type": "STRING", "nullable": True, "format": "enum", "enum": ["x"]},
            "b": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
        },
        "propertyOrdering": ["a", "b"],
    }
    tools = [{"functionDeclarations": [{"name": "f", "parameters": parameters}]}, {"googleSearch": {}}]

    request = read({"contents": [{"parts": [{"text": "hi"}]}], "tools": tools})

    assert request.tools == (
        Tool(
            "f",
            parameters={
                "type": "object",
                "properties": {
                    "a": {"type": ["string", "null"], "enum": ["x"]},
                    "b": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
                },
            },
        ),
        Opaque("google_generate", b'{"googleSearch":{}}', "tools"),
    )


@pytest.mark.parametrize(
    ("config", "choice", "names"),
    [
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("named", "f"), ["f", "g"]),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "x"]}, ToolChoice("required"), ["f"]),
        ({"mode": "ANY"}, ToolChoice("required"), ["f", "g"]),
        ({"mode": "NONE"}, ToolChoice("none"), ["f", "g"]),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["g"]}, None, ["g"]),
    ],
)
def test_which_functions_may_be_called_is_understood(config: Any, choice: ToolChoice | None, names: list[str]) -> None:
    tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}]
    body = {"contents": [{"parts": [{"text": "hi"}]}], "tools": tools, "toolConfig": {"functionCallingConfig": config}}

    request = read(body)

    assert request.tool_choice == choice
    assert [tool.name for tool in request.tools if isinstance(tool, Tool)] == names


@pytest.mark.parametrize(
    ("dialect", "fields", "thinking"),
    [
        (GEMINI_3, {"reasoning_effort": "medium"}, {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        (GEMINI_3, {"reasoning_effort": "xhigh"}, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (GEMINI_3, {"reasoning_effort": "none"}, {"thinkingLevel": "MINIMAL"}),
        (GEMINI_3, {"reasoning_budget": 500}, {"thinkingLevel": "LOW", "includeThoughts": True}),
        (GEMINI_25, {"reasoning_effort": "low"}, {"thinkingBudget": 1024, "includeThoughts": True}),
        (GEMINI_25, {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        (PRO_25, {"reasoning_effort": "none"}, {"thinkingBudget": 128, "includeThoughts": True}),
        (GEMINI_25, {"reasoning_budget": 5000}, {"thinkingBudget": 5000, "includeThoughts": True}),
        (GEMINI_2, {"reasoning_effort": "high"}, None),
        (GEMINI_3, {}, None),
    ],
)
def test_how_long_to_think_is_said_as_each_generation_takes_it(
    dialect: GoogleGenerate, fields: dict[str, Any], thinking: Any
) -> None:
    assert asked(dialect=dialect, **fields).get("generationConfig", {}).get("thinkingConfig") == thinking
    request = Request(model="m", messages=(HI,), **fields)
    assert bool(dialect.unsaid(request)) == (thinking is None and bool(fields))


def test_a_structure_beside_tools_is_refused_where_the_model_cannot_do_both() -> None:
    wanted: dict[str, Any] = {"tools": (Tool("f"),), "structure": Schema({"type": "object"})}

    assert asked(**wanted)["generationConfig"]["responseMimeType"] == "application/json"
    with pytest.raises(Unsupported, match="has tools"):
        asked(dialect=GEMINI_25, **wanted)


@pytest.mark.parametrize(
    "message",
    [
        Message("user", (File(reference="file-1"),)),
        Message("user", (Audio(reference="audio-1"),)),
        Message("user", (Opaque("openai_chat", b"{}"),)),
        Message("user", (Image("ftp://x.org/a.png"),)),
    ],
)
def test_what_google_cannot_be_told_is_refused_in_words(message: Message) -> None:
    with pytest.raises(Unsupported):
        asked(message)


def test_what_only_google_knows_survives_a_change_of_the_messages() -> None:
    body = {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "safetySettings": [{"category": "X", "threshold": "BLOCK_NONE"}],
        "cachedContent": "cachedContents/1",
        "generationConfig": {
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 9},
            "speechConfig": {"a": 1},
        },
        "toolConfig": {"retrievalConfig": {"languageCode": "de"}, "functionCallingConfig": {"mode": "VALIDATED"}},
    }

    request = read(body).changed(messages=(Message("user", (Text("ho"),)),))

    written = msgspec.json.decode(GEMINI_3.write_request(request, "x"))
    assert written == {**body, "contents": [{"role": "user", "parts": [{"text": "ho"}]}]}
    assert set(GEMINI_3.unsaid(request)) == {"safetySettings", "cachedContent", "generationConfig", "toolConfig"}


def test_names_are_read_in_both_spellings_but_never_inside_of_what_others_named() -> None:
    body = {
        "contents": {"role": "model", "parts": {"function_call": {"name": "f", "args": {"max_output_tokens": 1}}}},
        "system_instruction": {"parts": {"text": "Be brief."}},
        "generation_config": {"max_output_tokens": 9, "response_mime_type": "application/json"},
        "tools": {
            "function_declarations": [{"name": "f", "parameters": {"properties": {"top_p": {"type": "STRING"}}}}]
        },
    }

    request = read(body)

    assert request.messages[0] == Message("system", (Text("Be brief."),))
    assert request.messages[1].parts[0].arguments == '{"max_output_tokens":1}'  # type: ignore[union-attr]
    assert (request.max_output, request.structure) == (9, Schema())
    assert request.tools[0].parameters == {"properties": {"top_p": {"type": "string"}}}  # type: ignore[union-attr]
    assert request.wire is not None
    assert DIALECT.splice(request.wire, "x", report_usage=True) == msgspec.json.encode(body)


@pytest.mark.parametrize(
    ("body", "path", "param"),
    [
        ({}, PATH, "contents"),
        ({"contents": [1]}, PATH, "contents[0]"),
        ({"contents": [{"role": "assistant", "parts": []}]}, PATH, "contents[0].role"),
        ({"contents": [{"parts": [{"text": 1}]}]}, PATH, "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{"text": "a"}]}], "generationConfig": {"topP": "x"}}, PATH, "generationConfig.topP"),
        ({"contents": [{"parts": [{"text": "a"}]}]}, "/v1beta/models/", None),
    ],
)
def test_a_faulty_request_is_refused_with_the_field_at_fault(body: Any, path: str, param: str | None) -> None:
    with pytest.raises(Invalid) as raised:
        list(read(body, path).messages)

    assert raised.value.param == param


def test_the_name_of_a_model_is_read_out_of_the_path_and_written_into_it() -> None:
    request = read({"contents": [{"parts": [{"text": "a"}]}]}, "/v1/models/team%2Fwriter:streamGenerateContent?alt=sse")

    assert (request.model, request.stream) == ("team/writer", True)
    assert DIALECT.path("a/b", stream=True) == "/models/a%2Fb:streamGenerateContent?alt=sse"


def test_a_request_is_counted_with_its_instructions_and_tools() -> None:
    body = GEMINI_3.write_request(Request(model="m", messages=(Message("system", (Text("x"),)), HI)), "x")

    counted = msgspec.json.decode(GEMINI_3.counting_body(body))
    plain = GEMINI_3.counting_body(b'{"contents":[]}')

    assert counted["generateContentRequest"]["model"] == "models/gemini-3-flash-preview"
    assert counted["generateContentRequest"]["systemInstruction"] == {"parts": [{"text": "x"}]}
    assert plain == b'{"contents":[]}'
    again = read(counted, "/v1beta/models/m:countTokens")
    assert [message.role for message in again.messages] == ["system", "user"]


def _told(code: int, message: str, status: str, *details: Any) -> bytes:
    return msgspec.json.encode({"error": {"code": code, "message": message, "status": status, "details": details}})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, _told(400, f"The input token count (9) {EXCEEDS} (8).", "INVALID_ARGUMENT"), TooLong),
        (400, _told(400, "API key not valid.", "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"}), Misconfigured),
        (400, _told(400, "User location is not supported.", "FAILED_PRECONDITION"), Misconfigured),
        (400, _told(400, "Bad field.", "INVALID_ARGUMENT"), Rejected),
        (404, b"<html><title>Error 404 (Not Found)!!1</title>", Misconfigured),
        (429, b"[" + _told(429, "Slow down.", "RESOURCE_EXHAUSTED") + b"]", RateLimited),
    ],
)  # fmt: skip
def test_refusals_are_understood(status: int, body: bytes, kind: type[Exception]) -> None:
    assert type(DIALECT.read_error(status, body, None)) is kind


def test_when_to_ask_again_is_read_and_written_in_googles_details() -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.5s"}

    error = DIALECT.read_error(429, _told(429, "Slow down.", "RESOURCE_EXHAUSTED", retry), None)
    again = DIALECT.read_error(429, DIALECT.write_error(error, 429, "", ""), None)

    assert error.retry_after == again.retry_after == 17.5


def test_a_film_with_its_stretch_is_kept_as_it_is() -> None:
    film = {"fileData": {"fileUri": "https://a.example/b.mp4"}, "videoMetadata": {"startOffset": "1s"}}

    (message,) = read({"contents": [{"role": "user", "parts": [{"text": "What happens?"}, film]}]}).messages

    assert isinstance(message.parts[1], Opaque)
    assert msgspec.json.decode(message.parts[1].raw) == film
