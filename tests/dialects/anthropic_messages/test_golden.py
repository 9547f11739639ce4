"""Golden exchanges: what providers send is read rightly, and what is written of it holds for Anthropic's own SDK."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

from dirigent.core.errors import DirigentError, RateLimited, TooLong, Unavailable
from dirigent.core.events import Event, TextDelta, folded
from dirigent.core.messages import Reasoning, Request, Response, Text, ToolCall
from dirigent.core.usage import Usage
from dirigent.dialects.anthropic_messages import AnthropicMessages
from tests.dialects.exchanges import Exchanges

DIALECT = AnthropicMessages()
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)

Thought = tuple[str, str | None, str | None]


class Said(msgspec.Struct, frozen=True):
    """What an answer means."""

    text: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()
    finish: str = "stop"
    thoughts: tuple[Thought, ...] = ()
    """Text, signature and seal of each."""
    sequence: str | None = None


STREAMS: dict[str, tuple[Said, Usage | None]] = {
    "text": (Said("Guten Tag, „Köln“ 👋"), Usage(1504, 15, 1200, 300, cache_write_untold_tokens=300)),
    "thinking_and_parallel_tools": (
        Said(
            "I'll look that up.",
            (("toolu_01A", "weather", '{"city": "Köln"}'), ("toolu_01B", "now", "{}")),
            "tool_calls",
            (("Two cities, two calls.", "EqQBCgIYAhIM+1/a==", None),),
        ),
        Usage(25, 89, reasoning_tokens=21),
    ),
    "redacted_thinking": (
        Said("42.", thoughts=(("", None, "EmwKAhgBEgy3va3pzix/LafPsn4a"), ("Then.", "EuYBCkQYAiJA==", None))),
        Usage(25, 60),
    ),
    "thinking_omitted": (Said("Ja.", thoughts=(("", "ErUBCkYIBRgCIkA=", None),)), Usage(25, 30)),
    "thinking_between_tools": (
        Said(
            "",
            (("toolu_1", "read", '{"path":"a"}'), ("toolu_2", "read", '{"path":"b"}')),
            "tool_calls",
            (("First.", "Sig0==", None), ("Second.", "Sig2==", None)),
        ),
        Usage(25, 70),
    ),
    "web_search": (Said("Let me search. It is sunny."), Usage(2600, 110)),
    "stop_sequence": (Said("1, 2, ", sequence="3"), Usage(25, 9)),
    "max_tokens_in_a_call": (Said("", (("toolu_9", "write", '{"text":"Once up'),), "length"), Usage(25, 50)),
    "refusal": (Said("I can", finish="content_filter"), Usage(25, 3)),
    "empty_answer": (Said(), Usage(25, 2)),
    "new_events": (Said("Hallo"), Usage(25, 5)),
    "ollama_whole_input": (Said("", (("call_u1", "weather", '{"city":"Bonn"}'),), "tool_calls"), Usage(190, 38)),
    "no_event_names": (Said("Four"), Usage(11, 6)),
    "no_usage": (Said("Hallo"), None),
    "input_at_the_beginning_alone": (Said("Hallo"), Usage(31, 3)),
    "cut_before_the_stop": (Said("Hallo", finish="length"), Usage(25, 2)),
}
BROKEN: dict[str, tuple[type[DirigentError], str, list[Event]]] = {
    "overloaded_in_the_middle": (Unavailable, "is overloaded: Overloaded", [TextDelta("Once")]),
    "overloaded_at_once": (Unavailable, "is overloaded: Overloaded", []),
    "limited_at_once": (RateLimited, "would exceed the rate limit", []),
    "too_long_at_once": (TooLong, "prompt is too long: 214000 tokens > 200000 maximum", []),
    "failed_in_the_middle": (Unavailable, "Internal server error", [TextDelta("Half")]),
}
WHOLE: dict[str, tuple[Said, Usage | None]] = {
    "text": (Said("Guten Tag"), Usage(1504, 10, 1200, 300, cache_write_untold_tokens=300)),
    "thinking_and_tools": (
        Said(
            "One moment.",
            (("toolu_01A", "weather", '{\n    "city": "Köln",\n    "n": 1.5\n   }'), ("toolu_01B", "now", "{}")),
            "tool_calls",
            (("Two calls.", "EqQBCgIYAhIM+1/a==", None), ("", None, "EmwKAhgB")),
        ),
        Usage(25, 10, reasoning_tokens=4),
    ),
    "web_search": (Said("It is sunny."), Usage(25, 10)),
    "stop_sequence": (Said("1, 2, ", sequence="3"), Usage(25, 10)),
    "refusal": (Said(finish="content_filter"), Usage(25, 10)),
    "full_window": (Said("Hal", finish="length"), Usage(25, 10)),
    "nulls": (Said("Four"), Usage(25, 10)),
    "no_usage": (Said("Hallo"), None),
}


def meaning(response: Response) -> Said:
    """What a response means."""
    (choice,) = response.choices
    parts = choice.message.parts
    return Said(
        "".join(part.text for part in parts if isinstance(part, Text)),
        tuple((part.id, part.name, part.arguments) for part in parts if isinstance(part, ToolCall)),
        choice.finish or "",
        tuple((part.text, part.signature, part.sealed) for part in parts if isinstance(part, Reasoning)),
        choice.sequence,
    )


EXCHANGES = Exchanges(DIALECT, meaning, STREAMS, BROKEN, WHOLE)
stream, body, read = EXCHANGES.stream, EXCHANGES.body, EXCHANGES.read


def asking() -> Request:
    return Request(model="auto", messages=(), stream=True, include_usage=True)


def written(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The events that a caller gets, decoded; each one is held against Anthropic's own types."""
    writer = DIALECT.writer(asking(), "msg_1", 1_760_000_000)
    data = b"".join([writer.write(event) for event in events]) + writer.end()
    assert data.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    told = []
    for frame in data.split(b"\n\n")[:-1]:
        name, _, content = frame.partition(b"\n")
        event = msgspec.json.decode(content.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        nothing_beyond(EVENTS.validate_python(event, strict=True))
        told.append(event)
    return told


def nothing_beyond(model: BaseModel) -> None:
    """Refuses fields that Anthropic's types do not know."""
    assert not model.model_extra, model
    for name in type(model).model_fields:
        value = getattr(model, name)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, BaseModel):
                nothing_beyond(part)


