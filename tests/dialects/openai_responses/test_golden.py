"""Golden exchanges: what providers send is read rightly, and what is written of it holds for OpenAI's own SDK."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response as SdkResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from dirigent.core.errors import BadAnswer, DirigentError, RateLimited, TooLong, Unavailable
from dirigent.core.events import Event, TextDelta, ToolCallDelta, folded
from dirigent.core.messages import Reasoning, Refusal, Request, Response, Text, ToolCall
from dirigent.core.usage import Usage
from dirigent.dialects.openai_responses import OpenAIResponses
from tests.dialects.exchanges import Exchanges

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "openai_responses"
DIALECT = OpenAIResponses()
STREAM_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


class Said(msgspec.Struct, frozen=True):
    """What an answer means."""

    text: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()
    finish: str = "stop"
    refusal: str = ""
    thoughts: tuple[Reasoning, ...] = ()
    tokens: int = 0
    """How many tokens have log probabilities."""


THOUGHT = Reasoning("**Looking up**\n\nTwo calls.", sealed="gAAAAABo4f_seal==", id="rs_1", issuer="openai_responses")
TWO_CALLS = (("call_A1", "weather", '{"city": "Köln"}'), ("call_B2", "now", "{}"))
ANSWERS: dict[str, tuple[Said, Usage | None]] = {
    "openai_text": (Said("Guten Tag, „Köln“ 👋"), Usage(14, 6, 8)),
    "openai_reasoning_tools": (
        Said(calls=TWO_CALLS, finish="tool_calls", thoughts=(THOUGHT,)),
        Usage(82, 140, 0, 64, 100, cache_write_untold_tokens=64),
    ),
    "openai_incomplete": (Said("Es war", finish="length"), Usage(9, 16)),
    "openai_refusal": (Said(refusal="I can't help with that."), Usage(20, 7)),
    "openai_logprobs": (Said("Ja!", tokens=2), Usage(9, 2)),
}
STREAMS: dict[str, tuple[Said, Usage | None]] = {
    **ANSWERS,
    "mixed_calls": (
        Said(
            calls=(("call_A1", "weather", '{"city":"Bonn"}'), ("call_B2", "weather", '{"city":"Trier"}')),
            finish="tool_calls",
        ),
        Usage(90, 38),
    ),
    "openai_web_search": (Said("22 °C"), Usage(310, 12)),
    "vllm_raw_thought": (Said("Four", thoughts=(Reasoning("Let me see."),)), Usage(11, 6)),
    "without_deltas": (
        Said("Hallo", calls=(("c1", "f", '{"x":1}'), ("c2", "g", "{}")), finish="tool_calls"),
        None,
    ),
}
BROKEN: dict[str, tuple[type[DirigentError], str, list[Event]]] = {
    "openai_failed": (Unavailable, "failed to generate", [TextDelta("Once")]),
    "openai_limited": (RateLimited, "Rate limit reached", []),
    "openai_too_long": (TooLong, "exceeds the context window", []),
}


def meaning(response: Response) -> Said:
    """What a response means."""
    (choice,) = response.choices
    parts = choice.message.parts
    counted = msgspec.json.decode(choice.logprobs)["content"] if choice.logprobs is not None else []
    return Said(
        "".join(part.text for part in parts if isinstance(part, Text)),
        tuple((part.id, part.name, part.arguments) for part in parts if isinstance(part, ToolCall)),
        choice.finish or "",
        "".join(part.text for part in parts if isinstance(part, Refusal)),
        tuple(part for part in parts if isinstance(part, Reasoning)),
        len(counted),
    )


EXCHANGES = Exchanges(DIALECT, meaning, STREAMS, BROKEN, ANSWERS, others=frozenset(("openai_failed",)))
stream, body, read = EXCHANGES.stream, EXCHANGES.body, EXCHANGES.read
ASKED = Request(model="auto", stream=True)


def written(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The events that a caller gets, decoded; each one is held against OpenAI's own types."""
    writer = DIALECT.writer(ASKED, "resp_1", 1_760_000_000)
    return decoded(b"".join([writer.write(event) for event in events]) + writer.end())


def decoded(data: bytes) -> list[dict[str, Any]]:
    told = []
    for frame in data.split(b"\n\n")[:-1]:
        name, line = frame.split(b"\n")
        event = msgspec.json.decode(line.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        nothing_beyond(STREAM_EVENT.validate_python(event, strict=True))
        told.append(event)
    return told


def nothing_beyond(model: BaseModel) -> None:
    """Refuses fields that OpenAI's types do not know, but for those that its answers have all the same."""
    assert set(model.model_extra or ()) <= {"store", "bytes"}, model
    for name in type(model).model_fields:
        value = getattr(model, name)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, BaseModel):
                nothing_beyond(part)


