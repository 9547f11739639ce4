"""Golden exchanges: what Bedrock sends is read rightly, and what is written of it holds for AWS's own SDK."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import RestJSONParser

from dirigent.core.errors import BadAnswer, DirigentError, RateLimited, TooLong, Unavailable
from dirigent.core.events import Event, TextDelta, folded
from dirigent.core.messages import Reasoning, Request, Response, Text, ToolCall
from dirigent.core.usage import Usage
from dirigent.dialects.bedrock_converse import BedrockConverse
from tests.dialects.bedrock_converse.wire import body, stream

DIALECT = BedrockConverse()
SERVICE = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")


class Said(msgspec.Struct, frozen=True):
    """What an answer means."""

    text: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()
    finish: str = "stop"
    thoughts: tuple[tuple[str, str | None, str | None], ...] = ()
    """Text, signature and seal of each."""


SEAL = "EqQBCgIYAhIM+1/a=="
STREAMS: dict[str, tuple[Said, Usage | None]] = {
    "text": (Said("Guten Tag, „Köln“ 👋"), Usage(1504, 15, 1200, 300)),
    "thinking_and_parallel_tools": (
        Said(
            "I'll look that up.",
            (("tooluse_A", "weather", '{"city": "Köln"}'), ("tooluse_B", "now", "{}")),
            "tool_calls",
            (("Two cities, two calls.", SEAL, None),),
        ),
        Usage(25, 89),
    ),
    "redacted": (Said("42.", thoughts=(("", None, "RW13S0FoZ0I="),)), Usage(25, 60)),
    "max_tokens_in_a_call": (Said("", (("tooluse_9", "write", '{"text":"Once up'),), "length"), Usage(25, 50)),
    "guardrail": (Said("Sorry.", finish="content_filter"), Usage(25, 3)),
    "server_tool": (Said("See: sun."), Usage(25, 9)),
    "new_events": (Said("Hallo"), Usage(25, 5)),
    "no_metadata": (Said("Hallo"), None),
}
BROKEN: dict[str, tuple[type[DirigentError], str, list[Event]]] = {
    "malformed": (BadAnswer, "malformed_tool_use", [TextDelta("Once")]),
    "malformed_at_once": (BadAnswer, "malformed_tool_use", []),
    "throttled_at_once": (RateLimited, "Too many requests", []),
    "failed_in_the_middle": (Unavailable, "The model failed", [TextDelta("Once")]),
    "internal_in_the_middle": (Unavailable, "Internal server error", [TextDelta("Half")]),
    "too_long_at_once": (TooLong, "Input is too long", []),
    "cut": (BadAnswer, "stopped before", [TextDelta("Hal")]),
}
WHOLE: dict[str, tuple[Said, Usage | None]] = {
    "text": (Said("Guten Tag"), Usage(1504, 10, 1200, 300)),
    "thinking_and_tools": (
        Said(
            "One moment.",
            (
                (
                    "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q",
                    "weather",
                    '{\n              "city": "Köln",\n              "n": 1.5\n            }',
                ),
                ("tooluse_B", "now", "{}"),
            ),
            "tool_calls",
            (("Two calls.", SEAL, None), ("", None, "RW13S0FoZ0I=")),
        ),
        Usage(25, 60),
    ),
    "guardrail": (Said("Sorry.", finish="content_filter"), Usage(25, 3)),
    "full_window": (Said("Hal", finish="length"), Usage(25, 3)),
    "citations": (Said("It is sunny."), Usage(25, 3)),
    "server_tool": (Said("Let me see. 42."), Usage(25, 30)),
    "nameless_thought": (Said("Four", thoughts=(("Hm.", None, None),)), Usage(9, 6)),
    "nulls": (Said("Four"), Usage(9, 1)),
    "no_usage": (Said("Hallo"), None),
}


def meaning(response: Response) -> Said:
    (choice,) = response.choices
    parts = choice.message.parts
    return Said(
        "".join(part.text for part in parts if isinstance(part, Text)),
        tuple((part.id, part.name, part.arguments) for part in parts if isinstance(part, ToolCall)),
        choice.finish or "",
        tuple((part.text, part.signature, part.sealed) for part in parts if isinstance(part, Reasoning)),
    )


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def read(data: bytes, size: int = 65536) -> list[Event]:
    reader = DIALECT.reader()
    return [event for piece in cut(data, size) for event in reader.feed(piece)] + list(reader.end())


def asking() -> Request:
    return Request(model="auto", messages=(), stream=True, include_usage=True)


def written(events: Iterable[Event]) -> bytes:
    writer = DIALECT.writer(asking(), "id", 1_760_000_000)
    return b"".join([writer.write(event) for event in events]) + writer.end()


def parsed(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream as AWS's own SDK reads them, checksums and all."""
    buffer, parser = EventStreamBuffer(), RestJSONParser()
    buffer.add_data(data)
    output = SERVICE.operation_model("ConverseStream").get_event_stream_output()
    return [parser._event_stream_parser.parse(event.to_response_dict(), output) for event in buffer]


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 65536])
def test_a_stream_is_read_rightly_however_it_is_cut(name: str, size: int) -> None:
    said, usage = STREAMS[name]

    response = folded(read(stream(name), size))

    assert meaning(response) == said
    assert response.usage == usage


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_goes_by_verbatim_and_its_usage_is_learnt(name: str) -> None:
    data = stream(name)
    for size in (1, 7, 65536):
        witness = DIALECT.witness(hide_usage=True)

        passed = b"".join([witness.feed(piece) for piece in cut(data, size)]) + witness.end()

        assert passed == data
        assert witness.usage == STREAMS[name][1]


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_off_is_an_error_and_never_a_whole_answer(name: str) -> None:
    kind, words, before = BROKEN[name]
    reader = DIALECT.reader()
    heard: list[Event] = []

    with pytest.raises(kind, match=words):  # noqa: PT012  it may be any piece that fails, or the end
        for piece in cut(stream(name), 7):
            heard += reader.feed(piece)
        heard += reader.end()

    assert heard == before


