"""Golden exchanges: what Google sends is read rightly, and what is written of it holds for Google's own SDK."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from google.genai.types import GenerateContentResponse

from dirigent.core.errors import BadAnswer, DirigentError, RateLimited, Unavailable
from dirigent.core.events import Event, Finished, TextDelta, UsageReported, folded
from dirigent.core.messages import Audio, Choice, Reasoning, Request, Text, ToolCall
from dirigent.core.usage import Usage
from dirigent.dialects.google_generate import GoogleGenerate
from tests.dialects.exchanges import Exchanges

DIALECT = GoogleGenerate()
SEAL = "CikB0e2Kb+/sig11"
MADE_UP = "dirigent_call_"

Thought = tuple[str, str | None]


class Said(msgspec.Struct, frozen=True):
    """What an answer means."""

    text: str = ""
    calls: tuple[tuple[str, str, str | None], ...] = ()
    """Name, arguments and seal of each."""
    finish: str = "stop"
    thoughts: tuple[Thought, ...] = ()


TWO_CALLS = (("weather", '{"city": "Köln"}', SEAL), ("weather", '{"city": "Bonn"}', None))
STREAMS: dict[str, tuple[Said, Usage | None]] = {
    "text": (Said("Guten Tag, „Köln“ 👋"), Usage(9, 11)),
    "thinking_and_parallel_tools": (
        Said("I'll look that up.", TWO_CALLS, "tool_calls", (("**Planning**\n\nTwo cities, two calls.", None),)),
        Usage(40, 60, 16, reasoning_tokens=30),
    ),
    "seal_at_the_end": (Said("Vier.", thoughts=(("", "CtQB+abc/def"),)), Usage(9, 82, reasoning_tokens=80)),
    "blocked_prompt": (Said(finish="content_filter"), Usage(12)),
    "safety_in_the_middle": (Said("I can", finish="content_filter"), Usage(9, 3)),
    "usage_before_content": (Said("Hallo"), Usage(9, 1)),
    "finish_without_usage": (Said("Hallo!"), Usage(9, 2)),
    "no_usage": (Said("Hallo"), None),
    "new_fields": (Said("Hallo"), Usage(9, 2)),
}
BROKEN: dict[str, tuple[type[DirigentError], str, list[Event]]] = {
    "malformed_call": (BadAnswer, "MALFORMED_FUNCTION_CALL", [UsageReported(Usage(9, 1)), TextDelta("Once")]),
    "malformed_call_at_once": (BadAnswer, "MALFORMED_FUNCTION_CALL", []),
    "overloaded_in_the_middle": (Unavailable, "overloaded", [UsageReported(Usage(9, 1)), TextDelta("Once")]),
    "limited_at_once": (RateLimited, "exceeded your current quota", []),
    "cut": (BadAnswer, "stopped before", [UsageReported(Usage(9, 1)), TextDelta("Hal")]),
}
WHOLE: dict[str, tuple[Said, Usage | None]] = {
    "text": (Said("Guten Tag"), Usage(9, 4)),
    "thinking_and_tools": (
        Said(
            "",
            (
                ("weather", '{\n                "city": "Köln",\n                "n": 1.5\n              }', SEAL),
                ("now", "{}", None),
            ),
            "tool_calls",
            (("Two calls.", None),),
        ),
        Usage(40, 52, 16, reasoning_tokens=30),
    ),
    "text_with_seal": (Said("Vier.", thoughts=(("", "CtQB+abc/def"),)), Usage(9, 82, reasoning_tokens=80)),
    "blocked_prompt": (Said(finish="content_filter"), Usage(12)),
    "recitation": (Said(finish="content_filter"), Usage(12)),
    "max_tokens_in_thought": (Said(finish="length"), Usage(12, 100, reasoning_tokens=100)),
    "logprobs": (Said("Ja"), Usage(9, 1)),
    "code_execution": (Said("I compute. It is 42."), Usage(109, 30)),
    "search": (Said("It is sunny."), Usage(69, 5)),
    "no_usage": (Said("Hallo"), None),
    "nulls": (Said("Four"), Usage(9, 1)),
}


def meaning(choice: Choice) -> Said:
    parts = choice.message.parts
    return Said(
        "".join(part.text for part in parts if isinstance(part, Text)),
        tuple((part.name, part.arguments, part.signature) for part in parts if isinstance(part, ToolCall)),
        choice.finish or "",
        tuple((part.text, part.signature) for part in parts if isinstance(part, Reasoning)),
    )


EXCHANGES = Exchanges(
    DIALECT,
    lambda response: meaning(response.choices[0]),
    STREAMS,
    BROKEN,
    WHOLE,
    others=frozenset(("malformed_call", "picture", "sound", "two_candidates")),
    unwatched=frozenset(("malformed_call",)),
)
stream, body, read = EXCHANGES.stream, EXCHANGES.body, EXCHANGES.read


def asking() -> Request:
    return Request(model="auto", messages=(), stream=True, include_usage=True)


def written(events: Iterable[Event]) -> list[GenerateContentResponse]:
    """The chunks that a caller gets, each held against Google's own types."""
    writer = DIALECT.writer(asking(), "answer-1", 1_760_000_000)
    data = b"".join([writer.write(event) for event in events]) + writer.end()
    frames = [frame for frame in data.split(b"\n\n") if frame]
    assert all(frame.startswith(b"data: ") for frame in frames)
    return [GenerateContentResponse.model_validate_json(frame[6:]) for frame in frames]


