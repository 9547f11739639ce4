"""Streams of OpenAI responses: the cases that no recorded exchange shows by itself."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import Raw

from dirigent.core.errors import BadAnswer, DirigentError, RateLimited, Rejected, TooLong, Unavailable
from dirigent.core.events import (
    AudioDelta,
    Event,
    Finished,
    LogprobsDelta,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    folded,
)
from dirigent.core.messages import Reasoning, Request, Text, ToolCall
from dirigent.core.usage import Usage
from dirigent.dialects.openai_responses import OpenAIResponses
from tests.dialects.openai_responses.test_golden import decoded, stream

DIALECT = OpenAIResponses()


def frame(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': 0, **fields})}\n\n".encode()


CREATED = frame("response.created", response={"id": "r", "output": []})
BEGUN = CREATED + frame("response.output_item.added", output_index=0, item={"type": "message", "content": []})
SAYS = frame("response.output_text.delta", output_index=0, content_index=0, delta="a")
DONE = frame("response.completed", response={"status": "completed", "output": [], "usage": None})


def read(*pieces: bytes) -> list[Event]:
    reader = DIALECT.reader()
    return [event for piece in pieces for event in reader.feed(piece)] + list(reader.end())


def watch(*pieces: bytes) -> bytes:
    witness = DIALECT.witness(hide_usage=True)
    return b"".join([witness.feed(piece) for piece in pieces]) + witness.end()


def told(*events: Event, request: Request | None = None) -> list[dict[str, Any]]:
    """What a caller is told, held against OpenAI's own types."""
    writer = DIALECT.writer(request or Request(model="m"), "resp_1", 0)
    return decoded(b"".join([writer.write(event) for event in events]) + writer.end())


# --- read and watched -------------------------------------------------------------------------------------------------


def test_what_only_announces_waits_for_what_says_something() -> None:
    witness = DIALECT.witness(hide_usage=True)

    assert witness.feed(BEGUN) == b""
    assert witness.feed(SAYS) == BEGUN + SAYS
    assert witness.feed(BEGUN) == BEGUN


def test_a_built_in_tool_at_work_says_something() -> None:
    witness = DIALECT.witness(hide_usage=True)
    searching = frame("response.web_search_call.searching", output_index=0, item_id="ws_1")

    assert witness.feed(CREATED + searching) == CREATED + searching


def test_an_answer_without_a_word_is_an_answer() -> None:
    assert read(CREATED, DONE) == [Finished("stop")]
    assert watch(CREATED, DONE) == CREATED + DONE


@pytest.mark.parametrize("idle", [b"", b"\n", b": ping\n\n", b"data:\n\n", b"data: \n\n", b"event: ping\n\n", b"\r\n"])
def test_events_that_keep_a_connection_alive_say_nothing(idle: bytes) -> None:
    assert read(idle, BEGUN, idle, SAYS, DONE, idle) == [TextDelta("a"), Finished("stop")]
    assert watch(idle, BEGUN, SAYS, idle, DONE) == idle + BEGUN + SAYS + idle + DONE


@pytest.mark.parametrize(
    "cut", [b"", CREATED, BEGUN, BEGUN + SAYS, b"data: [DONE]\n\n", BEGUN + SAYS + b"data: [DONE]\n\n"]
)
def test_a_stream_without_its_end_is_a_bad_answer(cut: bytes) -> None:
    for way in (read, watch):
        with pytest.raises(BadAnswer):
            way(cut)


def test_what_follows_the_end_is_not_heard() -> None:
    assert read(SAYS, DONE, SAYS, frame("error", message="late")) == [TextDelta("a"), Finished("stop")]


def test_a_text_about_errors_and_ends_is_a_text() -> None:
    talk = 'data: {"error"\n\n"response.completed" "type":"error" event: error "response.failed" [DONE]'
    says = frame("response.output_text.delta", output_index=0, content_index=0, delta=talk)

    assert read(BEGUN, says, DONE) == [TextDelta(talk), Finished("stop")]
    assert watch(BEGUN, says, DONE) == BEGUN + says + DONE
    with pytest.raises(BadAnswer):
        watch(BEGUN, says)


def test_arguments_of_a_call_that_never_began_are_a_bad_answer() -> None:
    with pytest.raises(BadAnswer, match="never began"):
        read(frame("response.function_call_arguments.delta", output_index=3, delta="{}"))