def accumulated(events: Iterable[dict[str, Any]]) -> Message:
    """What Anthropic's SDK makes of a stream."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events:
        snapshot = accumulate_event(event=EVENTS.validate_python(event), current_snapshot=snapshot, json_bufs=buffers)
    message = Message.model_validate(snapshot.model_dump())
    assert isinstance(message, Message)
    return message


@pytest.mark.parametrize("name", STREAMS)
def test_nothing_is_told_before_something_is_said_so_that_another_may_take_over(name: str) -> None:
    data, quiet = stream(name), b""
    for frame in data.split(b"\n\n"):
        if b"_delta" in frame or b'"tool_use"' in frame or b'"redacted' in frame or b"message_stop" in frame:
            break
        quiet += frame + b"\n\n"

    reader, witness = DIALECT.reader(), DIALECT.witness(hide_usage=False)

    assert reader.feed(quiet) == []
    assert witness.feed(quiet) == b""


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_written_of_a_stream_is_understood_by_the_anthropic_sdk(name: str) -> None:
    said, usage = STREAMS[name]

    message = accumulated(written(read(stream(name))))

    blocks = message.content
    assert (message.id, message.model, message.role) == ("msg_1", "auto", "assistant")
    assert "".join(block.text for block in blocks if block.type == "text") == said.text
    calls = [(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"]
    if said.finish != "length":
        assert calls == [(*call[:2], msgspec.json.decode(call[2])) for call in said.calls]
    thoughts = [(block.thinking, block.signature, None) for block in blocks if block.type == "thinking"]
    assert thoughts == [thought for thought in said.thoughts if thought[2] is None]
    assert [block.data for block in blocks if block.type == "redacted_thinking"] == [
        sealed for _, _, sealed in said.thoughts if sealed is not None
    ]
    assert message.stop_sequence == said.sequence
    reasons = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
    assert message.stop_reason == ("stop_sequence" if said.sequence else reasons[said.finish])
    if usage is not None:
        told = message.usage
        assert told.cache_read_input_tokens == usage.cached_input_tokens
        assert told.cache_creation_input_tokens == usage.cache_write_tokens
        assert told.input_tokens == usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
        assert told.output_tokens == usage.output_tokens


@pytest.mark.parametrize("name", STREAMS)
def test_the_shape_of_what_is_written_keeps_anthropics_rules(name: str) -> None:
    kinds = [(event["type"], event.get("index")) for event in written(read(stream(name)))]

    assert (kinds[0], kinds[-2:]) == (("message_start", None), [("message_delta", None), ("message_stop", None)])
    blocks = kinds[1:-2]
    begun = -1
    for at, (kind, index) in enumerate(blocks):
        if kind == "content_block_start":
            assert at == 0 or blocks[at - 1][0] == "content_block_stop"
            begun += 1
        assert index == begun
    assert not blocks or blocks[-1][0] == "content_block_stop"


@pytest.mark.parametrize("name", STREAMS)
def test_the_seals_of_a_verbatim_answer_are_found(name: str) -> None:
    said, _ = STREAMS[name]

    assert DIALECT.seals is not None
    assert [found.decode() for found in DIALECT.seals.findall(stream(name))] == [
        signature or seal for _, signature, seal in said.thoughts
    ]


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_written_of_a_whole_answer_is_understood_by_the_anthropic_sdk(name: str) -> None:
    said, _ = WHOLE[name]
    response = folded(DIALECT.read_response(body(name)))

    message = Message.model_validate_json(
        DIALECT.write_response(response, asking(), "msg_1", 1_760_000_000), strict=True
    )

    nothing_beyond(message)
    assert "".join(block.text for block in message.content if block.type == "text") == said.text
    assert [(block.id, block.name) for block in message.content if block.type == "tool_use"] == [
        call[:2] for call in said.calls
    ]
    assert [(block.thinking, block.signature) for block in message.content if block.type == "thinking"] == [
        thought[:2] for thought in said.thoughts if thought[2] is None
    ]
    assert message.usage.output_tokens > 0