def test_a_call_that_google_itself_could_not_read_is_no_answer() -> None:
    with pytest.raises(BadAnswer, match="Malformed function call: print"):
        DIALECT.read_response(body("malformed_call"))


def test_a_picture_is_told_by_an_error_and_never_left_out_quietly() -> None:
    with pytest.raises(BadAnswer, match="image/png"):
        DIALECT.read_response(body("picture"))


def test_sound_is_read_as_sound() -> None:
    response = folded(DIALECT.read_response(body("sound")))

    assert response.choices[0].message.parts == (Audio("AAEC", "L16;codec=pcm;rate=24000", transcript=""),)
    assert response.usage == Usage(9, 50, audio_output_tokens=50)


@pytest.mark.parametrize("data", [body("two_candidates"), stream("two_candidates")])
def test_several_candidates_are_several_choices(data: bytes) -> None:
    events = DIALECT.read_response(data) if data.startswith(b"{") else read(data, 7)

    assert [choice.message.text for choice in folded(events).choices] == ["Eins", "Zwei"]


def test_log_probabilities_are_told_as_openai_tells_them_and_back() -> None:
    response = folded(DIALECT.read_response(body("logprobs")))

    raw = response.choices[0].logprobs
    assert raw is not None
    assert msgspec.json.decode(raw)["content"] == [
        {
            "token": "Ja",
            "logprob": -0.1,
            "bytes": [74, 97],
            "top_logprobs": [
                {"token": "Ja", "logprob": -0.1, "bytes": [74, 97]},
                {"token": "Nein", "logprob": -2.5, "bytes": [78, 101, 105, 110]},
            ],
        }
    ]
    again = folded(DIALECT.read_response(DIALECT.write_response(response, asking(), "a", 0)))
    assert again == response


def test_calls_without_ids_get_ones_that_are_stable_unique_and_google_never_sees() -> None:
    events = read(stream("thinking_and_parallel_tools"))

    calls = [part for part in folded(events).choices[0].message.parts if isinstance(part, ToolCall)]
    assert len({call.id for call in calls}) == 2
    assert all(call.id.startswith(MADE_UP) for call in calls)
    assert events == read(stream("thinking_and_parallel_tools"), 1)


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_written_of_a_stream_holds_for_googles_sdk_and_means_the_same(name: str) -> None:
    events = read(stream(name))
    said, usage = STREAMS[name]

    chunks = written(events)

    parts: list[Any] = []
    for chunk in chunks:
        for candidate in chunk.candidates or ():
            parts += candidate.content.parts if candidate.content and candidate.content.parts else []
    assert "".join(part.text or "" for part in parts if not part.thought) == said.text
    assert [part.function_call.name for part in parts if part.function_call] == [name for name, *_ in said.calls]
    last = chunks[-1]
    assert last.candidates
    assert last.candidates[0].finish_reason
    if usage is not None:
        assert last.usage_metadata is not None
        assert last.usage_metadata.prompt_token_count == usage.input_tokens
        total = (last.usage_metadata.candidates_token_count or 0) + (last.usage_metadata.thoughts_token_count or 0)
        assert total == usage.output_tokens


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_written_of_a_whole_answer_holds_for_googles_sdk(name: str) -> None:
    response = folded(DIALECT.read_response(body(name)))

    again = DIALECT.write_response(response, asking(), "answer-1", 1_760_000_000)

    GenerateContentResponse.model_validate_json(again)
    assert folded(DIALECT.read_response(again)) == response


def test_a_stream_as_a_list_is_one_json_document_even_where_it_breaks_off() -> None:
    asked = DIALECT.read_request(b'{"contents":[{"parts":[{"text":"hi"}]}]}', "/v1beta/models/m:streamGenerateContent")
    whole, broken = DIALECT.writer(asked, "a", 0), DIALECT.writer(asked, "a", 0)

    told = b"".join([whole.write(event) for event in (TextDelta("a"), TextDelta("b"), Finished("stop"))]) + whole.end()
    half = broken.write(TextDelta("a")) + broken.fail(DIALECT.write_error(Unavailable("gone"), 503, "", ""))

    assert [len(each["candidates"]) for each in msgspec.json.decode(told)] == [1, 1, 1]
    assert msgspec.json.decode(half)[1]["error"]["status"] == "UNAVAILABLE"
    assert DIALECT.stream_type(asked) == "application/json"
    assert asked.wire is None