def test_two_calls_of_the_same_id_stay_two() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    events = read(
        frame("response.output_item.done", output_index=0, item=item),
        frame("response.output_item.done", output_index=1, item=item),
        DONE,
    )

    calls = [part for part in folded(events).choices[0].message.parts if isinstance(part, ToolCall)]
    assert [call.name for call in calls] == ["f", "f"]
    assert len({call.id for call in calls}) == 2


ERRORS: list[tuple[dict[str, Any], type[DirigentError]]] = [
    ({"message": "no", "code": "server_error"}, Unavailable),
    ({"message": "no", "code": "rate_limit_exceeded"}, RateLimited),
    ({"message": "no", "code": "context_length_exceeded"}, TooLong),
    ({"message": "no", "code": 429}, RateLimited),
    ({"message": "no"}, Unavailable),
    ({}, Unavailable),
]


@pytest.mark.parametrize("before", [b"", BEGUN, BEGUN + SAYS], ids=["at once", "held back", "in the middle"])
@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=str)
def test_an_error_has_the_meaning_of_its_code_wherever_it_stands(
    error: dict[str, Any], kind: type[DirigentError], before: bytes
) -> None:
    flat = frame("error", param=None, **error)
    around = frame("error", error=error or {"message": None})
    within = frame("response.failed", response={"status": "failed", "output": [], "error": error or None})
    bare = b"data: " + json.dumps({"error": error}).encode() + b"\n\n"

    for failing in (flat, around, within, bare):
        for way in (read, watch):
            with pytest.raises(kind) as raised:
                way(before, failing, DONE)
            assert type(raised.value) is kind
            assert raised.value.message


def test_a_request_that_is_at_fault_is_told_so_in_a_stream() -> None:
    error = {"type": "invalid_request_error", "message": "no such tool", "param": "tools", "code": "x"}

    with pytest.raises(Rejected, match="no such tool") as raised:
        read(frame("error", error=error))
    assert raised.value.param == "tools"


@pytest.mark.parametrize(
    "usage", [{}, None, 7, {"input_tokens": None}, {"input_tokens": -1, "output_tokens": 2}, {"input_tokens": 9}]
)
def test_usage_that_cannot_be_read_is_unknown_and_does_not_break_the_answer(usage: Any) -> None:
    done = frame("response.completed", response={"status": "completed", "output": [], "usage": usage})

    assert read(SAYS, done) == [TextDelta("a"), Finished("stop")]
    assert watch(SAYS, done) == SAYS + done


