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
from tests.dialects.bedrock_converse.wire import framed_stream
from tests.dialects.exchanges import Exchanges

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
    "text": (Said("Guten Tag, „Köln“ 👋"), Usage(1504, 15, 1200, 300, cache_write_untold_tokens=300)),
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
    "text": (Said("Guten Tag"), Usage(1504, 10, 1200, 300, cache_write_untold_tokens=300)),
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


EXCHANGES = Exchanges(
    DIALECT,
    meaning,
    STREAMS,
    BROKEN,
    WHOLE,
    others=frozenset(("malformed",)),
    unwatched=frozenset(("malformed",)),
    suffix="events",
    framed=framed_stream,
)
stream, body, read = EXCHANGES.stream, EXCHANGES.body, EXCHANGES.read


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


@pytest.mark.parametrize("name", sorted(WHOLE.keys() - {"no_usage"}))
def test_what_is_written_of_a_whole_answer_holds_for_the_sdk(name: str) -> None:
    response = folded(DIALECT.read_response(body(name)))

    again = DIALECT.write_response(response, asking(), "id", 1_760_000_000)

    shape = SERVICE.operation_model("Converse").output_shape
    read_by_sdk = RestJSONParser().parse({"status_code": 200, "headers": {}, "body": again}, shape)
    assert set(shape.required_members) <= read_by_sdk.keys()
    assert folded(DIALECT.read_response(again)) == response
