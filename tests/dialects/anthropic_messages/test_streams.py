"""Streams of Anthropic messages: blocks in order whatever the provider mixes, true figures, and an early word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.errors import BadAnswer, Unavailable
from dirigent.core.events import (
    AudioDelta,
    Event,
    Finished,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    Verbatim,
    folded,
)
from dirigent.core.messages import Message, Reasoning, Request, Text, ToolCall
from dirigent.core.tokens import estimated_request
from dirigent.core.usage import Usage
from dirigent.dialects.anthropic_messages import AnthropicMessages
from dirigent.dialects.anthropic_messages.tooling import ANSWER
from tests.dialects.anthropic_messages.test_golden import accumulated, nothing_beyond, written
from tests.upstream import pieces

DIALECT = AnthropicMessages()
ASKED = Request(model="auto", messages=(Message("user", (Text("How many roads must a man walk down?"),)),), stream=True)


def told(events: Iterable[Event], request: Request = ASKED) -> list[dict[str, Any]]:
    """The events that a caller gets, decoded."""
    writer = DIALECT.writer(request, "msg_1", 0)
    data = b"".join([writer.write(event) for event in events]) + writer.end()
    return [msgspec.json.decode(frame.partition(b"data: ")[2]) for frame in data.split(b"\n\n")[:-1]]


def read(data: bytes) -> list[Event]:
    reader = DIALECT.reader()
    return [*reader.feed(data), *reader.end()]


def streamed(events: Iterable[Event]) -> bytes:
    writer = DIALECT.writer(ASKED, "msg_1", 0)
    return b"".join([writer.write(event) for event in events]) + writer.end()


def call(index: int, arguments: str = "", name: str | None = None, **fields: Any) -> ToolCallDelta:
    return ToolCallDelta(index, f"toolu_{index}" if name else None, name, arguments, **fields)


def frames(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events)


# --- written ----------------------------------------------------------------------------------------------------------


def test_the_fragments_of_mixed_calls_are_told_call_by_call() -> None:
    mixed: list[Event] = [
        call(0, "", "f"),
        call(1, "", "g"),
        call(0, '{"a":'),
        call(1, '{"b":'),
        call(0, "1}"),
        call(1, "2}"),
        call(2, "", "h"),
        Finished("tool_calls"),
    ]

    message = accumulated(written(mixed))

    assert [(block.name, block.input) for block in message.content if block.type == "tool_use"] == [
        ("f", {"a": 1}),
        ("g", {"b": 2}),
        ("h", {}),
    ]
    assert message.stop_reason == "tool_use"


def test_a_call_whose_arguments_are_whole_holds_nothing_up() -> None:
    writer = DIALECT.writer(ASKED, "msg_1", 0)
    for event in (call(0, "", "f"), call(0, '{"a":1}')):
        writer.write(event)

    said = writer.write(call(1, "", "g"))

    assert b"content_block_stop" in said
    assert b'"name":"g"' in said


def test_what_waited_for_a_call_is_told_as_soon_as_that_is_whole() -> None:
    writer = DIALECT.writer(ASKED, "msg_1", 0)
    writer.write(call(0, '{"a":', "f"))

    held = writer.write(TextDelta("Meanwhile"))
    said = writer.write(call(0, "1}"))

    assert held == b""
    assert b'"partial_json":"1}"' in said
    assert b"Meanwhile" in said


def test_what_says_nothing_ends_no_block() -> None:
    nothing = (TextDelta(""), RefusalDelta(""), ReasoningDelta())

    events = told([call(0, "", "f"), *nothing, call(0, '{"a":1}'), *nothing, call(0, " "), Finished("tool_calls")])

    assert [event["type"] for event in events if "block" in event["type"]] == [
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
    ]


fragments = some.lists(some.text('ab{}":1 \\n', max_size=5), min_size=1, max_size=4)
blocks = some.lists(
    some.one_of(
        fragments.map(lambda texts: ("text", texts)),
        fragments.map(lambda texts: ("thought", texts)),
        some.tuples(some.just("call"), fragments),
        some.dictionaries(some.sampled_from("abc"), some.integers(), max_size=2).map(
            lambda value: ("call", list(msgspec.json.encode(value).decode()))
        ),
    ),
    max_size=4,
)


@given(said=blocks, lots=some.randoms(use_true_random=False))
def test_blocks_are_balanced_and_nothing_is_lost_however_a_provider_mixes_them(said: Any, lots: Any) -> None:
    queues: list[list[Event]] = []
    for number, (kind, texts) in enumerate(said):
        first = "f" if kind == "call" else None
        queue: list[Event] = [call(number, "", first)] if first else []
        queue += [
            TextDelta(text)
            if kind == "text"
            else ReasoningDelta(text, block=number)
            if kind == "thought"
            else call(number, text)
            for text in texts
        ]
        queues.append(queue)
    mixed: list[Event] = []
    while any(queues):
        mixed.append(lots.choice([queue for queue in queues if queue]).pop(0))

    events = written([*mixed, Finished("stop")])

    kinds = [(event["type"], event["index"]) for event in events if "index" in event]
    opened = [index for kind, index in kinds if kind == "content_block_start"]
    assert opened == [index for kind, index in kinds if kind == "content_block_stop"] == list(range(len(opened)))
    assert [index for _, index in kinds] == sorted(index for _, index in kinds)
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    for field, kind in (("text", "text"), ("thinking", "thought")):
        heard = "".join(delta.get(field, "") for delta in deltas)
        assert sorted(heard) == sorted("".join(text for each, texts in said if each == kind for text in texts))
    calls = {
        event["content_block"]["id"]: "".join(
            each["delta"]["partial_json"]
            for each in events
            if each["type"] == "content_block_delta" and each["index"] == event["index"]
        )
        for event in events
        if event.get("content_block", {}).get("type") == "tool_use"
    }
    for number, (kind, texts) in enumerate(said):
        if kind == "call":
            arguments = "".join(texts)
            heard = calls[f"toolu_{number}"]
            assert heard.strip() == (arguments.strip() or "{}") or _whole_first(arguments, heard)
    assert (events[-2]["delta"]["stop_reason"] == "tool_use") == any(kind == "call" for kind, _ in said)


def _whole_first(arguments: str, heard: str) -> bool:
    """Whether what was left out came after arguments that were whole: nobody could read it anyway."""
    try:
        msgspec.json.decode(heard, type=dict[str, Any])
    except msgspec.DecodeError:
        return False
    return arguments.startswith(heard)


@pytest.mark.parametrize(
    ("events", "reason", "sequence"),
    [
        ([TextDelta("a"), Finished("stop")], "end_turn", None),
        ([TextDelta("a"), Finished("stop", sequence="END")], "stop_sequence", "END"),
        ([TextDelta("a"), Finished("length")], "max_tokens", None),
        ([TextDelta("a"), Finished("content_filter")], "refusal", None),
        ([RefusalDelta("No."), Finished("stop")], "refusal", None),
        ([call(0, "{}", "f"), Finished("tool_calls")], "tool_use", None),
        ([call(0, "{}", "f"), Finished("stop")], "tool_use", None),
        ([call(0, '{"a', "f"), Finished("length")], "max_tokens", None),
        ([Finished("stop")], "end_turn", None),
    ],
)
def test_the_reason_for_the_end_is_told_in_anthropics_words(
    events: list[Event], reason: str, sequence: str | None
) -> None:
    end = written(events)[-2]

    assert end["delta"] == {"stop_reason": reason, "stop_sequence": sequence}


def test_the_beginning_tells_the_true_input_where_it_is_known_and_an_estimate_elsewhere() -> None:
    usage = Usage(1000, 1, 600, 300, cache_write_untold_tokens=300)

    known = told([UsageReported(usage), TextDelta("a"), Finished("stop"), UsageReported(Usage(1000, 9, 600, 300))])
    late = told([TextDelta("a"), Finished("stop"), UsageReported(Usage(12, 9))])
    never = told([TextDelta("abcdefgh"), call(0, "{}", "f"), Finished("stop")])

    assert known[0]["message"]["usage"] == {
        "input_tokens": 100,
        "cache_read_input_tokens": 600,
        "cache_creation_input_tokens": 300,
        "output_tokens": 1,
    }
    assert known[-2]["usage"]["output_tokens"] == 9
    assert late[0]["message"]["usage"]["input_tokens"] == estimated_request(ASKED) > 0
    assert (late[-2]["usage"]["input_tokens"], late[-2]["usage"]["output_tokens"]) == (12, 9)
    assert never[-2]["usage"]["input_tokens"] == estimated_request(ASKED)
    assert never[-2]["usage"]["output_tokens"] > 0


def test_a_seal_is_told_at_the_end_of_its_thought() -> None:
    events: list[Event] = [
        ReasoningDelta("Let me", issuer="anthropic_messages"),
        ReasoningDelta(" see.", signature="EqQB", issuer="anthropic_messages"),
        ReasoningDelta(block=1, sealed="EmwK", issuer="anthropic_messages"),
        ReasoningDelta("unsealed", block=2),
        TextDelta("42"),
        Finished("stop"),
    ]

    content = accumulated(written(events)).model_dump(exclude_none=True)["content"]

    assert content == [
        {"type": "thinking", "thinking": "Let me see.", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "EmwK"},
        {"type": "thinking", "thinking": "unsealed", "signature": ""},
        {"type": "text", "text": "42"},
    ]


def test_the_seals_of_other_providers_travel_through_a_stream_and_back() -> None:
    events: list[Event] = [
        ReasoningDelta("sealed words", signature="sig", issuer="google_generate"),
        ReasoningDelta(block=1, sealed="gAAA", id="rs_1", issuer="openai_responses"),
        call(0, "{}", "f", signature="call-seal"),
        Finished("tool_calls"),
    ]
    content = accumulated(written(events)).model_dump(exclude_none=True)["content"]
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": content}]}

    (message,) = DIALECT.read_request(msgspec.json.encode(body)).messages

    assert message.parts == (
        Reasoning("sealed words", "sig", issuer="google_generate"),
        Reasoning("", None, "gAAA", "rs_1", "openai_responses"),
        ToolCall("toolu_0", "f", "{}", signature="call-seal"),
    )


def test_what_this_dialect_cannot_tell_is_passed_over() -> None:
    assert [
        event["type"]
        for event in written(
            [
                AudioDelta("AAAA"),
                LogprobsDelta(msgspec.Raw(b"{}")),
                TextDelta("b", 1),
                Finished("stop", 1),
                TextDelta(""),
                Finished("stop"),
            ]
        )
    ] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]


def test_a_stream_that_breaks_off_ends_with_an_error_event() -> None:
    writer = DIALECT.writer(ASKED, "msg_1", 0)
    begun = writer.write(TextDelta("Once"))

    broken = writer.fail(DIALECT.write_error(Unavailable("gone"), 503, "api_error", "req_1"))

    assert broken.startswith(b"event: error\ndata: {")
    assert b"message_stop" not in begun + broken
    with pytest.raises(Unavailable, match="gone"):
        read(begun + broken)


def test_bytes_that_go_through_are_not_touched() -> None:
    assert DIALECT.writer(ASKED, "msg_1", 0).write(Verbatim(b"event: x\n\n")) == b"event: x\n\n"


def test_a_ping_is_passed_over_by_every_reader() -> None:
    stream = streamed([TextDelta("a"), Finished("stop")])
    pinged = DIALECT.ping + stream.replace(b"\n\n", b"\n\n" + DIALECT.ping)

    assert read(pinged) == read(stream)


# --- read -------------------------------------------------------------------------------------------------------------

START = {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}
STOP = {"type": "message_stop"}


def test_the_usage_of_the_beginning_comes_with_the_first_content_and_not_before() -> None:
    reader = DIALECT.reader()

    before = reader.feed(
        frames(START, {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    )
    first = reader.feed(
        frames({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}})
    )

    assert before == []
    assert first == [UsageReported(Usage(5, 1)), TextDelta("a")]


@pytest.mark.parametrize(
    ("reports", "usage"),
    [
        ([{"input_tokens": 5, "output_tokens": 1}, {"output_tokens": 9}], Usage(5, 9)),
        ([{"input_tokens": 5, "output_tokens": 1}, {"output_tokens": 4}, {"output_tokens": 9}], Usage(5, 9)),
        ([{"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 7, "output_tokens": 9}], Usage(7, 9)),
        ([{"input_tokens": 7, "output_tokens": 1}, {"input_tokens": 0, "output_tokens": 9}], Usage(7, 9)),
        (
            [
                {"input_tokens": 40, "output_tokens": 1},
                {"input_tokens": 0, "cache_read_input_tokens": 31, "output_tokens": 9},
            ],
            Usage(31, 9, 31),
        ),
        (
            [
                {
                    "input_tokens": 4,
                    "cache_read_input_tokens": 90,
                    "cache_creation_input_tokens": 6,
                    "output_tokens": 1,
                },
                {"output_tokens": 9},
            ],
            Usage(100, 9, 90, 6, cache_write_untold_tokens=6),
        ),
        (
            [
                {"input_tokens": 5, "cache_read_input_tokens": None, "output_tokens": 1},
                {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 3}},
            ],
            Usage(5, 9, reasoning_tokens=3),
        ),
        (
            [
                {"input_tokens": 4, "cache_creation_input_tokens": 6, "output_tokens": 1},
                {"cache_read_input_tokens": 90, "output_tokens": 9},
            ],
            Usage(100, 9, 90, 6, cache_write_untold_tokens=6),
        ),
        (
            [
                {
                    "input_tokens": 4,
                    "cache_creation_input_tokens": 6,
                    "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 4},
                    "output_tokens": 1,
                },
                {"cache_creation_input_tokens": 6, "output_tokens": 9},
            ],
            Usage(10, 9, 0, 6, cache_write_hour_tokens=4),
        ),
        (
            [
                {
                    "input_tokens": 4,
                    "cache_creation_input_tokens": 6,
                    "cache_creation": {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 0},
                    "output_tokens": 1,
                },
                {"cache_creation_input_tokens": 9, "output_tokens": 9},
            ],
            Usage(13, 9, 0, 9, cache_write_untold_tokens=3),
        ),
        ([None, None], None),
        ([{"input_tokens": 5}, None], None),
        ([{"input_tokens": -5, "output_tokens": 2}, None], None),
        (["nonsense", {"input_tokens": 7, "output_tokens": 9}], Usage(7, 9)),
    ],
)
def test_reports_are_totals_and_the_input_includes_what_was_cached(reports: list[Any], usage: Usage | None) -> None:
    start, *later = reports
    stream = frames(
        {"type": "message_start", "message": {"usage": start}},
        *({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": report} for report in later),
        STOP,
    )
    witness = DIALECT.witness(hide_usage=False)

    witness.feed(stream)

    assert folded(read(stream)).usage == usage == witness.usage


def test_a_structured_answer_that_came_as_a_call_is_told_as_text() -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": ANSWER, "input": {}}
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}}
    fragments = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": text}}
        for text in ('{"total"', ": 5}")
    ]
    stream = frames(
        START,
        {"type": "content_block_start", "index": 0, "content_block": block},
        *fragments,
        {"type": "content_block_stop", "index": 0},
        end,
        STOP,
    )
    whole = msgspec.json.encode(
        {"type": "message", "content": [{**block, "input": {"total": 5}}], "stop_reason": "tool_use"}
    )

    for response, text in (
        (folded(read(stream)), '{"total": 5}'),
        (folded(DIALECT.read_response(whole)), '{"total":5}'),
    ):
        assert response.text == text
        assert response.choices[0].finish == "stop"


@pytest.mark.parametrize(
    "events",
    [
        [STOP],
        [START],
        [{"type": "content_block_start", "index": 0, "content_block": 7}],
        [{"type": "content_block_delta", "index": "x", "delta": {}}],
        [START, {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lost"}}],
    ],
)
def test_a_stream_without_its_beginning_or_end_is_no_answer(events: list[dict[str, Any]]) -> None:
    witness = DIALECT.witness(hide_usage=False)

    with pytest.raises(BadAnswer):
        read(frames(*events))
    with pytest.raises(BadAnswer):
        _ = witness.feed(frames(*events)) + witness.end()


@given(
    cuts=some.lists(some.integers(0, 10**6), max_size=30),
    texts=some.lists(some.text(min_size=1, max_size=30), min_size=1),
)
def test_words_that_look_like_news_go_through_a_witness_like_any_others(cuts: list[int], texts: list[str]) -> None:
    suspicious = ['"message_stop"', '{"type":"error","error":{}}', '"message_delta"', "event: error\n\n", *texts]
    stream = streamed([*map(TextDelta, suspicious), Finished("stop"), UsageReported(Usage(3, 1))])
    witness = DIALECT.witness(hide_usage=False)

    passed = b"".join([witness.feed(piece) for piece in pieces(stream, cuts)]) + witness.end()

    assert passed == stream
    assert witness.complete
    assert witness.usage == Usage(3, 1)


def test_a_whole_answer_without_usage_is_told_with_an_estimate() -> None:
    response = folded([TextDelta("abcdefgh"), Finished("stop")])

    body = msgspec.json.decode(DIALECT.write_response(response, ASKED, "msg_1", 0))

    assert body["usage"]["input_tokens"] == estimated_request(ASKED)
    assert body["usage"]["output_tokens"] == 2


def test_arguments_that_are_no_object_reach_the_caller_under_a_name_of_their_own() -> None:
    response = folded([call(0, '{"a', "f"), Finished("length")])

    body = msgspec.json.decode(DIALECT.write_response(response, ASKED, "msg_1", 0))

    assert body["content"] == [{"type": "tool_use", "id": "toolu_0", "name": "f", "input": {"INVALID_JSON": '{"a'}}]
    assert body["stop_reason"] == "max_tokens"


def test_every_event_is_one_that_the_sdk_knows() -> None:
    everything: list[Event] = [
        UsageReported(Usage(9, 1)),
        ReasoningDelta("hm", signature="s", issuer="anthropic_messages"),
        TextDelta("a"),
        RefusalDelta("no"),
        call(0, "{}", "f"),
        Finished("tool_calls", sequence=None),
        UsageReported(Usage(9, 7, reasoning_tokens=2)),
    ]

    message = accumulated(written(everything))

    nothing_beyond(message)
    assert message.usage.output_tokens_details is not None
    assert message.usage.output_tokens_details.thinking_tokens == 2