@pytest.mark.parametrize("name", [name for name in STREAMS if name.startswith(("openai", "mixed"))])
def test_the_golden_streams_are_what_openais_sdk_expects(name: str) -> None:
    events = [msgspec.json.decode(line[6:]) for line in stream(name).split(b"\n") if line.startswith(b"data: ")]

    for event in events:
        STREAM_EVENT.validate_python(event, strict=True)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_calls_are_numbered_in_their_order_whatever_numbers_their_items_have() -> None:
    calls = [event for event in read(stream("mixed_calls")) if isinstance(event, ToolCallDelta)]

    assert [call.index for call in calls] == [0, 1, 0, 1, 0, 1]
    assert [call.id for call in calls] == ["call_A1", "call_B2", None, None, None, None]


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_written_of_a_stream_is_understood_by_the_openai_sdk(name: str) -> None:
    said, usage = STREAMS[name]

    events = written(read(stream(name)))

    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in events:
        state.handle_event(STREAM_EVENT.validate_python(event))
    if said.finish == "length":
        assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
        return
    understood = state._completed_response
    assert understood is not None
    assert understood.output_text == said.text
    calls = [item for item in understood.output if item.type == "function_call"]
    assert tuple((call.call_id, call.name, call.arguments) for call in calls) == said.calls
    assert (understood.usage is None) == (usage is None)
    if usage is not None and understood.usage is not None:
        assert understood.usage.input_tokens == usage.input_tokens
        assert understood.usage.output_tokens_details.reasoning_tokens == usage.reasoning_tokens


@pytest.mark.parametrize("name", STREAMS)
def test_the_shape_of_what_is_written_keeps_openais_rules(name: str) -> None:
    events = written(read(stream(name)))

    kinds = [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in ("response.completed", "response.incomplete")
    whole = events[-1]["response"]["output"]
    added = [event for event in events if event["type"] == "response.output_item.added"]
    done = {event["output_index"]: event["item"] for event in events if event["type"] == "response.output_item.done"}
    assert [event["output_index"] for event in added] == list(range(len(whole)))
    assert [done[index] for index in range(len(whole))] == whole
    assert [event["item"]["id"] for event in added] == [item["id"] for item in whole]
    for event in events:
        if "item_id" in event:
            assert event["item_id"] == whole[event["output_index"]]["id"]
    for index, item in enumerate(whole):
        of_it = [event for event in events if event.get("output_index") == index]
        assert of_it[0]["type"] == "response.output_item.added"
        assert of_it[-1]["type"] == "response.output_item.done"
        told = "".join(event["delta"] for event in of_it if event["type"].endswith(".delta"))
        assert told in (item.get("arguments"), *("".join(part.values()) for part in plain(item)))


def plain(item: dict[str, Any]) -> list[dict[str, str]]:
    """What an item says, its parts joined."""
    parts = item.get("content") or item.get("summary") or [{"text": ""}]
    return [{"text": "".join(part.get("text") or part.get("refusal") or "" for part in parts)}]


@pytest.mark.parametrize("name", ANSWERS)
def test_the_golden_answers_are_what_openais_sdk_expects(name: str) -> None:
    SdkResponse.model_validate_json(body(name), strict=True)


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_written_of_a_whole_answer_is_understood_by_the_openai_sdk(name: str) -> None:
    said, usage = ANSWERS[name]
    response = folded(DIALECT.read_response(body(name)))

    answer = SdkResponse.model_validate_json(
        DIALECT.write_response(response, ASKED, "resp_1", 1_760_000_000), strict=True
    )

    nothing_beyond(answer)
    assert answer.output_text == said.text
    calls = [item for item in answer.output if item.type == "function_call"]
    assert tuple((call.call_id, call.name, call.arguments) for call in calls) == said.calls
    assert answer.status == ("incomplete" if said.finish == "length" else "completed")
    assert answer.usage is not None
    assert usage is not None
    assert answer.usage.total_tokens == usage.input_tokens + usage.output_tokens


@pytest.mark.parametrize("name", ANSWERS)
def test_whole_or_streamed_an_answer_has_the_same_items(name: str) -> None:
    response = folded(DIALECT.read_response(body(name)))

    whole = msgspec.json.decode(DIALECT.write_response(response, ASKED, "resp_1", 1_760_000_000))
    streamed = written(DIALECT.read_response(body(name)))[-1]["response"]

    assert streamed == whole


def test_an_answer_that_failed_is_an_error() -> None:
    for way in (DIALECT.read_response, DIALECT.usage_of):
        with pytest.raises(Unavailable, match="failed to generate"):
            way(body("openai_failed"))


def test_an_answer_in_the_background_is_none_yet() -> None:
    with pytest.raises(BadAnswer, match="queued"):
        DIALECT.read_response(b'{"object":"response","status":"queued","output":[]}')
