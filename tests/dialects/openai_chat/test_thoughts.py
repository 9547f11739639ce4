"""Thoughts and their seals: they come back to their issuer as it wrote them, whoever carried them meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from dirigent.core.events import Event, Finished, ReasoningDelta, TextDelta, ToolCallDelta, folded
from dirigent.core.messages import Message, Reasoning, Request, Text, ToolCall
from dirigent.dialects.openai_chat import OpenAIChat
from tests.dialects.openai_chat.test_golden import body, read, stream

DIALECT = OpenAIChat()
OPEN_ROUTER = OpenAIChat(takes_seals=True)
CLAUDE = (
    Reasoning("9.9 is larger.", signature="EqQB", issuer="anthropic_messages"),
    Reasoning(sealed="EtwK", issuer="anthropic_messages"),
)
EVERY = {
    "anthropic": CLAUDE,
    "google": (Reasoning(signature="CsYB", issuer="google_generate"),),
    "openai": (Reasoning("Hm.\n\nYes.", sealed="gAAA", id="rs_1", issuer="openai_responses"),),
    "another": (Reasoning("Hm", signature="x", issuer="bedrock_converse"),),
    "this one": (Reasoning("Hm", signature="x", issuer="openai_chat"),),
    "nobody": (Reasoning("Hm"),),
}
every_issuer = pytest.mark.parametrize("thoughts", EVERY.values(), ids=EVERY)


def told(*thoughts: Reasoning) -> list[Event]:
    """What an issuer says: each thought in fragments, its seal at its end; then a sealed call, and some words."""
    events: list[Event] = []
    for block, one in enumerate(thoughts):
        events += [ReasoningDelta(letter, block=block) for letter in one.text]
        events.append(ReasoningDelta("", 0, block, one.signature, one.sealed, one.id, one.issuer))
    return [
        *events,
        TextDelta("9.9"),
        ToolCallDelta(0, "c1", "f", "{}", signature="CsYB"),
        Finished("tool_calls"),
    ]


def handed_back(message: dict[str, Any]) -> tuple[Message, ...]:
    """How the next request of a caller is read, who sends the assistant's message back as it came."""
    said = [{"role": "user", "content": "hi"}, {key: value for key, value in message.items() if value is not None}]
    return tuple(DIALECT.read_request(json.dumps({"model": "m", "messages": said}).encode()).messages)[1:]


CALL = ToolCall("c1", "f", "{}", "CsYB")


@every_issuer
def test_seals_survive_a_caller_who_echoes_a_whole_answer(thoughts: tuple[Reasoning, ...]) -> None:
    response = folded(told(*thoughts))

    answer = json.loads(DIALECT.write_response(response, Request(model="m"), "chatcmpl-1", 0))

    assert handed_back(answer["choices"][0]["message"]) == (Message("assistant", (*thoughts, Text("9.9"), CALL)),)


@every_issuer
def test_seals_survive_a_caller_who_echoes_what_the_sdk_made_of_a_stream(thoughts: tuple[Reasoning, ...]) -> None:
    writer = DIALECT.writer(Request(model="m"), "chatcmpl-1", 0)
    frames = b"".join([writer.write(event) for event in told(*thoughts)]).split(b"\n\n")[:-1]

    state = ChatCompletionStreamState()
    for frame in frames:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(frame.removeprefix(b"data: ")))
    message = state.current_completion_snapshot.choices[0].message.model_dump(mode="json")
    for call in message["tool_calls"]:
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)

    assert handed_back(message) == (Message("assistant", (*thoughts, Text("9.9"), CALL)),)


@every_issuer
def test_only_who_takes_seals_gets_those_of_others(thoughts: tuple[Reasoning, ...]) -> None:
    request = Request(model="m", messages=(Message("assistant", (*thoughts, CALL)),), dialect="another")

    plain, sealed = (
        json.loads(dialect.write_request(request, "x"))["messages"][0] for dialect in (DIALECT, OPEN_ROUTER)
    )

    assert ("reasoning_details" in plain) == (thoughts[0].issuer == "openai_chat")
    assert "extra_content" not in plain["tool_calls"][0]
    assert sealed["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "CsYB"}}
    assert handed_back(sealed) == (Message("assistant", (*thoughts, CALL)),)


def test_seals_in_openrouters_shape_are_read() -> None:
    streamed, whole = (
        folded(read(stream("openrouter_sealed"))),
        folded(DIALECT.read_response(body("openrouter_sealed"))),
    )

    assert streamed.choices[0].message.parts == (
        Reasoning("9.9 is larger.", signature="EqQBCkYIBxgCKkA=", issuer="anthropic_messages"),
        Reasoning(sealed="EtwKredacted", issuer="anthropic_messages"),
        Text("9.9"),
    )
    assert whole.choices[0].message.parts == (
        Reasoning("9.9 is larger.", sealed="CsYBsealed", id="t1", issuer="google_generate"),
        Text("9.9"),
    )


def test_the_seal_of_a_call_in_geminis_shape_is_read() -> None:
    calls = folded(read(stream("gemini_sealed_call"))).choices[0].message.parts

    assert [call.signature for call in calls if isinstance(call, ToolCall)] == ["CsYBAdHtim8=", None]


@pytest.mark.parametrize("details", [None, [], 7, "x", {}, [7], [{"type": 7}], [{"type": "new"}]])
def test_details_that_mean_nothing_here_leave_the_words(details: object) -> None:
    message = {"role": "assistant", "content": "a", "reasoning_content": "Hm", "reasoning_details": details}

    (read_back,) = handed_back(message)

    assert [part for part in read_back.parts if isinstance(part, Reasoning) and part.text] == [Reasoning("Hm")]


def test_words_without_a_seal_do_not_slip_under_the_seal_of_a_later_thought() -> None:
    seal = {"type": "reasoning.text", "signature": "CsYB", "format": "google-gemini-v1", "index": 1}
    message = {"role": "assistant", "content": "42", "reasoning_content": "Hm", "reasoning_details": [seal]}

    (read_back,) = handed_back(message)

    sealed = Reasoning(signature="CsYB", issuer="google_generate")
    assert read_back.parts == (Reasoning("Hm"), sealed, Text("42"))
