"""Golden exchanges: what providers send is read rightly, and what is written of it holds for OpenAI's own SDK."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from dirigent.core.errors import DirigentError, RateLimited, TooLong, Unavailable
from dirigent.core.events import Event, TextDelta, folded
from dirigent.core.messages import Reasoning, Refusal, Request, Response, Text, ToolCall
from dirigent.core.usage import Usage
from dirigent.dialects.openai_chat import OpenAIChat
from tests.dialects.exchanges import Exchanges

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "openai_chat"
DIALECT = OpenAIChat()
BEYOND = {"reasoning_content", "reasoning_details", "extra_content", "stop_reason"}


class Said(msgspec.Struct, frozen=True):
    """What one choice of an answer means."""

    text: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()
    finish: str = "stop"
    refusal: str = ""
    thought: str = ""
    tokens: int = 0
    """How many tokens have log probabilities."""


STREAMS: dict[str, tuple[tuple[Said, ...], Usage | None]] = {
    "openai_text": ((Said("Guten Tag, „Köln“ 👋"),), Usage(14, 6, 8)),
    "openai_parallel_tools": (
        (
            Said(
                calls=(("call_A1", "weather", '{"city": "Köln"}'), ("call_B2", "time", '{"zone": "CET"}')),
                finish="tool_calls",
            ),
        ),
        Usage(82, 40),
    ),
    "openai_logprobs": ((Said("Ja!", tokens=2),), Usage(9, 2)),
    "openai_two_choices": ((Said("Eins."), Said("Zwei!", finish="length")), Usage(9, 8)),
    "openai_refusal": ((Said(refusal="I can't help with that."),), Usage(20, 7)),
    "openai_function_call": ((Said(calls=(("call_0", "weather", '{"city":"Ulm"}'),), finish="tool_calls"),), None),
    "azure_filters": ((Said("Hallo"),), Usage(8, 1)),
    "mistral_tools": (
        (
            Said(
                calls=(("Xq7abcDe1", "weather", '{"city": "Lyon"}'), ("Zt8fghIj2", "time", '{"zone": "CET"}')),
                finish="tool_calls",
            ),
        ),
        Usage(150, 44),
    ),
    "mistral_thinking": ((Said("It is prime.", finish="length"),), Usage(30, 21)),
    "vllm_cumulative_usage": ((Said("Four", thought="Let me see."),), Usage(11, 6)),
    "vllm_named_tool": ((Said(calls=(("chatcmpl-tool-1", "pay", '{"eur": 5}'),), finish="tool_calls"),), Usage(70, 9)),
    "ollama_all_index_zero": (
        (
            Said(
                calls=(("call_u1", "weather", '{"city":"Bonn"}'), ("call_u2", "weather", '{"city":"Trier"}')),
                finish="tool_calls",
            ),
        ),
        Usage(190, 38),
    ),
    "ollama_arguments_as_object": (
        (
            Said(
                calls=(("call_0", "weather", '{"city":"Bonn","days":2}'), ("call_1", "now", "{}")), finish="tool_calls"
            ),
        ),
        Usage(190, 38),
    ),
    "groq_usage_aside": ((Said("Schnell"),), Usage(38, 3)),
    "deepseek_reasoning": ((Said("9.9", thought="9.9 > 9.11"),), Usage(16, 12, 10, 0, 9)),
    "llama_cpp": ((Said("Hallo"),), Usage(20, 3)),
    "llama_cpp_cut_before_done": ((Said("Hallo", finish="length"),), None),
    "xai_thought_beside": ((Said("42", thought="Hm"),), Usage(32, 211, 5, 0, 210)),
    "openrouter_sealed": (
        (Said("9.9", thought="9.9 is larger."),),
        Usage(40, 31, 0, 12, 20, cache_write_untold_tokens=12),
    ),
    "gemini_sealed_call": (
        (
            Said(
                calls=(
                    ("function-call-1", "weather", '{"city":"Köln"}'),
                    ("function-call-2", "weather", '{"city":"Ulm"}'),
                ),
                finish="tool_calls",
            ),
        ),
        Usage(60, 25),
    ),
    "openai_audio": ((Said(),), Usage(12, 30, audio_output_tokens=24)),
    "unnumbered_tools": ((Said(calls=(("a", "f", '{"x":1}'), ("b", "g", "{}")), finish="tool_calls"),), None),
}
BROKEN: dict[str, tuple[type[DirigentError], str, list[Event]]] = {
    "vllm_error": (Unavailable, "EngineCore encountered an issue", [TextDelta("Once")]),
    "vllm_flat_error": (TooLong, "maximum context length is 4096", []),
    "deepseek_gave_up": (Unavailable, "insufficient_system_resource", [TextDelta("Half")]),
    "openrouter_broke_off": (Unavailable, "Provider disconnected unexpectedly", [TextDelta("Es war")]),
    "openrouter_failed_at_once": (RateLimited, "Rate limit exceeded", []),
}
WHOLE: dict[str, tuple[Said, Usage | None]] = {
    "openai_text": (Said("Guten Tag"), Usage(14, 6, 8)),
    "openai_tools": (
        Said(calls=(("call_A1", "weather", '{"city": "Köln"}'), ("call_B2", "now", "{}")), finish="tool_calls"),
        Usage(82, 40),
    ),
    "openai_structured": (Said('{"total": 12.5}'), Usage(60, 8)),
    "openai_refusal": (Said(refusal="I'm sorry, I can't assist with that."), Usage(60, 11)),
    "openai_logprobs": (Said("Ja!", tokens=2), Usage(9, 2)),
    "mistral_tools": (
        Said(calls=(("Xq7abcDe1", "weather", '{"city": "Lyon"}'),), finish="tool_calls"),
        Usage(150, 22),
    ),
    "mistral_thinking": (Said("It is prime."), Usage(30, 21)),
    "vllm_all_nulls": (Said("Four", thought="Let me see."), Usage(11, 6)),
    "ollama_tools": (
        Said(calls=(("call_u1", "weather", '{"city":"Bonn"}'), ("call_1", "now", "{}")), finish="tool_calls"),
        Usage(190, 38),
    ),
    "groq": (Said("Schnell"), Usage(38, 3)),
    "deepseek": (Said("9.9", thought="9.9 > 9.11"), Usage(16, 12, 10, 0, 9)),
    "llama_cpp": (Said("Hallo"), Usage(20, 3)),
    "openai_audio": (Said(), Usage(12, 30, audio_output_tokens=24)),
    "openrouter_sealed": (Said("9.9", thought="9.9 is larger."), Usage(40, 31)),
    "vllm_stop_sequence": (Said("one two"), Usage(9, 3)),
    "no_usage": (Said("Hallo"), None),
    "empty_usage": (Said("Hallo"), None),
}


def meaning(response: Response) -> tuple[Said, ...]:
    """What a response means, choice by choice."""
    said = []
    for choice in response.choices:
        parts = choice.message.parts
        counted = msgspec.json.decode(choice.logprobs)["content"] if choice.logprobs is not None else []
        said.append(
            Said(
                "".join(part.text for part in parts if isinstance(part, Text)),
                tuple((part.id, part.name, part.arguments) for part in parts if isinstance(part, ToolCall)),
                choice.finish or "",
                "".join(part.text for part in parts if isinstance(part, Refusal)),
                "".join(part.text for part in parts if isinstance(part, Reasoning)),
                len(counted),
            )
        )
    return tuple(said)


EXCHANGES = Exchanges(
    DIALECT, meaning, STREAMS, BROKEN, {name: ((said,), usage) for name, (said, usage) in WHOLE.items()}
)
stream, body, read = EXCHANGES.stream, EXCHANGES.body, EXCHANGES.read


def asking(*, include_usage: bool = True) -> Request:
    return Request(model="auto", messages=(), stream=True, include_usage=include_usage)


def written(events: Iterable[Event], *, include_usage: bool = True) -> list[dict[str, Any]]:
    """The events that a caller gets, decoded; each one is held against OpenAI's own types."""
    writer = DIALECT.writer(asking(include_usage=include_usage), "chatcmpl-1", 1_760_000_000)
    data = b"".join([writer.write(event) for event in events]) + writer.end()
    assert data.endswith(b"\n\ndata: [DONE]\n\n")
    chunks = [msgspec.json.decode(frame.removeprefix(b"data: ")) for frame in data.split(b"\n\n")[:-2]]
    for chunk in chunks:
        nothing_beyond(ChatCompletionChunk.model_validate(chunk, strict=True))
    return chunks