kinds = some.sampled_from(
    sorted({line[7:].decode() for line in stream("openai_reasoning_tools").split(b"\n") if line.startswith(b"event: ")})
)
odd: some.SearchStrategy[Any] = some.recursive(
    some.none()
    | some.integers()
    | some.text(max_size=4)
    | some.sampled_from(["message", "reasoning", "function_call"]),
    lambda inner: (
        some.lists(inner, max_size=2)
        | some.dictionaries(
            some.sampled_from(
                ["type", "content", "summary", "text", "output", "status", "usage", "error", "call_id", "arguments"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
fields = some.dictionaries(
    some.sampled_from(["output_index", "item", "delta", "response", "text", "arguments", "logprobs", "summary_index"]),
    odd,
    max_size=4,
)


@given(told=some.lists(some.tuples(kinds, fields), max_size=4))
def test_odd_events_of_known_kinds_raise_nothing_but_our_own_errors(told: list[tuple[str, dict[str, Any]]]) -> None:
    pieces = [frame(kind, **each) for kind, each in told]

    with suppress(DirigentError):
        folded(read(*pieces))
    with suppress(DirigentError):
        watch(*pieces)


# --- written ----------------------------------------------------------------------------------------------------------


def test_calls_whose_arguments_come_mixed_are_told_apart() -> None:
    events: list[Event] = [
        ToolCallDelta(0, "a", "f", '{"x"'),
        ToolCallDelta(1, "b", "g", '{"y"'),
        ToolCallDelta(0, arguments=":1}"),
        ToolCallDelta(1, arguments=":2}"),
        ToolCallDelta(2, "c", "h"),
        Finished("tool_calls"),
    ]

    output = told(*events)[-1]["response"]["output"]

    assert [(item["call_id"], item["arguments"]) for item in output] == [
        ("a", '{"x":1}'),
        ("b", '{"y":2}'),
        ("c", "{}"),
    ]


def test_words_between_calls_and_thoughts_are_items_of_their_own() -> None:
    events: list[Event] = [
        ReasoningDelta("Hm"),
        ReasoningDelta("", signature="s", issuer="x"),
        TextDelta("a"),
        ToolCallDelta(0, "c", "f", "{}"),
        TextDelta("b"),
        ReasoningDelta("So", block=1),
        Finished("tool_calls"),
        UsageReported(Usage(1, 2)),
    ]

    whole = told(*events)[-1]["response"]

    assert [item["type"] for item in whole["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "message",
        "reasoning",
    ]
    assert len({item["id"] for item in whole["output"]}) == 5
    assert whole["usage"]["total_tokens"] == 3


@pytest.mark.parametrize(
    ("reason", "kind", "details"),
    [
        ("stop", "response.completed", None),
        ("length", "response.incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "response.incomplete", {"reason": "content_filter"}),
    ],
)
def test_the_end_says_why(reason: Any, kind: str, details: Any) -> None:
    last = told(TextDelta("a"), Finished(reason))[-1]

    assert (last["type"], last["response"]["incomplete_details"]) == (kind, details)
    assert kind.endswith(last["response"]["status"])
    assert last["response"]["output"][0]["status"] == last["response"]["status"]


def test_other_choices_and_sound_without_words_are_not_told() -> None:
    events: list[Event] = [
        TextDelta("a"),
        TextDelta("b", 1),
        AudioDelta("AAEC"),
        AudioDelta(transcript="c"),
        Finished("stop"),
    ]

    (item,) = told(*events)[-1]["response"]["output"]

    assert [part["text"] for part in item["content"]] == ["ac"]


def test_an_error_is_told_as_an_event_and_as_the_end_of_the_answer() -> None:
    writer = DIALECT.writer(Request(model="m"), "resp_1", 0)
    begun = writer.write(TextDelta("half"))

    error = DIALECT.write_error(Unavailable("gone"), 503, "api_error", "r")
    events = decoded_loosely(begun + writer.fail(error))

    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert (events[-2]["message"], events[-2]["code"], events[-2]["error"]["type"]) == (
        "gone",
        "unavailable",
        "api_error",
    )
    assert events[-1]["response"]["status"] == "failed"
    assert events[-1]["response"]["error"]["message"] == "gone"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def decoded_loosely(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(each.split(b"data: ")[1]) for each in data.split(b"\n\n")[:-1]]


def test_what_the_caller_set_is_repeated_in_the_answer_and_breaks_no_frame() -> None:
    body = {
        "model": "m",
        "input": "hi",
        "instructions": "Be brief.",
        "stream": True,
        "metadata": {"a": "b"},
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "max_output_tokens": 9,
        "temperature": 0.5,
    }
    request = DIALECT.read_request(json.dumps(body, indent=1).encode())

    for event in (told(TextDelta("a"), Finished("stop"), request=request)[at] for at in (0, -1)):
        answer = event["response"]
        for key in ("instructions", "metadata", "tools", "tool_choice", "text", "max_output_tokens", "temperature"):
            assert answer[key] == body[key], key


def test_log_probabilities_are_told_with_the_words_that_they_belong_to() -> None:
    raw = Raw(b'{"content": [\n {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}]}')

    events = told(TextDelta("a"), LogprobsDelta(raw), Finished("stop"))

    (item,) = events[-1]["response"]["output"]
    assert [each["token"] for each in item["content"][0]["logprobs"]] == ["a"]


def test_seals_go_through_two_of_us() -> None:
    thought = Reasoning("Hm", "sig", None, None, "anthropic_messages")
    call = ToolCall("c", "f", "{}", "CsYB")
    events: list[Event] = [
        ReasoningDelta("Hm", signature="sig", issuer="anthropic_messages"),
        TextDelta("a"),
        ToolCallDelta(0, "c", "f", "{}", signature="CsYB"),
        Finished("tool_calls"),
    ]
    writer = DIALECT.writer(Request(model="m"), "resp_1", 0)

    streamed = folded(read(b"".join([writer.write(event) for event in events]) + writer.end()))
    whole = folded(DIALECT.read_response(DIALECT.write_response(folded(events), Request(model="m"), "resp_1", 0)))

    for response in (streamed, whole):
        assert response.choices[0].message.parts == (thought, Text("a"), call)