@pytest.mark.parametrize("name", BROKEN.keys() - {"malformed"})
def test_a_verbatim_stream_that_breaks_off_is_an_error_too(name: str) -> None:
    kind, words, before = BROKEN[name]
    witness = DIALECT.witness(hide_usage=True)
    passed = b""

    with pytest.raises(kind, match=words):  # noqa: PT012
        for piece in cut(stream(name), 7):
            passed += witness.feed(piece)
        witness.end()

    assert bool(passed) == bool(before)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_read_rightly(name: str) -> None:
    said, usage = WHOLE[name]

    response = folded(DIALECT.read_response(body(name)))

    assert meaning(response) == said
    assert response.usage == usage
    assert DIALECT.usage_of(body(name)) == usage


def test_a_call_that_bedrock_itself_could_not_read_is_no_answer() -> None:
    with pytest.raises(BadAnswer, match="malformed_tool_use"):
        DIALECT.read_response(body("malformed"))


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_written_of_a_stream_holds_for_the_sdk_and_means_the_same(name: str) -> None:
    events = read(stream(name))
    said, usage = STREAMS[name]

    data = written(events)

    kinds = [next(iter(event)) for event in parsed(data)]
    assert kinds[0] == "messageStart"
    assert kinds[-2:] == ["messageStop", "metadata"]
    assert meaning(folded(read(data))) == said
    if usage is not None:
        told = parsed(data)[-1]["metadata"]["usage"]
        cached = told.get("cacheReadInputTokens", 0) + told.get("cacheWriteInputTokens", 0)
        assert told["inputTokens"] + cached == usage.input_tokens
        assert told["totalTokens"] == usage.input_tokens + usage.output_tokens


@pytest.mark.parametrize("name", STREAMS)
def test_blocks_of_a_written_stream_never_overlap_and_each_ends(name: str) -> None:
    opened: int | None = None
    ended: list[int] = []

    for event in parsed(written(read(stream(name)))):
        ((kind, told),) = event.items()
        index = told.get("contentBlockIndex")
        if kind in ("contentBlockStart", "contentBlockDelta"):
            assert opened in (None, index)
            opened = index
        if kind == "contentBlockStop":
            assert opened == index
            opened = None
            ended.append(index)

    assert opened is None
    assert ended == list(range(len(ended)))


@pytest.mark.parametrize("name", WHOLE.keys() - {"no_usage"})
def test_what_is_written_of_a_whole_answer_holds_for_the_sdk(name: str) -> None:
    response = folded(DIALECT.read_response(body(name)))

    again = DIALECT.write_response(response, asking(), "id", 1_760_000_000)

    shape = SERVICE.operation_model("Converse").output_shape
    read_by_sdk = RestJSONParser().parse({"status_code": 200, "headers": {}, "body": again}, shape)
    assert set(shape.required_members) <= read_by_sdk.keys()
    assert folded(DIALECT.read_response(again)) == response