def nothing_beyond(model: BaseModel) -> None:
    """Refuses fields that OpenAI's types do not know, but for those in which others tell thoughts, seals and stops."""
    assert set(model.model_extra or ()) <= BEYOND, model
    for name in type(model).model_fields:
        value = getattr(model, name)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, BaseModel):
                nothing_beyond(part)


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_written_of_a_stream_is_understood_by_the_openai_sdk(name: str) -> None:
    said, usage = STREAMS[name]

    chunks = written(read(stream(name)))

    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks} == {
        ("chatcmpl-1", 1_760_000_000, "auto")
    }
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    understood = state.current_completion_snapshot
    for choice, expected in zip(understood.choices, said, strict=True):
        message = choice.message
        calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
        assert ((message.content or ""), tuple(calls), choice.finish_reason) == (
            expected.text,
            expected.calls,
            expected.finish,
        )
        assert (message.refusal or "") == expected.refusal
    if usage is not None:
        assert understood.usage is not None
        assert (understood.usage.prompt_tokens, understood.usage.completion_tokens) == (
            usage.input_tokens,
            usage.output_tokens,
        )


@pytest.mark.parametrize("name", STREAMS)
def test_the_shape_of_what_is_written_keeps_openais_rules(name: str) -> None:
    said, usage = STREAMS[name]

    chunks = written(read(stream(name)))

    closing = [chunk for chunk in chunks if not chunk["choices"]]
    assert closing == ([chunks[-1]] if usage is not None else [])
    assert all(chunk["usage"] is None for chunk in chunks if chunk["choices"])
    for choice in range(len(said)):
        parts = [part for chunk in chunks for part in chunk["choices"] if part["index"] == choice]
        assert [part["delta"].get("role") for part in parts] == ["assistant"] + [None] * (len(parts) - 1)
        assert [part["finish_reason"] for part in parts] == [None] * (len(parts) - 1) + [said[choice].finish]
        begun: set[int] = set()
        for call in [call for part in parts for call in part["delta"].get("tool_calls", ())]:
            assert ("id" in call, "type" in call, "name" in call["function"]) == (call["index"] not in begun,) * 3
            begun.add(call["index"])
        assert begun == set(range(len(said[choice].calls)))


