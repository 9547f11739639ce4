"""What callers and providers say beyond OpenAI's own fields, and what other dialects say that it has no word for."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from openai.types.chat import ChatCompletion

from dirigent.core.errors import Unsupported
from dirigent.core.events import (
    AudioDelta,
    Event,
    Finished,
    LogprobsDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    folded,
)
from dirigent.core.messages import Audio, File, Image, Message, Part, Request, Text, Tool, ToolCall, ToolChoice
from dirigent.core.usage import Usage
from dirigent.dialects.openai_chat import OpenAIChat
from tests.dialects.openai_chat.test_golden import body, read, stream

DIALECT = OpenAIChat()
MARKS = OpenAIChat(takes_cache_marks=True)
MARK = {"type": "ephemeral", "ttl": "1h", "scope": {"new": [1, None]}}
SAID = [{"role": "user", "content": "hi"}]


def asked(**fields: Any) -> Request:
    return DIALECT.read_request(json.dumps({"model": "m", "messages": SAID, **fields}).encode())


def written(request: Request, dialect: OpenAIChat = DIALECT) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(dialect.write_request(request, "x"))
    return told


def foreign(*messages: Message, **fields: Any) -> Request:
    """A request that was read in another dialect."""
    return Request(model="m", messages=messages, dialect="another", **fields)


# --- cache marks ------------------------------------------------------------------------------------------------------

MARKED = {
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Long.", "cache_control": MARK}]},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}, "cache_control": MARK},
                {"type": "file", "file": {"file_id": "file-1"}, "cache_control": MARK},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "22", "cache_control": MARK},
    ],
    "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": MARK}],
}


def test_cache_marks_are_read_with_all_that_stands_in_them() -> None:
    request = asked(**MARKED)

    marks = [part.cache for message in request.messages[:2] for part in message.parts if hasattr(part, "cache")]
    tool = request.tools[0]
    assert isinstance(tool, Tool)
    marks += [request.messages[2].cache, tool.cache]
    assert [msgspec.json.decode(mark) for mark in marks if mark is not None] == [MARK] * 5


def test_a_request_that_was_changed_keeps_its_callers_marks() -> None:
    assert written(asked(**MARKED).changed(temperature=0.5)) == {"model": "x", "temperature": 0.5, **MARKED}


def test_marks_of_another_dialect_go_to_who_takes_them() -> None:
    request = asked(**MARKED).changed(dialect="another")

    assert written(request, MARKS) == {"model": "x", **MARKED}
    assert "cache_control" not in json.dumps(written(request))


def test_a_mark_that_is_null_is_none() -> None:
    request = asked(messages=[{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": None}]}])

    assert request.messages[0].parts == (Text("a"),)


# --- what a tool gave -------------------------------------------------------------------------------------------------

PICTURE = Image("data:image/png;base64,iVBO")


def test_pictures_from_tools_come_after_the_results_of_all_calls() -> None:
    said = (
        Message("assistant", (ToolCall("c1", "look", "{}"), ToolCall("c2", "look", "{}"))),
        Message("tool", (Text("a cat"), PICTURE), call="c1"),
        Message("tool", (PICTURE,), call="c2"),
        Message("user", (Text("And?"),)),
    )

    sent = written(foreign(*said))["messages"]

    assert [message["role"] for message in sent] == ["assistant", "tool", "tool", "user", "user"]
    assert [sent[1]["content"], sent[2]["content"]] == ["a cat", "The result follows."]
    assert [part["type"] for part in sent[3]["content"]] == ["text", "image_url", "text", "image_url"]
    assert "c1" in sent[3]["content"][0]["text"]
    assert "c2" in sent[3]["content"][2]["text"]
    assert written(foreign(*said[:3]))["messages"] == sent[:4]


def test_who_takes_pictures_from_tools_gets_them_in_their_place() -> None:
    request = foreign(Message("tool", (Text("a cat"), PICTURE), call="c1"))

    (sent,) = written(request, OpenAIChat(takes_pictures_from_tools=True))["messages"]

    assert [part["type"] for part in sent["content"]] == ["text", "image_url"]
    assert [message["role"] for message in written(request.changed(dialect="openai_chat"))["messages"]] == ["tool"]


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ((Text("no such city"),), "Error: no such city"),
        ((), "Error: it failed"),
        ((Text("a"), Text("b")), [{"type": "text", "text": "Error: a"}, {"type": "text", "text": "b"}]),
    ],
)
def test_a_tool_that_failed_says_so_in_words(parts: tuple[Part, ...], content: object) -> None:
    (sent,) = written(foreign(Message("tool", parts, call="c1", failed=True)))["messages"]

    assert sent["content"] == content


# --- documents --------------------------------------------------------------------------------------------------------


def test_a_document_by_address_goes_to_who_takes_it() -> None:
    request = asked(
        messages=[{"role": "user", "content": [{"type": "file", "file": {"file_data": "https://x/a.pdf"}}]}]
    )
    another = request.changed(dialect="another")

    assert request.messages[0].parts == (File(url="https://x/a.pdf"),)
    for sent in (written(request), written(another, OpenAIChat(takes_file_addresses=True))):
        assert sent["messages"][0]["content"][0]["file"] == {"file_data": "https://x/a.pdf"}
    with pytest.raises(Unsupported, match="by their address"):
        written(another)


def test_a_document_gets_the_type_that_it_was_given_with() -> None:
    file = File("JVBE", "a.pdf", media_type="application/pdf")

    (sent,) = written(foreign(Message("user", (file,))))["messages"]

    assert sent["content"][0]["file"] == {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}


# --- settings ---------------------------------------------------------------------------------------------------------


def test_top_k_is_read_and_goes_to_who_takes_it() -> None:
    request = asked(top_k=40)
    another = request.changed(dialect="another", extra={})

    assert request.top_k == 40
    assert written(request)["top_k"] == 40
    assert written(another, OpenAIChat(takes_top_k=True))["top_k"] == 40
    assert "top_k" not in written(another)
    assert list(DIALECT.unsaid(another)) == ["top_k"]
    assert list(OpenAIChat(takes_top_k=True).unsaid(another)) == []
    assert "top_k" not in request.extra  # or it would be called left out where it was sent


@pytest.mark.parametrize("top_k", [-1, 0, 0.5, "all", None])
def test_a_top_k_that_only_some_servers_understand_goes_to_them_as_it_came(top_k: object) -> None:
    request = asked(top_k=top_k)

    assert request.top_k is None
    assert written(request)["top_k"] == top_k


def test_fields_that_only_another_dialect_knows_are_named_and_left_out() -> None:
    request = foreign(*asked().messages, extra={"thinking": Raw(b"{}"), "betas": Raw(b"[]")})

    assert list(DIALECT.unsaid(request)) == ["betas", "thinking"]
    assert written(request) == {"model": "x", "messages": SAID}
    assert list(DIALECT.unsaid(asked(logit_bias={}))) == []


@pytest.mark.parametrize(
    ("budget", "word"), [(0, "none"), (1024, "low"), (8192, "medium"), (8193, "high"), (-1, None), (None, None)]
)
def test_a_budget_of_thought_becomes_a_word(budget: int | None, word: str | None) -> None:
    assert written(foreign(*asked().messages, reasoning_budget=budget)).get("reasoning_effort") == word
    assert written(foreign(reasoning_budget=budget, reasoning_effort="xhigh"))["reasoning_effort"] == "xhigh"


def test_a_conversation_that_a_provider_keeps_cannot_be_continued_here() -> None:
    with pytest.raises(Unsupported, match=r"'resp_1' is kept by the provider that gave it"):
        written(foreign(previous="resp_1"))


# --- the old form of tools --------------------------------------------------------------------------------------------

OLD = {
    "functions": [{"name": "weather", "description": "Now.", "parameters": {"type": "object"}}],
    "function_call": {"name": "weather"},
}


def test_functions_are_tools_in_the_old_form() -> None:
    request = asked(**OLD)

    assert request.tools == (Tool("weather", "Now.", {"type": "object"}),)
    assert (request.tool_choice, request.parallel_tool_calls) == (ToolChoice("named", "weather"), False)
    assert asked(**OLD | {"function_call": "none"}).tool_choice == ToolChoice("none")
    assert written(request)["tools"][0]["function"]["name"] == "weather"
    assert not written(request).keys() & OLD.keys()


def test_who_asks_with_functions_is_answered_with_a_function_call() -> None:
    events: list[Event] = [
        ToolCallDelta(0, "c1", "weather"),
        ToolCallDelta(0, arguments='{"a":1}'),
        ToolCallDelta(1, "c2", "weather", "{}"),
        Finished("tool_calls"),
    ]
    request = asked(**OLD)

    choice = ChatCompletion.model_validate_json(DIALECT.write_response(folded(events), request, "i", 0)).choices[0]
    chunks = chunks_of(events, request)

    assert choice.message.tool_calls is None
    assert choice.message.function_call is not None
    assert (choice.message.function_call.name, choice.message.function_call.arguments) == ("weather", '{"a":1}')
    assert choice.finish_reason == "function_call"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert [delta["function_call"] for delta in deltas[:-1]] == [
        {"name": "weather", "arguments": ""},
        {"arguments": '{"a":1}'},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"


# --- sound ------------------------------------------------------------------------------------------------------------


def test_a_spoken_answer_is_read_and_told_again() -> None:
    sound = Audio("AAECAw==", reference="audio_68a1", transcript="Guten Tag", expires=1_790_003_600)
    for response in (folded(read(stream("openai_audio"))), folded(DIALECT.read_response(body("openai_audio")))):
        assert response.choices[0].message.parts == (sound,)

        again = DIALECT.write_response(response, Request(model="m"), "chatcmpl-1", 0)

        message = ChatCompletion.model_validate_json(again, strict=True).choices[0].message
        assert message.audio is not None
        assert (message.audio.data, message.audio.transcript) == ("AAECAw==", "Guten Tag")
        assert (message.audio.id, message.audio.expires_at) == ("audio_68a1", 1_790_003_600)
        assert message.content is None
        assert folded(DIALECT.read_response(again)).choices == response.choices


def test_a_spoken_answer_that_comes_back_is_named_and_not_sent() -> None:
    sound = Audio("AAECAw==", reference="audio_68a1", transcript="Guten Tag")

    (sent,) = written(foreign(Message("assistant", (sound,))))["messages"]

    assert sent == {"role": "assistant", "content": None, "audio": {"id": "audio_68a1"}}


# --- streams ----------------------------------------------------------------------------------------------------------


def chunks_of(events: list[Event], request: Request | None = None) -> list[dict[str, Any]]:
    writer = DIALECT.writer(request or Request(model="m"), "chatcmpl-1", 0)
    frames = b"".join([writer.write(event) for event in events]).split(b"\n\n")[:-1]
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames]


@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
def test_calls_that_were_told_are_the_reason_for_the_end(reason: Any) -> None:
    chunks = chunks_of([TextDelta("a"), ToolCallDelta(0, "c1", "f", "{}"), Finished(reason)])

    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_that_was_cut_off_in_a_call_says_so(reason: Any) -> None:
    chunks = chunks_of([ToolCallDelta(0, "c1", "f", '{"a'), Finished(reason)])

    assert chunks[-1]["choices"][0]["finish_reason"] == reason


def test_a_call_without_a_word_of_arguments_gets_an_empty_object() -> None:
    chunks = chunks_of([ToolCallDelta(0, "c1", "f"), ToolCallDelta(1, "c2", "g", "{}"), Finished("tool_calls")])

    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [(call["index"], call["function"]["arguments"]) for call in calls] == [(0, ""), (1, "{}"), (0, "{}")]


def test_id_type_and_name_are_told_once_whatever_a_provider_repeats() -> None:
    chunks = chunks_of([ToolCallDelta(0, "c1", "f", "{"), ToolCallDelta(0, "c1", "f", "}"), Finished("tool_calls")])

    calls = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in chunks[:-1]]
    assert calls[0] == {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}}
    assert calls[1] == {"index": 0, "function": {"arguments": "}"}}


def test_the_sequence_that_ended_an_answer_is_told() -> None:
    events = DIALECT.read_response(body("vllm_stop_sequence"))

    assert events[-2] == Finished("stop", sequence="three")
    assert chunks_of(list(events))[-1]["choices"][0]["stop_reason"] == "three"
    assert json.loads(DIALECT.write_response(folded(events), Request(model="m"), "i", 0))["choices"][0]["stop_reason"]


def test_what_a_provider_set_in_lines_breaks_no_frame() -> None:
    raw = Raw(b'{\n "content": [\n  {"token": "a\\nb", "logprob": -0.10000000000000000001, "bytes": null}]\r\n}')

    chunks = chunks_of([TextDelta("a"), LogprobsDelta(raw), Finished("stop")])

    assert chunks[1]["choices"][0]["logprobs"]["content"][0]["token"] == "a\nb"


def test_a_report_of_usage_stands_alone_after_the_last_choice() -> None:
    request = Request(model="m", stream=True, include_usage=True)
    writer = DIALECT.writer(request, "chatcmpl-1", 0)

    for event in (TextDelta("a"), UsageReported(Usage(3, 1)), UsageReported(Usage(3, 2)), Finished("stop")):
        assert b'"usage":{' not in writer.write(event)
    closing = json.loads(writer.end().split(b"\n\n")[0].removeprefix(b"data: "))

    assert (closing["choices"], closing["usage"]["completion_tokens"]) == ([], 2)


def test_sound_is_streamed_piece_by_piece() -> None:
    chunks = chunks_of(
        [AudioDelta(transcript="Hm", id="a1"), AudioDelta("AAEC"), AudioDelta(expires=9), Finished("stop")]
    )

    assert [chunk["choices"][0]["delta"]["audio"] for chunk in chunks[:-1]] == [
        {"id": "a1", "transcript": "Hm"},
        {"data": "AAEC"},
        {"expires_at": 9},
    ]