@pytest.mark.parametrize("name", STREAMS)
def test_nobody_gets_a_report_of_usage_unasked(name: str) -> None:
    chunks = written(read(stream(name)), include_usage=False)

    assert all(chunk["choices"] and "usage" not in chunk for chunk in chunks)


TOLD_TWICE = {"vllm_cumulative_usage"}
"""Streams that tell the usage before its place as well."""


def told_once(data: bytes) -> bytes:
    """The stream as its caller gets it, who was promised the usage behind everything else."""
    return re.sub(rb'("choices":\[\{.*"usage":)\{.*\}(\}\n)', rb"\1null\2", data)


@pytest.mark.parametrize("size", [1, 5, 65536])
@pytest.mark.parametrize("name", STREAMS)
def test_verbatim_every_byte_goes_on_and_the_same_usage_is_learnt(name: str, size: int) -> None:
    said, usage = STREAMS[name]
    data = stream(name)
    shown, hidden = (DIALECT.witness(hide_usage=hide, choices=len(said)) for hide in (False, True))

    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    passed = b"".join([shown.feed(piece) for piece in pieces]) + shown.end()
    quiet = b"".join([hidden.feed(piece) for piece in pieces]) + hidden.end()

    assert passed == (told_once(data) if name in TOLD_TWICE else data)
    assert (shown.usage, hidden.usage) == (usage, usage)
    frames = [frame for frame in data.split(b"\n\n") if not (b'"choices":[],' in frame and b'"usage":{' in frame)]
    assert quiet == b"\n\n".join(frames)


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_written_of_a_whole_answer_is_understood_by_the_openai_sdk(name: str) -> None:
    said, usage = WHOLE[name]
    response = folded(DIALECT.read_response(body(name)))

    answer = ChatCompletion.model_validate_json(
        DIALECT.write_response(response, asking(), "chatcmpl-1", 1_760_000_000), strict=True
    )

    nothing_beyond(answer)
    (choice,) = answer.choices
    calls = tuple((call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ())  # type: ignore[union-attr]  # none is of another type
    assert ((choice.message.content or ""), calls, choice.finish_reason) == (said.text, said.calls, said.finish)
    assert (choice.message.refusal or "") == said.refusal
    assert (answer.usage is None) == (usage is None)
    if answer.usage is not None and usage is not None:
        assert answer.usage.total_tokens == usage.input_tokens + usage.output_tokens
